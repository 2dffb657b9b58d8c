//! A policy that has passed its checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domicile_types::{DatasetName, Digest, RegionId, Residency};

use crate::borders::Borders;
use crate::{Date, DifferentialPrivacy, Form, Mask};

/// How sensitive a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Names or singles out an entity, or may hold anything (free text).
    Identifier,
    /// Singles out an entity together with other columns.
    Quasi,
    /// A quantity.
    Measure,
    /// Says nothing about an entity.
    Public,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identifier => "identifier",
            Self::Quasi => "quasi",
            Self::Measure => "measure",
            Self::Public => "public",
        })
    }
}

/// The rules for one resident dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The file that it was read from, as the caller named it.
    pub file: String,
    /// The dataset.
    pub dataset: DatasetName,
    /// Version, counted by the people who write it.
    pub version: u32,
    /// SHA-256 of the file's text.
    pub digest: Digest,
    /// Where rows live; never [`Residency::Reference`].
    pub residency: Residency,
    /// Class of every column.
    pub classes: BTreeMap<String, Class>,
    /// Least and greatest value of measures. What crosses a border is computed as if every value beyond them were the
    /// nearer one of the two.
    pub bounds: BTreeMap<String, Bounds>,
    /// The values that columns can have. Of groups by such columns it does not show which of those exist that are too
    /// small.
    pub domains: BTreeMap<String, BTreeSet<DomainValue>>,
    /// What may cross a border. Nothing else may.
    pub allow: Vec<Clause>,
    pub(crate) borders: Borders,
}

impl Policy {
    /// The policy's name in messages: `customer v1 sha256:` and the first digits of the digest.
    pub fn label(&self) -> String {
        format!("{} v{} sha256:{}", self.dataset, self.version, self.digest.short())
    }

    /// The clauses about this border, in the order of the file.
    pub(crate) fn clauses_between(&self, from: &RegionId, to: &RegionId) -> impl Iterator<Item = &Clause> {
        self.borders.between(from, to).filter_map(|at| self.allow.get(at))
    }

    pub(crate) fn class(&self, column: &str) -> Option<Class> {
        self.classes.get(column).copied()
    }
}

/// The values that a measure is taken to have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The least one.
    pub min: f64,
    /// The greatest one; above `min`.
    pub max: f64,
}

/// A value that a column can have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DomainValue {
    /// An integer.
    Integer(i64),
    /// A text.
    Text(String),
    /// True or false.
    Boolean(bool),
}

impl fmt::Display for DomainValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
            Self::Boolean(value) => value.fmt(f),
        }
    }
}

/// A number of questions in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Questions that are admitted in any `days` days.
    pub questions: u64,
    /// The time, in days.
    pub days: u64,
}

/// A permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Id, unique in its policy.
    pub id: String,
    /// Regions that data may leave.
    pub from: BTreeSet<RegionId>,
    /// Regions that it may go to.
    pub to: BTreeSet<RegionId>,
    /// Widest form it may take. Rows include aggregates, and masked rows include aggregates of them.
    pub form: Form,
    /// The columns that masked rows may be read by, and their masks; empty for the other forms. What follows up to the
    /// purposes is said of aggregates only; identifiers may stand in rows too.
    pub masks: BTreeMap<String, Mask>,
    /// Functions that an aggregate may call, in lower case.
    pub functions: BTreeSet<String>,
    /// Digests of the plugins whose own bytes, states of aggregates and partial results, may be in an aggregate.
    pub plugins: BTreeSet<Digest>,
    /// Columns it may group by, in the order of the file.
    pub group_by: Vec<String>,
    /// Columns it may filter or join by, in the order of the file.
    pub filter_by: Vec<String>,
    /// Columns it may compute aggregates of, in the order of the file.
    pub measures: Vec<String>,
    /// Whether identifier columns may be used.
    pub identifiers: bool,
    /// Fewest entities of a group that is released; 0 where rows may cross, or noise protects.
    pub minimum_entities: u64,
    /// Largest share of a count or sum that one entity may make up, in percent; 100 where any share may be.
    pub dominance_percent: u64,
    /// Numbers are released as multiples of this; 0 where they are released as they are.
    pub round_to: u64,
    /// How many questions it admits in a time; `None` where any number.
    pub budget: Option<Quota>,
    /// Whether each release is compared with earlier ones of the same tenant; `false` for rows.
    pub difference_checks: bool,
    /// Whether one of the very same rows, put differently, counts as one that differs by too few.
    pub strict_differences: bool,
    /// Answers come from a state of the rows that advances this often, in hours; 0 for the newest.
    pub snapshot_hours: u64,
    /// How much noise what leaves has; `None` where it has none.
    pub differential_privacy: Option<DifferentialPrivacy>,
    /// Purposes it holds for; empty: any, stated or not.
    pub purposes: BTreeSet<String>,
    /// Why this is lawful.
    pub legal_basis: String,
    /// Last day on which it holds.
    pub expires: Option<Date>,
}
