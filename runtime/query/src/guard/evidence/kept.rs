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
/// Entries that are added up at a time, so that they fit into a processor's own cache.
const LOOSE_ENTRIES: usize = 32 * 1024;
/// Entries from which on all are added up, at least.
const FULL_ENTRIES_MIN: usize = 8 * LOOSE_ENTRIES;
/// As many times what was left the last time.
const FULL_FACTOR: usize = 3;

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

    /// Adds an entry for each of these entities; the caller adds as many to the columns that are returned.
    ///
    /// # Errors
    /// Where there are more than can be counted.
    pub(super) fn add(
        &mut self,
        entities: impl IntoIterator<Item = u64>,
        groups: impl Iterator<Item = usize>,
    ) -> Result<&mut [Column]> {
        self.entities.extend(entities);
        self.groups.extend(groups.map(|group| group as u32));
        let entries = self.entities.len();
        u32::try_from(entries.max(self.places.len()))
            .map_err(|_| DataFusionError::ResourcesExhausted(format!("{entries} entities of groups")))?;
        Ok(&mut self.columns)
    }

    /// Counts places of the group from now on, which had so many entities at least.
    pub(super) fn count_places(&mut self, group: usize, entities: u32) {
        let before = &mut self.places[group];
        *before = Some(before.map_or(entities, |before| before.max(entities)));
    }

    /// Adds up where there is much to add up.
    pub(super) fn settle_if_full(&mut self) {
        if self.entities.len() - self.settled >= LOOSE_ENTRIES.max(self.places.len()) {
            self.settle_from(self.settled);
        }
        if self.entities.len() >= self.full {
            self.settle();
            self.full = FULL_ENTRIES_MIN.max(self.entities.len().saturating_mul(FULL_FACTOR));
        }
    }

    /// Leaves one entry of each entity or place of each group, in this order: by groups, and by places within them.
    pub(super) fn settle(&mut self) {
        self.starts = self.settle_from(0);
    }

    /// Does so with the entries from this one on. Says where each group's start there, and where the last one's end.
    fn settle_from(&mut self, first: usize) -> Vec<u32> {
        let (mut ordered, starts) = self.by_group(first);
        let (mut order, mut ends) = (Vec::with_capacity(ordered.len()), Vec::new());
        let mut settled = Vec::with_capacity(starts.len());
        let mut free = Vec::new();
        settled.push(0);
        for (group, range) in starts.windows(2).enumerate() {
            let entries = &mut ordered[range[0] as usize..range[1] as usize];
            self.order(group, entries, &mut free);
            for of_one in entries.chunk_by(|one, other| one.key == other.key) {
                order.extend(of_one.iter().map(|ordered| ordered.entry));
                ends.push(order.len() as u32);
            }
            settled.push(ends.len() as u32);
        }
        drop(ordered);
        let firsts = std::iter::once(0).chain(ends.iter().map(|end| *end as usize)).take(ends.len());
        let entities: Vec<u64> = firsts.map(|at| self.entities[order[at] as usize]).collect();
        self.entities.truncate(first);
        self.entities.extend(entities);
        self.columns.iter_mut().for_each(|column| column.add_up(first, &order, &ends));
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
            ordered[*next as usize] = Ordered::new(*entity, first + entry);
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
        for ordered in &mut *entries {
            ordered.key = ordered.place() as u64;
            self.entities[ordered.entry as usize] = ordered.key;
        }
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
        self.settled = self.entities.len();
        self.groups.iter_mut().for_each(|group| *group -= groups as u32);
        self.starts = self.starts[groups..].iter().map(|start| start - entries as u32).collect();
        taken
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.entities.capacity() * size_of::<u64>()
            + (self.groups.capacity() + self.starts.capacity()) * size_of::<u32>()
            + self.places.capacity() * size_of::<Option<u32>>()
            + self.columns.iter().map(Column::bytes).sum::<usize>()
    }
}

/// An entry, as it is ordered within its group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Ordered {
    /// The number of the entity, whose lowest bits are its place, with these in front.
    key: u64,
    entry: u32,
}

impl Ordered {
    fn new(entity: u64, entry: usize) -> Self {
        Self { key: entity.rotate_right(TRACE_PLACES.ilog2()), entry: entry as u32 }
    }

    fn place(self) -> usize {
        (self.key >> (u64::BITS - TRACE_PLACES.ilog2())) as usize
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
