//! Partitions grow old: they move to cold storage, and go.
//!
//! The manifest names every object that is in cold storage without being a segment: those whose partition went, and
//! those that a copy may have left half-way. They are *doomed*, and swept once nobody reads them.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use domicile_types::{DatasetName, Partitioning};

use crate::jobs::{On, Pace};
use crate::objects::{Objects, SegmentFile};
use crate::partition::{PartitionKey, PartitionValue, bucket_start};
use crate::segment::Place;
use crate::{Partition, Segment, SegmentProblem, Snapshot, Store, StoreError};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// First day of the oldest time bucket that is not older than so many days: it ended `days` ago at most. None where
/// there are no time buckets.
pub(crate) fn oldest_bucket(partitioning: &Partitioning, days: u32, now_ms: u64) -> Option<i32> {
    let time = partitioning.time.as_ref()?;
    let today = i64::try_from(now_ms / DAY_MS).unwrap_or(i64::MAX);
    let day = today.saturating_sub(i64::from(days));
    Some(bucket_start(i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX }), time.every))
}

fn is_before(partition: &PartitionKey, oldest: i32) -> bool {
    matches!(partition.values().first(), Some(PartitionValue::Day(first)) if *first < oldest)
}

/// Segments that somebody may still read, by the names of their objects.
#[derive(Debug, Default)]
pub(crate) struct Doomed(BTreeMap<String, Weak<Segment>>);

impl Doomed {
    fn is_read(&self, object: &str) -> bool {
        self.0.get(object).is_some_and(|segment| segment.strong_count() > 0)
    }
}

/// What is to happen to old partitions.
#[derive(Debug)]
pub(crate) enum Aging {
    Expire(Vec<Expired>),
    Tier { dataset: DatasetName, partition: PartitionKey, segments: Vec<Arc<Segment>>, cold: Arc<dyn Objects> },
    Sweep { objects: Vec<String>, cold: Arc<dyn Objects> },
}

/// What happened, and counts once the manifest says so.
#[derive(Debug)]
pub(crate) enum Aged {
    Expired(Vec<Expired>),
    Tiered { dataset: DatasetName, partition: PartitionKey, segments: Vec<Arc<Segment>>, cold: Arc<dyn Objects> },
    Swept(Vec<String>),
}

/// A partition that is past its time.
#[derive(Debug)]
pub(crate) struct Expired {
    dataset: DatasetName,
    partition: PartitionKey,
    segments: Vec<Arc<Segment>>,
}

impl Aging {
    pub(crate) fn run(self, pace: Pace<'_>) -> Result<Aged, StoreError> {
        match self {
            Self::Expire(expired) => Ok(Aged::Expired(expired)),
            Self::Tier { dataset, partition, segments, cold } => {
                segments.iter().try_for_each(|segment| copy(segment, cold.as_ref(), &segment.entry.object(), pace))?;
                Ok(Aged::Tiered { dataset, partition, segments, cold })
            }
            Self::Sweep { objects, cold } => {
                for object in &objects {
                    cold.remove(object).map_err(StoreError::objects("remove", object))?;
                }
                Ok(Aged::Swept(objects))
            }
        }
    }
}

/// Copies a segment, verified on the way, to an object.
pub(crate) fn copy(segment: &Arc<Segment>, to: &dyn Objects, name: &str, pace: Pace<'_>) -> Result<(), StoreError> {
    pace(segment.bytes);
    let file = SegmentFile::new(segment);
    let put = to.put(name, &file);
    // Damage of the segment matters more than what the other side says about it.
    if let Some(problem) = file.problem() {
        return Err(segment.refused(problem));
    }
    put.map_err(StoreError::objects("write", name))?;
    let size = to.size(name).map_err(StoreError::objects("inspect", name))?;
    if size == segment.bytes {
        return Ok(());
    }
    let problem = SegmentProblem::Size { expected: segment.bytes, actual: size };
    // Not the segment is wrong but its copy, which can be made again.
    Err(StoreError::objects("write", name)(std::io::Error::other(problem)))
}

impl Store {
    /// The next thing that is due; none where nothing is, or it has to wait for recent rows to become segments.
    pub(crate) fn aging(&mut self, now_ms: u64) -> Option<(Aging, On)> {
        let snapshot = self.reader.snapshot();
        let expired = self.expired(&snapshot, now_ms);
        if !expired.is_empty() {
            return Some((Aging::Expire(expired), None));
        }
        // By turns: what needs room in cold storage does not hold up what makes some, nor the other way round.
        let next = match self.jobs.sweeps_next {
            true => self.sweep().or_else(|| self.tier(&snapshot, now_ms)),
            false => self.tier(&snapshot, now_ms).or_else(|| self.sweep()),
        };
        self.jobs.sweeps_next = !matches!(next, Some((Aging::Sweep { .. }, _)));
        next
    }

    fn tier(&mut self, snapshot: &Snapshot, now_ms: u64) -> Option<(Aging, On)> {
        let (dataset, partition, segments) = self.tierable(snapshot, now_ms)?;
        let cold = self.parts.cold.clone()?;
        // A copy that is interrupted must not stay for good.
        let mut edit = self.edit();
        edit.doom = segments.iter().map(|segment| segment.entry.object()).collect();
        edit.doom.retain(|object| !self.state.doomed.contains(object));
        if !edit.doom.is_empty()
            && let Err(error) = self.append(edit)
        {
            tracing::warn!(%error, "a partition cannot move to cold storage");
            return None;
        }
        let on = Some((dataset.clone(), partition.clone()));
        Some((Aging::Tier { dataset, partition, segments, cold }, on))
    }

