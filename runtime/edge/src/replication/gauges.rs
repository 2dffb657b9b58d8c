//! Replication as Prometheus sees it.

use std::sync::atomic::AtomicU64;

use domicile_sync::ReplicaStatus;
use domicile_types::SetName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{Replication, status};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SetLabels {
    set: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LogLabels {
    set: String,
    log: String,
}

/// The gauges of replication. Those of a set are there from its start, whatever happened.
#[derive(Debug, Default)]
pub(crate) struct ReplicationGauges {
    lag_seconds: Family<LogLabels, Gauge<f64, AtomicU64>>,
    lag_batches: Family<LogLabels, Gauge>,
    lag_bytes: Family<LogLabels, Gauge>,
    waiting: Family<SetLabels, Gauge>,
    waiting_bytes: Family<SetLabels, Gauge>,
    parked: Family<SetLabels, Gauge>,
    paused: Family<SetLabels, Gauge>,
}

impl ReplicationGauges {
    /// Makes them part of what is shown.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let seconds = Family::clone(&self.lag_seconds);
        let help = "Age of the oldest batch that another region has and this one has not applied, by log";
        registry.register_with_unit("replication_lag", help, Unit::Seconds, seconds);
        let help = "Batches that other regions have and this one has not applied, by log";
        registry.register("replication_lag_batches", help, Family::clone(&self.lag_batches));
        let help = "Bytes of the batches that other regions have and this one has not applied, by log";
        registry.register("replication_lag_bytes", help, Family::clone(&self.lag_bytes));
        let help = "Batches that have come and cannot be applied yet";
        registry.register("replication_waiting_batches", help, Family::clone(&self.waiting));
        let help = "Bytes of the batches that have come and cannot be applied yet";
        registry.register("replication_waiting_bytes", help, Family::clone(&self.waiting_bytes));
        let help = "1 where batches of other regions cannot be applied, until somebody mends what keeps them";
        registry.register("replication_parked", help, Family::clone(&self.parked));
        let help = "1 where replication of the set, or of what one region writes, is paused here";
        registry.register("replication_paused", help, Family::clone(&self.paused));
    }

    /// Brings them up to date.
    pub(crate) fn update(&self, replication: &Replication) {
        for (set, part) in &replication.sets {
            self.show(set, &part.status.borrow());
        }
    }

    fn show(&self, set: &SetName, status: &ReplicaStatus) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for lag in &status.lags {
            let labels = LogLabels { set: set.to_string(), log: lag.origin.to_string() };
            self.lag_seconds.get_or_create(&labels).set(status::seconds(lag));
            self.lag_batches.get_or_create(&labels).set(number(lag.entries));
            self.lag_bytes.get_or_create(&labels).set(number(lag.bytes));
        }
        let labels = SetLabels { set: set.to_string() };
        self.waiting.get_or_create(&labels).set(number(status.pending as u64));
        self.waiting_bytes.get_or_create(&labels).set(number(status.pending_bytes as u64));
        self.parked.get_or_create(&labels).set(status.parked.is_some().into());
        self.paused.get_or_create(&labels).set((!status.pauses.is_empty()).into());
    }
}
