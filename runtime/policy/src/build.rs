//! From a file's text to a policy: every check that needs this file and its dataset only.

use std::collections::BTreeMap;

use domicile_config::strict::{Parsed, Spanned};
use domicile_config::{ConfigError, Position, strict};
use domicile_types::{ColumnType, Dataset, DatasetName, Digest, HomeMap, KeyValue, Residency};
use sha2::{Digest as _, Sha256};

use crate::borders::Borders;
use crate::file::{RawClasses, RawHome, RawPolicy, RawResidency};
use crate::places::Places;
use crate::{Bounds, Class, Clause, Policy, PolicyError, clause, domains};

/// A file's text, for positions.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// SHA-256 of the text.
    pub(crate) fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.text.as_bytes()).into())
    }

    pub(crate) fn parse(&self) -> Result<RawPolicy, ConfigError> {
        strict::parse(self.file, self.text)
    }

    pub(crate) fn at<T>(&self, value: &Spanned<T>) -> Position {
        Position::of(self.file, self.text, value.span().start)
    }
}

/// Where a policy names its parent, for the checks that need the other files.
pub(crate) struct FollowsAt {
    pub(crate) dataset: Position,
    pub(crate) column: Position,
}

/// A policy, with the places that the checks between policies name.
pub(crate) struct Built {
    pub(crate) policy: Policy,
    pub(crate) follows: Option<FollowsAt>,
    pub(crate) places: Places,
}

pub(crate) fn build(source: Source<'_>, raw: RawPolicy, dataset: &Dataset) -> Result<Built, PolicyError> {
    let context = Context { source, dataset };
    let classes = context.classes(&raw.classes)?;
    let (residency, follows) = context.residency(&raw.residency, &classes)?;
    let domains = domains::build(&context, &raw.domains)?;
    let places = Places::of(source, &raw);
    let mut allow: Vec<Clause> = Vec::with_capacity(raw.allow.len());
    for clause in raw.allow {
        if allow.iter().any(|earlier| earlier.id == *clause.id.get_ref()) {
            let at = source.at(&clause.id);
            return Err(PolicyError::ClauseRepeated { at, clause: clause.id.into_inner() });
        }
        allow.push(clause::build(&context, clause, &classes, &domains)?);
    }
    let digest = source.digest();
    let bounds = context.bounds(&raw.bounds, &classes)?;
    let policy = Policy {
        file: source.file.to_owned(),
        dataset: dataset.name.clone(),
        version: raw.version,
        digest,
        residency,
        classes,
        bounds,
        domains,
        borders: Borders::of(&allow),
        allow,
    };
    Ok(Built { policy, follows, places })
}

pub(crate) type Classes = BTreeMap<String, Class>;

pub(crate) struct Context<'a> {
    pub(crate) source: Source<'a>,
    dataset: &'a Dataset,
}

