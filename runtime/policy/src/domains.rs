//! The values that a policy file says columns can have.

use std::collections::{BTreeMap, BTreeSet};

use domicile_config::Position;
use domicile_config::strict::Spanned;
use domicile_types::ColumnType;
use domicile_types::limits::DOMAIN_VALUES_MAX;

use crate::build::Context;
use crate::file::RawDomainValue;
use crate::{DomainValue, PolicyError};

/// Why the values that a file lists for a column were refused.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// A domain of a column whose values cannot be listed.
    #[error(
        "{at}: the values of `{column}` cannot be listed: it holds no texts, whole numbers or booleans; remove this"
    )]
    Type {
        /// Where the domain stands.
        at: Position,
        /// The column.
        column: String,
    },
    /// A domain of no values, or too many.
    #[error("{at}: list from 1 to {largest} values of `{column}`, or remove this")]
    Size {
        /// Where the domain stands.
        at: Position,
        /// The column.
        column: String,
        /// The largest number of values.
        largest: usize,
    },
    /// A value that the column cannot have.
    #[error("{at}: `{value}` is not {expected}, as every value of `{column}` is")]
    ValueType {
        /// Where the value stands.
        at: Position,
        /// The value.
        value: DomainValue,
        /// The column.
        column: String,
        /// What its values are.
        expected: &'static str,
    },
    /// A value that is listed twice.
    #[error("{at}: `{value}` is already among the values of `{column}`; remove this one")]
    Repeated {
        /// Where the second one stands.
        at: Position,
        /// The value.
        value: DomainValue,
        /// The column.
        column: String,
    },
}

/// The domains of a file, each of which fits its column.
pub(crate) fn build(
    context: &Context<'_>,
    raw: &BTreeMap<String, Spanned<Vec<Spanned<RawDomainValue>>>>,
) -> Result<BTreeMap<String, BTreeSet<DomainValue>>, PolicyError> {
    raw.iter().map(|(column, listed)| Ok((column.clone(), domain(context, column, listed)?))).collect()
}

fn domain(
    context: &Context<'_>,
    column: &str,
    listed: &Spanned<Vec<Spanned<RawDomainValue>>>,
) -> Result<BTreeSet<DomainValue>, PolicyError> {
    let at = || context.source.at(listed);
    let kind = context.kind_at(column, at)?;
    let column = || column.to_owned();
    let expected = match kind {
        ColumnType::BigInt | ColumnType::Integer => INTEGER,
        ColumnType::Text => TEXT,
        ColumnType::Boolean => BOOLEAN,
        _ => return Err(DomainError::Type { at: at(), column: column() }.into()),
    };
    if listed.get_ref().is_empty() || listed.get_ref().len() > DOMAIN_VALUES_MAX {
        return Err(DomainError::Size { at: at(), column: column(), largest: DOMAIN_VALUES_MAX }.into());
    }
    let mut values = BTreeSet::new();
    for value in listed.get_ref() {
        let (at, value) = (context.source.at(value), value.get_ref().0.clone());
        if kind_of(&value) != expected {
            return Err(DomainError::ValueType { at, value, column: column(), expected }.into());
        }
        if values.contains(&value) {
            return Err(DomainError::Repeated { at, value, column: column() }.into());
        }
        values.insert(value);
    }
    Ok(values)
}

fn kind_of(value: &DomainValue) -> &'static str {
    match value {
        DomainValue::Integer(_) => INTEGER,
        DomainValue::Text(_) => TEXT,
        DomainValue::Boolean(_) => BOOLEAN,
    }
}

const INTEGER: &str = "an integer";
const TEXT: &str = "a text";
const BOOLEAN: &str = "true or false";
