//! What the store has to hold: rows by identity, and batches whose outcome nobody knows.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::Request;
use crate::tables::{Row, Table};

/// Rows of a dataset by what identifies them.
pub(crate) type Rows = BTreeMap<Row, Row>;

/// A batch whose commit was tried.
#[derive(Debug, Clone)]
struct Entry {
    /// When it got its place among the versions; larger is newer.
    moment: u64,
    request: Request,
    /// Otherwise the commit failed, and the batch may be there or not.
    acknowledged: bool,
}

/// The newest version by identity, each with its moment; none where the row is deleted.
type Newest = BTreeMap<Row, (u64, Option<Row>)>;

#[derive(Debug, Default)]
struct State {
    newest: Newest,
    /// From the first batch of unknown outcome on.
    tail: Vec<Entry>,
}

/// What is known of a batch that was sent with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    There,
    Absent,
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Model {
    tables: Vec<Table>,
    states: Vec<State>,
    /// Moments of the batches that are not there for sure.
    absent: BTreeSet<u64>,
    /// The moment of each row that was ever committed, by serial number.
    serials: BTreeMap<u64, u64>,
    keys: BTreeMap<String, (Request, Standing)>,
}

impl Model {
    pub(crate) fn new(tables: Vec<Table>) -> Self {
        let states = tables.iter().map(|_| State::default()).collect();
        Self { tables, states, absent: BTreeSet::new(), serials: BTreeMap::new(), keys: BTreeMap::new() }
    }

    /// Batches that were sent with a key.
    pub(crate) fn keyed(&self) -> Vec<(Request, Standing)> {
        self.keys.values().cloned().collect()
    }

    /// The moment that a row got; none where no commit of it was tried.
    pub(crate) fn moment_of(&self, serial: u64) -> Option<u64> {
        self.serials.get(&serial).copied()
    }

    pub(crate) fn is_absent(&self, moment: u64) -> bool {
        self.absent.contains(&moment)
    }

    /// A batch that was acknowledged, or whose commit failed in a way that leaves its outcome open.
    pub(crate) fn add(&mut self, request: Request, acknowledged: bool, moment: u64) {
        let table = &self.tables[request.table];
        if !request.delete {
            self.serials.extend(request.rows.iter().map(|row| (table.serial_of(row), moment)));
        }
        if let Some(key) = &request.key {
            let standing = if acknowledged { Standing::There } else { Standing::Unknown };
            self.keys.insert(key.clone(), (request.clone(), standing));
        }
        let state = &mut self.states[request.table];
        let entry = Entry { moment, request, acknowledged };
        if acknowledged && state.tail.is_empty() {
            apply(table, &mut state.newest, &entry);
        } else {
            state.tail.push(entry);
        }
    }

    /// A batch of unknown outcome turned out to be there: the store says so.
    pub(crate) fn confirm(&mut self, key: &str) {
        let Some((request, standing)) = self.keys.get_mut(key) else { return };
        *standing = Standing::There;
        for entry in &mut self.states[request.table].tail {
            entry.acknowledged |= entry.request.key.as_deref() == Some(key);
        }
    }

    /// What readers see until the next start: nothing of a batch that was not acknowledged.
    pub(crate) fn visible(&self, table: usize) -> Rows {
        live(&self.with(table, &BTreeSet::new()))
    }

    /// Those of the rows whose time is not over by `day`.
    pub(crate) fn kept(&self, table: usize, rows: &Rows, day: i32) -> Rows {
        let table = &self.tables[table];
        let kept = rows.iter().filter(|(_, row)| !table.may_be_expired(row, day));
        kept.map(|(id, row)| (id.clone(), row.clone())).collect()
    }

    fn with(&self, table: usize, there: &BTreeSet<u64>) -> Newest {
        let mut newest = self.states[table].newest.clone();
        for entry in &self.states[table].tail {
            if entry.acknowledged || there.contains(&entry.moment) {
                apply(&self.tables[table], &mut newest, entry);
            }
        }
        newest
    }

    /// Batches of a dataset whose outcome is unknown.
    pub(crate) fn unknown(&self, table: usize) -> Vec<u64> {
        self.states[table].tail.iter().filter(|entry| !entry.acknowledged).map(|entry| entry.moment).collect()
    }

    /// After a start: every batch of unknown outcome is wholly there or not at all. From now on it is known which.
    ///
    /// `day` is the latest that the store has known: rows whose time is over by then may have been dropped.
    pub(crate) fn settle(&mut self, table: usize, found: &Rows, day: i32) -> Result<(), String> {
        let found = &self.kept(table, found, day);
        let unknown = self.unknown(table);
        let choices = (0..1_u64 << unknown.len()).map(|choice| {
            let chosen = unknown.iter().enumerate().filter(|(place, _)| choice >> place & 1 == 1);
            chosen.map(|(_, moment)| *moment).collect::<BTreeSet<u64>>()
        });
        let fits: Vec<_> =
            choices.filter(|there| self.kept(table, &live(&self.with(table, there)), day) == *found).collect();
        let Some(there) = fits.first() else {
            let difference = difference(&self.kept(table, &self.visible(table), day), found);
            return Err(format!("{}: {difference}; {} batches unknown", self.tables[table].name(), unknown.len()));
        };
        let newest = self.with(table, there);
        // Where other batches hide whether one is there, nothing is concluded.
        let sure = |moment: &u64| fits.iter().all(|other| other.contains(moment) == there.contains(moment));
        let state = &mut self.states[table];
        state.newest = newest;
        for entry in std::mem::take(&mut state.tail) {
            if entry.acknowledged || !sure(&entry.moment) {
                continue;
            }
            let standing = if there.contains(&entry.moment) { Standing::There } else { Standing::Absent };
            self.absent.extend((standing == Standing::Absent).then_some(entry.moment));
            if let Some(known) = entry.request.key.as_ref().and_then(|key| self.keys.get_mut(key)) {
                known.1 = standing;
            }
        }
        Ok(())
    }
}

fn live(newest: &Newest) -> Rows {
    newest.iter().filter_map(|(id, (_, row))| Some((id.clone(), row.clone()?))).collect()
}

fn apply(table: &Table, newest: &mut Newest, entry: &Entry) {
    for row in &entry.request.rows {
        let (id, row) =
            if entry.request.delete { (row.clone(), None) } else { (table.identity(row), Some(row.clone())) };
        if newest.get(&id).is_none_or(|(moment, _)| *moment <= entry.moment) {
            newest.insert(id, (entry.moment, row));
        }
    }
}

/// What is wrong, in short.
pub(crate) fn difference(expected: &Rows, found: &Rows) -> String {
    let missing: Vec<_> = expected.iter().filter(|(id, row)| found.get(*id) != Some(row)).take(3).collect();
    let surplus: Vec<_> = found.iter().filter(|(id, row)| expected.get(*id) != Some(row)).take(3).collect();
    format!("{} rows expected, {} found; missing {missing:?}; surplus {surplus:?}", expected.len(), found.len())
}
