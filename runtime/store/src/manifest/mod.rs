//! The manifest: which segments a store consists of, as a log of edits.
//!
//! `CURRENT` names the file that counts. The file starts with the edit that makes all of the state from nothing; each
//! later edit is one step, durable before anything depends on it.

mod log;
mod rule;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domicile_types::{DatasetName, Hlc, RegionId, limits};
use serde::{Deserialize, Serialize};

use crate::logs;
use crate::segment::SegmentEntry;
use crate::wal::Idempotency;
use crate::{ManifestProblem, StoreError};

pub(crate) use log::{CURRENT, Log, is_manifest};
pub(crate) use rule::{Rule, Value};

/// What a store consists of at one version.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) region: String,
    /// How often the store was restored from a backup.
    pub(crate) epoch: u32,
    /// Commits so far, those in the write-ahead log included as far as they are in segments.
    pub(crate) version: u64,
    /// Moments and numbers of rows up to here are taken.
    pub(crate) hlc: Hlc,
    pub(crate) next_seq: u64,
    /// Number of the first log file that is not in segments as a whole.
    pub(crate) replay_from: u64,
    pub(crate) next_segment: u64,
    pub(crate) segments: BTreeMap<u64, SegmentEntry>,
    pub(crate) rules: BTreeMap<String, Rule>,
    /// Batches that came with an idempotency key, oldest first.
    pub(crate) remembered: VecDeque<Remembered>,
    /// Objects in cold storage that are no segments, or may be there from a copy that was not finished.
    pub(crate) doomed: BTreeSet<String>,
    /// What counts of each replication set.
    pub(crate) logs: BTreeMap<String, logs::Note>,
}

/// A batch that is known again when it comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remembered {
    pub(crate) dataset: String,
    pub(crate) idempotency: Idempotency,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) version: u64,
}

/// One step of the manifest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<u32>,
    pub(crate) version: u64,
    pub(crate) hlc: u64,
    pub(crate) next_seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replay_from: Option<u64>,
    pub(crate) next_segment: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) add: Vec<SegmentEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) remove: Vec<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) rules: BTreeMap<String, Rule>,
    /// Datasets none of whose batches are known again, but for those that follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) forget: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) remember: Vec<Remembered>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) doom: Vec<String>,
    /// Objects that are not doomed any more: they are segments now, or gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) spare: Vec<String>,
    /// What counts of each replication set, whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) logs: BTreeMap<String, logs::Note>,
}

impl State {
    /// Number of the first file of a store's log.
    pub(crate) const FIRST_LOG: u64 = 1;

    pub(crate) fn new(region: &RegionId) -> Self {
        Self {
            region: region.to_string(),
            replay_from: Self::FIRST_LOG,
            next_seq: 1,
            next_segment: 1,
            ..Self::default()
        }
    }

    /// An edit that changes nothing yet.
    pub(crate) fn edit(&self) -> Edit {
        Edit {
            version: self.version,
            hlc: self.hlc.0,
            next_seq: self.next_seq,
            next_segment: self.next_segment,
            logs: self.logs.clone(),
            ..Edit::default()
        }
    }

    /// The edit that makes this state from nothing.
    pub(crate) fn whole(&self) -> Edit {
        Edit {
            region: Some(self.region.clone()),
            epoch: Some(self.epoch),
            replay_from: Some(self.replay_from),
            add: self.segments.values().cloned().collect(),
            rules: self.rules.clone(),
            remember: self.remembered.iter().cloned().collect(),
            doom: self.doomed.iter().cloned().collect(),
            ..self.edit()
        }
    }

    /// Takes an edit in. Numbers never go back.
    pub(crate) fn apply(&mut self, edit: Edit) {
        if let Some(region) = edit.region {
            self.region = region;
        }
        self.epoch = edit.epoch.unwrap_or(self.epoch);
        self.version = self.version.max(edit.version);
        self.hlc = self.hlc.max(Hlc(edit.hlc));
        self.next_seq = self.next_seq.max(edit.next_seq);
        self.replay_from = edit.replay_from.unwrap_or(self.replay_from).max(self.replay_from);
        self.next_segment = self.next_segment.max(edit.next_segment);
        for id in &edit.remove {
            self.segments.remove(id);
        }
        self.segments.extend(edit.add.into_iter().map(|entry| (entry.id, entry)));
        for (dataset, rule) in edit.rules {
            match self.rules.get_mut(&dataset) {
                Some(known) if known.same_but_values(&rule) => known.extend(rule),
                _ => drop(self.rules.insert(dataset, rule)),
            }
        }
        self.logs.extend(edit.logs);
        self.doomed.extend(edit.doom);
        for object in &edit.spare {
            self.doomed.remove(object);
        }
        if !edit.forget.is_empty() {
            self.remembered.retain(|batch| !edit.forget.contains(&batch.dataset));
        }
        for remembered in edit.remember {
            remember(&mut self.remembered, remembered);
        }
    }

    /// The state after an edit that has to leave room for more.
    pub(crate) fn with(&self, edit: &Edit) -> Result<Self, StoreError> {
        let mut next = self.clone();
        next.apply(edit.clone());
        if next.segments.len() > limits::SEGMENTS_MAX {
            return Err(StoreError::Full { unit: "segments", max: limits::SEGMENTS_MAX });
        }
        Ok(next)
    }
}

/// Adds to the batches that are known again; the oldest are forgotten.
pub(crate) fn remember(batches: &mut VecDeque<Remembered>, batch: Remembered) {
    if batches.len() >= limits::IDEMPOTENCY_KEYS_MAX {
        batches.pop_front();
    }
    batches.push_back(batch);
}

/// Checks that the store is this region's.
pub(crate) fn check_region(state: &State, region: &RegionId) -> Result<(), ManifestProblem> {
    if state.region == region.as_str() {
        return Ok(());
    }
    Err(ManifestProblem::Region { found: state.region.clone() })
}

/// The dataset that a segment is of.
pub(crate) fn dataset_of(entry: &SegmentEntry) -> Option<DatasetName> {
    entry.dataset.parse().ok()
}
