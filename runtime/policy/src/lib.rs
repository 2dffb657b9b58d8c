//! Residency as rules: policy files in, verdicts out.
//!
//! Pure: text, the facts of a query's fragment and the day are passed in; nothing is read, nothing is measured.
//! What no clause admits is denied.

mod build;
mod clause;
mod closest;
mod date;
mod denial;
mod error;
mod explain;
mod facts;
mod file;
mod follows;
mod judge;
mod policy;
mod reach;
mod rewrite;
mod set;

pub use date::{Date, DateError};
pub use denial::{Denial, DenialReason, RefusedColumn, Role};
pub use error::PolicyError;
pub use explain::{ClauseExplained, EntityExplained, Explanation, HomeValue};
pub use facts::{Border, ClauseRef, ColumnUse, Form, FragmentFacts, Verdict};
pub use policy::{Bounds, Class, Clause, Policy};
pub use set::PolicySet;
