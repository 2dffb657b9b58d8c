//! Reading the store in SQL: what a region answers about rows that lie in many partitions, in the log and in segments,
//! in several versions.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod damage;
mod data;
mod explain;
mod held_disk;
mod in_flight;
mod loads;
mod objects;
mod oracle;
mod plugins;
mod s3;
mod world;
