//! Why something that travelled was not accepted.

use domicile_types::RegionId;

use crate::Problem;

/// Everything that can be wrong with what came over the wire, or with getting it there.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side could not be reached, or the connection broke.
    #[error("{url} cannot be reached: {detail}; check that it runs and that the address is right")]
    Unreachable {
        /// The address tried.
        url: String,
        /// What the connection said.
        detail: String,
    },
    /// A peer and this region do not recognize each other.
    #[error("no connection to {url}: {detail}")]
    PeerTls {
        /// The address tried.
        url: String,
        /// Why, and what to do.
        detail: String,
    },
    /// A peer's request comes over a connection of another peer.
    #[error(
        "the request says that it comes from `{signer}`, and its connection has the certificate of `{shown}`; let \
         `{signer}` name its own certificate in [tls]"
    )]
    CertificateOfOther {
        /// The region that signed the request.
        signer: RegionId,
        /// The region that the certificate is for.
        shown: RegionId,
    },
    /// The other side took longer than the caller allows.
    #[error("{url} did not answer within {timeout_ms} ms")]
    TimedOut {
        /// The address asked.
        url: String,
        /// The limit.
        timeout_ms: u128,
    },
    /// The other side refused, and said why.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The answer is not in the form agreed on.
    #[error("the answer from {url} cannot be read: {detail}; do both sides run the same version?")]
    Malformed {
        /// The address asked.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// Frames that do not decode.
    #[error("damaged frame at byte {offset}: {detail}")]
    Frame {
        /// Offset of the frame in the body.
        offset: usize,
        /// What is wrong.
        detail: String,
    },
    /// More bytes than the named limit.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A peer's request or reply is not signed with the secret of the region that it claims to come from.
    #[error(
        "a message that claims to come from `{region}` is not signed with that region's secret; compare the secret files of both regions"
    )]
    NotAuthentic {
        /// The region claimed.
        region: String,
    },
    /// A peer's request is too old or too far ahead.
    #[error("a message from `{region}` is {age_ms} ms off this region's clock; check the clocks of both regions")]
    Stale {
        /// The region claimed.
        region: String,
        /// Difference of clocks, milliseconds.
        age_ms: u64,
    },
    /// A region that is not among the configured peers.
    #[error("`{region}` is not a peer of this region; add a [[peer]] section for it")]
    UnknownPeer {
        /// The region claimed.
        region: String,
    },
    /// Data without a receipt that covers it is not accepted.
    #[error("data from `{region}` came without a valid receipt: {detail}; it was not used")]
    Receipt {
        /// The source region.
        region: RegionId,
        /// What does not fit.
        detail: String,
    },
}
