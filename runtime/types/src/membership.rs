//! Who belongs to a replication set: what its log says of regions that come, come back, and are given up.
//!
//! A member is a **life** of a region: its log under one epoch. The regions in the set's file have their first life from
//! the start. All other changes are entries of the set's own log, so that they take effect at the same point of cause
//! and effect everywhere.

use std::collections::BTreeMap;

use crate::{Dot, Mark, Origin, Vector};

/// Epochs from one life that was given out to the next. Those in between are stores that came back from a backup.
const GENERATION: u32 = 1 << 20;

/// A change of the members, as an entry of the set's log carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A region comes, or comes back, with a snapshot that has this entry.
    Join {
        /// The log that it will write.
        life: Origin,
    },
    /// Who has this entry takes nothing more of a log but what others took before.
    Freeze {
        /// The log.
        life: Origin,
    },
    /// A log ends: what is behind never counts anywhere.
    Fence {
        /// The log.
        life: Origin,
        /// Its last entry that counts.
        seq: u64,
    },
}

/// What the log says of one life of a region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Life {
    /// What its first entry follows at least; none where no entry let it in.
    pub joined: Option<Vector>,
    /// The entries that froze it; none where it is not frozen.
    pub frozen: Option<Vector>,
    /// The last of its entries that counts, where it has ended.
    pub fenced: Option<u64>,
}

/// What the log says of the members. Of a set without such entries nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members(BTreeMap<Origin, Life>);

impl Origin {
    /// Which of the region's lives that were given out it is: 0 for its first. A store that came back from a backup is
    /// in the same one, under a greater epoch.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.epoch / GENERATION
    }

    /// A life of the same region after all of `generation`, given out by the entry `by`.
    ///
    /// Two members may give out lives without knowing of each other's. So the epoch is derived from the entry, and no
    /// two are the same, unless 20 bits of checksums of different entries are.
    #[must_use]
    pub fn after(&self, generation: u32, by: &Dot) -> Option<Self> {
        // FNV-1a: this crate has no checksums, and nobody gains anything by a collision.
        let hash = by
            .to_string()
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let epoch =
            generation.checked_add(1)?.checked_mul(GENERATION)?.checked_add((hash ^ hash >> 20) % GENERATION)?;
        Some(Self { region: self.region.clone(), epoch })
    }
}

impl Members {
    /// Nothing is said.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// What is said of these lives.
    #[must_use]
    pub fn of(lives: impl IntoIterator<Item = (Origin, Life)>) -> Self {
        Self(lives.into_iter().collect())
    }

    /// The lives that something is said of.
    pub fn iter(&self) -> impl Iterator<Item = (&Origin, &Life)> {
        self.0.iter()
    }

    /// What is said of a life.
    #[must_use]
    pub fn get(&self, life: &Origin) -> Option<&Life> {
        self.0.get(life)
    }

    /// Takes note of an entry that counts now. In whichever order entries come that do not follow each other, the
    /// outcome is the same.
    pub fn apply(&mut self, mark: &Mark) {
        let Some(change) = &mark.change else { return };
        match change {
            Change::Join { life } => {
                let mut start = mark.follows.clone();
                start.advance(&mark.dot.origin, mark.dot.seq);
                let joined = &mut self.0.entry(life.clone()).or_default().joined;
                match joined {
                    // Nobody knows which of the snapshots it starts from.
                    Some(joined) => joined.meet(&start),
                    None => *joined = Some(start),
                }
            }
            Change::Freeze { life } => {
                let frozen = &mut self.0.entry(life.clone()).or_default().frozen;
                frozen.get_or_insert_default().advance(&mark.dot.origin, mark.dot.seq);
            }
            Change::Fence { life, seq } => {
                let fenced = &mut self.0.entry(life.clone()).or_default().fenced;
                *fenced = Some(fenced.map_or(*seq, |known| known.max(*seq)));
            }
        }
    }

