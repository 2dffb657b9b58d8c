//! `cargo xtask bench …`: figures as ratios measured in one run.

mod convergence;
mod ingest;
mod neighbours;
mod plugin;
mod residency;
mod spine;
mod sync;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domicile_harness::Cluster;
use domicile_harness::data::Generator;

use crate::voice::Voice;

pub(crate) use convergence::{ConvergenceArguments, verb as convergence};
pub(crate) use ingest::run as ingest;
pub(crate) use neighbours::run as neighbours;
pub(crate) use plugin::run as plugin;
pub(crate) use residency::run as residency;
pub(crate) use spine::run as spine;
pub(crate) use sync::{SyncArguments, run as sync};

/// Times of one kind of request.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    /// The time that this share of the requests stayed within, in milliseconds.
    fn percentile_ms(&mut self, share: f64) -> f64 {
        self.0.sort();
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1].as_secs_f64() * 1e3
    }
}

/// Loads the files of all regions, or of one.
fn load(cluster: &Cluster, generator: &Generator, only: Option<&str>, voice: &Voice) -> Result<()> {
    let dir = cluster.dir().context("a cluster for tests has a folder")?.join("files");
    let files = voice.step("generating", || generator.files(&dir))?;
    voice.step("loading", || {
        for file in files.iter().filter(|file| only.is_none_or(|region| file.region == region)) {
            let response = cluster.edge(&file.region).load(&file.dataset, &file.path)?;
            ensure!(response.status == 200, "{}", response.text());
        }
        Ok(())
    })
}
