//! What is kept of each entity of each group.
//!
//! Of a group of few entities everything is exact. Where there are more, and a group needs far fewer than that, the
//! entities that have one place of a trace are kept as one: there are at least as many entities as places that somebody
//! has, and no entity contributes more than all of its place do.

use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::EmitTo;
use domicile_policy::TRACE_PLACES;
use hashbrown::HashTable;

use super::layout::{Layout, Number, ROWS, Words, add_float, add_whole, whole};

/// Entities of a group that are kept apart where places may be counted instead.
pub(super) const APART_MAX: u32 = TRACE_PLACES as u32;
/// No slot.
const NONE: u32 = u32::MAX;

/// What is kept of the entities of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// Of each entity by itself: a list of slots.
    Apart { first: u32, entities: u32 },
    /// Of each place, in as many slots, where there were so many entities before.
    Places { first: u32, entities: u32 },
}

const EMPTY: Group = Group::Apart { first: NONE, entities: 0 };

/// Whose a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Owner {
    /// The group's number among all that there ever were.
    group: u64,
    /// A number for the entity that no other has; its place where places are counted.
    entity: u64,
}

/// What is kept of all entities of all groups.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) words: Words,
    by_places: bool,
    numbers: Vec<Number>,
    /// Whether a sum has had numbers below zero; before, it is the same without signs.
    signed: Vec<bool>,
    slots: Vec<u64>,
    owners: Vec<Owner>,
    /// The next slot of the same group.
    next: Vec<u32>,
    /// Slots that are free, one by one, and as many as there are places.
    free: Vec<u32>,
    free_places: Vec<u32>,
    /// Slots of entities that are kept apart.
    table: HashTable<u32>,
    groups: Vec<Group>,
    /// Groups whose places have come to be counted, among all that there ever were.
    by_places_now: u64,
    /// Groups that are gone.
    gone: u64,
}

/// Which entities of a group there are, and what each adds.
pub(super) struct OfGroup<'k> {
    kept: &'k Kept,
    group: Group,
}