    /// Whether a life is frozen or has ended: nobody takes what it writes now. So it is with a store that came back from a
    /// backup of such a life.
    #[must_use]
    pub fn is_out(&self, life: &Origin) -> bool {
        let is_out = |said: &Life| said.frozen.is_some() || said.fenced.is_some();
        let went_on = |(other, said): (&Origin, &Life)| {
            other.region == life.region
                && other.generation() == life.generation()
                && other.epoch < life.epoch
                && is_out(said)
        };
        match self.get(life) {
            Some(said) if is_out(said) => true,
            Some(said) if said.joined.is_some() => false,
            _ => self.iter().any(went_on),
        }
    }

    /// The last entry of a life that counts, where it has ended.
    #[must_use]
    pub fn fenced(&self, life: &Origin) -> Option<u64> {
        self.get(life)?.fenced
    }

    /// Whether an entry counts nowhere and never will: it is behind the end of its log, or follows what is behind the end
    /// of another.
    #[must_use]
    pub fn is_void(&self, mark: &Mark) -> bool {
        self.fenced(&mark.dot.origin).is_some_and(|end| mark.dot.seq > end) || self.has_ended_before(&mark.follows)
    }

    /// Whether a vector means entries that are behind the end of their log.
    #[must_use]
    pub fn has_ended_before(&self, vector: &Vector) -> bool {
        vector.iter().any(|(life, seq)| self.fenced(life).is_some_and(|end| seq > end))
    }

    /// The lives that are frozen and have not ended, with the entries that froze them.
    pub fn freezing(&self) -> impl Iterator<Item = (&Origin, &Vector)> {
        let open = self.0.iter().filter(|(_, life)| life.fenced.is_none());
        open.filter_map(|(origin, life)| Some((origin, life.frozen.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hlc;

    fn origin(region: &str, epoch: u32) -> Option<Origin> {
        Some(Origin { region: region.parse().ok()?, epoch })
    }

    fn mark(region: &str, seq: u64, change: Change) -> Option<Mark> {
        let dot = Dot { origin: origin(region, 0)?, seq };
        let set = "catalog".parse().ok()?;
        Some(Mark { set, dot, hlc: Hlc::default(), follows: Vector::new(), change: Some(change) })
    }

    #[test]
    fn the_order_of_entries_that_do_not_follow_each_other_does_not_matter() -> Result<(), &'static str> {
        let marks = || {
            let life = origin("c", 0)?;
            Some([
                mark("a", 1, Change::Join { life: life.clone() })?,
                mark("b", 1, Change::Join { life: life.clone() })?,
                mark("a", 2, Change::Freeze { life: life.clone() })?,
                mark("b", 2, Change::Freeze { life: life.clone() })?,
                mark("a", 3, Change::Fence { life: life.clone(), seq: 3 })?,
                mark("b", 3, Change::Fence { life, seq: 2 })?,
            ])
        };
        let marks = marks().ok_or("names")?;
        let (mut there, mut back) = (Members::new(), Members::new());
        marks.iter().for_each(|mark| there.apply(mark));
        marks.iter().rev().for_each(|mark| back.apply(mark));
        assert_eq!(there, back);
        let life = origin("c", 0).ok_or("name")?;
        assert!(there.is_out(&life) && there.fenced(&life) == Some(3) && there.freezing().next().is_none());
        Ok(())
    }

    #[test]
    fn lives_that_different_entries_give_out_differ() -> Result<(), &'static str> {
        let lives = || {
            let (a, b, c) = (origin("a", 0)?, origin("b", 0)?, origin("c", 0)?);
            let dots = [(&a, 1), (&a, 2), (&b, 1), (&b, 2)];
            dots.map(|(by, seq)| c.after(c.generation(), &Dot { origin: by.clone(), seq }))
                .into_iter()
                .collect::<Option<Vec<Origin>>>()
        };
        let mut lives = lives().ok_or("names")?;
        assert!(lives.iter().all(|life| life.generation() == 1));
        lives.sort();
        lives.dedup();
        assert_eq!(lives.len(), 4);
        Ok(())
    }
}
