//! When a write counts as done.

use std::time::Duration;

use domicile_query::Region;
use domicile_types::{Acknowledge, RegionId, limits};
use domicile_wire::Problem;

use super::{Known, Part};
use crate::problems::Refusal;

impl Part {
    /// Waits until what this region has written counts as stored.
    pub(super) async fn acknowledged(&self, region: &Region, level: Acknowledge) -> Result<(), Refusal> {
        let Acknowledge::Jurisdiction { copies } = level else { return Ok(()) };
        let (copies, set) = (usize::from(copies), &self.set.name);
        let here = region.id();
        let possible = self.set.regions.iter().filter(|other| *other == here || region.shares_law(other)).count();
        if possible < copies {
            return Err(Refusal::bad_request(format!(
                "{copies} copies are wanted in one jurisdiction, and {possible} of the regions of `{set}` are in it; ask \
                 for fewer, or leave `Acknowledge` out. The rows are stored here"
            )));
        }
        let applied = region.store().snapshot().applied.get(set).cloned().unwrap_or_default();
        let Some((origin, seq)) = applied.iter().filter(|(origin, _)| origin.region == *here).last() else {
            return Ok(());
        };
        let have = |known: &Known| {
            1 + known.acked.iter().filter(|(other, acked)| region.shares_law(other) && acked.get(origin) >= seq).count()
        };
        // Those that do not ask here now have the rows no earlier than somebody lets them go on.
        let paused = |known: &Known| {
            let lacks = |region: &&RegionId| known.acked.get(*region).is_none_or(|acked| acked.get(origin) < seq);
            let paused = known.paused_ms.keys().filter(|other| region.shares_law(other)).filter(lacks);
            paused.cloned().collect::<Vec<_>>()
        };
        let is_hopeless = |known: &Known| possible - paused(known).len() < copies;
        let mut known = self.known.clone();
        let enough = known.wait_for(|known| have(known) >= copies || is_hopeless(known));
        let waited = tokio::time::timeout(Duration::from_millis(limits::ACKNOWLEDGE_TIMEOUT_MS), enough).await;
        let known = match waited {
            Ok(Ok(known)) => known.clone(),
            _ => self.known.borrow().clone(),
        };
        if have(&known) >= copies {
            return Ok(());
        }
        let (have, paused) = (have(&known), paused(&known));
        let paused: Vec<&str> = paused.iter().map(RegionId::as_str).collect();
        let why = match paused.is_empty() {
            true => "`domicile sync status` shows which do not answer".to_owned(),
            false => format!(
                "replication is paused in {}: `domicile sync resume {set}` there lets it go on",
                paused.join(" and ")
            ),
        };
        let detail = format!(
            "the rows are stored here and will reach the others, but only {have} of {copies} regions of one jurisdiction \
             have them by now; {why}. Nothing has to be sent again"
        );
        let problem = Problem::new(504, "not-acknowledged", "Too few regions have the rows yet", detail);
        Err(Refusal::new(problem.with("paused", paused)))
    }
}
