//! One region's part in one replication set: whom it asks for what, what it answers, what it holds and lets go.

use std::collections::BTreeMap;

use domicile_store::{Entry, SetState, Store, StoreError};
use domicile_types::{Origin, RegionId, ReplicationSet, Vector, limits};

use crate::budget::Budget;
use crate::lag::{Horizon, LogLag};
use crate::message::{Answer, News, Pull};
use crate::pause::Pauses;
use crate::pending::Pending;
use crate::planted::{Mistake, Planted};
use crate::{SyncError, stability};

/// One region's part in one replication set.
#[derive(Debug)]
pub struct Replica {
    set: ReplicationSet,
    me: RegionId,
    links: BTreeMap<RegionId, Link>,
    pending: Pending,
    horizon: Horizon,
    pauses: Pauses,
    /// When this region last wrote an entry, or had nothing to say.
    quiet_since_ms: u64,
    /// Why what has come could not be applied; none where it could.
    parked: Option<String>,
    mistake: Mistake,
}

/// What is known of another region of the set.
#[derive(Debug, Default)]
struct Link {
    asked: bool,
    failures: u32,
    retry_at_ms: u64,
    /// When it last answered or asked.
    heard_ms: Option<u64>,
    /// What it said that it has for good.
    acked: Vector,
    /// By how much it finds this region's clock ahead.
    ahead_ms: u64,
    refusal: Option<Refusal>,
    /// Since when it asks this region for nothing, since it is paused there.
    paused_ms: Option<u64>,
    /// What may come from it.
    budget: Option<Budget>,
    /// Bytes that the question under way asks for.
    wanted: u64,
}

/// Why another region gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// What is lacked is not kept there any more.
    SnapshotRequired,
    /// This region may not have the set, or the other one thinks so.
    NotPermitted,
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
    /// Whether so many others find this region's clock ahead that it has to take no writes.
    pub is_fenced: bool,
}

