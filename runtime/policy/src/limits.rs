//! The numbers of a clause, each within what it can mean.

use std::ops::RangeInclusive;

use domicile_config::Position;
use domicile_config::strict::Spanned;
use domicile_types::ColumnType;

use crate::build::Context;
use crate::file::RawClause;
use crate::verdict::ROUND_TO_MAX;
use crate::{Mask, PolicyError, Quota};

/// Questions of a budget.
const QUESTIONS: RangeInclusive<u64> = 1..=1_000_000;
/// Days of a budget: a year at most.
const DAYS: RangeInclusive<u64> = 1..=366;
/// Hours that a state of the rows may be old: a month at most.
const SNAPSHOT_HOURS: RangeInclusive<u64> = 1..=744;
/// Characters of a text that a mask may leave.
const PREFIX: RangeInclusive<u64> = 1..=255;

pub(crate) fn minimum(context: &Context<'_>, raw: &RawClause) -> Result<u64, PolicyError> {
    let at = match &raw.minimum_entities {
        Some(number) if *number.get_ref() > 0 => return Ok(*number.get_ref()),
        Some(number) => context.source.at(number),
        None => context.source.at(&raw.id),
    };
    Err(PolicyError::MinimumEntities { at, clause: raw.id.get_ref().clone() })
}

pub(crate) fn dominance(context: &Context<'_>, raw: &RawClause) -> Result<u64, PolicyError> {
    match &raw.dominance_percent {
        None => Ok(100),
        Some(percent) if (1..100).contains(percent.get_ref()) => Ok(*percent.get_ref()),
        Some(percent) => {
            let (at, clause) = (context.source.at(percent), raw.id.get_ref().clone());
            Err(PolicyError::DominancePercent { at, clause, percent: *percent.get_ref() })
        }
    }
}

pub(crate) fn round_to(context: &Context<'_>, raw: &RawClause) -> Result<u64, PolicyError> {
    match &raw.round_to {
        None => Ok(0),
        Some(step) if (1..=ROUND_TO_MAX).contains(step.get_ref()) => Ok(*step.get_ref()),
        Some(step) => {
            let (at, clause) = (context.source.at(step), raw.id.get_ref().clone());
            Err(PolicyError::RoundTo { at, clause, largest: ROUND_TO_MAX })
        }
    }
}

pub(crate) fn budget(context: &Context<'_>, raw: &RawClause) -> Result<Option<Quota>, PolicyError> {
    let Some(budget) = raw.budget.as_ref().map(Spanned::get_ref) else { return Ok(None) };
    let within = |key, number: &Spanned<u64>, range| {
        within(&raw.id, key, *number.get_ref(), range, || context.source.at(number))
    };
    let questions = within("questions", &budget.questions, QUESTIONS)?;
    Ok(Some(Quota { questions, days: within("days", &budget.days, DAYS)? }))
}

pub(crate) fn snapshot_hours(context: &Context<'_>, raw: &RawClause) -> Result<u64, PolicyError> {
    let Some(hours) = &raw.snapshot_hours else { return Ok(0) };
    within(&raw.id, "snapshot_hours", *hours.get_ref(), SNAPSHOT_HOURS, || context.source.at(hours))
}

/// A whole number that is a multiple of 1 is one that is not masked.
pub(crate) fn mask(clause: &Spanned<String>, mask: Mask, kind: ColumnType, at: Position) -> Result<(), PolicyError> {
    let whole = matches!(kind, ColumnType::BigInt | ColumnType::Integer);
    match mask {
        Mask::Prefix(characters) => within(clause, "prefix", characters, PREFIX, || at)?,
        Mask::MultipleOf(step) => within(clause, "multiple_of", step, 1 + u64::from(whole)..=ROUND_TO_MAX, || at)?,
        Mask::Plain | Mask::Null | Mask::Hmac | Mask::Year | Mask::Quarter | Mask::Month => 0,
    };
    Ok(())
}

fn within(
    clause: &Spanned<String>,
    key: &'static str,
    number: u64,
    range: RangeInclusive<u64>,
    at: impl FnOnce() -> Position,
) -> Result<u64, PolicyError> {
    if range.contains(&number) {
        return Ok(number);
    }
    let clause = clause.get_ref().clone();
    Err(PolicyError::OutOfRange { at: at(), clause, key, least: *range.start(), largest: *range.end() })
}
