//! The files that people write, read strictly: a region, the datasets, the replication sets, and the text of the
//! policies.
//!
//! Every error says where (file, line, column), what, and which known name is nearest.

mod clients;
mod conflict;
mod dataset;
mod error;
mod load;
mod partition;
mod peer_url;
mod plugins;
mod policies;
mod public_key;
mod region;
mod replication;
mod secret;
mod storage;
mod storage_url;
pub mod strict;
mod tls;

pub use clients::Clients;
pub use dataset::DatasetFile;
pub use error::{ConfigError, Position};
pub use load::{PolicyFiles, RegionFiles, SIGNATURE_SUFFIX, load_datasets, load_policies, load_region};
pub use peer_url::{PeerUrl, PeerUrlError};
pub use plugins::Plugins;
pub use policies::Policies;
pub use public_key::{PublicKey, PublicKeyError};
pub use region::{Peer, RegionConfig, RegionLimits};
pub use replication::ReplicationError;
pub use secret::{SECRET_BYTES_MIN, read_secret};
pub use storage::Storage;
pub use storage_url::{StorageUrl, StorageUrlError};
pub use tls::{Tls, TlsFiles, read_tls};
