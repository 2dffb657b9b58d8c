//! Writing plugins for Domicile in Rust.
//!
//! A plugin is a WebAssembly component that runs next to the rows, in each region that is their home. There are two
//! kinds so far: *functions* for SQL, and *mappers*, which turn the rows of one customer, account or other entity into
//! a few declared values that may be counted and summed across regions.
//!
//! # Setting up
//!
//! A plugin is a library crate of type `cdylib`, built for `wasm32-wasip2` in the release profile:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
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
//! ```text
//! rustup target add wasm32-wasip2
//! cargo build --release --target wasm32-wasip2
//! domicile plugin deploy target/wasm32-wasip2/release/pricing.wasm --name pricing --version 1.0.0
//! ```
//!
//! # Functions
//!
//! Write ordinary functions and list their signatures. Once deployed, they can be called in SQL, which computes them a
//! batch at a time.
//!
//! ```
//! fn net_revenue(price: f64, discount: f64) -> f64 {
//!     price * (1.0 - discount)
//! }
//!
//! fn initial(name: &str) -> Option<String> {
//!     name.chars().next().map(String::from)
//! }
//!
//! domicile_sdk::functions! {
//!     fn net_revenue(price: f64, discount: f64) -> f64;
//!     fn initial(name: &str) -> Option<String>;
//! }
//! # fn main() {}
//! ```
//!
//! | SQL | argument | answer |
//! |---|---|---|
//! | bigint | `i64` | `i64` |
//! | double | `f64` | `f64` |
//! | text | `&str` | `String`, `&'static str` |
//! | date | [`Date`] | [`Date`] |
//! | boolean | `bool` | `bool` |
//!
//! A row where an argument is null answers null without a call. A function that wants to see nulls takes `Option<T>`.
//! One that may answer null returns `Option<T>`, and one that may fail returns `Result<T, String>` or
//! `Result<Option<T>, String>`; an error ends the query.
//!
//! # Mappers
//!
//! A mapper is a struct. It is made once from the parameters of a query and asked for one answer an entity.
//!
//! ```
//! use domicile_sdk::{Interface, Mapper, Parameters, Rows, Value, ValueType};
//!
//! struct BigSpender {
//!     least: f64,
//! }
//!
//! impl Mapper for BigSpender {
//!     fn interface() -> Interface {
//!         Interface::of("orders")
//!             .input("o_totalprice", ValueType::Double)
//!             .parameter("least", 100_000.0)
//!             .category("spender", &["big", "small"])
//!             .measure("spent", 0.0, 10_000_000.0)
//!             .group_by("spender")
//!             .sum("spent")
//!     }
//!
//!     fn new(parameters: &Parameters) -> Result<Self, String> {
//!         Ok(Self { least: parameters.double(0)? })
//!     }
//!
//!     fn map(&self, rows: &Rows) -> Result<Vec<Value>, String> {
//!         let spent: f64 = rows.column(0)?.doubles()?.iter().flatten().sum();
//!         let spender = if spent >= self.least { "big" } else { "small" };
//!         Ok(vec![spender.into(), spent.into()])
//!     }
//! }
//!
//! domicile_sdk::mapper!(BigSpender);
//! # fn main() {}
//! ```
//!
//! The plugin sees one entity's rows and of these only the columns it lists; not whose they are, unless it lists that
//! column and the policy admits it. What it answers is bounded: a category is one text of its list (anything else is an
//! error), a measure is moved into its bounds, and NaN becomes null. Choose the bounds of a measure as narrow as is
//! useful, because they limit how much one entity can move a sum.
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

pub mod bindings;
mod column;
mod date;
pub mod function;
pub mod mapper;
mod panic;
mod value;

pub use bindings::functions::domicile::plugin::host::{Level, log};
pub use bindings::functions::domicile::plugin::types::Texts as TextsColumn;
pub use bindings::functions::domicile::plugin::types::{Column, Field, FunctionSignature, Value, ValueType, Values};
pub use column::{Dates, Texts, Typed};
pub use date::Date;
pub use mapper::{Interface, Mapper, Parameters, Rows};
#[doc(hidden)]
pub use panic::start;
