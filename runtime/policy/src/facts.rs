//! What is asked of the policies, and what they answer.

use std::collections::BTreeSet;
use std::fmt;

use domicile_types::{DatasetName, Digest, RegionId};

/// How data crosses a border, the widest form first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Rows, whole or in part.
    Rows,
    /// Rows of the columns that a policy lists, each masked as it says.
    Masked,
    /// Groups: keys and values computed over many entities.
    Aggregate,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rows => "rows",
            Self::Masked => "masked",
            Self::Aggregate => "aggregate",
        })
    }
}

/// A column that a fragment depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnUse {
    /// The dataset.
    pub dataset: DatasetName,
    /// The column.
    pub column: String,
}

impl fmt::Display for ColumnUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.dataset, self.column)
    }
}

/// What a fragment would take across a border, as far as policies care.
///
/// Columns of reference datasets may be named or left out; nothing depends on them. A join on the columns that a
/// dataset follows its parent by ([`crate::PolicySet::is_follows_join`]) stays within one entity and is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentFacts {
    /// The resident datasets it reads.
    pub datasets: BTreeSet<DatasetName>,
    /// What it asks for: rows or an aggregate. Whether rows are masked is for the policies to say.
    pub form: Form,
    /// Columns that its rows show, in the order of the `SELECT`. An aggregate has none of its own; where it names
    /// one, the column counts as a group key.
    pub outputs: Vec<ColumnUse>,
    /// Columns that it groups by, or computes its group keys from.
    pub group_by: Vec<ColumnUse>,
    /// Columns inside its aggregate arguments.
    pub measures: Vec<ColumnUse>,
    /// Columns in `WHERE`, `JOIN`, `HAVING` and `ORDER BY` that are not covered by the lists above.
    pub filters: Vec<ColumnUse>,
    /// Every function it calls, aggregate or scalar, in SQL or from a plugin. Case is ignored.
    pub functions: BTreeSet<String>,
    /// The plugins whose code alone decides what the bytes that would cross hold, by the digests of their components:
    /// those with states of aggregates, or with a query's partial result, among them.
    pub plugins: BTreeSet<Digest>,
}

/// Where the fragment's result would go, why, and when.
#[derive(Debug, Clone, Copy)]
pub struct Border<'a> {
    /// The region that holds the data.
    pub from: &'a RegionId,
    /// The region that the result is sent to. The same region is no border.
    pub to: &'a RegionId,
    /// The purpose that the caller stated.
    pub purpose: Option<&'a str>,
    /// Today, in days since 1970-01-01.
    pub today: i32,
}
