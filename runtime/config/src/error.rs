//! What can be wrong with a file, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use domicile_types::{ConflictPolicyError, DatasetError, DatasetName, RegionId, suggestion};

use crate::{PeerUrl, ReplicationError};

/// A place in a file, written `file:line:column`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file, as the caller named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// The place of byte `offset` of `text`; the end of the text where the offset lies behind it.
    pub fn of(file: &str, text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that the file's schema does not have.
    #[error("{at}: unknown key `{key}`{}", hint(.nearest.as_deref(), "keys here", .known))]
    UnknownKey {
        /// Where the key stands.
        at: Position,
        /// The key.
        key: String,
        /// The keys that may stand there.
        known: Vec<String>,
        /// The most similar of them.
        nearest: Option<String>,
    },
    /// A word that is not one of those a key accepts.
    #[error("{at}: unknown value `{value}`{}", hint(.nearest.as_deref(), "values here", .known))]
    UnknownValue {
        /// Where the value stands.
        at: Position,
        /// The value.
        value: String,
        /// The values that may stand there.
        known: Vec<String>,
        /// The most similar of them.
        nearest: Option<String>,
    },
    /// A key without which the table says too little.
    #[error("{at}: key `{key}` is missing in this table")]
    MissingKey {
        /// Where the table starts.
        at: Position,
        /// The key.
        key: String,
    },
    /// Text that is not TOML, a value of the wrong type, or a name or number of the wrong form.
    #[error("{at}: {problem}")]
    Invalid {
        /// Where.
        at: Position,
        /// What is wrong, as the parser or the value's own check says it.
        problem: String,
    },
    /// A number outside its range.
    #[error("{at}: `{key}` must lie between {min} and {max}")]
    OutOfRange {
        /// Where the number stands.
        at: Position,
        /// Its key.
        key: &'static str,
        /// Smallest accepted number.
        min: i64,
        /// Largest accepted number.
        max: i64,
    },
    /// An address that nothing can listen at.
    #[error("{at}: `{value}` is not an address to listen at; write it as 127.0.0.1:7401 or [::1]:7401")]
    Address {
        /// Where it stands.
        at: Position,
        /// The refused text.
        value: String,
    },
    /// Code of anybody who reaches the front door would run.
    #[error(
        "{at}: `allow_unsigned = true` is for the loopback address, and this region listens at {listen}: whoever reaches \
         it could run code here; remove the key and list the keys that you trust in `trusted_keys`"
    )]
    UnsignedExposed {
        /// Where the key stands.
        at: Position,
        /// The address.
        listen: std::net::SocketAddr,
    },
    /// Anybody who reaches the front door would see what the region may see.
    #[error(
        "{at}: `allow_anonymous = true` is for the loopback address, and this region listens at {listen}: whoever \
         reaches it could ask as if they stood here; remove the key and list those that sign your clients' tokens in \
         `trusted_keys`"
    )]
    AnonymousExposed {
        /// Where the key stands.
        at: Position,
        /// The address.
        listen: std::net::SocketAddr,
    },
    /// A peer of which nobody could say which clients stand there.
    #[error(
        "{at}: peer `{peer}` has no `jurisdictions`, and [clients] has `trusted_keys`: say whose law holds there, as the \
         peer's own file does, so that it is known which clients stand there"
    )]
    PeerUnplaced {
        /// Where the peer's id stands.
        at: Position,
        /// The id.
        peer: RegionId,
    },
    /// Certificates without an address at which peers ask with them.
    #[error(
        "{at}: [tls] is there, and [listen] has no `peers`: say at which address peers ask over mutual TLS, for example \
         peers = \"127.0.0.1:7501\""
    )]
    TlsUnheard {
        /// Where [tls] starts.
        at: Position,
    },
    /// An address for peers without certificates to meet them with.
    #[error(
        "{at}: `peers` is an address for mutual TLS, and there is no [tls] with `certificate`, `key` and `authority`; add \
         it (`domicile certs init` makes files for trying things out), or remove `peers`"
    )]
    TlsMissing {
        /// Where the address stands.
        at: Position,
    },
    /// One address for clients and peers.
    #[error("{at}: `peers` is the same address as `http`; give peers one of their own")]
    ListenRepeated {
        /// Where the address for peers stands.
        at: Position,
    },
    /// A peer that would be asked in the clear.
    #[error("{at}: peer `{peer}` has {url}, and with [tls] peers are reached over mutual TLS: write https://{}, and the \
         port that `peers` in [listen] of that region's file names", .url.authority())]
    PeerPlain {
        /// Where the address stands.
        at: Position,
        /// The peer.
        peer: RegionId,
        /// Its address.
        url: PeerUrl,
    },
    /// A peer that expects a certificate, where there is none.
    #[error("{at}: peer `{peer}` has {url}, and this region has no [tls] with `certificate`, `key` and `authority`; add \
         it (`domicile certs init` makes files for trying things out), or write http://{}", .url.authority())]
    PeerOverTls {
        /// Where the address stands.
        at: Position,
        /// The peer.
        peer: RegionId,
        /// Its address.
        url: PeerUrl,
    },
    /// A private key that other users of the machine can open.
    #[error("the key {} is open to other users (mode {mode:03o}); run `chmod 600 {}`", .path.display(), .path.display())]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A text or list that may not be empty.
    #[error("{at}: `{key}` must not be empty")]
    Empty {
        /// Where the value stands.
        at: Position,
        /// Its key.
        key: &'static str,
    },
    /// Two peers of one id.
    #[error("{at}: peer `{peer}` is listed twice; remove one")]
    PeerRepeated {
        /// Where the second stands.
        at: Position,
        /// The id.
        peer: RegionId,
    },
    /// A region that lists itself among its peers.
    #[error("{at}: peer `{peer}` is this region itself; list only the others")]
    PeerIsSelf {
        /// Where.
        at: Position,
        /// The id.
        peer: RegionId,
    },
    /// A dataset whose columns contradict each other.
    #[error("{at}: {source}")]
    Dataset {
        /// Where.
        at: Position,
        /// What is wrong.
        source: DatasetError,
    },
    /// A conflict policy that the dataset cannot have.
    #[error("{at}: {source}")]
    Conflict {
        /// Where.
        at: Position,
        /// What is wrong.
        source: ConflictPolicyError,
    },
    /// Two files that describe one dataset.
    #[error("{}: dataset `{dataset}` is already described in {}; remove one", .file.display(), .first.display())]
    DatasetRepeated {
        /// The second file.
        file: PathBuf,
        /// The first file.
        first: PathBuf,
        /// The dataset.
        dataset: DatasetName,
    },
    /// A replication set that cannot be.
    #[error("{at}: {source}")]
    Replication {
        /// Where.
        at: Position,
        /// What is wrong.
        source: Box<ReplicationError>,
    },
    /// A dataset whose old partitions have nowhere to go.
    #[error(
        "{}: dataset `{dataset}` has `tier_after_days`, and this region has no cold storage; give it `cold_url` in [storage]",
        .file.display()
    )]
    NoColdStorage {
        /// The region's file.
        file: PathBuf,
        /// The dataset.
        dataset: DatasetName,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A secret that is too easy to guess.
    #[error("secret file {} has {actual} bytes, at least {min} are needed; write a new one with `domicile secret new`", .path.display())]
    SecretShort {
        /// The file.
        path: PathBuf,
        /// Bytes found, without white space around them.
        actual: usize,
        /// Bytes needed.
        min: usize,
    },
    /// A secret that is not a secret, because other users of the machine can open it.
    #[error("secret file {} is open to other users (mode {mode:03o}); run `chmod 600 {}`", .path.display(), .path.display())]
    SecretExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

fn hint(nearest: Option<&str>, what: &str, known: &[String]) -> String {
    match nearest {
        None if !known.is_empty() => format!("; {what}: {}", known.join(", ")),
        _ => suggestion(nearest),
    }
}
