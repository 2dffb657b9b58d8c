//! Counters of plugins for Prometheus, read when they are asked for: what is deployed now, and no version longer.

use std::fmt;
use std::sync::Arc;

use domicile_query::{PluginSet, Region};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads the counters of a region's plugins.
#[derive(Debug)]
pub(crate) struct PluginMetrics(pub(crate) Arc<Region>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueryLabels {
    plugin: String,
    version: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    plugin: String,
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShadowLabels {
    plugin: String,
    outcome: &'static str,
}

fn counters<L: EncodeLabelSet, N>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    values: Vec<(L, N)>,
) -> fmt::Result
where
    ConstCounter<N>: EncodeMetric,
{
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in values {
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

impl Collector for PluginMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let plugins = self.0.plugins();
        let tallies = plugins.tallies();
        let queries = tallies.iter().flat_map(|tally| {
            [("answered", tally.answered), ("failed", tally.failed)].map(|(result, count)| {
                (QueryLabels { plugin: tally.name.clone(), version: tally.version.clone(), result }, count)
            })
        });
        let help = "Questions asked here that used a version of a plugin, shadows included";
        counters(&mut encoder, ("plugin_queries", help), queries.collect())?;
        let seconds = tallies.iter().map(|tally| {
            (VersionLabels { plugin: tally.name.clone(), version: tally.version.clone() }, tally.elapsed_s)
        });
        let help = "Time that these questions took, in seconds";
        counters(&mut encoder, ("plugin_query_seconds", help), seconds.collect())?;
        calls(&mut encoder, &plugins)?;
        let mut shadows = Vec::new();
        for report in plugins.releases().iter().filter_map(|release| self.0.shadow_report(&release.name).ok()) {
            let outcomes = [
                ("equal", report.equal),
                ("different", report.different),
                ("failed", report.failed),
                ("denied", report.denied),
                ("dropped", report.dropped),
                ("unsteady", report.unsteady),
            ];
            let labels = |outcome| ShadowLabels { plugin: report.name.clone(), outcome };
            shadows.extend(outcomes.map(|(outcome, count)| (labels(outcome), count)));
        }
        counters(&mut encoder, ("plugin_shadows", "Questions asked again with a shadow, by what came of it"), shadows)
    }
}

/// What the sandbox counts of each version.
fn calls(encoder: &mut DescriptorEncoder<'_>, plugins: &PluginSet) -> fmt::Result {
    let (mut calls, mut seconds, mut bytes, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for release in plugins.releases() {
        for (tally, costs) in plugins.costs(&release.name).unwrap_or_default() {
            let version = || VersionLabels { plugin: tally.name.clone(), version: tally.version.clone() };
            let labels = |result| QueryLabels { plugin: tally.name.clone(), version: tally.version.clone(), result };
            let bad = costs.traps + costs.limit_hits + costs.failures;
            let outcomes = [
                ("answered", costs.calls.saturating_sub(bad)),
                ("failed", costs.failures),
                ("trapped", costs.traps),
                ("limit", costs.limit_hits),
            ];
            calls.extend(outcomes.map(|(result, count)| (labels(result), count)));
            seconds.push((version(), costs.cpu_time.as_secs_f64()));
            bytes.extend([("in", costs.bytes_in), ("out", costs.bytes_out)].map(|(way, count)| (labels(way), count)));
            memory.push((version(), i64::try_from(costs.memory_bytes_peak).unwrap_or(i64::MAX)));
        }
    }
    counters(encoder, ("plugin_calls", "Calls into a version of a plugin"), calls)?;
    counters(encoder, ("plugin_cpu_seconds", "Time of the processor that these calls took"), seconds)?;
    counters(encoder, ("plugin_bytes", "Bytes of columns that these calls read (in) and wrote (out)"), bytes)?;
    let help = "The largest memory that an instance of a version had, in bytes";
    let mut family = encoder.encode_descriptor("plugin_memory_bytes_peak", help, None, MetricType::Gauge)?;
    for (labels, value) in memory {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
