//! Replication over a simulated network: regions with their stores, and between them the TLS, HTTP/2 and wire formats that
//! they have in operation. The network loses what it is told to lose; time passes as fast as the machine allows.

mod certificates;
mod host;
#[path = "../../runtime/edge/src/replication/messages.rs"]
mod messages;
mod network;
mod owner;

pub use certificates::Authority;
pub use host::{Board, Host, Traffic};
