//! The logs of replication sets: which entries of which region's log count here, and where they lie.
//!
//! An entry is a record of the write-ahead log that has a mark. Those that were written here and those that came from
//! elsewhere lie in one log, in the order in which they came to count. Files are kept, beyond what recovery needs, until
//! nobody needs their entries: other regions to get them, this one to tell which rows were written at the same time.

mod entry;
mod found;
mod places;
mod reach;
mod read;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use domicile_types::{Change, DatasetName, Hlc, Mark, Members, Numbers, Origin, SetName, Vector};
use serde::{Deserialize, Serialize};

use crate::wal::mark::{self, LifeText};
use crate::{Snapshot, StoreError, StoreParts};

pub use entry::Entry;
pub(crate) use found::{Finder, retained};
pub(crate) use places::{Place, writer};
pub use reach::Reach;
pub use read::Located;

/// One replication set, as far as this region has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetState {
    /// The entries that count here. All of them are durable.
    pub applied: Vector,
    /// Those of them up to the last one of each log that had rows.
    pub written: Vector,
    /// What the last entry that counts of each log follows.
    pub heard: BTreeMap<Origin, Vector>,
    /// Entries that nothing can come any more which was written without knowing of them.
    pub stable: Vector,
    /// What the log says of the members.
    pub members: Members,
}

/// All sets, and where their entries lie.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    sets: BTreeMap<SetName, Set>,
}

#[derive(Debug, Default)]
struct Set {
    state: SetState,
    /// In the order in which they came to count. The first are gone.
    places: VecDeque<Place>,
    /// Bytes of them.
    bytes: u64,
    /// Number of the first log file that is of this set, after it started from a snapshot: what older files have of it is
    /// of rows that the snapshot replaced. Entries that came with the snapshot are in this file alone.
    since: u64,
}

impl SetState {
    /// Takes note of an entry that counts now.
    pub(crate) fn apply(&mut self, mark: &Mark, has_rows: bool) {
        self.applied.advance(&mark.dot.origin, mark.dot.seq);
        if has_rows {
            self.written.advance(&mark.dot.origin, mark.dot.seq);
        }
        self.heard.insert(mark.dot.origin.clone(), mark.follows.clone());
        self.members.apply(mark);
    }
}

impl Logs {
    /// Goes on from what the manifest says.
    pub(crate) fn new(notes: &BTreeMap<String, Note>) -> Option<Self> {
        let set = |(name, note): (&String, &Note)| {
            Some((name.parse().ok()?, Set { state: note.state()?, since: note.since, ..Set::default() }))
        };
        Some(Self { sets: notes.iter().map(set).collect::<Option<_>>()? })
    }

    pub(crate) fn state(&self, set: &SetName) -> &SetState {
        /// Of a set that has no entries yet.
        static EMPTY: SetState = SetState {
            applied: Vector::new(),
            written: Vector::new(),
            heard: BTreeMap::new(),
            stable: Vector::new(),
            members: Members::new(),
        };
        self.sets.get(set).map_or(&EMPTY, |set| &set.state)
    }

    /// What counts of each set.
    pub(crate) fn applied(&self) -> Arc<BTreeMap<SetName, Vector>> {
        Arc::new(self.sets.iter().map(|(name, set)| (name.clone(), set.state.applied.clone())).collect())
    }

    /// Takes note of an entry that counts now, and lies at `place`.
    pub(crate) fn apply(&mut self, place: Place) {
        let set = self.sets.entry(place.mark.set.clone()).or_default();
        set.state.apply(&place.mark, place.has_rows);
        set.push(place);
    }

    /// Takes note of an entry that counted before, and can still be read.
    /// `is_kept` says that it came with a snapshot.
    pub(crate) fn found(&mut self, place: Place, is_kept: bool) {
        let set = self.sets.entry(place.mark.set.clone()).or_default();
        // An attempt to start from a snapshot may have left entries in a later file.
        let counts = if is_kept { place.file == set.since } else { place.file >= set.since };
        if counts {
            set.push(place);
        }
    }

    /// Lets go of the entries that are stable, and delivered to everyone who may want them; past `bytes_max` also of
    /// stable ones that are not delivered.
    pub(crate) fn release(&mut self, name: &SetName, stable: &Vector, delivered: &Vector, bytes_max: u64) {
        let Some(set) = self.sets.get_mut(name) else { return };
        set.state.stable.join(stable);
        while let Some(place) = set.places.front() {
            let dot = &place.mark.dot;
            if !set.state.stable.contains(dot) || !(delivered.contains(dot) || set.bytes > bytes_max) {
                break;
            }
            set.bytes -= place.bytes;
            set.places.pop_front();
        }
    }

    /// Bytes of the entries of a set that are kept and that `vector` does not mean.
    pub(crate) fn bytes_beyond(&self, name: &SetName, vector: &Vector) -> u64 {
        self.places(name).filter(|place| !vector.contains(&place.mark.dot)).map(|place| place.bytes).sum()
    }

