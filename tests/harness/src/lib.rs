//! What the demo, the benchmarks and the end-to-end tests share: data, processes, clients, exact answers.
//!
//! Everything here stands outside the runtime: it starts the real binary and talks to it over its public faces.

pub mod answer;
pub mod build;
pub mod cli;
pub mod cluster;
pub mod data;
pub mod http;
pub mod peer;
pub mod policies;
mod ports;
pub mod questions;
pub mod regions;
pub mod replicated;
pub mod tls;
pub mod tls_client;
pub mod workspace;

pub use answer::Answer;
pub use cli::{Cli, Ran};
pub use cluster::{Cluster, Exchange, Mode, Network, Options, Traffic};
pub use http::{Edge, Response, Sending};
