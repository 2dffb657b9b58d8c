//! What becomes of the rows of an entry to which others are concurrent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use domicile_store::{Collisions, Opened, Store};
use domicile_types::{DatasetName, Dot, MERGE_COLUMN, Mark, SetName};

use crate::SyncError;
use crate::apply::Policy;
use crate::conflict::{Siblings, resolve};
use crate::ledger::{self, Conflict};
use crate::planted::{Mistake, Planted};
use crate::siblings::{self, KeyTexts, Standing};
use crate::system::SIBLINGS;

/// What is to be written for an entry.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The rows that count instead of the entry's; none where its own do.
    pub(crate) instead: Option<RecordBatch>,
    /// Versions that met.
    pub(crate) conflicts: Vec<Conflict>,
    /// Rows of which several versions stand beside each other now.
    pub(crate) siblings: Vec<Standing>,
}

/// One row of the entry, and the versions that stand here.
struct Met {
    /// Position in the entry.
    row: u32,
    key: String,
    /// The versions that stand.
    before: Vec<Dot>,
    /// Those of them that the entry was written without knowing of.
    beside: Vec<Dot>,
}

/// Finds what becomes of the rows of an entry.
pub(crate) fn settle(
    store: &Store,
    opened: &Opened,
    collisions: &Collisions,
    policy: &Policy,
    mistake: Mistake,
) -> Result<Settled, SyncError> {
    let mut settled = Settled::default();
    let met = meetings(store, opened, collisions)?;
    if met.is_empty() {
        return Ok(settled);
    }
    let versions = Versions::read(store, opened, &met)?;
    let mut replaced = BTreeMap::new();
    for met in met {
        let siblings = versions.of(&met, opened)?;
        let unavailable = |source| SyncError::Plugin { dataset: opened.dataset.clone(), source };
        let mut resolved = resolve(&policy.rules, &siblings, policy.plugin.as_ref()).map_err(unavailable)?;
        if mistake.is(Planted::CountsTwice) {
            resolved.row = as_last_noted(&resolved.row, &siblings)?;
        }
        let own = &opened.mark().dot;
        let wins = match &resolved.winner {
            _ if mistake.is(Planted::TiesByArrival) => {
                siblings.marks().iter().all(|mark| mark.hlc <= opened.mark().hlc)
            }
            Some(winner) => winner == own,
            None => false,
        };
        match policy.is_plain() {
            true if wins => {}
            // What counts already is the version that was written last.
            true => drop(replaced.insert(met.row, None)),
            // Also where it is what counts already, so that the newest row here comes from the newest of the versions.
            false => drop(replaced.insert(met.row, Some(resolved.row.clone()))),
        }
        let dots: Vec<Dot> = siblings.marks().iter().map(|mark| mark.dot.clone()).collect();
        settled.conflicts.push(Conflict {
            set: opened.mark().set.clone(),
            dataset: opened.dataset.clone(),
            key: met.key.clone(),
            versions: dots.clone(),
            rows: ledger::rows_text(siblings.rows())?,
            winner: resolved.winner.as_ref().map_or_else(|| "several".to_owned(), Dot::to_string),
            policy: policy.policy.row.to_string(),
            reason: resolved.explanation(),
        });
        settled.siblings.push(Standing { key: met.key, versions: dots, before: met.before });
    }
    if !replaced.is_empty() {
        settled.instead = Some(with(opened.rows(), &replaced)?);
    }
    Ok(settled)
}

/// A row that says of its changes what the last version says.
fn as_last_noted(row: &RecordBatch, siblings: &Siblings) -> Result<RecordBatch, SyncError> {
    let Ok(place) = row.schema_ref().index_of(MERGE_COLUMN) else { return Ok(row.clone()) };
    let mut columns = row.columns().to_vec();
    columns[place] = siblings.rows().column(place).slice(siblings.count() - 1, 1);
    Ok(RecordBatch::try_new(row.schema(), columns)?)
}

/// Rows of which some are left out or replaced.
fn with(rows: &RecordBatch, replaced: &BTreeMap<u32, Option<RecordBatch>>) -> Result<RecordBatch, SyncError> {
    let kept = (0..rows.num_rows() as u32).filter(|row| !replaced.contains_key(row));
    let kept = take_record_batch(rows, &UInt32Array::from_iter_values(kept))?;
    let made = replaced.values().flatten();
    Ok(concat_batches(rows.schema_ref(), [&kept].into_iter().chain(made))?)
}

/// The rows of the entry that stand beside versions which it does not follow.
fn meetings(store: &Store, opened: &Opened, collisions: &Collisions) -> Result<Vec<Met>, SyncError> {
    let texts = KeyTexts::of(store, &opened.dataset, &collisions.stored)?;
    let applied = &store.set_state(&opened.mark().set).applied;
    let known = siblings::known(store, &opened.dataset, texts.all(), applied)?;
    let mut met = Vec::new();
    for (at, row) in collisions.rows.values().iter().enumerate() {
        let (newest, key) = (&collisions.marks[at].dot, &texts.all()[at]);
        // What was written over all of them stands alone.
        let before = known.get(key).filter(|dots| dots.contains(newest)).cloned();
        let before = before.unwrap_or_else(|| vec![newest.clone()]);
        let follows = &opened.mark().follows;
        let beside: Vec<Dot> = before.iter().filter(|dot| !follows.contains(dot)).cloned().collect();
        if !beside.is_empty() {
            met.push(Met { row: *row, key: key.clone(), before, beside });
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

    /// The versions of one row, that of the entry among them.
    fn of(&self, met: &Met, opened: &Opened) -> Result<Siblings, SyncError> {
        let mut versions = vec![(Arc::clone(opened.mark()), opened.rows().slice(met.row as usize, 1))];
        for dot in &met.beside {
            let gone =
                || SyncError::VersionGone { set: self.set.clone(), dot: dot.clone(), dataset: self.dataset.clone() };
            let other = self.others.get(dot).ok_or_else(gone)?;
            let row = other.keys.get(&met.key).ok_or_else(gone)?;
            versions.push((Arc::clone(&other.mark), other.rows.slice(*row, 1)));
        }
        let (marks, rows): (Vec<_>, Vec<_>) = versions.into_iter().unzip();
        let marks: Vec<Mark> = marks.iter().map(|mark| Mark::clone(mark)).collect();
        Ok(Siblings::new(&concat_batches(opened.rows().schema_ref(), &rows)?, &marks)?)
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
