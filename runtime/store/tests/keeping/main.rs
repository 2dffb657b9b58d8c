//! Compaction, old partitions, cold storage, backups: what a store does with its rows over time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup;
mod backup_refusals;
mod bootstrap;
mod compaction;
mod crashes;
mod cut_off;
#[expect(dead_code, unused_imports, reason = "the simulation uses more of it")]
#[path = "../simulation/disk/mod.rs"]
mod disk;
mod entries;
mod lifecycle;
mod noting;
mod objects;
mod partitions;
#[path = "../simulation/rng.rs"]
mod rng;
mod world;
