//! What is kept of each entity of each group.
//!
//! Rows are put behind each other as they come. Some thousands at a time they are ordered by group and entity, and those of
//! one entity are added up; so are, less often and at the end, all of them. Looking each up as it comes would take several
//! times as long, as it would be somewhere else in memory each time.
//!
//! Of a group of few entities everything is exact. Where there are more, and a group needs far fewer than that, the
//! entities that have one place of a trace are kept as one: there are at least as many entities as places that somebody
//! has, and no entity contributes more than all of its place do.

use std::ops::Range;

use arrow::array::ArrayRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::EmitTo;
use domicile_policy::TRACE_PLACES;

use super::column::{Column, float, taken};
use super::layout::{Columns, Layout};

/// Entities of a group that are kept apart where places may be counted instead.
pub(super) const APART_MAX: u32 = TRACE_PLACES as u32;
/// Entries that fit into a processor's own cache.
const CACHED_ENTRIES: usize = 32 * 1024;
/// Entries that are added up at a time: few in tests, so that these come to it.
const LOOSE_ENTRIES: usize = if cfg!(test) { 100 } else { CACHED_ENTRIES };
/// Groups whose places have an entry each, so that rows are added to these as they come.
const DENSE_GROUPS_MAX: usize = CACHED_ENTRIES / TRACE_PLACES;
/// Entries from which on all are added up, at least.
const FULL_ENTRIES_MIN: usize = 8 * LOOSE_ENTRIES;
/// As many times what was left the last time.
const FULL_FACTOR: usize = 3;

const NONE: u32 = u32::MAX;

/// What is kept of all entities of all groups: entries, which are rows, or what several of one entity add up to.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) at: Columns,
    by_places: bool,
    /// The group of each entry.
    groups: Vec<u32>,
    /// A number for its entity that no other has; or for its place, where places are counted.
    entities: Vec<u64>,
    columns: Vec<Column>,
    /// Of each group how many entities were counted before places were, where they are.
    places: Vec<Option<u32>>,
    /// Where each group's entries start, and the last one's end, while they are all added up.
    starts: Vec<u32>,
    /// Of each group the first of as many entries as there are places; [`NONE`] where it has them as they come.
    dense: Vec<u32>,
    /// Entries that were added up so far, with some at least.
    settled: usize,
    /// Entries from which on all are added up.
    full: usize,
}

impl Kept {
    pub(super) fn new(layout: &Layout) -> Self {
        let at = Columns::of(layout);
        Self {
            by_places: layout.by_places,
            groups: Vec::new(),
            entities: Vec::new(),
            columns: at.kinds().into_iter().map(Column::new).collect(),
            places: Vec::new(),
            starts: Vec::new(),
            dense: Vec::new(),
            settled: 0,
            full: FULL_ENTRIES_MIN,
            at,
        }
    }

    pub(super) fn resize(&mut self, groups: usize) {
        if self.places.len() < groups {
            self.places.resize(groups, None);
        }
    }

    /// The entries that rows of these entities are added to, most of them new, and the columns of all.
    ///
    /// # Errors
    /// Where there are more than can be counted.
    pub(super) fn entries_for(&mut self, entities: &[u64], groups: &[usize]) -> Result<(Vec<u32>, &mut [Column])> {
        let mut entries = Vec::with_capacity(entities.len());
        for (entity, group) in entities.iter().zip(groups) {
            entries.push(match self.dense.get(*group).copied().unwrap_or(NONE) {
                NONE => {
                    self.entities.push(*entity);
                    self.groups.push(*group as u32);
                    self.entities.len() as u32 - 1
                }
                first => first + (entity % TRACE_PLACES as u64) as u32,
            });
        }
        self.check()?;
        let all = self.entities.len();
        self.columns.iter_mut().for_each(|column| column.resize(all));
        Ok((entries, &mut self.columns))
    }

    /// Adds entries that were kept elsewhere, from an array of each column.
    ///
    /// # Errors
    /// Where the columns are others, or there are more entries than can be counted.
    pub(super) fn extend(&mut self, group: usize, entities: &[u64], columns: &[ArrayRef], from: usize) -> Result<()> {
        self.entities.extend_from_slice(entities);
        self.groups.extend(std::iter::repeat_n(group as u32, entities.len()));
        self.check()?;
        let mut all = self.columns.iter_mut().zip(columns);
        all.try_for_each(|(all, column)| all.extend(column, from, from + entities.len()))
    }

    fn check(&self) -> Result<()> {
        let entries = self.entities.len();
        let counted = u32::try_from(entries.max(self.places.len()));
        counted.map_err(|_| DataFusionError::ResourcesExhausted(format!("{entries} entities of groups")))?;
        Ok(())
    }

