//! The versions of a row that stand beside each other: written by regions that did not know of each other's.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use domicile_store::Store;
use domicile_types::{DatasetName, Dot, Origin, Vector};

use crate::SyncError;
use crate::settle::{siblings_dataset, texts_of};

/// The keys of rows as texts: a JSON list of the key columns' values, written as texts.
#[derive(Debug)]
pub(crate) struct KeyTexts(Vec<String>);

impl KeyTexts {
    /// The keys of rows of a dataset.
    pub(crate) fn of(store: &Store, dataset: &DatasetName, rows: &RecordBatch) -> Result<Self, SyncError> {
        let reader = store.reader();
        let spec = reader.specs().iter().find(|spec| spec.dataset.name == *dataset);
        let key = spec.map_or(&[][..], |spec| &spec.dataset.primary_key);
        let options = FormatOptions::default();
        let columns = key.iter().filter_map(|name| rows.column_by_name(name));
        let columns = columns.map(|column| ArrayFormatter::try_new(column, &options)).collect::<Result<Vec<_>, _>>()?;
        let text = |row| {
            let values: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            serde_json::to_string(&values)
        };
        Ok(Self((0..rows.num_rows()).map(text).collect::<Result<_, _>>()?))
    }

    /// All of them, in the order of the rows.
    pub(crate) fn all(&self) -> &[String] {
        &self.0
    }
}

/// The versions that are known to stand beside each other, by key; only for keys of which some are.
///
/// They are noted before the last of them counts. Where that one does not count yet, since a crash came in between, those
/// before it stand.
pub(crate) fn known(
    store: &Store,
    dataset: &DatasetName,
    keys: &[String],
    applied: &Vector,
) -> Result<HashMap<String, Vec<Dot>>, SyncError> {
    let names: ArrayRef = Arc::new(StringArray::from(vec![dataset.as_str(); keys.len()]));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(keys));
    let (rows, at) = store.reader().find(&siblings_dataset()?, &[names, texts], &["versions", "before"])?;
    let Some(rows) = rows else { return Ok(HashMap::new()) };
    let (versions, before) = (texts_of(&rows, 0), texts_of(&rows, 1));
    let found = keys.iter().zip(at).filter_map(|(key, at)| Some((key, at? as usize)));
    let standing = |(key, at): (&String, usize)| {
        let newest = dots(&versions[at])?;
        let counts = newest.iter().all(|dot| applied.contains(dot));
        Ok((key.clone(), if counts { newest } else { dots(&before[at])? }))
    };
    found.map(standing).collect()
}

/// Versions that are about to stand beside each other, and those that did before.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) key: String,
    pub(crate) versions: Vec<Dot>,
    pub(crate) before: Vec<Dot>,
}

/// Dots as a JSON list of region, epoch and number.
pub(crate) fn dots_text(dots: &[Dot]) -> Result<String, SyncError> {
    let list: Vec<(&str, u32, u64)> =
        dots.iter().map(|dot| (dot.origin.region.as_str(), dot.origin.epoch, dot.seq)).collect();
    Ok(serde_json::to_string(&list)?)
}

/// The dots of such a list.
pub(crate) fn dots(text: &str) -> Result<Vec<Dot>, SyncError> {
    let list: Vec<(String, u32, u64)> = serde_json::from_str(text)?;
    let dot = |(region, epoch, seq): (String, u32, u64)| {
        Ok(Dot { origin: Origin { region: region.parse().map_err(SyncError::Name)?, epoch }, seq })
    };
    list.into_iter().map(dot).collect()
}
