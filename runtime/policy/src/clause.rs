//! One clause of a policy file: its checks.

use std::collections::BTreeSet;

use domicile_config::strict::{Parsed, Spanned};
use domicile_types::RegionId;

use crate::build::{Classes, Context};
use crate::file::{RawClause, RawForm};
use crate::{Class, Clause, Form, PolicyError};

/// Largest step that numbers are rounded to.
const ROUND_TO_MAX: u64 = 1_000_000_000;

/// Functions that tell values apart inside an aggregate, as fragments name them.
const CONDITIONS: [&str; 7] = ["case", "cast", "/", "%", "nullif", "coalesce", "nvl"];

/// Functions that show the value of one row, however many there are.
const EXTREMES: [&str; 2] = ["min", "max"];

pub(crate) fn build(context: &Context<'_>, raw: RawClause, classes: &Classes) -> Result<Clause, PolicyError> {
    refuse_empty(context, &raw)?;
    let rows = raw.form == RawForm::Replicate;
    if rows {
        refuse_aggregate_keys(context, &raw)?;
    }
    let functions = lower_case(raw.functions.as_ref());
    refuse_below_threshold(context, &raw, &functions)?;
    let lists = Lists { context, identifiers: raw.identifiers, classes };
    Ok(Clause {
        group_by: lists.columns("group_by", raw.group_by.as_ref())?,
        filter_by: lists.columns("filter_by", raw.filter_by.as_ref())?,
        measures: lists.columns("measures", raw.measures.as_ref())?,
        minimum_entities: if rows { 0 } else { minimum(context, &raw)? },
        dominance_percent: dominance(context, &raw)?,
        round_to: round_to(context, &raw)?,
        form: if rows { Form::Rows } else { Form::Aggregate },
        functions,
        plugins: raw.plugins.iter().flat_map(|list| list.get_ref()).map(|Parsed(digest)| *digest).collect(),
        identifiers: raw.identifiers,
        from: regions(raw.from),
        to: regions(raw.to),
        purposes: raw.purposes.into_iter().collect(),
        legal_basis: raw.legal_basis.into_inner(),
        expires: raw.expires.map(|Parsed(date)| date),
        id: raw.id.into_inner(),
    })
}

struct Lists<'a> {
    context: &'a Context<'a>,
    identifiers: bool,
    classes: &'a Classes,
}

impl Lists<'_> {
    fn columns(
        &self,
        list: &'static str,
        columns: Option<&Spanned<Vec<Spanned<String>>>>,
    ) -> Result<Vec<String>, PolicyError> {
        let mut listed: Vec<String> = Vec::new();
        for column in columns.map_or(&[][..], |columns| columns.get_ref()) {
            let name = self.column(list, column)?;
            if listed.contains(&name) {
                return Err(PolicyError::ColumnRepeated { at: self.context.source.at(column), column: name, list });
            }
            listed.push(name);
        }
        Ok(listed)
    }

    fn column(&self, list: &'static str, column: &Spanned<String>) -> Result<String, PolicyError> {
        self.context.kind(column)?;
        let name = column.get_ref().clone();
        if !self.identifiers && self.classes.get(&name) == Some(&Class::Identifier) {
            return Err(PolicyError::IdentifierListed { at: self.context.source.at(column), column: name, list });
        }
        Ok(name)
    }
}

fn refuse_empty(context: &Context<'_>, raw: &RawClause) -> Result<(), PolicyError> {
    let source = context.source;
    let values = [
        ("id", raw.id.get_ref().trim().is_empty(), source.at(&raw.id)),
        ("from", raw.from.get_ref().is_empty(), source.at(&raw.from)),
        ("to", raw.to.get_ref().is_empty(), source.at(&raw.to)),
        ("legal_basis", raw.legal_basis.get_ref().trim().is_empty(), source.at(&raw.legal_basis)),
    ];
    match values.into_iter().find(|(_, empty, _)| *empty) {
        Some((key, _, at)) => Err(PolicyError::ClauseEmpty { at, clause: raw.id.get_ref().clone(), key }),
        None => Ok(()),
    }
}

