//! Ports of this machine that stay free while nobody listens at them.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::TcpListener;
use std::ops::Range;

use anyhow::{Result, bail};

/// Below what systems give to outgoing connections, so that no such connection has the port of a region that is down.
const PORTS: Range<u16> = 20_000..32_768;
const ATTEMPTS: usize = 1_000;

/// Listens at a loopback port that nobody else has.
///
/// # Errors
/// Where none is free.
pub(crate) fn listen() -> Result<TcpListener> {
    // Every hasher has a key of its own, so that processes that look at the same time look elsewhere.
    let mut port = RandomState::new().build_hasher().finish();
    for _ in 0..ATTEMPTS {
        let candidate = PORTS.start + (port % u64::from(PORTS.end - PORTS.start)) as u16;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", candidate)) {
            return Ok(listener);
        }
        port = port.wrapping_add(1);
    }
    bail!("no port from {} to {} is free", PORTS.start, PORTS.end - 1)
}
