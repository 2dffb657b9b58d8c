//! Which region answers for a home: the home itself, or one with a copy, by what was asked for and by how far away each
//! was found to be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use domicile_types::{DatasetName, RegionId, ReplicationSet, limits};
use domicile_wire::WireError;
use domicile_wire::api::RegionReason;
use http::Method;

use crate::QueryError;
use crate::region::Region;
use crate::remote::{Asked, Part, ask};

/// Path at which peers measure each other's round trip.
pub const PING_PATH: &str = "/v1/peer/ping";

/// How much a new round trip counts against the ones before, in percent.
const NEWEST_PERCENT: u64 = 30;

/// Where copies are, and how far away. Only [`watch_routes`] notes distances.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    sets: Vec<ReplicationSet>,
    seen: ArcSwap<BTreeMap<RegionId, Seen>>,
}

/// What was seen of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    round_trip_us: u64,
    answers: bool,
}

impl Routes {
    /// Routes to the homes of these sets and to their copies. Nothing is known of distances yet.
    pub(crate) fn new(sets: Vec<ReplicationSet>) -> Self {
        Self { sets: sets.into_iter().filter(|set| set.home.is_some()).collect(), seen: ArcSwap::default() }
    }

    /// The regions with copies of all these datasets of a home.
    fn copies(&self, home: &RegionId, datasets: &BTreeSet<DatasetName>) -> BTreeSet<&RegionId> {
        let of_home = || self.sets.iter().filter(|set| set.home.as_ref() == Some(home));
        let all: BTreeSet<&RegionId> =
            of_home().flat_map(|set| &set.regions).filter(|region| *region != home).collect();
        let has = |region: &RegionId, dataset| {
            of_home().any(|set| set.regions.contains(region) && set.datasets.contains(dataset))
        };
        let has_all = |region: &&RegionId| !datasets.is_empty() && datasets.iter().all(|it| has(region, it));
        all.into_iter().filter(has_all).collect()
    }

    /// Every region that is in a set.
    fn regions(&self) -> BTreeSet<&RegionId> {
        self.sets.iter().flat_map(|set| &set.regions).collect()
    }

    fn note(&self, region: &RegionId, round_trip: Option<Duration>) {
        let mut seen = BTreeMap::clone(&self.seen.load());
        let before = seen.get(region).copied();
        let now = round_trip.map(|it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX));
        seen.insert(region.clone(), Seen::after(before, now));
        self.seen.store(Arc::new(seen));
    }
}

impl Seen {
    /// After a ping that took so many microseconds, or that was not answered.
    fn after(before: Option<Self>, now_us: Option<u64>) -> Self {
        match (before, now_us) {
            (Some(before), None) => Self { answers: false, ..before },
            (None, None) => Self { round_trip_us: u64::MAX, answers: false },
            (Some(before), Some(now)) if before.answers => {
                let old = before.round_trip_us.saturating_mul(100 - NEWEST_PERCENT);
                Self { round_trip_us: old.saturating_add(now.saturating_mul(NEWEST_PERCENT)) / 100, answers: true }
            }
            (_, Some(now)) => Self { round_trip_us: now, answers: true },
        }
    }
}

/// The regions to ask for the rows of `home`, one after the other. A home that answers is the first, unless an age is
/// accepted: then the nearest is, whichever it is.
fn order<'r>(
    home: &'r RegionId,
    copies: &BTreeSet<&'r RegionId>,
    here: &RegionId,
    seen: &BTreeMap<RegionId, Seen>,
    staleness_max_ms: Option<u64>,
) -> Vec<&'r RegionId> {
    if staleness_max_ms == Some(0) {
        return vec![home];
    }
    let known = |region: &RegionId| match seen.get(region) {
        _ if region == here => Seen { round_trip_us: 0, answers: true },
        Some(seen) => *seen,
        None => Seen { round_trip_us: u64::MAX, answers: true },
    };
    let mut all: Vec<&RegionId> = copies.iter().copied().chain([home]).collect();
    all.sort_by_key(|region| {
        let Seen { round_trip_us, answers } = known(region);
        let is_first_choice = staleness_max_ms.is_none() && *region == home;
        (!answers, !is_first_choice, round_trip_us, *region != home, *region)
    });
    all
}

/// Asks the home, or a region with a copy where the home does not answer or an age is accepted.
///
/// # Errors
/// As for [`ask`]; what a copy refuses is no error.
pub(crate) async fn ask_nearest(
    region: &Region,
    asked: Asked<'_>,
    datasets: &BTreeSet<DatasetName>,
) -> Result<Result<Part, RegionReason>, QueryError> {
    let home = asked.home;
    let may = |copy: &&RegionId| region.share_law(home, copy);
    let copies: BTreeSet<&RegionId> = region.routes.copies(home, datasets).into_iter().filter(may).collect();
    if copies.is_empty() || *home == region.id || asked.partial_of.is_some() {
        return ask(region, asked).await;
    }
    let order = order(home, &copies, &region.id, &region.routes.seen.load(), asked.staleness_max_ms);
    let (ends, mut reasons) = (Instant::now() + asked.timeout, Vec::new());
    for (left, at) in (0..order.len()).rev().zip(&order) {
        let remaining = ends.saturating_duration_since(Instant::now());
        // One that hangs leaves time for the others.
        let timeout = if left == 0 { remaining } else { remaining / 2 };
        let answer = ask(region, Asked { at, timeout, ..asked.clone() }).await;
        match answer {
            Ok(Ok(part)) => return Ok(Ok(part)),
            Ok(Err(missing)) => reasons.push(missing.reason),
            Err(error) if *at == home => return Err(error),
            Err(error) => reasons.push(refusal(at, error)),
        }
    }
    let reason = reasons.join("; ");
    tracing::warn!(%home, reason, "neither the home nor a copy answers");
    Ok(Err(RegionReason { region: home.to_string(), reason }))
}

