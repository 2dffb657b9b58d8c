//! The TPC-H tables, split by home: deterministic data whose answers anyone can check.
//!
//! Customers live where their nation's region belongs, orders and line items where their customer lives; the other
//! tables are reference data, whole in every region.

mod central;
mod files;
mod homes;
mod revenue;
mod tables;

pub use central::central_bytes;
pub use files::write;
pub use homes::{Homes, home_of_region};
pub use revenue::revenue;
pub use tables::Table;
