//! The home check of a dataset whose residency a column says.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use domicile_types::{HomeMap, KeyValue, RegionId};

use crate::StoreError;
use crate::refusals::{RefusalReason, Refusals};

/// Refuses the rows of a chunk whose home is not `region`, and adds the values that were seen to `held`.
pub(crate) fn check(
    column: &str,
    values: &ArrayRef,
    homes: &HomeMap,
    region: &RegionId,
    held: &mut BTreeSet<KeyValue>,
    refusals: &mut Refusals,
) -> Result<(), StoreError> {
    let mut judge = |row: usize, home: Option<&RegionId>, value: KeyValue| match home {
        Some(home) if home == region => {
            held.insert(value);
        }
        Some(home) => {
            let reason = RefusalReason::OtherHome { home: home.clone() };
            refusals.refuse(row, column, || Some(plain(&value)), reason);
        }
        None => {
            let reason = RefusalReason::NoHome { value: value.clone() };
            refusals.refuse(row, column, || Some(plain(&value)), reason);
        }
    };
    if let Some(texts) = values.as_string_opt::<i32>() {
        let homes: BTreeMap<&str, &RegionId> =
            homes.iter().filter_map(|(value, home)| Some((text(value)?, home))).collect();
        let mut last = None;
        for (row, value) in texts.iter().enumerate() {
            let Some(value) = value else { continue };
            let home = homes.get(value).copied();
            if home != Some(region) || last != Some(value) {
                judge(row, home, KeyValue::Text(value.to_owned()));
                last = Some(value);
            }
        }
        return Ok(());
    }
    let integers = cast(values, &DataType::Int64)?;
    let homes: BTreeMap<i64, &RegionId> =
        homes.iter().filter_map(|(value, home)| Some((integer(value)?, home))).collect();
    for (row, value) in integers.as_primitive::<Int64Type>().iter().enumerate() {
        let Some(value) = value else { continue };
        judge(row, homes.get(&value).copied(), KeyValue::Integer(value));
    }
    Ok(())
}

fn text(value: &KeyValue) -> Option<&str> {
    match value {
        KeyValue::Text(value) => Some(value),
        KeyValue::Integer(_) => None,
    }
}

fn integer(value: &KeyValue) -> Option<i64> {
    match value {
        KeyValue::Integer(value) => Some(*value),
        KeyValue::Text(_) => None,
    }
}

fn plain(value: &KeyValue) -> String {
    match value {
        KeyValue::Integer(value) => value.to_string(),
        KeyValue::Text(value) => value.clone(),
    }
}
