//! What has to be where: every write that was acknowledged, and which others its writer knew of.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{Dot, Hlc, Vector};

use crate::batch::Changes;
use crate::reader::Visible;
use crate::tables::{RowRule, Rule};

/// Serial and peak.
pub(crate) type Item = (i64, i64);

/// What a row of stock becomes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stock {
    pub(crate) serial: i64,
    /// By how much the count is more than the one that its writer saw.
    pub(crate) added: i64,
    pub(crate) count: i64,
}

/// What a card becomes: both its sides, and which of them differ from those that its writer saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Card {
    pub(crate) values: [i64; 2],
    pub(crate) changed: [bool; 2],
}

/// One batch that a region took.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) dot: Dot,
    pub(crate) hlc: Hlc,
    /// The writes that its writer had, by their position in the model.
    pub(crate) knew: BTreeSet<usize>,
    pub(crate) changes: Changes,
}

/// All writes, in the order in which they were acknowledged.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) rule: Rule,
    pub(crate) writes: Vec<Write>,
    /// Serials of items that were written with the further column.
    pub(crate) wide: BTreeSet<i64>,
    /// The writes that made up each card that was written over, by the write and the card.
    made_up: BTreeMap<(usize, i64), BTreeSet<usize>>,
}

impl Model {
    pub(crate) fn new(rule: Rule) -> Self {
        Self { rule, writes: Vec::new(), wide: BTreeSet::new(), made_up: BTreeMap::new() }
    }

    pub(crate) fn push(&mut self, write: Write) {
        for id in write.changes.cards.keys() {
            let made_up = self.made_up_by(&write.knew, *id);
            self.made_up.insert((self.writes.len(), *id), made_up);
        }
        self.writes.push(write);
    }

    /// The writes that a vector means.
    pub(crate) fn meant(&self, vector: &Vector) -> BTreeSet<usize> {
        (0..self.writes.len()).filter(|at| vector.contains(&self.writes[*at].dot)).collect()
    }

    /// Refuses a set of writes that lacks one which a writer among them knew of.
    pub(crate) fn check_closed(&self, meant: &BTreeSet<usize>) -> Result<(), String> {
        let missing = meant.iter().find_map(|at| Some((at, self.writes[*at].knew.difference(meant).next()?)));
        match missing {
            None => Ok(()),
            Some((at, lacks)) => {
                Err(format!("{} counts without {}, which it follows", self.writes[*at].dot, self.writes[*lacks].dot))
            }
        }
    }

    /// Of the writes of a row among these, those that none of them was written over, the last one last.
    fn standing(&self, meant: &BTreeSet<usize>, is_of_row: impl Fn(&Changes) -> bool) -> Vec<usize> {
        let of: Vec<usize> = meant.iter().copied().filter(|at| is_of_row(&self.writes[*at].changes)).collect();
        let is_over = |at: &usize| of.iter().any(|other| self.writes[*other].knew.contains(at));
        let mut standing: Vec<usize> = of.iter().copied().filter(|at| !is_over(at)).collect();
        standing.sort_by_key(|at| self.moment(*at));
        standing
    }

    /// Of how many rows of stock, and of cards, several versions stand beside each other.
    pub(crate) fn beside(&self, meant: &BTreeSet<usize>) -> (usize, usize) {
        let several = |is_of_row: &dyn Fn(&Changes, i64) -> bool| {
            let is_several = |id: &i64| self.standing(meant, |changes| is_of_row(changes, *id)).len() > 1;
            (0..12).filter(is_several).count()
        };
        let stocks = several(&|changes, id| changes.stocks.contains_key(&id));
        (stocks, several(&|changes, id| changes.cards.contains_key(&id)))
    }

    fn moment(&self, at: usize) -> (Hlc, Dot) {
        (self.writes[at].hlc, self.writes[at].dot.clone())
    }

    /// Of the writes of an item or a row of stock among these that none of them was written over, the one that is seen,
    /// and the others.
    pub(crate) fn ranked(
        &self,
        meant: &BTreeSet<usize>,
        is_of_row: impl Fn(&Changes) -> bool,
    ) -> (Option<usize>, Vec<usize>) {
        let mut standing = self.standing(meant, is_of_row);
        if standing.is_empty() {
            return (None, standing);
        }
        let seen = match self.rule.row {
            RowRule::Last => standing.len() - 1,
            RowRule::First => 0,
            RowRule::Origin => {
                let region = |at: &usize| &self.writes[*at].dot.origin.region;
                let first = standing.iter().map(region).min();
                standing.iter().rposition(|at| Some(region(at)) == first).unwrap()
            }
        };
        (Some(standing.remove(seen)), standing)
    }

