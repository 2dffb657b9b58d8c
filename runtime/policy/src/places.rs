//! Where a policy file says what is checked after it was read.

use std::collections::BTreeMap;

use domicile_config::Position;

use crate::build::Source;
use crate::file::{RawClause, RawPolicy};

/// The places of one file.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Of each clause, in their order.
    pub(crate) clauses: Vec<ClausePlaces>,
    /// Of the values that columns can have.
    pub(crate) domains: BTreeMap<String, Position>,
}

/// The places of one clause.
#[derive(Debug, Clone)]
pub(crate) struct ClausePlaces {
    pub(crate) id: Position,
    pub(crate) from: Position,
    pub(crate) to: Position,
    pub(crate) functions: Option<Position>,
    pub(crate) expires: Option<Position>,
}

impl Places {
    pub(crate) fn of(source: Source<'_>, raw: &RawPolicy) -> Self {
        let clause = |raw: &RawClause| ClausePlaces {
            id: source.at(&raw.id),
            from: source.at(&raw.from),
            to: source.at(&raw.to),
            functions: raw.functions.as_ref().map(|functions| source.at(functions)),
            expires: raw.expires.as_ref().map(|expires| source.at(expires)),
        };
        Self {
            clauses: raw.allow.iter().map(clause).collect(),
            domains: raw.domains.iter().map(|(column, values)| (column.clone(), source.at(values))).collect(),
        }
    }
}