    /// Puts what came with a snapshot in the place of all that a set has.
    pub(crate) fn replace(&mut self, name: &SetName, state: SetState, since: u64, places: Vec<Place>) {
        let mut set = Set { state, since, ..Set::default() };
        places.into_iter().for_each(|place| set.push(place));
        self.sets.insert(name.clone(), set);
    }

    /// The first log file that has an entry which is still needed.
    pub(crate) fn first_file(&self) -> Option<u64> {
        self.sets.values().filter_map(|set| set.places.front()).map(|place| place.file).min()
    }

    /// The local moment of the oldest entry with rows of a dataset to which something may come that was written without
    /// knowing of it.
    pub(crate) fn oldest_unstable(&self, dataset: &DatasetName) -> Option<Hlc> {
        let unstable = |set: &Set| {
            let is_unstable = |place: &&Place| {
                place.has_rows && place.dataset == *dataset && !set.state.stable.contains(&place.mark.dot)
            };
            set.places.iter().find(is_unstable).map(|place| place.local_hlc)
        };
        self.sets.values().filter_map(unstable).min()
    }

    /// Entries of a dataset that count, even if others' rows do instead of all of theirs, and that `mark` does not follow.
    pub(crate) fn concurrent<'l>(
        &'l self,
        mark: &'l Mark,
        dataset: &'l DatasetName,
    ) -> impl Iterator<Item = &'l Place> {
        let places = self.sets.get(&mark.set).filter(|set| !mark.follows.covers(&set.state.applied));
        let places = places.into_iter().flat_map(|set| set.places.iter());
        places
            .filter(move |place| place.dataset == *dataset && place.has_rows && !mark.follows.contains(&place.mark.dot))
    }

    /// The entries of a dataset that can still be read, and have rows that count.
    pub(crate) fn kept<'l>(&'l self, set: &SetName, dataset: &'l DatasetName) -> impl Iterator<Item = &'l Place> {
        self.places(set).filter(move |place| place.dataset == *dataset && place.rows > 0)
    }

    /// Refuses rows of replicated datasets that no log has, since they were stored before: nobody else would get them.
    pub(crate) fn check_shared(&self, parts: &StoreParts, snapshot: &Snapshot) -> Result<(), StoreError> {
        let alone = |(dataset, set): &(&DatasetName, &SetName)| {
            snapshot.held(dataset).next().is_some() && self.state(set).applied.is_empty()
        };
        match parts.sets.iter().find(alone) {
            None => Ok(()),
            Some((dataset, set)) => Err(StoreError::NotShared { dataset: dataset.clone(), set: set.clone() }),
        }
    }

    /// What the manifest is to say.
    pub(crate) fn notes(&self) -> BTreeMap<String, Note> {
        self.sets.iter().map(|(name, set)| (name.to_string(), Note::of(&set.state, set.since))).collect()
    }

    pub(crate) fn places(&self, set: &SetName) -> impl Iterator<Item = &Place> {
        self.sets.get(set).into_iter().flat_map(|set| &set.places)
    }
}

/// A set as the manifest has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    applied: Numbers,
    written: Numbers,
    heard: Vec<(String, u32, Numbers)>,
    stable: Numbers,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    members: Vec<LifeText>,
    #[serde(default, skip_serializing_if = "is_zero")]
    since: u64,
}

impl Set {
    fn push(&mut self, place: Place) {
        self.bytes += place.bytes;
        self.places.push_back(place);
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Note {
    pub(crate) fn of(state: &SetState, since: u64) -> Self {
        let heard =
            |(origin, follows): (&Origin, &Vector)| (origin.region.to_string(), origin.epoch, follows.numbers());
        Self {
            applied: state.applied.numbers(),
            written: state.written.numbers(),
            heard: state.heard.iter().map(heard).collect(),
            stable: state.stable.numbers(),
            members: mark::lives(&state.members),
            since,
        }
    }

    pub(crate) fn state(&self) -> Option<SetState> {
        let heard = |(region, epoch, follows): &(String, u32, Numbers)| {
            Some((Origin { region: region.parse().ok()?, epoch: *epoch }, Vector::of_numbers(follows)?))
        };
        Some(SetState {
            applied: Vector::of_numbers(&self.applied)?,
            written: Vector::of_numbers(&self.written)?,
            heard: self.heard.iter().map(heard).collect::<Option<_>>()?,
            stable: Vector::of_numbers(&self.stable)?,
            members: mark::members(&self.members)?,
        })
    }
}

/// The mark of an entry that is written here now.
pub(crate) fn next_mark(
    state: &SetState,
    set: &SetName,
    origin: Origin,
    hlc: Hlc,
    change: Option<Change>,
) -> Arc<Mark> {
    let seq = state.applied.get(&origin) + 1;
    let dot = domicile_types::Dot { origin, seq };
    Arc::new(Mark { set: set.clone(), dot, hlc, follows: state.applied.clone(), change })
}
