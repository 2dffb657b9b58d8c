//! The files that people write, read strictly: a region, the datasets, and the text of the policies.
//!
//! Every error says where (file, line, column), what, and which known name is nearest.

mod dataset;
mod error;
mod load;
mod partition;
mod peer_url;
mod plugins;
mod region;
mod secret;
mod storage;
mod storage_url;
pub mod strict;

pub use dataset::DatasetFile;
pub use error::{ConfigError, Position};
pub use load::{RegionFiles, load_datasets, load_region};
pub use peer_url::{PeerUrl, PeerUrlError};
pub use plugins::{PluginKey, PluginKeyError, Plugins};
pub use region::{Peer, RegionConfig, RegionLimits};
pub use secret::{SECRET_BYTES_MIN, read_secret};
pub use storage::Storage;
pub use storage_url::{StorageUrl, StorageUrlError};
