//! One clause of a policy file: its checks.

use std::collections::{BTreeMap, BTreeSet};

use domicile_config::strict::{Parsed, Spanned};
use domicile_types::RegionId;

use crate::build::{Classes, Context};
use crate::file::{RawClause, RawForm, RawMask};
use crate::noise::{self, Listed};
use crate::{Class, Clause, Form, Mask, PolicyError, limits};

/// Functions that tell values apart inside an aggregate, as fragments name them.
const CONDITIONS: [&str; 7] = ["case", "cast", "/", "%", "nullif", "coalesce", "nvl"];

/// Functions that show the value of one row, however many there are.
const EXTREMES: [&str; 2] = ["min", "max"];

/// What each form admits.
const ROWS: &str = "whole rows (form `replicate`)";
const MASKED: &str = "masked rows (form `masked`)";
const AGGREGATES: &str = "aggregates (form `aggregate`)";
/// Those of which no two are compared.
const UNCOMPARED: &str = "answers that are not compared (`difference_checks = false`)";

pub(crate) fn build(
    context: &Context<'_>,
    raw: RawClause,
    classes: &Classes,
    domains: &Listed,
) -> Result<Clause, PolicyError> {
    refuse_empty(context, &raw)?;
    refuse_other_forms(context, &raw)?;
    refuse_needless(context, &raw)?;
    let aggregate = raw.form == RawForm::Aggregate;
    let differential_privacy = noise::build(context, &raw, domains)?;
    let compared = aggregate && differential_privacy.is_none();
    let functions = lower_case(raw.functions.as_ref());
    refuse_below_threshold(context, &raw, &functions)?;
    let identifiers = raw.identifiers.as_ref().is_some_and(|flag| *flag.get_ref());
    let lists = Lists { context, identifiers, classes };
    Ok(Clause {
        masks: if raw.form == RawForm::Masked { masks(context, &raw, classes)? } else { BTreeMap::new() },
        group_by: lists.columns("group_by", raw.group_by.as_ref())?,
        filter_by: lists.columns("filter_by", raw.filter_by.as_ref())?,
        measures: lists.columns("measures", raw.measures.as_ref())?,
        minimum_entities: if compared { limits::minimum(context, &raw)? } else { 0 },
        dominance_percent: limits::dominance(context, &raw)?,
        round_to: limits::round_to(context, &raw)?,
        budget: limits::budget(context, &raw)?,
        difference_checks: compared && raw.difference_checks.as_ref().is_none_or(|flag| *flag.get_ref()),
        strict_differences: raw.strict_differences.as_ref().is_some_and(|flag| *flag.get_ref()),
        snapshot_hours: limits::snapshot_hours(context, &raw)?,
        differential_privacy,
        form: match raw.form {
            RawForm::Aggregate => Form::Aggregate,
            RawForm::Masked => Form::Masked,
            RawForm::Replicate => Form::Rows,
        },
        functions,
        plugins: raw.plugins.iter().flat_map(|list| list.get_ref()).map(|Parsed(digest)| *digest).collect(),
        identifiers,
        from: regions(raw.from),
        to: regions(raw.to),
        purposes: raw.purposes.into_iter().flat_map(Spanned::into_inner).collect(),
        legal_basis: raw.legal_basis.into_inner(),
        expires: raw.expires.map(|date| date.into_inner().0),
        id: raw.id.into_inner(),
    })
}

/// The masks of a clause, each of which fits its column.
fn masks(context: &Context<'_>, raw: &RawClause, classes: &Classes) -> Result<BTreeMap<String, Mask>, PolicyError> {
    let Some(columns) = raw.columns.as_ref().filter(|columns| !columns.get_ref().is_empty()) else {
        return Err(PolicyError::MaskedColumns { at: context.source.at(&raw.id), clause: raw.id.get_ref().clone() });
    };
    let mut masks = BTreeMap::new();
    for (column, listed) in columns.get_ref() {
        let (at, column) = (context.source.at(listed), column.clone());
        let kind = context.kind_at(&column, || at.clone())?;
        let mask = match *listed.get_ref() {
            RawMask::Plain if classes.get(&column) == Some(&Class::Identifier) => {
                return Err(PolicyError::MaskPlain { at, column });
            }
            RawMask::Plain => Mask::Plain,
            RawMask::Null => Mask::Null,
            RawMask::Hmac => Mask::Hmac,
            RawMask::Prefix(characters) => Mask::Prefix(characters),
            RawMask::MultipleOf(step) => Mask::MultipleOf(step),
            RawMask::Year => Mask::Year,
            RawMask::Quarter => Mask::Quarter,
            RawMask::Month => Mask::Month,
        };
        if !mask.fits(kind) {
            return Err(PolicyError::MaskType { at, column, mask });
        }
        limits::mask(&raw.id, mask, kind, at)?;
        masks.insert(column, mask);
    }
    Ok(masks)
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
    // Without this key a clause holds for any purpose, so that an empty list would say the opposite of what it means.
    let purposes = raw.purposes.iter().map(|list| ("purposes", list.get_ref().is_empty(), source.at(list)));
    match values.into_iter().chain(purposes).find(|(_, empty, _)| *empty) {
        Some((key, _, at)) => Err(PolicyError::ClauseEmpty { at, clause: raw.id.get_ref().clone(), key }),
        None => Ok(()),
    }
}

/// Keys that say nothing in a clause of its form.
fn refuse_other_forms(context: &Context<'_>, raw: &RawClause) -> Result<(), PolicyError> {
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
        ("budget", raw.budget.as_ref().map(|value| source.at(value))),
        ("difference_checks", raw.difference_checks.as_ref().map(|value| source.at(value))),
        ("strict_differences", raw.strict_differences.as_ref().map(|value| source.at(value))),
        ("snapshot_hours", raw.snapshot_hours.as_ref().map(|value| source.at(value))),
        ("differential_privacy", raw.differential_privacy.as_ref().map(|value| source.at(value))),
    ];
    let of_aggregates = || places.iter().find_map(|(key, at)| Some((*key, at.clone()?)));
    let columns = || Some(("columns", source.at(raw.columns.as_ref()?)));
    let identifiers = || Some(("identifiers", source.at(raw.identifiers.as_ref()?)));
    let (form, found) = match raw.form {
        RawForm::Aggregate => (AGGREGATES, columns()),
        RawForm::Replicate => (ROWS, of_aggregates().or_else(columns)),
        RawForm::Masked => (MASKED, of_aggregates().or_else(identifiers)),
    };
    match found {
        Some((key, at)) => Err(PolicyError::KeyOfOtherForm { at, clause: raw.id.get_ref().clone(), form, key }),
        None => Ok(()),
    }
}

/// What makes comparisons stricter says nothing where none are made.
fn refuse_needless(context: &Context<'_>, raw: &RawClause) -> Result<(), PolicyError> {
    let compares = raw.difference_checks.as_ref().is_none_or(|flag| *flag.get_ref());
    match raw.strict_differences.as_ref().filter(|strict| *strict.get_ref() && !compares) {
        None => Ok(()),
        Some(strict) => Err(PolicyError::KeyOfOtherForm {
            at: context.source.at(strict),
            clause: raw.id.get_ref().clone(),
            form: UNCOMPARED,
            key: "strict_differences",
        }),
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
