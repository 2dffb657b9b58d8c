//! The words that every other crate shares: names, datasets, homes, limits.
//!
//! Plain data without I/O, serialization or Arrow: each outer format (TOML, HTTP, Arrow, Parquet) is mapped
//! to these types in the crate that owns the format.

mod dataset;
mod digest;
pub mod limits;
mod name;
mod residency;
mod secret;
mod suggest;

pub use dataset::{Column, ColumnType, Dataset, DatasetError};
pub use digest::{Digest, DigestError};
pub use name::{DatasetName, NameError, PluginName, QueryId, RegionId};
pub use residency::{HomeMap, KeyValue, Residency};
pub use secret::Secret;
pub use suggest::{nearest, suggestion};
