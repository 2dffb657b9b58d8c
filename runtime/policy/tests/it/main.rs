//! Policies: which are refused, and what the others admit, through the crate's public face.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accepted;
mod brute_force;
mod explain;
mod generate;
mod judging;
mod load;
mod masked;
mod noise;
mod notices;
mod reach;
mod reference;
mod regions;
mod releases;
mod rewrite;
mod succession;
mod verdict;
mod world;
