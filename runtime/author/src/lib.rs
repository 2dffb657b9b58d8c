//! The plugin author's loop: make a plugin, build it, test it, measure it, run it over local files.
//!
//! Each verb is a function that takes options and returns a report, which prints as text or as JSON. Components are
//! loaded and called as a region does it, under the same limits, so that what works here works there. Whoever has an
//! SQL engine passes it in as [`InputSql`].

mod apply;
mod bench;
mod build;
mod cases;
mod component;
mod error;
mod files;
mod input_sql;
mod interface_text;
mod project;
mod run;
mod scaffold;
mod text_table;

pub use apply::Request;
pub use bench::{BatchReport, BenchOptions, BenchReport, WorkloadReport, bench};
pub use build::{Built, build};
pub use cases::{CaseReport, Check, Difference, Outcome, TestOptions, TestReport, test};
pub use error::AuthorError;
pub use files::{Format, write};
pub use input_sql::{InputSql, Table};
pub use project::Progress;
pub use run::{RunOptions, run, shown};
pub use scaffold::{NewOptions, World, create};
