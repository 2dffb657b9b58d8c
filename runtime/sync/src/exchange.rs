//! What a region asks of the others of a set, takes in of what they answer, and answers itself.

use std::collections::BTreeSet;

use domicile_store::{SetState, Store, StoreError};
use domicile_types::{Mark, Origin, RegionId, Vector, limits};

use crate::link::{Link, Refusal};
use crate::message::{Answer, News, Pull};
use crate::standing::Standing;
use crate::{Replica, SyncError, stability};

impl Replica {
    /// The questions that are due. Each has to be followed by [`Replica::answered`] or [`Replica::failed`].
    ///
    /// What waits and what is asked for never comes to more than [`limits::PENDING_ENTRIES_BYTES_MAX`], apart from one
    /// entry of each region that is asked. None where this region has to start from a snapshot.
    pub fn due(&mut self, store: &Store, now_ms: u64) -> Vec<(RegionId, Pull)> {
        let (state, me) = (store.set_state(&self.set.name), store.origin());
        self.look(state, &me, now_ms);
        if self.standing.needs_snapshot() {
            return Vec::new();
        }
        // Of a log that ended, or is about to, any region may have what another one lacks.
        let told_of: BTreeSet<&RegionId> = state.members.iter().map(|(life, _)| &life.region).collect();
        let open: BTreeSet<RegionId> =
            stability::lives(state, &self.set.regions).into_keys().map(|life| life.region).collect();
        let is_cut_off =
            |(region, link): &(&RegionId, &Link)| link.failures > 0 && self.pauses.since_ms(region).is_none();
        let cut_off: Vec<RegionId> = self.links.iter().filter(is_cut_off).map(|(region, _)| region.clone()).collect();
        let asked_for: u64 = self.links.values().filter(|link| link.asked).map(|link| link.wanted).sum();
        let mut room =
            (limits::PENDING_ENTRIES_BYTES_MAX as u64).saturating_sub(self.pending.size().1 as u64 + asked_for);
        let mut pulls = Vec::new();
        // A home has all that there is.
        let links = self.links.iter_mut().filter(|_| self.set.home.as_ref() != Some(&self.me));
        for (region, link) in links {
            if link.asked || link.rests(now_ms) || !open.contains(region) || self.pauses.since_ms(region).is_some() {
                continue;
            }
            let Some(allowed) = link.budget.as_mut().map_or(Some(u64::MAX), |budget| budget.bytes(now_ms)) else {
                continue;
            };
            // One entry is always asked for: it may be the one that all others wait for.
            let bytes_max = limits::PULL_BYTES_MAX.min(allowed).min(room).max(1);
            room = room.saturating_sub(bytes_max);
            (link.asked, link.asked_ms, link.wanted) = (true, now_ms, bytes_max);
            let others = cut_off.iter().chain(told_of.iter().copied()).filter(|other| *other != region);
            let latest_ms = now_ms.saturating_add(limits::CLOCK_DRIFT_MS_MAX);
            let pull = Pull {
                set: self.set.name.clone(),
                have: state.applied.clone(),
                holds: self.pending.holds(&state.applied),
                epoch: me.epoch,
                // Its own, too: after it came back from a backup, the others have what it lost.
                regions: [region, &self.me].into_iter().chain(others).cloned().collect(),
                at_once: self.standing == Standing::Unsure,
                ahead_ms: self.pending.ahead_ms(region, latest_ms),
                bytes_max,
                reaches: store.reaches(&self.set.name, &link.acked, &|origin| origin.region == self.me),
            };
            pulls.push((region.clone(), pull));
        }
        pulls
    }

    /// Takes an answer in, of which so many bytes came over the link.
    pub fn answered(&mut self, region: &RegionId, answer: Answer, bytes: u64, state: &SetState, now_ms: u64) {
        let Some(link) = self.links.get_mut(region) else { return };
        (link.asked, link.failures, link.heard_ms, link.refusal) = (false, 0, Some(now_ms), None);
        link.budget.iter_mut().for_each(|budget| budget.take(bytes));
        if answer != Answer::NotPermitted {
            link.refused_ms = None;
        }
        match answer {
            Answer::Entries { entries, news, more } => {
                if !more {
                    self.freshness.claim(link.asked_ms, &entries);
                }
                link.paused_ms = news.paused_ms;
                if self.standing == Standing::Unsure {
                    self.has_begun |= !entries.is_empty();
                    link.is_sure = true;
                    link.retry_at_ms = now_ms.saturating_add(limits::PULL_RETRY_MS_MAX);
                }
                self.learn(news, state);
                let (mut any, mut new) = (false, false);
                for entry in entries {
                    if !self.is_taken(&entry.mark) {
                        continue;
                    }
                    (any, new) = (true, self.pending.push(entry, &state.applied) || new);
                }
                // What waits for others, or finds no room, would come at once again.
                if any && !new {
                    self.rest(region, now_ms);
                }
            }
            Answer::SnapshotRequired => {
                link.refuse(Refusal::SnapshotRequired, now_ms);
                self.standing = match self.standing {
                    // Nobody gives snapshots of rows with a home.
                    standing if self.set.home.is_some() => standing,
                    Standing::Unsure => Standing::New,
                    _ => Standing::Behind,
                };
            }
            Answer::NotPermitted => {
                link.refuse(Refusal::NotPermitted, now_ms);
                let since_ms = *link.refused_ms.get_or_insert(now_ms);
                // It was let in by a log that ended meanwhile, so that nobody knows of it.
                if self.was_let_in(state) && now_ms.saturating_sub(since_ms) >= limits::REFUSED_MS_MAX {
                    self.standing = Standing::Out;
                }
            }
            Answer::Fenced => self.standing = Standing::Out,
        }
    }