    /// Counts places of the group from now on, which had so many entities at least.
    pub(super) fn count_places(&mut self, group: usize, entities: u32) {
        let before = &mut self.places[group];
        *before = Some(before.map_or(entities, |before| before.max(entities)));
    }

    /// Adds up where there is much to add up.
    pub(super) fn settle_if_full(&mut self) {
        let loose = self.entities.len() - self.settled;
        if loose < LOOSE_ENTRIES.max(self.places.len()) {
            return;
        }
        if self.settled > 0 {
            self.settle_from(self.settled, false);
        }
        if self.settled == 0 || self.entities.len() >= self.full {
            self.settle_from(0, true);
            self.full = FULL_ENTRIES_MIN.max(self.entities.len().saturating_mul(FULL_FACTOR));
        }
    }

    /// Leaves one entry of each entity or place of each group, in this order: by groups, and by places within them.
    pub(super) fn settle(&mut self) {
        self.starts = self.settle_from(0, false);
    }

    /// Does so with the entries from this one on; where groups may be `dense`, a few that are counted by places have an
    /// entry for each, whether anybody has it or not. Says where each group's entries start there, and where the last
    /// one's end.
    fn settle_from(&mut self, first: usize, dense: bool) -> Vec<u32> {
        let (mut ordered, starts) = self.by_group(first);
        let mut free = Vec::new();
        for (group, range) in starts.windows(2).enumerate() {
            self.order(group, &mut ordered[range[0] as usize..range[1] as usize], &mut free);
        }
        let by_places = self.places.iter().filter(|places| places.is_some()).count();
        let dense = dense && by_places <= DENSE_GROUPS_MAX;
        let (mut runs, mut settled) = (Runs::default(), vec![0]);
        let mut firsts = Vec::new();
        for (places, range) in self.places.iter().zip(starts.windows(2)) {
            let entries = &ordered[range[0] as usize..range[1] as usize];
            let is_dense = dense && places.is_some();
            firsts.push(if is_dense { runs.ends.len() as u32 } else { NONE });
            match places {
                Some(_) if is_dense => runs.add_places(entries),
                Some(_) => runs.add(entries, |place| place),
                None => runs.add(entries, entity_of),
            }
            settled.push(runs.ends.len() as u32);
        }
        if first == 0 {
            self.dense = firsts;
        }
        drop(ordered);
        self.entities.truncate(first);
        self.entities.append(&mut runs.entities);
        self.columns.iter_mut().for_each(|column| column.add_up(first, &runs.order, &runs.ends));
        self.groups.truncate(first);
        let groups = settled.windows(2).enumerate();
        self.groups.extend(groups.flat_map(|(group, range)| (range[0]..range[1]).map(move |_| group as u32)));
        self.settled = self.entities.len();
        settled
    }

    /// The entries from the first on by groups, and where these start.
    fn by_group(&self, first: usize) -> (Vec<Ordered>, Vec<u32>) {
        let groups = &self.groups[first..];
        let mut starts = vec![0_u32; self.places.len() + 1];
        groups.iter().for_each(|group| starts[*group as usize + 1] += 1);
        (1..starts.len()).for_each(|group| starts[group] += starts[group - 1]);
        let mut next = starts.clone();
        let mut ordered = vec![Ordered::default(); groups.len()];
        for (entry, (group, entity)) in groups.iter().zip(&self.entities[first..]).enumerate() {
            let next = &mut next[*group as usize];
            ordered[*next as usize] = Ordered { key: key_of(*entity), entry: (first + entry) as u32 };
            *next += 1;
        }
        (ordered, starts)
    }

    /// Orders the entries of one group. Where there are too many entities, they count by places from now on.
    fn order(&mut self, group: usize, entries: &mut [Ordered], free: &mut Vec<Ordered>) {
        let is_long = entries.len() >= TRACE_PLACES;
        if is_long {
            by_place(entries, free);
        }
        if self.places[group].is_none() {
            if is_long {
                entries.chunk_by_mut(|one, other| one.place() == other.place()).for_each(<[_]>::sort_unstable);
            } else {
                entries.sort_unstable();
            }
            let apart = entries.chunk_by(|one, other| one.key == other.key).count();
            if !self.by_places || apart <= APART_MAX as usize {
                return;
            }
            self.places[group] = Some(apart as u32);
        }
        entries.iter_mut().for_each(|entry| entry.key = entry.place() as u64);
        if !is_long {
            entries.sort_unstable();
        }
    }