    fn sweep(&self) -> Option<(Aging, On)> {
        let objects: Vec<String> =
            self.state.doomed.iter().filter(|object| !self.jobs.doomed.is_read(object)).cloned().collect();
        let cold = self.parts.cold.clone().filter(|_| !objects.is_empty())?;
        Some((Aging::Sweep { objects, cold }, None))
    }

    /// The partitions that are past their time and have no recent rows. Those that have some are frozen: once the
    /// rows are in segments, the log has nothing of them that a restart could bring back.
    fn expired(&mut self, snapshot: &Snapshot, now_ms: u64) -> Vec<Expired> {
        let catalog = Arc::clone(&self.reader.catalog);
        let (mut expired, mut recent) = (Vec::new(), false);
        for entry in catalog.entries() {
            let dataset = &entry.spec.dataset;
            let oldest =
                dataset.lifecycle.keep_days.and_then(|days| oldest_bucket(&dataset.partitioning, days, now_ms));
            let Some(oldest) = oldest else { continue };
            for partition in snapshot.held(&dataset.name).filter(|partition| is_before(&partition.key, oldest)) {
                if !partition.recent.is_empty() {
                    recent = true;
                } else if !self.jobs.is_in_work(&dataset.name, &partition.key) {
                    let (dataset, segments) = (dataset.name.clone(), partition.segments.clone());
                    expired.push(Expired { dataset, partition: partition.key.clone(), segments });
                }
            }
        }
        if recent {
            self.freeze();
        }
        expired
    }

    /// The oldest partition, of those that did not fail, with segments that are to move.
    fn tierable(&self, snapshot: &Snapshot, now_ms: u64) -> Option<(DatasetName, PartitionKey, Vec<Arc<Segment>>)> {
        self.parts.cold.as_ref()?;
        let mut best: Option<((u32, &PartitionKey), &DatasetName, &Arc<Partition>)> = None;
        for entry in self.reader.catalog.entries() {
            let dataset = &entry.spec.dataset;
            let after = dataset.lifecycle.tier_after_days;
            let Some(oldest) = after.and_then(|days| oldest_bucket(&dataset.partitioning, days, now_ms)) else {
                continue;
            };
            if snapshot.damage.contains_key(&dataset.name) {
                continue;
            }
            for partition in snapshot.held(&dataset.name).filter(|partition| is_before(&partition.key, oldest)) {
                let Some(failures) = self.jobs.failures(&dataset.name, &partition.key) else { continue };
                let rank = (failures, &partition.key);
                let is_hot = partition.segments.iter().any(|segment| !segment.is_cold());
                if is_hot && best.as_ref().is_none_or(|(known, ..)| rank < *known) {
                    best = Some((rank, &dataset.name, partition));
                }
            }
        }
        let (_, dataset, partition) = best?;
        let hot = partition.segments.iter().filter(|segment| !segment.is_cold()).cloned().collect();
        Some((dataset.clone(), partition.key.clone(), hot))
    }

    pub(crate) fn finish_aging(&mut self, done: Aged) -> Result<(), StoreError> {
        match done {
            Aged::Expired(expired) => self.finish_expiry(expired),
            Aged::Tiered { dataset, partition, segments, cold } => {
                self.finish_tiering(&dataset, &partition, &segments, &cold)
            }
            Aged::Swept(objects) => {
                let mut edit = self.edit();
                edit.spare.clone_from(&objects);
                self.append(edit)?;
                objects.iter().for_each(|object| drop(self.jobs.doomed.0.remove(object)));
                Ok(())
            }
        }
    }

    fn finish_expiry(&mut self, mut expired: Vec<Expired>) -> Result<(), StoreError> {
        let snapshot = self.reader.snapshot();
        let unchanged = |expired: &Expired| {
            let mut held = snapshot.held(&expired.dataset);
            let held = held.find(|partition| partition.key == expired.partition);
            let recent = held.is_some_and(|partition| !partition.recent.is_empty());
            !recent && self.still_has(&expired.segments)
        };
        // The others come again.
        expired.retain(unchanged);
        let segments = || expired.iter().flat_map(|expired| &expired.segments);
        let mut edit = self.edit();
        edit.remove = segments().map(|segment| segment.id).collect();
        edit.doom = segments().filter(|segment| segment.is_cold()).map(|segment| segment.entry.object()).collect();
        if edit.remove.is_empty() {
            return Ok(());
        }
        self.append(edit)?;
        for segment in segments().filter(|segment| segment.is_cold()) {
            self.jobs.doomed.0.insert(segment.entry.object(), Arc::downgrade(segment));
        }
        for Expired { dataset, partition, segments } in &expired {
            self.replace(dataset, partition, segments, Vec::new())?;
            segments.iter().for_each(|segment| segment.retire());
            tracing::info!(%dataset, segments = segments.len(), "dropped a partition that is past its time");
        }
        Ok(())
    }

    fn finish_tiering(
        &mut self,
        dataset: &DatasetName,
        partition: &PartitionKey,
        segments: &[Arc<Segment>],
        cold: &Arc<dyn Objects>,
    ) -> Result<(), StoreError> {
        // Where they are not as they were, the copies stay doomed.
        if !self.still_has(segments) {
            return Ok(());
        }
        let moved = segments.iter().map(|segment| {
            let mut entry = segment.entry.clone();
            entry.cold = true;
            let place = Place::Object { objects: Arc::clone(cold), name: entry.object() };
            Arc::new(segment.moved(entry, place))
        });
        let moved: Vec<Arc<Segment>> = moved.collect();
        let mut edit = self.edit();
        edit.add = moved.iter().map(|segment| segment.entry.clone()).collect();
        edit.spare = moved.iter().map(|segment| segment.entry.object()).collect();
        self.append(edit)?;
        self.replace(dataset, partition, segments, moved)?;
        segments.iter().for_each(|segment| segment.retire());
        Ok(())
    }
}
