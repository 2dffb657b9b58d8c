//! Mistakes that can be made on purpose, so that the simulation shows that it would notice them.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "planted-bugs"), expect(unreachable_pub, reason = "only tests with the feature name it"))]
pub enum Planted {
    /// What is stable is learned from what the others say that they have, not from their logs.
    HeardElsewhere,
    /// Deletions are forgotten before they are stable.
    ForgetsEarly,
    /// Of versions of one moment the one that comes later counts.
    TiesByArrival,
    /// A region that writes nothing never says what it has applied.
    Silent,
    /// An entry that comes twice makes its log suspect, and is the last one taken of it.
    RepetitionIsPoison,
    /// The row that versions come to only says what the last of them changed, so that whoever writes over it counts as
    /// the one who changed the rest.
    CountsTwice,
    /// An entry counts before those that it follows.
    EffectsBeforeCauses,
    /// A region that comes back writes the log that it wrote before.
    EpochReuse,
    /// A snapshot is made before the log says that somebody starts from it.
    SnapshotBeforeJoin,
    /// A log ends where whoever is asked has it, whatever others have of it.
    FenceAtOnce,
}

/// The mistake that is made, if any.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mistake(#[cfg(feature = "planted-bugs")] pub(crate) Option<Planted>);

impl Mistake {
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn is(self, planted: Planted) -> bool {
        self.0 == Some(planted)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "without the feature there are no mistakes to look up")]
    pub(crate) fn is(self, _: Planted) -> bool {
        false
    }
}
