//! The totals that somebody can ask for beside a table of groups: those over some of its keys, and over months, quarters
//! and years of its dates.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{DatePart, cast, date_part};
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;

/// Margins of one table that are looked at.
const MARGINS_MAX: usize = 256;

/// Coarser and coarser numberings of one key's values, the values themselves first.
pub(super) type Levels = Vec<Vec<u32>>;

/// The groups of every total, as [`totals`] has them.
///
/// # Errors
/// Where a key has no text.
pub(super) fn margins(keys: &[ArrayRef], groups: usize) -> Result<Option<Vec<Vec<usize>>>, ArrowError> {
    Ok(totals(&keys.iter().map(levels).collect::<Result<Vec<Levels>, _>>()?, groups))
}

/// The groups of every total over keys of these levels, each in ascending order, the smallest totals first. None where a
/// table has too many keys to look at all of them.
pub(super) fn totals(levels: &[Levels], groups: usize) -> Option<Vec<Vec<usize>>> {
    let count = levels.iter().try_fold(1_usize, |count, levels| count.checked_mul(levels.len() + 1));
    let count = count.filter(|count| *count <= MARGINS_MAX)?;
    let mut margins = Vec::new();
    // Number 0 is the table itself: every key at its finest.
    for number in 1..count {
        let mut cells: HashMap<Vec<u32>, Vec<usize>> = HashMap::new();
        for group in 0..groups {
            cells.entry(place(levels, number, group)).or_default().push(group);
        }
        margins.extend(cells.into_values());
    }
    // Small totals first: what one of them holds back then is company for others, too.
    margins.sort_unstable_by(|one, other| one.len().cmp(&other.len()).then_with(|| one.cmp(other)));
    margins.dedup();
    Some(margins)
}

/// Where a group lies in the margin of this number, which names a level of each key, the last one being all values.
fn place(levels: &[Levels], mut number: usize, group: usize) -> Vec<u32> {
    let mut place = Vec::with_capacity(levels.len());
    for levels in levels {
        let level = number % (levels.len() + 1);
        number /= levels.len() + 1;
        place.push(levels.get(level).map_or(u32::MAX, |numbers| numbers[group]));
    }
    place
}

fn levels(key: &ArrayRef) -> Result<Levels, ArrowError> {
    let mut levels = vec![numbered(key)?];
    if matches!(key.data_type(), DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _)) {
        let part = |part| date_part(key, part).map(|part| part.as_primitive::<Int32Type>().clone());
        let years = part(DatePart::Year)?;
        let within = |parts: &arrow::array::Int32Array, row: usize| {
            let year = if years.is_valid(row) { years.value(row) } else { i32::MIN };
            (year, if parts.is_valid(row) { parts.value(row) } else { 0 })
        };
        for parts in [part(DatePart::Month)?, part(DatePart::Quarter)?] {
            levels.push(number((0..key.len()).map(|row| within(&parts, row))));
        }
        levels.push(number((0..key.len()).map(|row| within(&years, row))));
    }
    // The month of a month is no total.
    levels.dedup_by_key(|numbers| numbers.iter().max().copied());
    Ok(levels)
}

fn numbered(key: &ArrayRef) -> Result<Vec<u32>, ArrowError> {
    let texts = cast(key, &DataType::Utf8)?;
    Ok(number(texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned))))
}

/// Equal values get equal numbers.
fn number<T: std::hash::Hash + Eq>(values: impl Iterator<Item = T>) -> Vec<u32> {
    let mut known: HashMap<T, u32> = HashMap::new();
    let mut next = 0;
    let number = |value| {
        *known.entry(value).or_insert_with(|| {
            next += 1;
            next
        })
    };
    values.map(number).collect()
}