impl Replica {
    /// The part of the region `me`, which knows nothing of the others yet.
    #[must_use]
    pub fn new(set: ReplicationSet, me: RegionId) -> Self {
        let others = set.regions.iter().filter(|region| **region != me);
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

    /// The replication set.
    #[must_use]
    pub fn set(&self) -> &ReplicationSet {
        &self.set
    }

    /// The questions that are due. Each has to be followed by [`Replica::answered`] or [`Replica::failed`].
    ///
    /// What waits and what is asked for never comes to more than [`limits::PENDING_ENTRIES_BYTES_MAX`], apart from one
    /// entry of each region that is asked.
    pub fn due(&mut self, store: &Store, now_ms: u64) -> Vec<(RegionId, Pull)> {
        let state = store.set_state(&self.set.name);
        let is_cut_off =
            |(region, link): &(&RegionId, &Link)| link.failures > 0 && self.pauses.since_ms(region).is_none();
        let cut_off: Vec<RegionId> = self.links.iter().filter(is_cut_off).map(|(region, _)| region.clone()).collect();
        let asked_for: u64 = self.links.values().filter(|link| link.asked).map(|link| link.wanted).sum();
        let mut room =
            (limits::PENDING_ENTRIES_BYTES_MAX as u64).saturating_sub(self.pending.size().1 as u64 + asked_for);
        let (mut pulls, waiting) = (Vec::new(), self.pending.without_gaps(&state.applied));
        for (region, link) in &mut self.links {
            if link.asked || link.rests(now_ms) || self.pauses.since_ms(region).is_some() {
                continue;
            }
            let Some(allowed) = link.budget.as_mut().map_or(Some(u64::MAX), |budget| budget.bytes(now_ms)) else {
                continue;
            };
            // One entry is always asked for: it may be the one that all others wait for.
            let bytes_max = limits::PULL_BYTES_MAX.min(allowed).min(room).max(1);
            room = room.saturating_sub(bytes_max);
            (link.asked, link.wanted) = (true, bytes_max);
            let others = cut_off.iter().filter(|other| *other != region);
            let latest_ms = now_ms.saturating_add(limits::CLOCK_DRIFT_MS_MAX);
            let pull = Pull {
                set: self.set.name.clone(),
                have: state.applied.clone(),
                waiting: waiting.clone(),
                // Its own, too: after it came back from a backup, the others have what it lost.
                regions: [region, &self.me].into_iter().chain(others).cloned().collect(),
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
        match answer {
            Answer::Entries { entries, news, .. } => {
                link.paused_ms = news.paused_ms;
                self.learn(news, state);
                let is_held = |entry: &Entry| self.pauses.holds(&entry.mark.dot.origin);
                let of_set = entries.into_iter().filter(|entry| entry.mark.set == self.set.name && !is_held(entry));
                let (mut any, mut new) = (false, false);
                for entry in of_set {
                    (any, new) = (true, self.pending.push(entry, &state.applied) || new);
                }
                // What waits for others, or finds no room, would come at once again.
                if any && !new {
                    self.rest(region, now_ms);
                }
            }
            Answer::SnapshotRequired => link.refuse(Refusal::SnapshotRequired, now_ms),
            Answer::NotPermitted => link.refuse(Refusal::NotPermitted, now_ms),
        }
    }

    fn rest(&mut self, region: &RegionId, now_ms: u64) {
        if let Some(link) = self.links.get_mut(region) {
            link.retry_at_ms = now_ms.saturating_add(limits::PULL_REPEAT_MS);
        }
    }

    fn learn(&mut self, news: News, state: &SetState) {
        let of_set = news.reaches.into_iter().filter(|reach| self.set.regions.contains(&reach.origin.region));
        of_set.for_each(|reach| self.horizon.heard(reach, &state.applied));
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

    /// Entries that can be applied one after the other.
    pub fn ready(&mut self, state: &SetState, now_ms: u64) -> Vec<Entry> {
        self.pending.prune(&state.applied);
        if self.pauses.whole_ms.is_some() {
            return Vec::new();
        }
        let latest_ms = now_ms.saturating_add(limits::CLOCK_DRIFT_MS_MAX);
        let is_held = |origin: &Origin| self.pauses.holds(origin);
        self.pending.take(&state.applied, latest_ms, limits::APPLY_ENTRIES_MAX, &is_held)
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
        let Some(link) = self.links.get_mut(region).filter(|_| pull.set == self.set.name) else {
            return Ok(Some(Answer::NotPermitted));
        };
        link.acked.join(&pull.have);
        link.ahead_ms = pull.ahead_ms;
        let own = pull.reaches.iter().filter(|reach| reach.origin.region == *region).cloned().collect();
        self.learn(News { reaches: own, paused_ms: None }, store.set_state(&self.set.name));
        let bytes_max = pull.bytes_max.min(limits::PULL_BYTES_MAX);
        let mut known = pull.have.clone();
        known.join(&pull.waiting);
        match store.locate(&self.set.name, &known, &pull.regions, bytes_max) {
            Ok(located) if located.is_empty() => Ok(None),
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
        let state = store.set_state(&self.set.name);
        let mut stable = stability::stable(state, &self.me, &self.set.regions);
        let mut delivered = state.applied.clone();
        self.links.values().for_each(|link| delivered.meet(&link.acked));
        if self.mistake.is(Planted::HeardElsewhere) {
            stable.clone_from(&delivered);
        } else if self.mistake.is(Planted::ForgetsEarly) {
            stable.clone_from(&state.applied);
        }
        let unheard = state.written.iter().any(|(origin, _)| stability::is_unheard(state, me, origin));
        store.release(&self.set.name, &stable, &delivered);
        if !unheard {
            self.quiet_since_ms = now_ms;
        }
        let since_ms = self.quiet_since_ms.min(now_ms);
        unheard && !self.mistake.is(Planted::Silent) && now_ms - since_ms >= limits::HEARTBEAT_MS
    }

    /// How many regions of `among`, this one included, have an entry of this region for good.
    #[must_use]
    pub fn copies(&self, origin: &Origin, seq: u64, among: &dyn Fn(&RegionId) -> bool) -> usize {
        1 + self.links.iter().filter(|(region, link)| among(region) && link.acked.get(origin) >= seq).count()
    }

    /// Whether so many others find this region's clock ahead that it has to take no writes.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        let ahead = self.links.values().filter(|link| link.ahead_ms > 0).count();
        ahead > 0 && 2 * ahead >= self.links.len()
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
            lags: self.horizon.lags(&state.applied, &|origin| self.pending.next_ms(origin, &state.applied), now_ms),
            pauses: self.pauses.clone(),
            paused_ms: links().filter_map(|(region, link)| Some((region.clone(), link.paused_ms?))).collect(),
            heard_ms: links().map(|(region, link)| (region.clone(), link.heard_ms)).collect(),
            acked: links().map(|(region, link)| (region.clone(), link.acked.clone())).collect(),
            refusals: links().filter_map(|(region, link)| Some((region.clone(), link.refusal?))).collect(),
            is_fenced: self.is_fenced(),
        }
    }
}

impl Link {
    /// Whether it is not to be asked yet. A clock that was set back does not make it rest longer.
    fn rests(&self, now_ms: u64) -> bool {
        now_ms < self.retry_at_ms && self.retry_at_ms <= now_ms.saturating_add(limits::PULL_RETRY_MS_MAX)
    }

    fn refuse(&mut self, refusal: Refusal, now_ms: u64) {
        self.refusal = Some(refusal);
        self.retry_at_ms = now_ms.saturating_add(limits::PULL_RETRY_MS_MAX);
    }
}
