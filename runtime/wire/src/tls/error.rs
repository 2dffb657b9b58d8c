//! Why a certificate, or a connection, is not accepted: sentences that say what to do.

use std::io;
use std::time::Duration;

use domicile_types::RegionId;
use rustls::{AlertDescription, CertificateError};

/// What keeps regions from recognizing each other by certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file of [tls] that is not PEM, or holds no certificate that can be read.
    #[error("`{key}` in [tls] cannot be read as certificates in PEM: {detail}")]
    NotPem {
        /// Which one.
        key: &'static str,
        /// What the reader says.
        detail: String,
    },
    /// A file of [tls] with no certificate, or with too many.
    #[error(
        "`{key}` in [tls] is to be a PEM file with 1 to {} certificates, each behind a line `-----BEGIN CERTIFICATE-----`, \
         and has {found}",
        domicile_types::limits::CERTIFICATES_MAX
    )]
    Certificates {
        /// Which one.
        key: &'static str,
        /// Certificates found.
        found: usize,
    },
    /// A file that holds no private key.
    #[error("`key` in [tls] is no private key in PEM; it has a line `-----BEGIN PRIVATE KEY-----`")]
    NoKey,
    /// A key of another certificate.
    #[error(
        "`key` in [tls] is not the key of the certificate of `{region}`; name the two files that were made together"
    )]
    OtherKey {
        /// The region.
        region: RegionId,
    },
    /// A certificate that does not name one region.
    #[error(
        "a certificate between regions has exactly one DNS name among its subject alternative names, the id of its \
         region; this one has: {}", if .found.is_empty() { "none" } else { .found.as_str() }
    )]
    Names {
        /// The names found, with commas.
        found: String,
    },
    /// A certificate of another region.
    #[error("the certificate is for `{found}`, and this region is `{expected}`; name the one of `{expected}` in [tls]")]
    OtherRegion {
        /// The region that reads it.
        expected: RegionId,
        /// The region it is for.
        found: RegionId,
    },
    /// An id that no certificate can hold.
    #[error("`{region}` cannot be a DNS name, as certificates need it; rename the region, without `-` at the end")]
    NoDnsName {
        /// The id.
        region: RegionId,
    },
    /// A certificate that its own region would not show, as no peer would accept it.
    #[error("the certificate of `{region}` {fault}; {}", renewal(.region))]
    Own {
        /// The region.
        region: RegionId,
        /// What is wrong, as the end of the sentence.
        fault: String,
    },
    /// A caller whose certificate does not count here.
    #[error(
        "the certificate that the caller shows {fault}; a peer of `{here}` needs one of the authority that `{here}` has \
         in [tls]"
    )]
    Caller {
        /// The region called.
        here: RegionId,
        /// What is wrong, as the end of the sentence.
        fault: String,
    },
    /// A caller without a certificate.
    #[error("the caller shows no certificate; only peers, who have one, are answered here")]
    NoCertificate,
    /// A caller who does not end the handshake.
    #[error("the handshake took longer than {timeout_ms} ms")]
    Slow {
        /// The limit.
        timeout_ms: u128,
    },
    /// A caller who asks for another protocol.
    #[error("the caller does not offer HTTP/2 (`h2` in ALPN)")]
    NotHttp2,
    /// A handshake that broke off, or is none.
    #[error("the handshake failed: {detail}")]
    Handshake {
        /// What the connection said.
        detail: String,
    },
    /// What the library cannot work with.
    #[error("the files of [tls] cannot be used: {detail}")]
    Unusable {
        /// What it says.
        detail: String,
    },
}

/// A connection to a peer that did not come about, in a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TlsRefused(pub(crate) String);

fn renewal(region: &RegionId) -> String {
    format!(
        "give it one of the authority that its peers trust (for trying things out, `domicile certs init --region {region} \
         --out DIR` makes one)"
    )
}

/// What is wrong with a certificate, as the end of a sentence that begins with it.
fn fault(error: &CertificateError) -> String {
    let ago = |duration: Duration| match duration.as_secs() / 3600 {
        hours @ 0..48 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    };
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            let since = Duration::from_secs(time.as_secs().saturating_sub(not_after.as_secs()));
            format!("ended {} ago", ago(since))
        }
        CertificateError::Expired => "has ended".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "does not hold yet, by this region's clock".to_owned()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is not of the authority in [tls]".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("is for {}", presented.join(", "))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for both clients and servers, as its extended key usage says".to_owned()
        }
        other => format!("is not accepted: {other}"),
    }
}

fn inside(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// Of the region's own certificate.
pub(super) fn of_own(error: &rustls::Error, region: &RegionId) -> TlsError {
    match error {
        rustls::Error::InvalidCertificate(error) => TlsError::Own { region: region.clone(), fault: fault(error) },
        other => TlsError::Unusable { detail: other.to_string() },
    }
}

/// Of whoever calls.
pub(super) fn of_caller(error: &io::Error, here: &RegionId) -> TlsError {
    match inside(error) {
        Some(rustls::Error::InvalidCertificate(error)) => TlsError::Caller { here: here.clone(), fault: fault(error) },
        Some(rustls::Error::NoCertificatesPresented) => TlsError::NoCertificate,
        _ => TlsError::Handshake { detail: error.to_string() },
    }
}

/// Of a peer that is called, or that does not accept the certificate of the region `own`.
pub(super) fn of_peer(error: &io::Error, own: &RegionId, peer: &RegionId) -> TlsRefused {
    let refuses =
        |why: &str, what: String| format!("`{peer}` does not accept the certificate of `{own}`: {why}; {what}");
    TlsRefused(match inside(error) {
        Some(rustls::Error::InvalidCertificate(error @ CertificateError::NotValidForNameContext { .. })) => format!(
            "the certificate shown there {}, not for `{peer}`; correct the `url` of that peer, or give `{peer}` its own \
             certificate",
            fault(error)
        ),
        Some(rustls::Error::InvalidCertificate(error)) => format!(
            "the certificate that `{peer}` shows to `{own}` {}; {}",
            fault(error),
            renewal(peer).replacen("give it one", &format!("give `{peer}` one"), 1)
        ),
        Some(rustls::Error::AlertReceived(alert)) => match alert {
            AlertDescription::CertificateExpired => {
                refuses("it has ended, or does not hold yet by the clock there", own_renewal(own))
            }
            AlertDescription::UnknownCA | AlertDescription::DecryptError => {
                refuses("it is not of the authority that is trusted there", own_renewal(own))
            }
            AlertDescription::CertificateRequired => refuses("none was shown", own_renewal(own)),
            AlertDescription::NoApplicationProtocol => not_for_peers(peer),
            other => refuses(&format!("{other:?}"), format!("the log of `{peer}` says more")),
        },
        Some(rustls::Error::InvalidMessage(_)) => not_for_peers(peer),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => ended(own, peer).0,
        _ => error.to_string(),
    })
}

fn own_renewal(own: &RegionId) -> String {
    renewal(own).replacen("give it one", &format!("give `{own}` one"), 1)
}

fn not_for_peers(peer: &RegionId) -> String {
    format!(
        "what answers there is no listener for peers; `url` is to be the address in `peers` of [listen] of `{peer}`"
    )
}

/// A peer that ended the connection without a word.
pub(super) fn ended(own: &RegionId, peer: &RegionId) -> TlsRefused {
    TlsRefused(format!("`{peer}` ended the connection; its log says why: is `{own}` one of its peers?"))
}
