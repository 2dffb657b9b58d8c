//! Functions that analysts use and SQLite lacks.

use std::collections::HashSet;

use anyhow::Result;
use chrono::{Datelike, Days, NaiveDate};
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Error};

const FLAGS: FunctionFlags = FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC);

/// Gives a connection all of them.
///
/// # Errors
/// Where SQLite fails.
pub(crate) fn register(database: &Connection) -> Result<()> {
    database.create_scalar_function("date_trunc", 2, FLAGS, |call| {
        on_date(call, |unit, day| truncated(unit, day).map(|day| day.to_string()))
    })?;
    database.create_scalar_function("date_part", 2, FLAGS, |call| on_date(call, part))?;
    database.create_scalar_function("floor", 1, FLAGS, |call| Ok(call.get::<Option<f64>>(0)?.map(f64::floor)))?;
    for (name, finish) in [
        ("stddev", (|values| sample_variance(values).map(f64::sqrt)) as Finish),
        ("var_samp", sample_variance),
        ("stddev_pop", |values| variance(values).map(f64::sqrt)),
        ("var_pop", variance),
        ("approx_median", |values| quantile(values, 0.5)),
        ("approx_distinct", |values| {
            Some(values.iter().map(|(value, _)| value.to_bits()).collect::<HashSet<_>>().len() as f64)
        }),
    ] {
        database.create_aggregate_function(name, 1, FLAGS, Values(finish))?;
    }
    database.create_aggregate_function("corr", 2, FLAGS, Values(correlation))?;
    database.create_aggregate_function("percentile", 2, FLAGS, Values(|values| quantile(values, values.first()?.1)))?;
    Ok(())
}

fn on_date<T>(call: &Context<'_>, compute: impl Fn(&str, NaiveDate) -> Option<T>) -> rusqlite::Result<Option<T>> {
    let unit: String = call.get(0)?;
    let Some(text) = call.get::<Option<String>>(1)? else { return Ok(None) };
    let computed = text.parse().ok().and_then(|day| compute(&unit, day));
    computed.map(Some).ok_or_else(|| Error::UserFunctionError(format!("`{unit}` of `{text}`").into()))
}

fn truncated(unit: &str, day: NaiveDate) -> Option<NaiveDate> {
    match unit {
        "year" => NaiveDate::from_ymd_opt(day.year(), 1, 1),
        "quarter" => NaiveDate::from_ymd_opt(day.year(), day.month0() / 3 * 3 + 1, 1),
        "month" => day.with_day(1),
        "week" => day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())),
        _ => None,
    }
}

fn part(unit: &str, day: NaiveDate) -> Option<i64> {
    match unit {
        "year" => Some(day.year().into()),
        "quarter" => Some((day.month0() / 3 + 1).into()),
        "month" => Some(day.month().into()),
        "dow" => Some(day.weekday().num_days_from_sunday().into()),
        _ => None,
    }
}

/// Each row's first argument, and its second or 0.
type Finish = fn(&[(f64, f64)]) -> Option<f64>;

/// An aggregate over the rows whose arguments are numbers.
struct Values(Finish);

impl Aggregate<Vec<(f64, f64)>, Option<f64>> for Values {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Vec<(f64, f64)>> {
        Ok(Vec::new())
    }

    fn step(&self, call: &mut Context<'_>, values: &mut Vec<(f64, f64)>) -> rusqlite::Result<()> {
        let second = if call.len() > 1 { call.get(1)? } else { Some(0.0) };
        values.extend(call.get::<Option<f64>>(0)?.zip(second));
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, values: Option<Vec<(f64, f64)>>) -> rusqlite::Result<Option<f64>> {
        Ok(self.0(&values.unwrap_or_default()))
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

fn variance(values: &[(f64, f64)]) -> Option<f64> {
    let middle = mean(values.iter().map(|(value, _)| *value))?;
    mean(values.iter().map(|(value, _)| (value - middle).powi(2)))
}

fn sample_variance(values: &[(f64, f64)]) -> Option<f64> {
    let count = values.len() as f64;
    (count > 1.0).then(|| variance(values)).flatten().map(|variance| variance * count / (count - 1.0))
}

fn correlation(values: &[(f64, f64)]) -> Option<f64> {
    let (x, y) = (mean(values.iter().map(|pair| pair.0))?, mean(values.iter().map(|pair| pair.1))?);
    let together = mean(values.iter().map(|pair| (pair.0 - x) * (pair.1 - y)))?;
    let swapped: Vec<_> = values.iter().map(|pair| (pair.1, pair.0)).collect();
    Some(together / (variance(values)? * variance(&swapped)?).sqrt())
}

fn quantile(values: &[(f64, f64)], at: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().map(|(value, _)| *value).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * at).round() as usize).copied()
}