    /// Whether an entry is of the set, of a region that writes it, and not paused.
    fn is_taken(&self, mark: &Mark) -> bool {
        let origin = &mark.dot.origin;
        let writes = self.set.home.as_ref().is_none_or(|home| *home == origin.region);
        mark.set == self.set.name && writes && !self.pauses.holds(origin)
    }

    fn rest(&mut self, region: &RegionId, now_ms: u64) {
        if let Some(link) = self.links.get_mut(region) {
            link.retry_at_ms = now_ms.saturating_add(limits::PULL_REPEAT_MS);
        }
    }

    fn learn(&mut self, news: News, state: &SetState) {
        let known = |region: &RegionId| self.links.contains_key(region) || *region == self.me;
        for reach in news.reaches {
            if known(&reach.origin.region) {
                self.horizon.heard(reach, &state.applied);
            }
        }
    }

    /// Takes note that a region asked something.
    pub fn heard(&mut self, region: &RegionId, now_ms: u64) {
        if let Some(link) = self.links.get_mut(region) {
            (link.heard_ms, link.paused_ms) = (Some(now_ms), None);
        }
    }

    /// Takes note that a region did not answer.
    pub fn failed(&mut self, region: &RegionId, now_ms: u64) {
        let Some(link) = self.links.get_mut(region) else { return };
        link.asked = false;
        link.failures = link.failures.saturating_add(1);
        let wait_ms = 50_u64.saturating_mul(1 << link.failures.min(10)).min(limits::PULL_RETRY_MS_MAX);
        link.retry_at_ms = now_ms.saturating_add(wait_ms);
    }

    /// Answers a question of `region`; none where there is nothing to say yet, so that it should be answered later.
    ///
    /// # Errors
    /// Where the entries cannot be read.
    pub fn answer(&mut self, region: &RegionId, pull: &Pull, store: &Store) -> Result<Option<Answer>, SyncError> {
        let state = store.set_state(&self.set.name);
        let writes = Origin { region: region.clone(), epoch: pull.epoch };
        // Whoever has copies of a home's rows gives none of them on.
        let gives = pull.set == self.set.name && self.set.copied_from(&self.me).is_none();
        if gives && state.members.fenced(&writes).is_some() {
            return Ok(Some(Answer::Fenced));
        }
        let Some(link) = self.links.get_mut(region).filter(|_| gives) else {
            return Ok(Some(Answer::NotPermitted));
        };
        if link.epoch != pull.epoch {
            // It lost what it had.
            (link.epoch, link.acked) = (pull.epoch, Vector::default());
        }
        // It has what this region lost: nothing can be added to that.
        let is_ahead = self.set.home.is_some() && !state.applied.covers(&pull.have);
        // It has lost what it wrote, and must not go on with that log. A question that has lain here for a while does not
        // tell, unless who asks writes nothing meanwhile.
        let is_behind_itself = self.set.home.is_none()
            && pull.at_once
            && (state.applied.get(&writes) > pull.have.get(&writes) || self.pending.has_beyond(&writes, &pull.have));
        if is_ahead || is_behind_itself {
            return Ok(Some(Answer::SnapshotRequired));
        }
        link.acked.join(&pull.have);
        link.ahead_ms = pull.ahead_ms;
        let own = pull.reaches.iter().filter(|reach| reach.origin.region == *region).cloned().collect();
        self.learn(News { reaches: own, paused_ms: None }, store.set_state(&self.set.name));
        let bytes_max = pull.bytes_max.min(limits::PULL_BYTES_MAX);
        let mut known = pull.have.clone();
        known.join(&pull.holds);
        if !pull.at_once {
            // The question may have lain here for a while. What the log of whoever asks says counts as well: it had that for
            // good when it wrote.
            state.heard.get(&writes).into_iter().for_each(|follows| known.join(follows));
            known.advance(&writes, state.applied.get(&writes));
        }
        match store.locate(&self.set.name, &known, &pull.regions, bytes_max) {
            Ok(located) if located.is_empty() && !pull.at_once => Ok(None),
            Ok(located) => {
                let (entries, more) = (located.read()?, located.more);
                Ok(Some(Answer::Entries { entries, more, news: self.news(region, pull, store) }))
            }
            Err(StoreError::EntriesGone { .. }) => Ok(Some(Answer::SnapshotRequired)),
            Err(error) => Err(error.into()),
        }
    }

    /// The answer to a question to which there is nothing to say.
    #[must_use]
    pub fn nothing(&self, region: &RegionId, pull: &Pull, store: &Store) -> Answer {
        Answer::Entries { entries: Vec::new(), more: false, news: self.news(region, pull, store) }
    }

    fn news(&self, region: &RegionId, pull: &Pull, store: &Store) -> News {
        let reaches = store.reaches(&self.set.name, &pull.have, &|_| true);
        News { reaches, paused_ms: self.pauses.since_ms(region) }
    }
}
