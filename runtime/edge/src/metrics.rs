//! Counters for Prometheus.

use std::sync::Arc;

use domicile_query::Region;
use domicile_wire::api::AnswerFacts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::plugin_metrics::PluginMetrics;
use crate::replication::{Replication, ReplicationGauges};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RegionLabels {
    region: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DatasetLabels {
    dataset: String,
}

/// The metrics of one edge.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RequestLabels, Histogram, fn() -> Histogram>,
    border_bytes: Family<RegionLabels, Counter>,
    suppressed_groups: Family<RegionLabels, Counter>,
    regions_missing: Family<RegionLabels, Counter>,
    rows: Family<DatasetLabels, Gauge>,
    replication: ReplicationGauges,
}

impl Metrics {
    pub(crate) fn new(region: &Arc<Region>) -> Self {
        let latency: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let mut metrics = Self {
            registry: Registry::with_prefix("domicile"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(latency),
            border_bytes: Family::default(),
            suppressed_groups: Family::default(),
            regions_missing: Family::default(),
            rows: Family::default(),
            replication: ReplicationGauges::default(),
        };
        metrics.register();
        metrics.registry.register_collector(Box::new(PluginMetrics(Arc::clone(region))));
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        self.replication.register(registry);
        registry.register("requests", "Requests answered", Family::clone(&self.requests));
        let seconds = Family::clone(&self.request_seconds);
        registry.register_with_unit("request_duration", "Time from request to answer", Unit::Seconds, seconds);
        let bytes = Family::clone(&self.border_bytes);
        let help = "Bytes that crossed a border for answers of this edge, by source";
        registry.register_with_unit("border", help, Unit::Bytes, bytes);
        let groups = Family::clone(&self.suppressed_groups);
        registry.register("suppressed_groups", "Groups held back at their source", groups);
        registry.register("regions_missing", "Answers without a region", Family::clone(&self.regions_missing));
        registry.register(
            "stored_rows",
            "Row versions stored here, those included that compaction will leave out",
            Family::clone(&self.rows),
        );
    }

    /// Counts one request.
    pub(crate) fn request(&self, route: &str, status: u16, seconds: f64) {
        let labels = RequestLabels { route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.get_or_create(&labels).observe(seconds);
    }

    /// Counts what one answer took across borders.
    pub(crate) fn answered(&self, facts: &AnswerFacts) {
        let labels = |region: &str| RegionLabels { region: region.to_owned() };
        for receipt in &facts.receipts {
            self.border_bytes.get_or_create(&labels(&receipt.region)).inc_by(receipt.bytes);
        }
        for (region, groups) in &facts.suppressed_groups {
            self.suppressed_groups.get_or_create(&labels(region)).inc_by(*groups);
        }
        for missing in &facts.coverage.missing {
            self.regions_missing.get_or_create(&labels(&missing.region)).inc();
        }
    }

    /// All metrics as text.
    pub(crate) fn text(&self, region: &Region, replication: &Replication) -> String {
        self.replication.update(replication);
        let snapshot = region.store().snapshot();
        for spec in region.catalog().specs() {
            let name = &spec.dataset.name;
            let labels = DatasetLabels { dataset: name.to_string() };
            self.rows.get_or_create(&labels).set(i64::try_from(snapshot.rows(name)).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