    pub(super) fn emitted(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.places.len(),
            EmitTo::First(groups) => groups.min(self.places.len()),
        }
    }

    /// The entries of a group, after [`Self::settle`].
    pub(super) fn entries(&self, group: usize) -> Range<usize> {
        self.starts[group] as usize..self.starts[group + 1] as usize
    }

    /// The entity or place of an entry.
    pub(super) fn entity(&self, entry: usize) -> u64 {
        self.entities[entry]
    }

    /// How many entities of a group were counted before places were, where they are.
    pub(super) fn places(&self, group: usize) -> Option<u32> {
        self.places[group]
    }

    /// A count or a sum of marks.
    pub(super) fn word(&self, column: usize, entry: usize) -> u64 {
        if let Column::Words(words) = &self.columns[column] { words[entry] } else { 0 }
    }

    /// A sum, as its digits stand.
    pub(super) fn number(&self, column: usize, entry: usize) -> f64 {
        match &self.columns[column] {
            Column::Words(words) => words[entry] as f64,
            Column::Wholes(wholes) => float(wholes[entry]),
            Column::Floats(floats) => floats[entry],
        }
    }

    /// The first groups as they stand after [`Self::settle`], which are gone then.
    pub(super) fn take(&mut self, groups: usize) -> Taken {
        let entries = self.starts[groups] as usize;
        let taken = Taken {
            places: taken(&mut self.places, groups),
            ends: self.starts[..=groups].to_vec(),
            entities: taken(&mut self.entities, entries),
            columns: self.columns.iter_mut().map(|column| column.take(entries)).collect(),
        };
        drop(self::taken(&mut self.groups, entries));
        self.dense.clear();
        self.settled = self.entities.len();
        self.groups.iter_mut().for_each(|group| *group -= groups as u32);
        self.starts = self.starts[groups..].iter().map(|start| start - entries as u32).collect();
        taken
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.entities.capacity() * size_of::<u64>()
            + (self.groups.capacity() + self.starts.capacity() + self.dense.capacity()) * size_of::<u32>()
            + self.places.capacity() * size_of::<Option<u32>>()
            + self.columns.iter().map(Column::bytes).sum::<usize>()
    }
}

/// An entry, as it is ordered within its group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Ordered {
    /// The number of the entity with its place in front; its place alone where places are counted.
    key: u64,
    entry: u32,
}

impl Ordered {
    fn place(self) -> usize {
        (self.key >> (u64::BITS - PLACE_BITS)) as usize
    }
}

/// The lowest bits of an entity's number, which are its place.
const PLACE_BITS: u32 = TRACE_PLACES.ilog2();

fn key_of(entity: u64) -> u64 {
    entity.rotate_right(PLACE_BITS)
}

fn entity_of(key: u64) -> u64 {
    key.rotate_left(PLACE_BITS)
}

/// Entries that are added up to one: whose, and which, up to where in the order.
#[derive(Default)]
struct Runs {
    entities: Vec<u64>,
    order: Vec<u32>,
    ends: Vec<u32>,
}

impl Runs {
    fn push(&mut self, entity: u64, entries: &[Ordered]) {
        self.order.extend(entries.iter().map(|ordered| ordered.entry));
        self.ends.push(self.order.len() as u32);
        self.entities.push(entity);
    }

    /// One of each key.
    fn add(&mut self, entries: &[Ordered], entity: impl Fn(u64) -> u64) {
        for of_one in entries.chunk_by(|one, other| one.key == other.key) {
            self.push(entity(of_one[0].key), of_one);
        }
    }

    /// One of each place, whether anything is there or not.
    fn add_places(&mut self, mut entries: &[Ordered]) {
        for place in 0..TRACE_PLACES as u64 {
            let (here, others) = entries.split_at(entries.partition_point(|entry| entry.key <= place));
            self.push(place, here);
            entries = others;
        }
    }
}

/// Orders by places only, which is far faster than sorting where there are more entries than places.
fn by_place(entries: &mut [Ordered], free: &mut Vec<Ordered>) {
    let mut next = [0_u32; TRACE_PLACES];
    entries.iter().for_each(|entry| next[entry.place()] += 1);
    let mut start = 0;
    for next in &mut next {
        start += std::mem::replace(next, start);
    }
    free.clear();
    free.extend_from_slice(entries);
    for entry in &*free {
        let next = &mut next[entry.place()];
        entries[*next as usize] = *entry;
        *next += 1;
    }
}

/// What was kept of groups.
pub(super) struct Taken {
    pub(super) places: Vec<Option<u32>>,
    /// Where each group's entries start, and the last one's end.
    pub(super) ends: Vec<u32>,
    pub(super) entities: Vec<u64>,
    pub(super) columns: Vec<ArrayRef>,
}
