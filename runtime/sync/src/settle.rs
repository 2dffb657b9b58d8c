//! What becomes of the rows of an entry to which others are concurrent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use domicile_store::{Collisions, Opened, Store};
use domicile_types::{ConflictPolicy, DatasetName, Dot, Mark, SetName};

use crate::SyncError;
use crate::ledger::{self, Conflict};
use crate::planted::{Mistake, Planted};
use crate::siblings::{self, KeyTexts};
use crate::system::SIBLINGS;

/// What is to be written for an entry.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The rows that count instead of the entry's; none where its own do.
    pub(crate) instead: Option<RecordBatch>,
    /// Versions that met.
    pub(crate) conflicts: Vec<Conflict>,
    /// Rows beside which others stand now: their keys, and the versions.
    pub(crate) siblings: Vec<(String, Vec<Dot>)>,
}

/// One row of the entry, and the versions that stand here.
struct Met {
    /// Position in the entry.
    row: u32,
    key: String,
    /// The versions that the entry was written without knowing of.
    beside: Vec<Dot>,
}

/// Finds what becomes of the rows of an entry.
pub(crate) fn settle(
    store: &Store,
    opened: &Opened,
    collisions: &Collisions,
    policy: &ConflictPolicy,
    mistake: Mistake,
) -> Result<Settled, SyncError> {
    let mut settled = Settled::default();
    let met = meetings(store, opened, collisions)?;
    if met.is_empty() {
        return Ok(settled);
    }
    let versions = Versions::read(store, opened, &met)?;
    let mut dropped = BTreeSet::new();
    for met in met {
        let (marks, rows) = versions.of(&met, opened)?;
        let mut winner = siblings::last_written(&marks);
        if mistake.is(Planted::TiesByArrival) && marks[winner].hlc == opened.mark().hlc {
            winner = marks.iter().position(|mark| mark.dot == opened.mark().dot).unwrap_or(winner);
        }
        if marks[winner].dot != opened.mark().dot {
            dropped.insert(met.row);
        }
        let dots: Vec<Dot> = marks.iter().map(|mark| mark.dot.clone()).collect();
        settled.conflicts.push(Conflict {
            set: opened.mark().set.clone(),
            dataset: opened.dataset.clone(),
            key: met.key.clone(),
            winner: dots[winner].to_string(),
            versions: dots.clone(),
            rows: ledger::rows_text(&rows)?,
            policy: policy.row.to_string(),
            reason: "written last".to_owned(),
        });
        settled.siblings.push((met.key, dots));
    }
    if !dropped.is_empty() {
        let kept = (0..opened.rows().num_rows() as u32).filter(|row| !dropped.contains(row));
        settled.instead = Some(take_record_batch(opened.rows(), &UInt32Array::from_iter_values(kept))?);
    }
    Ok(settled)
}

/// The rows of the entry that stand beside versions which it does not follow.
fn meetings(store: &Store, opened: &Opened, collisions: &Collisions) -> Result<Vec<Met>, SyncError> {
    let texts = KeyTexts::of(store, &opened.dataset, &collisions.stored)?;
    let known = siblings::known(store, &opened.dataset, texts.all())?;
    let applied = &store.set_state(&opened.mark().set).applied;
    let mut met = Vec::new();
    for (at, row) in collisions.rows.values().iter().enumerate() {
        let (newest, key) = (&collisions.marks[at].dot, &texts.all()[at]);
        let standing = known.get(key).filter(|dots| dots.contains(newest));
        let mut beside = match standing {
            Some(dots) => dots.iter().filter(|dot| applied.contains(dot)).cloned().collect(),
            None => vec![newest.clone()],
        };
        beside.retain(|dot| !opened.mark().follows.contains(dot) && *dot != opened.mark().dot);
        if !beside.is_empty() {
            met.push(Met { row: *row, key: key.clone(), beside });
        }
    }
    Ok(met)
}

/// The versions that rows of an entry stand beside.
struct Versions {
    /// Rows of other entries, with their keys.
    others: BTreeMap<Dot, Other>,
    set: SetName,
    dataset: DatasetName,
}

/// The rows of another entry.
struct Other {
    mark: Arc<Mark>,
    rows: RecordBatch,
    /// Where the row of a key is.
    keys: HashMap<String, usize>,
}

impl Versions {
    /// Reads the entries that they come from.
    fn read(store: &Store, opened: &Opened, met: &[Met]) -> Result<Self, SyncError> {
        let (set, dataset) = (opened.mark().set.clone(), opened.dataset.clone());
        let missing: BTreeSet<&Dot> = met.iter().flat_map(|met| &met.beside).collect();
        let missing: Vec<Dot> = missing.into_iter().cloned().collect();
        let mut others = BTreeMap::new();
        for entry in store.find(&set, &missing).read()? {
            let mark = Arc::clone(&entry.mark);
            let other = store.preparer().open(entry)?;
            let texts = KeyTexts::of(store, &dataset, other.rows())?;
            let keys = texts.all().iter().cloned().zip(0..).collect();
            others.insert(mark.dot.clone(), Other { mark, rows: other.rows().clone(), keys });
        }
        Ok(Self { others, set, dataset })
    }

    /// The versions of one row in their order, that of the entry among them, and their rows.
    fn of(&self, met: &Met, opened: &Opened) -> Result<(Vec<Arc<Mark>>, RecordBatch), SyncError> {
        let mut versions = vec![(Arc::clone(opened.mark()), opened.rows().slice(met.row as usize, 1))];
        for dot in &met.beside {
            let gone =
                || SyncError::VersionGone { set: self.set.clone(), dot: dot.clone(), dataset: self.dataset.clone() };
            let other = self.others.get(dot).ok_or_else(gone)?;
            let row = other.keys.get(&met.key).ok_or_else(gone)?;
            versions.push((Arc::clone(&other.mark), other.rows.slice(*row, 1)));
        }
        versions.sort_by(|(a, _), (b, _)| a.order().cmp(&b.order()));
        let (marks, rows): (Vec<_>, Vec<_>) = versions.into_iter().unzip();
        Ok((marks, concat_batches(opened.rows().schema_ref(), &rows)?))
    }
}

/// The texts of a column that has no missing ones.
pub(crate) fn texts_of(rows: &RecordBatch, column: usize) -> Vec<String> {
    let texts = rows.column(column).as_string::<i32>();
    (0..texts.len()).map(|row| texts.value(row).to_owned()).collect()
}

/// The dataset of what stands beside each other.
pub(crate) fn siblings_dataset() -> Result<DatasetName, SyncError> {
    SIBLINGS.parse().map_err(SyncError::Name)
}
