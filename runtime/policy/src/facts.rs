//! What is asked of the policies, and what they answer.

use std::collections::BTreeSet;
use std::fmt;

use domicile_types::{DatasetName, Digest, RegionId};

/// How data would cross the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Rows, whole or in part.
    Rows,
    /// Groups: keys and values computed over many entities.
    Aggregate,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rows => "rows",
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
    /// How its result would cross.
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

/// The fragment may cross, under these conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Fewest distinct entities of a group that may be released; 0 where no group needs to be held back.
    pub minimum_entities: u64,
    /// Largest share of a count or sum that one entity may make up, in percent; 100 where any share may be.
    pub dominance_percent: u64,
    /// Numbers are released as multiples of this; 0 where they are released as they are.
    pub round_to: u64,
    /// The clause of every resident dataset that admitted it, in the order of the datasets' names. Empty where
    /// nothing needs a permission.
    pub clauses: Vec<ClauseRef>,
}

/// A clause, named precisely enough for an auditor to find it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseRef {
    /// Dataset whose policy has the clause.
    pub dataset: DatasetName,
    /// Id of the clause.
    pub clause: String,
    /// Version of the policy.
    pub policy_version: u32,
    /// Digest of the policy's text.
    pub policy_digest: Digest,
    /// Legal basis that the clause states.
    pub legal_basis: String,
}
