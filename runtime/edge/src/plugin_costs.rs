//! What plugins cost and log, at this region.

use axum::extract::{Path, State};
use domicile_query::VersionTally;
use domicile_sandbox::PluginMetrics;
use domicile_wire::plugins::{PluginLogLine, Times, VersionMetrics};
use serde::Deserialize;
use serde_json::json as json_value;

use crate::body::Parameters;
use crate::serve::{Handled, Shared, json};

/// `GET /v1/plugins/{name}/metrics`
pub(crate) async fn metrics(State(edge): Shared, Path(name): Path<String>) -> Handled {
    let versions: Vec<VersionMetrics> = edge.region.plugins().costs(&name)?.into_iter().map(of_version).collect();
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "name": name, "versions": versions})))
}

fn of_version((tally, costs): (VersionTally, PluginMetrics)) -> VersionMetrics {
    let ms = |quantile: f64| costs.time_ns.value_at_quantile(quantile) as f64 / 1e6;
    VersionMetrics {
        version: tally.version,
        role: tally.role.map(str::to_owned),
        questions_answered: tally.answered,
        questions_failed: tally.failed,
        calls: costs.calls,
        traps: costs.traps,
        limit_hits: costs.limit_hits,
        failures: costs.failures,
        call_ms: Times { p50: ms(0.5), p99: ms(0.99), p99_9: ms(0.999) },
        cpu_ms: costs.cpu_time.as_secs_f64() * 1e3,
        memory_bytes_peak: costs.memory_bytes_peak,
        bytes_in: costs.bytes_in,
        bytes_out: costs.bytes_out,
        host_calls: costs.host_calls,
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lines {
    /// The version; the one that answers by default.
    version: Option<String>,
    /// Only lines with a greater number.
    after: Option<u64>,
}

/// `GET /v1/plugins/{name}/logs`
pub(crate) async fn logs(
    State(edge): Shared,
    Path(name): Path<String>,
    Parameters(Lines { version, after }): Parameters<Lines>,
) -> Handled {
    let (version, lines) = edge.region.plugins().log_lines(&name, version.as_deref())?;
    let newer = lines.into_iter().filter(|line| after.is_none_or(|after| line.sequence > after));
    let shown = newer.map(|line| PluginLogLine {
        sequence: line.sequence,
        level: line.level.as_str().to_owned(),
        text: line.text,
    });
    let lines: Vec<PluginLogLine> = shown.collect();
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "name": name, "version": version, "lines": lines})))
}
