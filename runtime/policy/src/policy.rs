//! A policy that has passed its checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domicile_types::{DatasetName, Digest, RegionId, Residency};

use crate::{Date, Form};

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
    /// What may cross a border. Nothing else may.
    pub allow: Vec<Clause>,
}

impl Policy {
    /// The policy's name in messages: `customer v1 sha256:` and the first digits of the digest.
    pub fn label(&self) -> String {
        format!("{} v{} sha256:{}", self.dataset, self.version, self.digest.short())
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

/// A permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Id, unique in its policy.
    pub id: String,
    /// Regions that data may leave.
    pub from: BTreeSet<RegionId>,
    /// Regions that it may go to.
    pub to: BTreeSet<RegionId>,
    /// Widest form it may take. Rows include aggregates.
    pub form: Form,
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
    /// Fewest entities of a group that is released; 0 where rows may cross.
    pub minimum_entities: u64,
    /// Largest share of a count or sum that one entity may make up, in percent; 100 where any share may be.
    pub dominance_percent: u64,
    /// Numbers are released as multiples of this; 0 where they are released as they are.
    pub round_to: u64,
    /// Purposes it holds for; empty: any, stated or not.
    pub purposes: BTreeSet<String>,
    /// Why this is lawful.
    pub legal_basis: String,
    /// Last day on which it holds.
    pub expires: Option<Date>,
}
