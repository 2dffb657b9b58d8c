//! What a row is whose versions were written in several regions at the same time.
//!
//! All regions keep the same concurrent versions of a row, as [`Siblings`], until nobody can add one any more, and
//! [`resolve`] makes one row of them. It is a pure function of the set: neither the order of arrival nor what was
//! resolved before matters, down to the bits of a double. So all regions see the same row as soon as they have the same
//! versions.
//!
//! Policies that combine changes instead of picking a version need to know what each writer changed. [`note`] says it
//! in a hidden column, [`MERGE_COLUMN`](domicile_types::MERGE_COLUMN), which travels with the version.

mod counter;
mod extreme;
mod note;
mod notes;
mod number;
mod plugin;
mod reason;
mod resolve;
mod rules;
mod set_union;
mod siblings;

pub use note::note;
pub use plugin::{MergeFailure, MergePlugin, Merged, NoPlugin, Unavailable};
pub use reason::Reason;
pub use resolve::{Resolved, resolve};
pub use rules::Rules;
pub(crate) use siblings::OP_TOMBSTONE;
pub use siblings::{RowRef, Siblings, SiblingsError};
