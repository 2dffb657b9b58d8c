//! The HTTP front door of a region: clients ask here, peers ask here, operators look here.
//!
//! Handlers translate between HTTP and the query crate and decide nothing themselves.

mod answer;
mod audit;
mod backups;
mod body;
mod clients;
mod data;
mod health;
mod incoming;
mod ingest;
mod media;
mod metrics;
mod peer_door;
mod peers;
mod plugin_costs;
mod plugin_metrics;
mod plugins;
mod policies;
mod problems;
mod query;
mod replication;
mod serve;
mod session;
mod system;

pub use peer_door::PeerDoor;
pub use replication::{Links, Replication};
pub use serve::{Edge, serve};
pub use system::system_tables;
