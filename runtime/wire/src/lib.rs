//! What travels: frames of Arrow data, receipts, problem documents, the bodies of the HTTP API, and the clients
//! that send them. The only crate that serializes anything for a wire.

pub mod api;
pub mod client;
pub mod content_digest;
mod error;
pub mod explain;
pub mod frame;
pub mod log;
mod pace;
pub mod peer;
pub mod plugins;
pub mod policies;
pub mod problem;
pub mod receipt;
pub mod session;
pub mod signature;
pub mod snapshot;
mod stream;
pub mod tls;
pub mod token;

pub use error::WireError;
pub use pace::Pace;
pub use problem::Problem;
