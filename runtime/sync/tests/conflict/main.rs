//! Conflicts, through the crate's public face.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod columns;
mod convergence;
mod entities;
mod notes;
mod plugins;
mod policies;
mod sets;
mod table;
mod world;
