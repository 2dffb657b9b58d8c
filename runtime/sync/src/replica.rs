//! One region's part in one replication set: whom it asks for what, what it answers, what it holds and lets go.

use std::collections::{BTreeMap, BTreeSet};

use domicile_store::{Entry, SetState, Store, StoreError};
use domicile_types::{Change, Mark, Origin, RegionId, ReplicationSet, Vector, limits};

use crate::budget::Budget;
use crate::freshness::Freshness;
use crate::lag::{Horizon, LogLag};
use crate::link::{Link, Refusal};
use crate::message::{Answer, News, Pull};
use crate::pause::Pauses;
use crate::pending::{Due, Pending};
use crate::planted::{Mistake, Planted};
use crate::standing::Standing;
use crate::{SyncError, membership, stability};

/// One region's part in one replication set.
#[derive(Debug)]
pub struct Replica {
    pub(crate) set: ReplicationSet,
    pub(crate) me: RegionId,
    pub(crate) links: BTreeMap<RegionId, Link>,
    pub(crate) pending: Pending,
    horizon: Horizon,
    pauses: Pauses,
    /// When this region last wrote an entry, or had nothing to say.
    quiet_since_ms: u64,
    /// Why what has come could not be applied; none where it could.
    parked: Option<String>,
    /// Of copies.
    freshness: Freshness,
    pub(crate) standing: Standing,
    /// Since when it is asked whether this region wrote anything before.
    pub(crate) unsure_since_ms: Option<u64>,
    /// Whether another region is known to have entries.
    pub(crate) has_begun: bool,
    /// Bytes of entries that are kept for each other region, and when that was looked at.
    kept_for: (BTreeMap<RegionId, u64>, u64),
    retained_bytes_max: u64,
    mistake: Mistake,
}

/// How a region's part in a set is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Entries that have come and cannot be applied yet.
    pub pending: usize,
    /// Bytes of them.
    pub pending_bytes: usize,
    /// The other regions, and when each last answered or asked, in Unix milliseconds.
    pub heard_ms: BTreeMap<RegionId, Option<u64>>,
    /// What each other region is known to have for good.
    pub acked: BTreeMap<RegionId, Vector>,
    /// Why what has come cannot be applied.
    pub parked: Option<String>,
    /// How far this region is behind each log.
    pub lags: Vec<LogLag>,
    /// What is paused here.
    pub pauses: Pauses,
    /// The regions that ask this one for nothing, since it is paused there, and since when.
    pub paused_ms: BTreeMap<RegionId, u64>,
    /// The regions that give nothing, and why.
    pub refusals: BTreeMap<RegionId, Refusal>,
    /// Whether it takes part. Only a member takes writes.
    pub standing: Standing,
    /// Bytes of entries that are kept since a region has not got them or has not said so in its log: the one with the most
    /// holds the others up.
    pub kept_for: BTreeMap<RegionId, u64>,
    /// Whether this region has to take no writes: it is no member now, or so many others find its clock ahead.
    pub is_fenced: bool,
}

impl Replica {
    /// The part of the region `me`, which knows nothing of the others yet.
    #[must_use]
    pub fn new(set: ReplicationSet, me: RegionId) -> Self {
        let others = set.regions.iter().filter(|region| **region != me);
        // Copies come from the home alone, so that it knows of each.
        let others = others.filter(|region| set.copied_from(&me).is_none_or(|home| home == *region));
        let links = others.map(|region| (region.clone(), Link::default())).collect();
        Self {
            set,
            me,
            links,
            pending: Pending::default(),
            horizon: Horizon::default(),
            pauses: Pauses::default(),
            quiet_since_ms: 0,
            parked: None,
            freshness: Freshness::default(),
            standing: Standing::Unsure,
            unsure_since_ms: None,
            has_begun: false,
            kept_for: (BTreeMap::new(), 0),
            retained_bytes_max: limits::RETAINED_LOG_BYTES_MAX,
            mistake: Mistake::default(),
        }
    }

    /// The same, with at most so many bytes a second from a region.
    #[must_use]
    pub fn limited(mut self, region: &RegionId, bytes_per_s: u64) -> Self {
        if let Some(link) = self.links.get_mut(region) {
            link.budget = Some(Budget::new(bytes_per_s));
        }
        self
    }

