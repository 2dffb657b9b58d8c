//! What was released to whom, so that nobody gets at too few entities by putting answers together.
//!
//! Whoever has two sums over nearly the same rows has the difference as well, which is a sum over the few rows that are
//! in one of them only. So a release has to differ from every earlier one of the same tenant by as many entities as any
//! group needs, none of which contributes too much of the difference, or by none; and so has every combination of the
//! latest ones.

mod head;
mod span;
mod trace;

use std::collections::BTreeMap;

pub use trace::{Difference, Needs, TRACE_PLACES, Trace, mark};

use head::Head;
use span::Span;

/// Latest releases with one definition that are looked at before all others.
const SAME_MAX: usize = 4;

/// A released group, or several as one, by the rows of one table that stand behind one of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Released {
    /// What it is compared with: the rows of a table, which is a dataset or a mapper, or sums of one of its columns.
    pub pool: String,
    /// Says which rows they have to be, whatever rows there are; of several groups as one, the sum of theirs.
    pub definition: u64,
    /// The rows.
    pub trace: Trace,
}

/// All that was released lately, by tenant and pool.
#[derive(Debug)]
pub struct Releases {
    known: BTreeMap<(String, String), Known>,
    /// Groups of one tenant and pool that are compared one by one.
    groups_max: usize,
    groups: usize,
}

#[derive(Debug, Default)]
struct Known {
    /// Folded to the least length that tells as many entities apart as each of them needs.
    folded: Vec<(u64, Trace)>,
    /// The definitions of these by themselves.
    definitions: Vec<u64>,
    /// The first places of each of these.
    heads: Vec<Head>,
    /// The latest, by all their places.
    span: Span,
}

/// Traces that are released together up to which combinations of them are looked at, and not only pairs.
const COMBINED_MAX: usize = 32;

/// Which of the traces, released together, come too near to one before them, or, where they are few, to what can be made
/// of those: what a sum over one and a sum over the other differ by is of few entities where most have the same in both.
pub fn near_each_other(traces: &[Trace], needs: Needs) -> Vec<bool> {
    if traces.len() <= COMBINED_MAX {
        let mut earlier = Releases::new(traces.len());
        let near = traces.iter().zip(0..).map(|(trace, definition)| {
            let released = Released { pool: String::new(), definition, trace: trace.clone() };
            let is_near = earlier.compare("", &released, needs) == Difference::TooFew;
            earlier.remember("", released, needs.minimum_entities);
            is_near
        });
        return near.collect();
    }
    let folded: Vec<Trace> = traces.iter().map(|trace| trace.folded_for(needs.minimum_entities)).collect();
    let heads: Vec<Head> = folded.iter().map(Head::of).collect();
    let is_near = |one: usize, other: usize| {
        !heads[one].differs_enough(&heads[other], needs)
            && folded[one].difference(&folded[other], needs) == Difference::TooFew
    };
    (0..traces.len()).map(|one| (0..one).any(|other| is_near(one, other))).collect()
}

impl Releases {
    /// Nothing yet. Of one tenant and pool at most `groups_max` groups are remembered.
    pub fn new(groups_max: usize) -> Self {
        Self { known: BTreeMap::new(), groups_max, groups: 0 }
    }

    /// Groups that are remembered.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// How this release differs from what can be made of earlier ones to the same tenant: [`Difference::None`] where
    /// it has been released before, and else [`Difference::TooFew`] before [`Difference::Enough`].
    pub fn compare(&self, tenant: &str, released: &Released, needs: Needs) -> Difference {
        let Some(known) = self.known.get(&(tenant.to_owned(), released.pool.clone())) else {
            return Difference::Enough;
        };
        let folded = released.trace.folded_for(needs.minimum_entities);
        // Most often a question is asked again, of the same rows.
        let same = known.definitions.iter().zip(&known.folded).rev().filter(|(one, _)| **one == released.definition);
        if same.take(SAME_MAX).any(|(_, (_, other))| folded.difference(other, needs) == Difference::None) {
            return Difference::None;
        }
        let head = Head::of(&folded);
        let mut nearest = Difference::Enough;
        for ((definition, other), its_head) in known.folded.iter().zip(&known.heads) {
            if head.differs_enough(its_head, needs) {
                continue;
            }
            match folded.difference(other, needs) {
                // What the tenant has already tells nothing, whatever else is near it.
                Difference::None if !needs.strict || *definition == released.definition => return Difference::None,
                // That it is the same, and not more or less by one, tells as much as the one would.
                Difference::None | Difference::TooFew => nearest = Difference::TooFew,
                Difference::Enough => {}
            }
        }
        match nearest {
            Difference::Enough => known.span.difference(&released.trace, needs),
            near => near,
        }
    }

    /// Notes a release that needed `minimum_entities`. The oldest are forgotten where there are too many.
    pub fn remember(&mut self, tenant: &str, released: Released, minimum_entities: u64) {
        let known = self.known.entry((tenant.to_owned(), released.pool)).or_default();
        let folded = released.trace.folded_for(minimum_entities);
        known.definitions.push(released.definition);
        known.heads.push(Head::of(&folded));
        known.folded.push((released.definition, folded));
        known.span.take_in(&released.trace);
        self.groups += 1;
        if known.folded.len() > self.groups_max {
            // A tenth at a time, so that forgetting costs little.
            let gone = known.folded.len() - self.groups_max + self.groups_max / 10;
            known.folded.drain(..gone);
            known.definitions.drain(..gone);
            known.heads.drain(..gone);
            self.groups -= gone;
        }
    }
}
