//! Residency as rules: policy files in, verdicts out.
//!
//! Pure: text, the facts of a query's fragment and the day are passed in; nothing is read, nothing is measured.
//! What no clause admits is denied.

mod borders;
mod build;
mod clause;
mod closest;
mod date;
mod denial;
mod domains;
mod error;
mod explain;
mod facts;
mod file;
mod follows;
mod judge;
mod limits;
mod mask;
mod noise;
mod notices;
mod places;
mod policy;
mod reach;
mod releases;
mod rewrite;
mod set;
mod succession;
mod verdict;

pub use date::{Date, DateError};
pub use denial::{Denial, DenialReason, RefusedColumn, Role};
pub use domains::DomainError;
pub use error::PolicyError;
pub use explain::{BudgetExplained, ClauseExplained, EntityExplained, Explanation, HomeValue, NoiseExplained};
pub use facts::{Border, ColumnUse, Form, FragmentFacts};
pub use mask::Mask;
pub use noise::{DifferentialPrivacy, NoiseError, Unnoised};
pub use notices::Notice;
pub use policy::{Bounds, Class, Clause, DomainValue, Policy, Quota};
pub use releases::{Difference, Needs, Released, Releases, TRACE_PLACES, Trace, mark, near_each_other};
pub use rewrite::{Change, Rewrite};
pub use set::PolicySet;
pub use succession::{PolicyHead, Succession, SuccessionError};
pub use verdict::{Budget, ClauseRef, Verdict};
