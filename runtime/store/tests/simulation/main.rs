//! The store on a disk on which everything goes wrong, against models that cannot.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batch;
mod cloud;
mod disk;
mod format;
mod held;
mod jobs;
mod machine;
mod model;
mod reader;
mod rng;
mod rot;
mod runner;
mod seeds;
mod steps;
mod tables;
mod world;