    /// What an item has to be where exactly these writes count.
    fn item(&self, meant: &BTreeSet<usize>, id: i64) -> Option<Item> {
        let (seen, others) = self.ranked(meant, |changes| changes.items.contains_key(&id));
        let (serial, peak) = self.writes[seen?].changes.items[&id]?;
        let peaks = others.iter().filter_map(|at| Some(self.writes[*at].changes.items[&id]?.1));
        let greatest = peaks.chain([peak]).max().filter(|_| self.rule.peaks);
        Some((serial, greatest.unwrap_or(peak)))
    }

    /// Serial of a row of stock, and its count where it was never deleted: then all that was added anywhere, once.
    fn stock(&self, meant: &BTreeSet<usize>, id: i64) -> Option<(i64, Option<i64>)> {
        let (seen, _) = self.ranked(meant, |changes| changes.stocks.contains_key(&id));
        let serial = self.writes[seen?].changes.stocks[&id]?.serial;
        let all = meant.iter().filter_map(|at| self.writes[*at].changes.stocks.get(&id));
        let count = all.map(|stock| Some(stock.as_ref()?.added)).sum();
        Some((serial, count))
    }

    /// A card has, on each side, the last change of those that made it up.
    fn card(&self, meant: &BTreeSet<usize>, id: i64) -> Option<[i64; 2]> {
        let last = *self.standing(meant, |changes| changes.cards.contains_key(&id)).last()?;
        self.writes[last].changes.cards[&id]?;
        let made_up = self.made_up_by(meant, id);
        let side = |side: usize| {
            let of = |at: &usize| {
                let card = self.writes[*at].changes.cards[&id].filter(|card| card.changed[side])?;
                Some((self.moment(*at), card.values[side]))
            };
            made_up.iter().filter_map(of).max().unwrap().1
        };
        Some([side(0), side(1)])
    }

    /// The writes that a card is made up of: those that stand, and those that made up what each was written over.
    fn made_up_by(&self, meant: &BTreeSet<usize>, id: i64) -> BTreeSet<usize> {
        let standing = self.standing(meant, |changes| changes.cards.contains_key(&id));
        let is_card = |at: &usize| self.writes[*at].changes.cards[&id].is_some();
        if !standing.last().is_some_and(is_card) {
            return BTreeSet::new();
        }
        let live = standing.into_iter().filter(is_card);
        live.flat_map(|at| self.made_up[&(at, id)].iter().copied().chain([at])).collect()
    }

    /// What has to be seen where exactly these writes count. What is uncertain is as it is in `seen`.
    pub(crate) fn visible(&self, meant: &BTreeSet<usize>, seen: &Visible) -> Visible {
        let ids = |of: fn(&Changes) -> Vec<i64>| -> BTreeSet<i64> {
            meant.iter().flat_map(|at| of(&self.writes[*at].changes)).collect()
        };
        let items = ids(|changes| changes.items.keys().copied().collect());
        let stocks = ids(|changes| changes.stocks.keys().copied().collect());
        let cards = ids(|changes| changes.cards.keys().copied().collect());
        let count =
            |id, count: Option<i64>| count.or(seen.stocks.get(&id).map(|(_, count)| *count)).unwrap_or_default();
        let stock = |id| self.stock(meant, id).map(|(serial, known)| (id, (serial, count(id, known))));
        let items: BTreeMap<i64, Item> = items.into_iter().filter_map(|id| Some((id, self.item(meant, id)?))).collect();
        let serials = items.iter().map(|(id, (serial, _))| (*id, *serial));
        let mut visible = Visible {
            added: serials.filter(|(_, serial)| self.wide.contains(serial)).collect(),
            items,
            stocks: stocks.into_iter().filter_map(stock).collect(),
            cards: cards.into_iter().filter_map(|id| Some((id, self.card(meant, id)?))).collect(),
            events: BTreeMap::new(),
        };
        for serial in meant.iter().flat_map(|at| &self.writes[*at].changes.events) {
            *visible.events.entry(*serial).or_default() += 1;
        }
        visible
    }
}