impl Context<'_> {
    pub(crate) fn kind(&self, column: &Spanned<String>) -> Result<ColumnType, PolicyError> {
        self.kind_at(column.get_ref(), || self.source.at(column))
    }

    /// The type of the column that `at` names.
    pub(crate) fn kind_at(&self, column: &str, at: impl FnOnce() -> Position) -> Result<ColumnType, PolicyError> {
        let found = self.dataset.column(column).map(|column| column.kind);
        found.map_err(|source| PolicyError::UnknownColumn { at: at(), source })
    }

    fn classes(&self, raw: &Spanned<RawClasses>) -> Result<Classes, PolicyError> {
        let lists = raw.get_ref();
        let mut classes = Classes::new();
        for (class, columns) in [
            (Class::Identifier, &lists.identifier),
            (Class::Quasi, &lists.quasi),
            (Class::Measure, &lists.measure),
            (Class::Public, &lists.public),
        ] {
            for column in columns {
                self.kind(column)?;
                if let Some(first) = classes.insert(column.get_ref().clone(), class) {
                    let at = self.source.at(column);
                    return Err(PolicyError::ClassifiedTwice { at, column: column.get_ref().clone(), first });
                }
            }
        }
        let names = self.dataset.columns.iter().map(|column| &column.name);
        let columns: Vec<String> = names.filter(|name| !classes.contains_key(*name)).cloned().collect();
        if columns.is_empty() {
            return Ok(classes);
        }
        Err(PolicyError::Unclassified { at: self.source.at(raw), dataset: self.dataset.name.clone(), columns })
    }

    fn bounds(
        &self,
        raw: &BTreeMap<String, Spanned<[f64; 2]>>,
        classes: &Classes,
    ) -> Result<BTreeMap<String, Bounds>, PolicyError> {
        let checked = raw.iter().map(|(column, listed)| {
            let (at, column) = (self.source.at(listed), column.clone());
            let numeric = self.dataset.column(&column).is_ok_and(|column| is_numeric(column.kind));
            let [min, max] = *listed.get_ref();
            if classes.get(&column) != Some(&Class::Measure) || !numeric {
                Err(PolicyError::BoundsClass { at, column })
            } else if min.is_finite() && max.is_finite() && min < max {
                Ok((column, Bounds { min, max }))
            } else {
                Err(PolicyError::BoundsOrder { at, column })
            }
        });
        checked.collect()
    }

    fn residency(
        &self,
        raw: &Spanned<RawResidency>,
        classes: &Classes,
    ) -> Result<(Residency, Option<FollowsAt>), PolicyError> {
        match raw.get_ref() {
            RawResidency { entity: Some(entity), column: Some(column), home, follows: None, on: None }
                if !home.is_empty() =>
            {
                Ok((self.column_residency(entity, column, home, classes)?, None))
            }
            RawResidency { entity: None, column: None, home, follows: Some(parent), on: Some(on) }
                if home.is_empty() =>
            {
                self.kind(on)?;
                let at = FollowsAt { dataset: self.source.at(parent), column: self.source.at(on) };
                let Parsed(dataset) = parent.get_ref();
                Ok((Residency::Follows { dataset: dataset.clone(), column: on.get_ref().clone() }, Some(at)))
            }
            _ => Err(PolicyError::ResidencyShape { at: self.source.at(raw) }),
        }
    }

    fn column_residency(
        &self,
        entity: &Spanned<String>,
        column: &Spanned<String>,
        raw: &[RawHome],
        classes: &Classes,
    ) -> Result<Residency, PolicyError> {
        self.kind(entity)?;
        match classes.get(entity.get_ref()) {
            Some(&class) if class != Class::Identifier => {
                let at = self.source.at(entity);
                return Err(PolicyError::EntityClass { at, column: entity.get_ref().clone(), class });
            }
            _ => {}
        }
        let expected = match self.kind(column)? {
            ColumnType::BigInt | ColumnType::Integer => INTEGER,
            ColumnType::Text => TEXT,
            _ => {
                let at = self.source.at(column);
                return Err(PolicyError::ResidencyType { at, column: column.get_ref().clone() });
            }
        };
        let mut homes = HomeMap::new();
        for home in raw {
            self.home(home, column.get_ref(), expected, &mut homes)?;
        }
        Ok(Residency::Column { column: column.get_ref().clone(), entity: entity.get_ref().clone(), homes })
    }

    fn home(
        &self,
        raw: &RawHome,
        column: &str,
        expected: &'static str,
        homes: &mut HomeMap,
    ) -> Result<(), PolicyError> {
        for listed in &raw.values {
            let value = listed.get_ref().0.clone();
            let at = self.source.at(listed);
            let kind = if matches!(value, KeyValue::Integer(_)) { INTEGER } else { TEXT };
            if kind != expected {
                return Err(PolicyError::HomeValueType { at, value, column: column.to_owned(), expected });
            }
            if let Some(home) = homes.get(&value) {
                return Err(PolicyError::HomeRepeated { at, value, home: home.clone() });
            }
            homes.insert(value, raw.region.0.clone());
        }
        Ok(())
    }
}

fn is_numeric(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::BigInt | ColumnType::Integer | ColumnType::Double | ColumnType::Decimal { .. })
}

const INTEGER: &str = "integer";
const TEXT: &str = "text";

/// The dataset that a policy file names.
pub(crate) fn dataset_of(raw: &RawPolicy) -> &DatasetName {
    &raw.dataset.get_ref().0
}