fn hash_of(owner: Owner) -> u64 {
    // Numbers of entities are hashes.
    owner.entity ^ owner.group.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

impl Kept {
    pub(super) fn new(layout: &Layout) -> Self {
        Self::empty(Words::of(layout), layout.by_places, layout.sums.iter().map(|sum| sum.number).collect())
    }

    fn empty(words: Words, by_places: bool, numbers: Vec<Number>) -> Self {
        Self {
            words,
            by_places,
            signed: vec![false; numbers.len()],
            numbers,
            slots: Vec::new(),
            owners: Vec::new(),
            next: Vec::new(),
            free: Vec::new(),
            free_places: Vec::new(),
            table: HashTable::new(),
            groups: Vec::new(),
            by_places_now: 0,
            gone: 0,
        }
    }

    pub(super) fn resize(&mut self, groups: usize) {
        if self.groups.len() < groups {
            self.groups.resize(groups, EMPTY);
        }
    }

    /// The slots of these entities in their groups, where each slot's words start.
    ///
    /// # Errors
    /// Where there are more slots than can be counted.
    pub(super) fn slots_of(&mut self, entities: &[u64], groups: &[usize]) -> Result<Vec<usize>> {
        let before = self.by_places_now;
        let slots = self.slots_as_is(entities, groups)?;
        // Slots of entities that are together since are no longer theirs.
        if self.by_places_now == before { Ok(slots) } else { self.slots_as_is(entities, groups) }
    }

    fn slots_as_is(&mut self, entities: &[u64], groups: &[usize]) -> Result<Vec<usize>> {
        let mut slots = Vec::with_capacity(entities.len());
        // Rows of one entity often follow each other.
        let mut last = None;
        for of in entities.iter().zip(groups) {
            let slot = match last {
                Some((whose, slot)) if whose == of => slot,
                _ => self.slot(*of.1, *of.0)?,
            };
            last = Some((of, slot));
            slots.push(slot as usize * self.words.width);
        }
        Ok(slots)
    }

    fn slot(&mut self, group: usize, entity: u64) -> Result<u32> {
        let Group::Apart { first, entities } = self.groups[group] else { return Ok(self.place(group, entity)) };
        let owner = Owner { group: self.gone + group as u64, entity };
        let hash = hash_of(owner);
        let owners = &self.owners;
        if let Some(slot) = self.table.find(hash, |slot| owners[*slot as usize] == owner) {
            return Ok(*slot);
        }
        if self.by_places && entities == APART_MAX {
            self.count_places(group)?;
            return Ok(self.place(group, entity));
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => self.grown(1)?,
        };
        (self.owners[slot as usize], self.next[slot as usize]) = (owner, first);
        let owners = &self.owners;
        self.table.insert_unique(hash, slot, |slot| hash_of(owners[*slot as usize]));
        self.groups[group] = Group::Apart { first: slot, entities: entities + 1 };
        Ok(slot)
    }

    /// The slot of an entity's place, where places are counted.
    fn place(&self, group: usize, entity: u64) -> u32 {
        let (Group::Apart { first, .. } | Group::Places { first, .. }) = self.groups[group];
        first + (entity % TRACE_PLACES as u64) as u32
    }

    /// The first of more slots, with nothing in them.
    fn grown(&mut self, slots: usize) -> Result<u32> {
        let first = self.owners.len();
        let full = |_| DataFusionError::ResourcesExhausted(format!("{first} entities of groups"));
        u32::try_from(first + slots).map_err(full)?;
        self.slots.resize(self.slots.len() + slots * self.words.width, 0);
        self.owners.resize(first + slots, Owner::default());
        self.next.resize(first + slots, NONE);
        Ok(first as u32)
    }

    /// Counts places of the group from now on.
    fn count_places(&mut self, group: usize) -> Result<()> {
        let Group::Apart { entities, .. } = self.groups[group] else { return Ok(()) };
        let first = match self.free_places.pop() {
            Some(first) => first,
            None => self.grown(TRACE_PLACES)?,
        };
        for slot in self.list(self.groups[group]) {
            let place = first + (self.owners[slot as usize].entity % TRACE_PLACES as u64) as u32;
            let words = self.of_slot(slot).to_vec();
            self.add(place as usize * self.words.width, &words);
            self.give_up(slot);
        }
        self.groups[group] = Group::Places { first, entities };
        self.by_places_now += 1;
        Ok(())
    }

    /// The slots of a group whose entities are apart.
    fn list(&self, group: Group) -> Vec<u32> {
        let Group::Apart { first, .. } = group else { return Vec::new() };
        let next = |slot: &u32| Some(self.next[*slot as usize]).filter(|next| *next != NONE);
        std::iter::successors(Some(first).filter(|first| *first != NONE), next).collect()
    }

    fn give_up(&mut self, slot: u32) {
        let owner = self.owners[slot as usize];
        if let Ok(entry) = self.table.find_entry(hash_of(owner), |other| *other == slot) {
            entry.remove();
        }
        self.clear(slot, 1);
        self.free.push(slot);
    }

    fn clear(&mut self, first: u32, slots: usize) {
        let start = first as usize * self.words.width;
        self.slots[start..start + slots * self.words.width].fill(0);
    }

    fn of_slot(&self, slot: u32) -> &[u64] {
        let start = slot as usize * self.words.width;
        &self.slots[start..start + self.words.width]
    }

    /// All slots, one after the other.
    pub(super) fn all(&mut self) -> &mut [u64] {
        &mut self.slots
    }

    /// Adds what is kept elsewhere to the slot that starts there.
    fn add(&mut self, start: usize, words: &[u64]) {
        let slot = &mut self.slots[start..start + self.words.width];
        let counts = self.words.sum(0);
        slot[..counts].iter_mut().zip(words).for_each(|(all, more)| *all = all.wrapping_add(*more));
        for (sum, number) in self.numbers.iter().enumerate() {
            let at = self.words.sum(sum);
            match number {
                Number::Whole { .. } => add_whole(slot, at, whole(words, at)),
                Number::Float => add_float(slot, at, f64::from_bits(words[at])),
            }
            let at = self.words.gross(sum);
            add_float(slot, at, f64::from_bits(words[at]));
        }
    }

    /// Whether this sum is kept without signs as well.
    pub(super) fn is_signed(&self, sum: usize) -> bool {
        self.signed[sum]
    }

    /// Keeps this sum without signs as well; so far all numbers had none.
    pub(super) fn sign(&mut self, sum: usize) {
        if std::mem::replace(&mut self.signed[sum], true) {
            return;
        }
        let (number, words) = (self.numbers[sum], self.words);
        for slot in self.slots.chunks_exact_mut(words.width) {
            slot[words.gross(sum)] = float_of(slot, words.sum(sum), number).to_bits();
        }
    }

    /// Keeps this sum as it is only, where no number has had a sign.
    pub(super) fn unsign(&mut self, sum: usize) {
        self.signed[sum] = false;
    }

    /// Takes in what was kept of the group elsewhere: whether it was by places, how many entities there were, and the
    /// words of each.
    ///
    /// # Errors
    /// Where there are more slots than can be counted.
    pub(super) fn merge<'w>(
        &mut self,
        group: usize,
        places: Option<u32>,
        entries: impl Iterator<Item = (u64, &'w [u64])>,
    ) -> Result<()> {
        if let Some(theirs) = places {
            self.count_places(group)?;
            if let Group::Places { entities, .. } = &mut self.groups[group] {
                *entities = theirs.max(*entities);
            }
        }
        for (entity, words) in entries {
            let slot = self.slot(group, entity)?;
            self.add(slot as usize * self.words.width, words);
        }
        Ok(())
    }

    pub(super) fn emitted(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.groups.len(),
            EmitTo::First(groups) => groups.min(self.groups.len()),
        }
    }

    pub(super) fn group(&self, group: usize) -> OfGroup<'_> {
        OfGroup { kept: self, group: self.groups[group] }
    }

    /// Each entity of a group, or each place that somebody has, and what is kept of it.
    pub(super) fn entries(&self, group: usize) -> Vec<(u64, &[u64])> {
        match self.groups[group] {
            apart @ Group::Apart { .. } => {
                let slots = self.list(apart).into_iter();
                slots.map(|slot| (self.owners[slot as usize].entity, self.of_slot(slot))).collect()
            }
            Group::Places { first, .. } => {
                let places = (0..TRACE_PLACES as u32).map(|place| (u64::from(place), self.of_slot(first + place)));
                places.filter(|(_, words)| words[ROWS] > 0).collect()
            }
        }
    }

    /// Forgets the first groups.
    pub(super) fn forget(&mut self, groups: usize) {
        if groups == self.groups.len() {
            let gone = self.gone + groups as u64;
            *self = Self { gone, ..Self::empty(self.words, self.by_places, std::mem::take(&mut self.numbers)) };
            return;
        }
        for group in self.groups.drain(..groups).collect::<Vec<_>>() {
            match group {
                Group::Apart { .. } => self.list(group).into_iter().for_each(|slot| self.give_up(slot)),
                Group::Places { first, .. } => {
                    self.clear(first, TRACE_PLACES);
                    self.free_places.push(first);
                }
            }
        }
        self.gone += groups as u64;
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
            + self.owners.capacity() * size_of::<Owner>()
            + (self.next.capacity() + self.free.capacity() + self.free_places.capacity()) * size_of::<u32>()
            + self.table.allocation_size()
            + self.groups.capacity() * size_of::<Group>()
    }
}

/// A sum as a float, as its digits stand.
fn float_of(words: &[u64], at: usize, number: Number) -> f64 {
    match number {
        Number::Whole { .. } => whole(words, at) as f64,
        Number::Float => f64::from_bits(words[at]),
    }
}

impl OfGroup<'_> {
    /// How many entities were counted one by one before places were, where they are.
    pub(super) fn places(&self) -> Option<u32> {
        match self.group {
            Group::Apart { .. } => None,
            Group::Places { entities, .. } => Some(entities),
        }
    }

    /// A sum of an entity as it is.
    pub(super) fn sum(&self, words: &[u64], sum: usize) -> f64 {
        float_of(words, self.kept.words.sum(sum), self.kept.numbers[sum])
    }

    /// The same without signs.
    pub(super) fn gross(&self, words: &[u64], sum: usize) -> f64 {
        if self.kept.signed[sum] { f64::from_bits(words[self.kept.words.gross(sum)]) } else { self.sum(words, sum) }
    }
}