    /// The same, making a mistake.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn planted(mut self, planted: Option<Planted>) -> Self {
        self.mistake = Mistake(planted);
        self.pending.mistake = self.mistake;
        self
    }

    /// The same, keeping at most so many bytes of entries for regions that do not fetch them.
    #[must_use]
    pub fn retaining(mut self, bytes_max: u64) -> Self {
        self.retained_bytes_max = bytes_max;
        self
    }

    /// The same, of a region that is to start from a snapshot: it lost its disk. It must not go on with a log of which
    /// others may have more than it has.
    #[must_use]
    pub fn anew(mut self) -> Self {
        self.standing = Standing::New;
        self
    }

    /// The replication set.
    #[must_use]
    pub fn set(&self) -> &ReplicationSet {
        &self.set
    }

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

    /// Pauses what these name, and nothing else. Other regions are still answered.
    pub fn pause(&mut self, pauses: Pauses) {
        self.pauses = pauses;
    }

    /// What is paused.
    #[must_use]
    pub fn pauses(&self) -> &Pauses {
        &self.pauses
    }

    /// The moment by this region's clock that its copies are of: all that their home had written by then counts here. None
    /// before they have caught up for the first time.
    pub fn as_of_ms(&mut self, state: &SetState) -> Option<u64> {
        self.freshness.reached_ms(&state.applied)
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

    /// Entries that can be applied one after the other, before anything else is committed. None where this region has to
    /// start from a snapshot: what it asked for one with must not grow.
    pub fn ready(&mut self, state: &SetState, now_ms: u64) -> Vec<Entry> {
        if self.standing != Standing::Member {
            return Vec::new();
        }
        self.pending.prune(&state.applied);
        if self.pauses.whole_ms.is_some() {
            return Vec::new();
        }
        let latest_ms = now_ms.saturating_add(limits::CLOCK_DRIFT_MS_MAX);
        let is_held = |origin: &Origin| self.pauses.holds(origin);
        let due = Due { members: &state.members, latest_ms, is_held: &is_held };
        self.pending.take(&state.applied, &due, limits::APPLY_ENTRIES_MAX)
    }

    /// Takes out the entries that have come and lie behind the end of their logs, for
    /// [`Store::set_aside`](domicile_store::Store::set_aside).
    pub fn strays(&mut self, state: &SetState) -> Vec<Entry> {
        self.pending.strays(&state.members)
    }

    /// Takes note of why entries could not be applied; none where nothing kept them. Says whether that is new.
    pub fn park(&mut self, problem: Option<String>) -> bool {
        let is_new = self.parked != problem;
        self.parked = problem;
        is_new
    }

    /// Puts entries back that could not be applied.
    pub fn put_back(&mut self, entries: Vec<Entry>, state: &SetState) {
        for entry in entries {
            self.pending.push(entry, &state.applied);
        }
    }

    /// Answers a question of `region`; none where there is nothing to say yet, so that it should be answered later.
    ///
    /// # Errors
    /// Where the entries cannot be read.
    pub fn answer(&mut self, region: &RegionId, pull: &Pull, store: &Store) -> Result<Option<Answer>, SyncError> {
        let state = store.set_state(&self.set.name);
        let writes = Origin { region: region.clone(), epoch: pull.epoch };
        let gives = pull.set == self.set.name && self.set.is_own_of(&self.me);
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

    /// Lets go of what nobody needs any more. Says whether this region has to say in its log what it has applied, by an
    /// entry without rows: the others wait for that to know what is stable.
    pub fn tick(&mut self, store: &mut Store, me: &Origin, now_ms: u64) -> bool {
        self.look(store.set_state(&self.set.name), me, now_ms);
        let state = store.set_state(&self.set.name);
        let mut delivered = state.applied.clone();
        if self.set.home.is_some() {
            // Where one region writes, nothing comes that does not know of all before it.
            if self.set.is_own_of(&self.me) {
                self.links.values().for_each(|link| delivered.meet(&link.acked));
            }
            let applied = state.applied.clone();
            store.release(&self.set.name, &applied, &delivered, self.retained_bytes_max);
            return false;
        }
        let mut stable = stability::stable(state, me, &self.set.regions);
        let lives = stability::lives(state, &self.set.regions);
        let open: BTreeSet<&RegionId> =
            lives.keys().filter(|life| !state.members.is_out(life)).map(|life| &life.region).collect();
        let open_links = self.links.iter().filter(|(region, _)| open.contains(region));
        open_links.for_each(|(_, link)| delivered.meet(&link.acked));
        if self.mistake.is(Planted::HeardElsewhere) {
            stable.clone_from(&delivered);
        } else if self.mistake.is(Planted::ForgetsEarly) {
            stable.clone_from(&state.applied);
        }
        let unheard = state.written.iter().any(|(origin, _)| stability::is_unheard(state, me, origin));
        let (owes, is_member) = (membership::owes(state, me), self.standing == Standing::Member);
        self.weigh(store, &lives, now_ms);
        store.release(&self.set.name, &stable, &delivered, self.retained_bytes_max);
        if !unheard {
            self.quiet_since_ms = now_ms;
        }
        let since_ms = self.quiet_since_ms.min(now_ms);
        let rested = !self.mistake.is(Planted::Silent) && now_ms - since_ms >= limits::HEARTBEAT_MS;
        is_member && (owes || unheard && rested)
    }

    /// The changes of the members that this region has to log now, with [`log_change`](crate::log_change).
    #[must_use]
    pub fn changes(&self, state: &SetState, me: &Origin) -> Vec<Change> {
        if self.standing == Standing::Member { membership::due(&self.set, state, me) } else { Vec::new() }
    }

    /// The changes to log so that a region is given up: it is dead, or cut off for too long. It takes effect once all
    /// others have been reached, but for those that are given up too. What the region wrote and nobody got is set aside
    /// there, should it come back.
    ///
    /// # Errors
    /// Where the region has no log that could be given up, or is this one.
    pub fn give_up(&self, region: &RegionId, state: &SetState) -> Result<Vec<Change>, SyncError> {
        let changes = membership::freezing(&self.set, state, &self.me, region)?;
        if !self.mistake.is(Planted::FenceAtOnce) {
            return Ok(changes);
        }
        let at_once = |change| match change {
            Change::Freeze { life } => Change::Fence { seq: state.applied.get(&life), life },
            other => other,
        };
        Ok(changes.into_iter().map(at_once).collect())
    }

    /// Whether it takes part.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// The regions that may give a snapshot.
    pub fn others(&self) -> impl Iterator<Item = &RegionId> {
        self.links.keys()
    }

    /// Looks, once a second, for whom how much is kept.
    fn weigh(&mut self, store: &Store, lives: &BTreeMap<Origin, Vector>, now_ms: u64) {
        if now_ms.abs_diff(self.kept_for.1) < limits::HEARTBEAT_MS {
            return;
        }
        let mut kept_for = BTreeMap::new();
        for (life, follows) in lives.iter().filter(|(life, _)| life.region != self.me) {
            let mut has = follows.clone();
            if let Some(link) = self.links.get(&life.region) {
                has.meet(&link.acked);
            }
            let kept = kept_for.entry(life.region.clone()).or_default();
            *kept = store.kept_beyond(&self.set.name, &has).max(*kept);
        }
        self.kept_for = (kept_for, now_ms);
    }

    /// How many regions of `among`, this one included, have an entry of this region for good.
    #[must_use]
    pub fn copies(&self, origin: &Origin, seq: u64, among: &dyn Fn(&RegionId) -> bool) -> usize {
        1 + self.links.iter().filter(|(region, link)| among(region) && link.acked.get(origin) >= seq).count()
    }

    /// Whether this region has to take no writes: it is no member now, or so many others find its clock ahead.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        let ahead = self.links.values().filter(|link| link.ahead_ms > 0).count();
        // Where one region writes, its own order of its rows is all that counts.
        let is_ahead = self.set.home.is_none() && ahead > 0 && 2 * ahead >= self.links.len();
        is_ahead || self.standing != Standing::Member
    }

    /// How far this region is behind each log. What lies behind the end of a log is none of it.
    fn lags(&self, state: &SetState, now_ms: u64) -> Vec<LogLag> {
        let next_ms = |origin: &Origin| self.pending.next_ms(origin, &state.applied);
        let mut lags = self.horizon.lags(&state.applied, &next_ms, now_ms);
        for lag in &mut lags {
            if state.members.fenced(&lag.origin).is_some_and(|end| state.applied.get(&lag.origin) >= end) {
                (lag.entries, lag.bytes, lag.age_ms) = (0, 0, 0);
            }
        }
        lags
    }

    /// How this part is.
    #[must_use]
    pub fn status(&self, state: &SetState, now_ms: u64) -> ReplicaStatus {
        let (pending, pending_bytes) = self.pending.size();
        let links = || self.links.iter();
        ReplicaStatus {
            pending,
            pending_bytes,
            parked: self.parked.clone(),
            lags: self.lags(state, now_ms),
            pauses: self.pauses.clone(),
            paused_ms: links().filter_map(|(region, link)| Some((region.clone(), link.paused_ms?))).collect(),
            heard_ms: links().map(|(region, link)| (region.clone(), link.heard_ms)).collect(),
            acked: links().map(|(region, link)| (region.clone(), link.acked.clone())).collect(),
            refusals: links().filter_map(|(region, link)| Some((region.clone(), link.refusal?))).collect(),
            standing: self.standing,
            kept_for: self.kept_for.0.clone(),
            is_fenced: self.is_fenced(),
        }
    }
}