/// Why a copy does not answer, in words that hold nothing of rows.
fn refusal(at: &RegionId, error: QueryError) -> String {
    match error {
        QueryError::Copy(error) => error.to_string(),
        QueryError::Wire(WireError::Refused(problem)) => problem.detail.clone(),
        error => {
            tracing::warn!(%at, kind = ?std::mem::discriminant(&error), "a copy does not answer");
            format!("the copy in region `{at}` does not answer this question")
        }
    }
}

/// Looks again and again how far away the regions are that stand in for each other, and which answer, for as long as it
/// is polled. Ends at once where there are none.
pub async fn watch_routes(region: Arc<Region>) {
    let regions = region.routes.regions();
    let peers: Vec<_> = region.peers.iter().filter(|peer| regions.contains(&peer.id)).collect();
    if peers.is_empty() {
        return;
    }
    let every = Duration::from_millis(limits::ROUTE_PROBE_MS);
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let pings = peers.iter().map(|peer| async {
            let started = Instant::now();
            let answer = region.client.send(peer, Method::GET, PING_PATH, Bytes::new(), every).await;
            region.routes.note(&peer.id, answer.is_ok().then(|| started.elapsed()));
        });
        futures::future::join_all(pings).await;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn seen(text: &str) -> BTreeMap<RegionId, Seen> {
        let one = |word: &str| {
            let (region, round_trip) = word.split_once('=').unwrap();
            let known = round_trip.strip_suffix('!').unwrap_or(round_trip);
            let answers = !round_trip.ends_with('!');
            (region.parse().unwrap(), Seen { round_trip_us: known.parse().unwrap(), answers })
        };
        text.split_whitespace().map(one).collect()
    }

    #[track_caller]
    fn check(distances: &str, staleness_max_ms: Option<u64>, expect: &str) {
        let region = |id: &str| -> RegionId { id.parse().unwrap() };
        let (home, near, far, here) = (region("home"), region("near"), region("far"), region("here"));
        let copies = BTreeSet::from([&near, &far]);
        let found = order(&home, &copies, &here, &seen(distances), staleness_max_ms);
        assert_eq!(found.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(" "), expect, "{distances}");
    }

    #[test]
    fn the_home_answers_unless_it_is_away_or_an_age_is_accepted() {
        check("", None, "home far near");
        check("home=900 near=10 far=500", None, "home near far");
        check("home=900! near=10 far=500", None, "near far home");
        check("home=900! near=10! far=500", None, "far home near");
        check("home=900 near=10 far=500", Some(5_000), "near far home");
        check("home=100 near=10! far=500", Some(5_000), "home far near");
        check("home=10 near=10 far=500", Some(5_000), "home near far");
        check("home=900! near=10 far=500", Some(0), "home");
    }

    #[test]
    fn round_trips_are_smoothed_and_begin_anew_after_silence() {
        let after = Seen::after(Some(Seen { round_trip_us: 100, answers: true }), Some(200));
        assert_eq!(after, Seen { round_trip_us: 130, answers: true });
        let silent = Seen::after(Some(after), None);
        assert_eq!(silent, Seen { round_trip_us: 130, answers: false });
        assert_eq!(Seen::after(Some(silent), Some(50)), Seen { round_trip_us: 50, answers: true });
    }

    #[test]
    fn copies_are_where_all_datasets_are() {
        let set = |name: &str, regions: &str, datasets: &str| ReplicationSet {
            name: name.parse().unwrap(),
            regions: regions.split(' ').map(|region| region.parse().unwrap()).collect(),
            datasets: datasets.split(' ').map(|dataset| dataset.parse().unwrap()).collect(),
            home: regions.split(' ').next().map(|home| home.parse().unwrap()),
            acknowledge: domicile_types::Acknowledge::Local,
        };
        let routes = Routes::new(vec![
            set("a", "eu near far", "customer"),
            set("b", "eu near", "orders"),
            set("c", "us far", "orders"),
        ]);
        let copies = |home: &str, datasets: &str| {
            let datasets = datasets.split_whitespace().map(|dataset| dataset.parse().unwrap()).collect();
            let found = routes.copies(&home.parse().unwrap(), &datasets).into_iter().map(RegionId::to_string);
            found.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(copies("eu", "customer"), "far near");
        assert_eq!(copies("eu", "customer orders"), "near");
        assert_eq!([copies("us", "orders"), copies("us", "customer"), copies("eu", "")], ["far", "", ""]);
    }
}
