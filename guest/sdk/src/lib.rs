//! Writing plugins for Domicile in Rust.
//!
//! A plugin is a WebAssembly component that runs next to the rows, in each region that is their home. It has one of
//! four shapes:
//!
//! | attribute | what it makes |
//! |---|---|
//! | [`#[functions]`](macro@functions) | scalar and aggregate functions for SQL |
//! | [`#[mapper]`](macro@mapper) | a few bounded values from the rows of one person, to be counted and summed |
//! | [`#[query]`](macro@query) | a question with a name: SQL and code in each region, then code over their answers |
//! | [`#[merge]`](macro@merge) | a rule that resolves conflicts between versions of a row |
//!
//! # Setting up
//!
//! A plugin is a library crate, built for `wasm32-wasip2` in the release profile. `cdylib` is for the component, `rlib`
//! for tests and native runs:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! domicile-sdk = { path = "../sdk" }
//!
//! [profile.release]
//! opt-level = 3
//! lto = true
//! codegen-units = 1
//! panic = "abort"
//! strip = "debuginfo"
//! ```
//!
//! Build with `-C target-feature=+simd128`, so that loops over columns become vector instructions:
//!
//! ```text
//! rustup target add wasm32-wasip2
//! RUSTFLAGS="-C target-feature=+simd128" cargo build --release --target wasm32-wasip2
//! domicile plugin deploy target/wasm32-wasip2/release/pricing.wasm --name pricing --version 1.0.0
//! ```
//!
//! In a loop over a column, a mask costs less than a branch whose outcome changes from row to row, and becomes vector
//! instructions: `sum += f64::from_bits(value.to_bits() & 0_u64.wrapping_sub(u64::from(counts)))` adds `value` where
//! `counts` is true.
//!
//! # Functions
//!
//! Ordinary functions become functions of SQL, which computes them a batch at a time:
//!
//! ```
//! #[domicile_sdk::functions]
//! pub mod functions {
//!     use domicile_sdk::Column;
//!
//!     pub fn net_revenue(price: f64, discount: f64) -> f64 {
//!         price * (1.0 - discount)
//!     }
//!
//!     pub fn initial(name: &str) -> Option<String> {
//!         name.chars().next().map(String::from)
//!     }
//!
//!     /// Called once for a whole batch.
//!     pub fn gross_revenue(net: &Column<f64>, tax: &Column<f64>) -> Column<f64> {
//!         net.zip(tax, |net, tax| net * (1.0 + tax))
//!     }
//! }
//!
//! fn main() {
//!     assert_eq!(functions::net_revenue(10.0, 0.5), 5.0);
//! }
//! ```
//!
//! | SQL | argument | answer | whole columns | with the feature `arrow` |
//! |---|---|---|---|---|
//! | bigint | `i64` | `i64` | `Column<i64>` | `Int64Array` |
//! | double | `f64` | `f64` | `Column<f64>` | `Float64Array` |
//! | text | `&str`, `String` | `&str`, `String` | `Column<str>` | `StringArray` |
//! | date | [`Date`] | [`Date`] | `Column<Date>` | `Date32Array` |
//! | boolean | `bool` | `bool` | `Column<bool>` | `BooleanArray` |
//!
//! A row where an argument is null answers null without a call. A function that wants to see nulls takes `Option<T>`.
//! One that may answer null returns `Option<T>`, and one that may fail returns a `Result`; an error ends the query.
//!
//! An argument behind a reference to anything but `str` is a whole column: a [`Column`] in the plugin's memory, or a
//! [`HostColumn`] that stays in the host, which then does the work. Such a function sees nulls, and answers as many
//! rows as it got.
//!
//! # What a plugin does not have
//!
//! There is no clock, randomness, file, network or environment, and no thread. A component that imports any of these is
//! refused when it is deployed, and the error names the import. What surprises most: `HashMap::new` seeds itself at
//! random, so use `BTreeMap`, or a `HashMap` with a hasher of your own. Dates of "today" are a parameter.
//!
//! `println!` traps. Use [`log`]: the line goes to the log of the region, next to the plugin's name and version.
//!
//! # When it goes wrong
//!
//! A panic ends the call, and the error names the plugin, its version, the function, the message and the source line.
//! A call that takes too long, needs too much memory or returns too much is ended and says which limit it exceeded. The
//! next call gets a fresh instance. Messages can hold values of rows, so they stay in the region whose rows they are.
//!
//! Do not keep anything from one call to the next: instances come and go, and there are several at once.
//!
//! # Tests
//!
//! All of this is ordinary Rust, so `cargo test` tests it natively; see [`native`] for how to drive a whole plugin.

extern crate self as domicile_sdk;

pub mod aggregate;
mod answer;
#[cfg(feature = "arrow")]
mod arrow;
mod batch;
pub mod bindings;
mod cell;
mod column;
mod date;
mod element;
#[doc(hidden)]
pub mod functions;
mod host;
pub mod kernels;
pub mod mapper;
#[doc(hidden)]
pub mod merge;
#[cfg(not(target_family = "wasm"))]
pub mod native;
#[doc(hidden)]
pub mod outputs;
mod panic;
#[doc(hidden)]
pub mod parameters;
#[doc(hidden)]
pub mod query;
#[doc(hidden)]
pub mod row;
#[cfg(feature = "serde")]
pub mod state;
mod validity;

pub use aggregate::Aggregate;
pub use answer::{Answer, Outcome};
#[cfg(feature = "arrow")]
pub use arrow_array;
pub use batch::{ColumnAnswer, ColumnArgument};
pub use bindings::functions::domicile::plugin::columns::{Contents, Dictionary, Runs, Values};
pub use bindings::functions::domicile::plugin::host::Level;
pub use bindings::functions::domicile::plugin::types::{Field, Parameter, Value, ValueType};
pub use cell::{Cell, Scalar};
pub use column::{Builder, Column};
pub use date::Date;
pub use domicile_sdk_macros::{Category, Outputs, Parameters, Row, functions, mapper, merge, query};
pub use element::{Element, Texts};
pub use host::log;
pub use kernels::{Comparison, HostColumn, Key};
pub use mapper::Mapper;
pub use merge::{Merge, Version};
pub use outputs::{Category, CategoryField, MeasureField, Outputs};
pub use parameters::{ParameterType, Parameters};
pub use query::Query;
pub use row::{OwnedRow, Row, Rows, Table};
pub use validity::Validity;
