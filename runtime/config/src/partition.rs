//! The sections `[partition]` and `[lifecycle]` of a dataset's file.

use domicile_types::{
    BUCKETS_MAX, Dataset, DatasetError, Every, Lifecycle, Partitioning, TimePartition, ValuePartition, limits,
};
use serde::Deserialize;

use crate::region::Source;
use crate::strict::Spanned;
use crate::{ConfigError, Position};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPartition {
    time: Option<RawTime>,
    #[serde(default)]
    by: Vec<RawBy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTime {
    column: Spanned<String>,
    every: RawEvery,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RawEvery {
    Day,
    Month,
    Quarter,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBy {
    column: Spanned<String>,
    buckets: Option<Spanned<i64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLifecycle {
    keep_days: Option<Spanned<i64>>,
    tier_after_days: Option<Spanned<i64>>,
}

/// The dataset, divided and kept as its file says.
pub(crate) fn divided(
    dataset: Dataset,
    partition: &RawPartition,
    lifecycle: &RawLifecycle,
    file: &str,
    text: &str,
) -> Result<Dataset, ConfigError> {
    let source = Source { file, text };
    let by = |by: &RawBy| {
        let buckets = source.number("buckets", by.buckets.as_ref(), BUCKETS_MAX.into())?;
        Ok(ValuePartition { column: by.column.get_ref().clone(), buckets: buckets.and_then(|n| n.try_into().ok()) })
    };
    let time = partition.time.as_ref().map(|time| {
        let every = match time.every {
            RawEvery::Day => Every::Day,
            RawEvery::Month => Every::Month,
            RawEvery::Quarter => Every::Quarter,
        };
        TimePartition { column: time.column.get_ref().clone(), every }
    });
    let partitioning = Partitioning { time, by: partition.by.iter().map(by).collect::<Result<_, ConfigError>>()? };
    let lifecycle_checked = days(lifecycle, &source)?;
    dataset.divided(partitioning, lifecycle_checked).map_err(|problem| {
        let at = place(&problem, partition, lifecycle);
        ConfigError::Dataset { at: Position::of(file, text, at), source: problem }
    })
}

/// A partition moves while it is still there: before the day it is dropped.
fn days(raw: &RawLifecycle, source: &Source<'_>) -> Result<Lifecycle, ConfigError> {
    let keep = source.number("keep_days", raw.keep_days.as_ref(), limits::LIFECYCLE_DAYS_MAX.into())?;
    let tier_max = keep.map_or(limits::LIFECYCLE_DAYS_MAX.into(), |keep| keep - 1);
    let tier = source.number("tier_after_days", raw.tier_after_days.as_ref(), tier_max)?;
    let days = |days: Option<u64>| days.and_then(|days| days.try_into().ok());
    Ok(Lifecycle { keep_days: days(keep), tier_after_days: days(tier) })
}

/// Where in the file the words stand that are wrong.
fn place(problem: &DatasetError, partition: &RawPartition, lifecycle: &RawLifecycle) -> usize {
    let columns = partition.time.iter().map(|time| &time.column).chain(partition.by.iter().map(|by| &by.column));
    let mut named = columns.clone().filter(|found| match problem {
        DatasetError::RepeatedPartition { column, .. }
        | DatasetError::UnknownColumn { column, .. }
        | DatasetError::TimePartition { column, .. }
        | DatasetError::ValuePartition { column, .. } => found.get_ref() == column,
        _ => false,
    });
    let found = match problem {
        DatasetError::RepeatedPartition { .. } => named.nth(1),
        _ => named.next(),
    };
    let days = || lifecycle.keep_days.iter().chain(&lifecycle.tier_after_days).map(|days| days.span().start).min();
    found.map(|column| column.span().start).or_else(days).unwrap_or_default()
}
