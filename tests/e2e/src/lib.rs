//! What the end-to-end tests share: one loaded cluster a test binary, and an engine of another kind to compare with.

pub mod check;
pub mod jwt;
pub mod numbers;
pub mod oracle;
pub mod quantiles;
pub mod release;
pub mod replicated;
pub mod versions;
pub mod wasm;
pub mod world;

pub use domicile_harness::peer;
