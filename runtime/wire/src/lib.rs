//! What travels: frames of Arrow data, receipts, problem documents, the bodies of the HTTP API, and the clients
//! that send them. The only crate that serializes anything for a wire.

pub mod api;
pub mod client;
mod error;
pub mod frame;
pub mod peer;
pub mod problem;
pub mod receipt;

pub use error::WireError;
pub use problem::Problem;
