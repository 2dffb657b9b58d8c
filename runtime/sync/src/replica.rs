//! One region's part in one replication set: whom it asks for what, what it answers, what it holds and lets go.

use std::collections::{BTreeMap, BTreeSet};

use domicile_store::{Entry, SetState, Store};
use domicile_types::{Change, Origin, RegionId, ReplicationSet, Vector, limits};

use crate::budget::Budget;
use crate::freshness::Freshness;
use crate::lag::{Horizon, LogLag};
use crate::link::{Link, Refusal};
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
    pub(crate) horizon: Horizon,
    pub(crate) pauses: Pauses,
    /// When this region last wrote an entry, or had nothing to say.
    quiet_since_ms: u64,
    /// Why what has come could not be applied; none where it could.
    parked: Option<String>,
    /// Of copies.
    pub(crate) freshness: Freshness,
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
    /// Whether this region has to take no writes: it is no member now, or most others find its clock ahead.
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

    /// Whether this region has to take no writes: it is no member now, or most of the others that answer find its clock
    /// ahead. Where as many find it right, the clocks of those who do not may be behind.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        let finds_ahead = |link: &&Link| link.ahead_ms > 0;
        let answering = self.links.values().filter(|link| link.heard_ms.is_some() && link.failures == 0);
        let (all, ahead) = (answering.clone().count(), answering.filter(finds_ahead).count());
        // Where one region writes, its own order of its rows is all that counts.
        let is_ahead = self.set.home.is_none() && 2 * ahead > all;
        is_ahead || self.standing != Standing::Member
    }

    /// How far this region is behind each log. What lies behind the end of a log is none of it.
    fn lags(&self, state: &SetState, now_ms: u64) -> Vec<LogLag> {
        let next_ms = |origin: &Origin| self.pending.next_ms(origin, &state.applied);
        let lives = stability::lives(state, &self.set.regions);
        let mut lags = self.horizon.lags(&state.applied, &next_ms, now_ms);
        // Of a log that nobody was given here, nothing may ever count.
        lags.retain(|lag| lives.contains_key(&lag.origin) || state.applied.get(&lag.origin) > 0);
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
