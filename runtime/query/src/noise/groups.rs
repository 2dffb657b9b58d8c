//! Every group that there can be, whether anybody is in it or not.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, UInt64Array, new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use domicile_types::limits::DOMAIN_GROUPS_MAX;

use crate::QueryError;
use crate::guard::KeyDomain;

/// The groups that there can be, in the order of their keys.
#[derive(Debug)]
pub(crate) struct Groups {
    /// The text of each key of each group; none where it has no value.
    keys: Vec<Vec<Option<String>>>,
}

impl Groups {
    /// How many there are, where they are not too many.
    pub(crate) fn count(keys: &[KeyDomain]) -> Option<usize> {
        let values = keys.iter().map(|key| key.values.len() + usize::from(key.nullable));
        let count = values.fold(1, usize::saturating_mul);
        (count <= DOMAIN_GROUPS_MAX).then_some(count)
    }

    /// Every combination of the keys' values.
    pub(crate) fn of(keys: &[&KeyDomain]) -> Self {
        let mut all = vec![Vec::new()];
        for key in keys {
            let nothing = key.nullable.then_some(None);
            let values: Vec<Option<String>> = nothing.into_iter().chain(key.values.iter().cloned().map(Some)).collect();
            let with = |group: &Vec<Option<String>>, value: &Option<String>| {
                let mut group = group.clone();
                group.push(value.clone());
                group
            };
            all = all.iter().flat_map(|group| values.iter().map(move |value| with(group, value))).collect();
        }
        Self { keys: all }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// One key of all groups, in its own type.
    ///
    /// # Errors
    /// Where a value is none of that type.
    pub(crate) fn key(&self, number: usize, kind: &DataType) -> Result<ArrayRef, ArrowError> {
        let texts: StringArray = self.keys.iter().map(|group| group.get(number).cloned().flatten()).collect();
        cast(&texts, kind)
    }

    /// For each group, the row of it, by these columns of keys; none where nobody is in it.
    ///
    /// # Errors
    /// Where a key has no text.
    pub(crate) fn rows(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<Option<usize>>, ArrowError> {
        let texts = keys.iter().map(|key| cast(key, &DataType::Utf8)).collect::<Result<Vec<_>, _>>()?;
        let text = |row: usize| {
            texts.iter().map(move |texts| {
                let texts = texts.as_string::<i32>();
                texts.is_valid(row).then(|| texts.value(row).to_owned())
            })
        };
        let by_key: HashMap<Vec<Option<String>>, usize> = (0..rows).map(|row| (text(row).collect(), row)).collect();
        Ok(self.keys.iter().map(|group| by_key.get(group).copied()).collect())
    }
}

/// Every group that there can be, with nothing where nobody is in it.
///
/// # Errors
/// Where the rows do not have each key once.
pub(super) fn completed(
    rows: &RecordBatch,
    names: &[(usize, String)],
    domains: &[KeyDomain],
) -> Result<RecordBatch, QueryError> {
    let is_key = |index: usize| index < domains.len();
    let keys: Vec<(usize, usize)> = names
        .iter()
        .enumerate()
        .filter(|(_, (index, _))| is_key(*index))
        .map(|(at, (index, _))| (at, *index))
        .collect();
    let mut once: Vec<usize> = keys.iter().map(|(_, index)| *index).collect();
    once.sort_unstable();
    once.dedup();
    if keys.len() != domains.len() || once.len() != keys.len() {
        return Err(QueryError::AcrossRegions {
            what: "a fragment with noise that has not each group key once".to_owned(),
        });
    }
    let own: Vec<&KeyDomain> = keys.iter().map(|(_, index)| &domains[*index]).collect();
    let groups = Groups::of(&own);
    let own: Vec<ArrayRef> = keys.iter().map(|(at, _)| Arc::clone(rows.column(*at))).collect();
    let found = groups.rows(&own, rows.num_rows()).map_err(failed)?;
    let columns = names.iter().enumerate().map(|(place, _)| {
        let column = rows.column(place);
        match keys.iter().position(|(at, _)| *at == place) {
            Some(key) => groups.key(key, column.data_type()),
            None => at(column, &found),
        }
    });
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let fields: Vec<Field> = names
        .iter()
        .zip(&columns)
        .map(|((_, name), column)| Field::new(name, column.data_type().clone(), true))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(groups.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(failed)
}

fn failed(error: ArrowError) -> QueryError {
    QueryError::Execution(error.to_string())
}

/// The column's values at these rows; nothing where there is none.
///
/// # Errors
/// Where a row is none of the column's.
fn at(column: &ArrayRef, rows: &[Option<usize>]) -> Result<ArrayRef, ArrowError> {
    let rows: UInt64Array = rows.iter().map(|row| row.map(|row| row as u64)).collect();
    if column.is_empty() {
        return Ok(new_null_array(column.data_type(), rows.len()));
    }
    take(column, &rows, None)
}
