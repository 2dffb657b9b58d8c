//! What has to be where: every write that was acknowledged, and which others its writer knew of.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{Dot, Hlc, Vector};

use crate::reader::Visible;
use crate::tables::{RowRule, Rule};

/// One batch that a region took.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) dot: Dot,
    pub(crate) hlc: Hlc,
    /// The writes that its writer had, by their position in the model.
    pub(crate) knew: BTreeSet<usize>,
    /// Items by id: the new serial and peak, or none where it was deleted.
    pub(crate) items: BTreeMap<i64, Option<(i64, i64)>>,
    /// Serials of events.
    pub(crate) events: Vec<i64>,
}

/// All writes, in the order in which they were acknowledged.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) rule: Rule,
    pub(crate) writes: Vec<Write>,
}

impl Model {
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

    /// Of the writes of an item among these that none of them was written over, the one that is seen, and the others.
    pub(crate) fn ranked(&self, meant: &BTreeSet<usize>, id: i64) -> (Option<usize>, Vec<usize>) {
        let of: Vec<usize> = meant.iter().copied().filter(|at| self.writes[*at].items.contains_key(&id)).collect();
        let is_over = |at: &usize| of.iter().any(|other| self.writes[*other].knew.contains(at));
        let mut standing: Vec<usize> = of.iter().copied().filter(|at| !is_over(at)).collect();
        standing.sort_by_key(|at| (self.writes[*at].hlc, self.writes[*at].dot.clone()));
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
    fn item(&self, meant: &BTreeSet<usize>, id: i64) -> Option<(i64, i64)> {
        let (seen, others) = self.ranked(meant, id);
        let (serial, peak) = self.writes[seen?].items[&id]?;
        let peaks = others.iter().filter_map(|at| Some(self.writes[*at].items[&id]?.1));
        let greatest = peaks.chain([peak]).max().filter(|_| self.rule.peaks);
        Some((serial, greatest.unwrap_or(peak)))
    }

    /// What has to be seen where exactly these writes count.
    pub(crate) fn visible(&self, meant: &BTreeSet<usize>) -> Visible {
        let mut visible = Visible::default();
        let ids: BTreeSet<i64> = meant.iter().flat_map(|at| self.writes[*at].items.keys().copied()).collect();
        for id in ids {
            if let Some(item) = self.item(meant, id) {
                visible.items.insert(id, item);
            }
        }
        for serial in meant.iter().flat_map(|at| &self.writes[*at].events) {
            *visible.events.entry(*serial).or_default() += 1;
        }
        visible
    }
}
