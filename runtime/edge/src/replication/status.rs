//! How replication is, for people and programs.

use std::collections::BTreeMap;

use axum::extract::State;
use domicile_sync::{LogLag, Refusal as PeerRefusal, Standing};
use domicile_types::{RegionId, SetName, Vector};
use domicile_wire::client::now_unix_ms;
use serde_json::{Value, json as json_value};
use tokio::sync::oneshot;

use super::pauses;
use super::{Command, Part, Report};
use crate::serve::{Handled, Shared, json};

/// `GET /v1/sync/status`
pub(crate) async fn status(State(edge): Shared) -> Handled {
    let now_ms = now_unix_ms();
    let mut sets = Vec::new();
    for (name, part) in &edge.replication().sets {
        let (reply, answered) = oneshot::channel();
        let asked = part.commands.send(Command::Report(reply)).await;
        let report = if asked.is_ok() { answered.await.ok() } else { None };
        let applied = part.rows.reader().snapshot().applied.get(name).cloned().unwrap_or_default();
        sets.push(match report {
            Some(report) => described(name, part, &applied, &report, now_ms),
            None => json_value!({"set": name.as_str(), "stopped": true}),
        });
    }
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "sets": sets})))
}

fn described(name: &SetName, part: &Part, applied: &Vector, report: &Report, now_ms: u64) -> Value {
    let Report { status, members, stable, snapshot_bytes, set_aside, problem } = report;
    let peer = |(region, heard_ms): (&RegionId, &Option<u64>)| {
        let acked = status.acked.get(region);
        let of =
            |vector: &Vector| vector.iter().filter(|(origin, _)| origin.region == *region).map(|(_, seq)| seq).max();
        let behind = acked.and_then(of).unwrap_or(0).saturating_sub(of(applied).unwrap_or(0));
        let refusal = status.refusals.get(region).map(|refusal| match refusal {
            PeerRefusal::SnapshotRequired => "it does not keep what this region lacks",
            PeerRefusal::NotPermitted => "it does not give this set to this region",
        });
        json_value!({
            "region": region.as_str(),
            "heard_ms_ago": heard_ms.map(|heard_ms| now_ms.saturating_sub(heard_ms)),
            "entries_behind": behind,
            "has": acked.map(numbers),
            "refusal": refusal,
            "kept_bytes": status.kept_for.get(region).copied().unwrap_or(0),
            "paused_there_since_ms": status.paused_ms.get(region),
        })
    };
    let ended = members.iter().filter_map(|(life, said)| Some((life.to_string(), said.fenced?)));
    let ending = members.freezing().map(|(life, _)| life.to_string());
    json_value!({
        "set": name.as_str(),
        "datasets": part.set.datasets.iter().map(|dataset| dataset.as_str()).collect::<Vec<_>>(),
        "home": part.set.home.as_ref().map(RegionId::as_str),
        // Of copies only: by how much they may be behind what the home has written.
        "behind_ms": part.rows.as_of_ms(name).map(|as_of_ms| now_ms.saturating_sub(as_of_ms)),
        "standing": standing(status.standing),
        "snapshot_bytes_missing": snapshot_bytes,
        "applied": numbers(applied),
        "stable": numbers(stable),
        "lag": total(&status.lags),
        "logs": status.lags.iter().map(|lag| (lag.origin.to_string(), lagging(lag))).collect::<BTreeMap<_, _>>(),
        "waiting": status.pending,
        "waiting_bytes": status.pending_bytes,
        "parked": status.parked,
        "paused": pauses::described(&status.pauses),
        "problem": problem,
        "clock_ahead": status.is_fenced && status.standing == Standing::Member,
        "ended": ended.collect::<BTreeMap<_, _>>(),
        "ending": ending.collect::<Vec<_>>(),
        "set_aside": set_aside,
        "peers": status.heard_ms.iter().map(peer).collect::<Vec<_>>(),
    })
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Member => "member",
        Standing::Unsure => "unsure",
        Standing::New => "new",
        Standing::Behind => "behind",
        Standing::Out => "given-up",
    }
}

/// How far the region is behind one log.
fn lagging(lag: &LogLag) -> Value {
    json_value!({"seconds": seconds(lag), "batches": lag.entries, "bytes": lag.bytes})
}

/// How far it is behind all of them: the oldest counts.
fn total(lags: &[LogLag]) -> Value {
    let batches: u64 = lags.iter().map(|lag| lag.entries).sum();
    let bytes = lags.iter().fold(0_u64, |sum, lag| sum.saturating_add(lag.bytes));
    json_value!({"seconds": lags.iter().map(seconds).fold(0.0, f64::max), "batches": batches, "bytes": bytes})
}

pub(super) fn seconds(lag: &LogLag) -> f64 {
    lag.age_ms as f64 / 1e3
}

fn numbers(vector: &Vector) -> BTreeMap<String, u64> {
    vector.iter().map(|(origin, seq)| (origin.to_string(), seq)).collect()
}