fn refuse_aggregate_keys(context: &Context<'_>, raw: &RawClause) -> Result<(), PolicyError> {
    let source = context.source;
    let places = [
        ("functions", raw.functions.as_ref().map(|value| source.at(value))),
        ("plugins", raw.plugins.as_ref().map(|value| source.at(value))),
        ("group_by", raw.group_by.as_ref().map(|value| source.at(value))),
        ("filter_by", raw.filter_by.as_ref().map(|value| source.at(value))),
        ("measures", raw.measures.as_ref().map(|value| source.at(value))),
        ("minimum_entities", raw.minimum_entities.as_ref().map(|value| source.at(value))),
        ("dominance_percent", raw.dominance_percent.as_ref().map(|value| source.at(value))),
        ("round_to", raw.round_to.as_ref().map(|value| source.at(value))),
    ];
    match places.into_iter().find_map(|(key, at)| Some((key, at?))) {
        Some((key, at)) => Err(PolicyError::KeyOfAggregate { at, clause: raw.id.get_ref().clone(), key }),
        None => Ok(()),
    }
}

fn minimum(context: &Context<'_>, raw: &RawClause) -> Result<u64, PolicyError> {
    let at = match &raw.minimum_entities {
        Some(number) if *number.get_ref() > 0 => return Ok(*number.get_ref()),
        Some(number) => context.source.at(number),
        None => context.source.at(&raw.id),
    };
    Err(PolicyError::MinimumEntities { at, clause: raw.id.get_ref().clone() })
}

fn dominance(context: &Context<'_>, raw: &RawClause) -> Result<u64, PolicyError> {
    match &raw.dominance_percent {
        None => Ok(100),
        Some(percent) if (1..100).contains(percent.get_ref()) => Ok(*percent.get_ref()),
        Some(percent) => {
            let (at, clause) = (context.source.at(percent), raw.id.get_ref().clone());
            Err(PolicyError::DominancePercent { at, clause, percent: *percent.get_ref() })
        }
    }
}

fn round_to(context: &Context<'_>, raw: &RawClause) -> Result<u64, PolicyError> {
    match &raw.round_to {
        None => Ok(0),
        Some(step) if (1..=ROUND_TO_MAX).contains(step.get_ref()) => Ok(*step.get_ref()),
        Some(step) => {
            let (at, clause) = (context.source.at(step), raw.id.get_ref().clone());
            Err(PolicyError::RoundTo { at, clause, largest: ROUND_TO_MAX })
        }
    }
}

/// A condition inside an aggregate picks out rows after the group was counted, and an extreme is the value of one row:
/// with either, no threshold above one would hold.
fn refuse_below_threshold(
    context: &Context<'_>,
    raw: &RawClause,
    functions: &BTreeSet<String>,
) -> Result<(), PolicyError> {
    let minimum = raw.minimum_entities.as_ref().map_or(0, |minimum| *minimum.get_ref());
    let Some(list) = raw.functions.as_ref().filter(|_| minimum > 1 && raw.form == RawForm::Aggregate) else {
        return Ok(());
    };
    let listed = |names: &'static [&'static str]| names.iter().copied().find(|name| functions.contains(*name));
    let (at, clause) = (context.source.at(list), raw.id.get_ref().clone());
    if let Some(function) = listed(&CONDITIONS) {
        return Err(PolicyError::ConditionBelowThreshold { at, clause, function, minimum });
    }
    match listed(&EXTREMES) {
        Some(function) => Err(PolicyError::ExtremeBelowThreshold { at, clause, function, minimum }),
        None => Ok(()),
    }
}

fn lower_case(functions: Option<&Spanned<Vec<String>>>) -> BTreeSet<String> {
    functions.iter().flat_map(|list| list.get_ref()).map(|name| name.to_lowercase()).collect()
}

fn regions(list: Spanned<Vec<Parsed<RegionId>>>) -> BTreeSet<RegionId> {
    list.into_inner().into_iter().map(|Parsed(region)| region).collect()
}
