//! Regions that write, lose each other, crash and come back, against a model that knows who knew what.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batch;
#[path = "../../../store/tests/simulation/disk/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the simulation of the store needs the rest")]
mod disk;
mod ending;
mod members;
mod model;
mod net;
mod node;
mod own;
mod reader;
#[path = "../../../store/tests/simulation/rng.rs"]
mod rng;
#[path = "../../../store/tests/simulation/runner.rs"]
mod runner;
mod seeds;
mod steps;
mod tables;
mod waiting;
mod world;
