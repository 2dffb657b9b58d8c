//! Compaction: several runs of one partition become one, without what newer versions replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use domicile_types::{DatasetName, Hlc};

use crate::bounds::Bounds;
use crate::catalog::{Catalog, Entry};
use crate::disk::Disk;
use crate::jobs::Pace;
use crate::merge::{Merge, Run};
use crate::partition::PartitionKey;
use crate::prepare::Uncommitted;
use crate::segment::{Writer, WriterParts, moments};
use crate::version::Sequencer;
use crate::{Partition, Segment, Sizes, Snapshot, Store, StoreError};

/// Rows for one tombstone, at most, that make it worth while to write a partition anew without tombstones.
const TOMBSTONES: u64 = 4;
/// The same for a partition that nothing new came to for a while.
const QUIET_TOMBSTONES: u64 = 64;

/// How long a partition had no newer version until few runs are reason enough to merge them, in milliseconds.
const QUIET_MS: u64 = 10 * 60 * 1000;

/// Runs to be merged.
#[derive(Debug)]
pub(crate) struct Compaction {
    pub(crate) dataset: DatasetName,
    pub(crate) partition: PartitionKey,
    runs: Vec<Vec<Arc<Segment>>>,
    forget_before: Hlc,
    sizes: Sizes,
    disk: Arc<dyn Disk>,
    /// Directory of the segments.
    dir: PathBuf,
    catalog: Arc<Catalog>,
    sequencer: Arc<Sequencer>,
}

/// One run in the place of several.
#[derive(Debug)]
pub(crate) struct Compacted {
    dataset: DatasetName,
    partition: PartitionKey,
    sources: Vec<Arc<Segment>>,
    written: Uncommitted,
}

/// Runs of a partition whose merging is worth while.
struct Plan {
    runs: Vec<Vec<Arc<Segment>>>,
    /// Runs that readers need not merge any more.
    gain: usize,
    bytes: u64,
}

/// Moment before which tombstones can go once the `covered` segments of a partition are merged: no version older than
/// such a tombstone, with a key that is covered, is anywhere else or comes later. Elsewhere are:
///
/// - segments that are not covered, in cold storage too, where their keys overlap;
/// - recent rows: a large batch takes its moment when it begins and becomes segments without passing the log, so its
///   tombstones may be newer than rows that are still in the log;
/// - large batches that took their moment and are not committed. Those that begin later are newer than all there is.
///
/// - entries of other regions that may still come and were written without knowing of the tombstone: it stays until it
///   is stable.
fn forget_before(partition: &Partition, covered: &[Arc<Segment>], in_flight: Option<Hlc>) -> Hlc {
    let ids: BTreeSet<u64> = covered.iter().map(|segment| segment.id).collect();
    let reach = covered.iter().fold(None, |reach, segment| Bounds::join(reach, segment.entry.bounds.clone()));
    let overlaps = |segment: &Segment| match (&reach, &segment.entry.bounds) {
        (Some(reach), Some(bounds)) => !reach.ends_before(bounds) && !bounds.ends_before(reach),
        _ => true,
    };
    let others = partition.segments.iter().filter(|segment| !ids.contains(&segment.id) && overlaps(segment));
    let others = others.map(|segment| segment.entry.oldest);
    let recent = partition.recent.iter().filter_map(moments).map(|(oldest, _)| oldest);
    Hlc(others.chain(recent).chain(in_flight.map(|hlc| hlc.0)).min().unwrap_or(u64::MAX))
}

impl Compaction {
    /// Writes the merged run.
    pub(crate) fn run(self, pace: Pace<'_>) -> Result<Compacted, StoreError> {
        let entry = self.catalog.entry(&self.dataset)?;
        let mut output =
            Output { job: &self, entry, run: None, writer: None, told: 0, written: Uncommitted::default() };
        let mut runs: Vec<Run<'_>> = self.runs.iter().map(|run| Run::new(entry, run.clone())).collect();
        if entry.primary_key().is_empty() {
            for run in &mut runs {
                while let Some(batch) = run.next(pace)? {
                    output.write(batch, pace)?;
                }
            }
        } else {
            let mut merge = Merge::new(runs, &entry.stored, entry.primary_key(), self.forget_before, pace)?;
            while let Some(batch) = merge.next(pace)? {
                output.write(batch, pace)?;
            }
        }
        let written = output.finish(pace)?;
        let Self { dataset, partition, runs, .. } = self;
        Ok(Compacted { dataset, partition, sources: runs.into_iter().flatten().collect(), written })
    }
}

/// The segments of the merged run.
struct Output<'a> {
    job: &'a Compaction,
    entry: &'a Entry,
    run: Option<u64>,
    writer: Option<Writer>,
    /// Bytes of the open segment that `pace` was told of.
    told: u64,
    written: Uncommitted,
}

impl Output<'_> {
    fn write(&mut self, mut batch: RecordBatch, pace: Pace<'_>) -> Result<(), StoreError> {
        let (rows_max, bytes_max) = (self.job.sizes.segment_rows_max.max(1), self.job.sizes.segment_bytes_max);
        while batch.num_rows() > 0 {
            let writer = match &mut self.writer {
                Some(writer) => writer,
                None => self.writer.insert(create(self.job, self.entry, &mut self.run, &batch)?),
            };
            let room = usize::try_from(rows_max - writer.rows()).unwrap_or(usize::MAX).min(batch.num_rows());
            writer.write(&batch.slice(0, room))?;
            batch = batch.slice(room, batch.num_rows() - room);
            let (rows, bytes) = (writer.rows(), writer.bytes());
            pace(bytes.saturating_sub(self.told));
            self.told = self.told.max(bytes);
            if rows >= rows_max || bytes >= bytes_max {
                self.seal(pace)?;
            }
        }
        Ok(())
    }

    fn seal(&mut self, pace: Pace<'_>) -> Result<(), StoreError> {
        if let Some(writer) = self.writer.take() {
            let segment = writer.finish()?;
            pace(segment.bytes.saturating_sub(std::mem::take(&mut self.told)));
            self.written.push(segment);
        }
        Ok(())
    }

    fn finish(mut self, pace: Pace<'_>) -> Result<Uncommitted, StoreError> {
        self.seal(pace)?;
        let dir = &self.job.dir;
        self.job.disk.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
        Ok(self.written)
    }
}

fn create(job: &Compaction, entry: &Entry, run: &mut Option<u64>, first: &RecordBatch) -> Result<Writer, StoreError> {
    let id = job.sequencer.segment_id();
    let run = *run.get_or_insert(id);
    let (disk, dir, partition) = (&job.disk, job.dir.as_path(), &job.partition);
    Writer::create(&WriterParts { disk, dir, entry, partition, id, run }, first)
}

fn bytes(run: &[Arc<Segment>]) -> u64 {
    run.iter().map(|segment| segment.bytes).sum()
}

/// The runs of a partition that are on the local disk, in the order in which they were written.
fn runs(partition: &Partition) -> Vec<Vec<Arc<Segment>>> {
    let mut runs: BTreeMap<u64, Vec<Arc<Segment>>> = BTreeMap::new();
    for segment in partition.segments.iter().filter(|segment| !segment.is_cold()) {
        runs.entry(segment.run).or_default().push(Arc::clone(segment));
    }
    runs.into_values().collect()
}

/// Which part of the largest segment is large enough to stay as it is, where no other run has keys among its own: no
/// more than what recent rows become at once, so that rows whose keys rise are written once.
const SETTLED: u64 = 16;

/// Whether merging a run brings nothing: its segments are not small, and no other run has keys among its own.
fn is_settled(index: usize, runs: &[Vec<Arc<Segment>>], sizes: &Sizes) -> bool {
    let run = &runs[index];
    let (rows, count): (u64, _) = (run.iter().map(|segment| segment.rows).sum(), run.len().max(1) as u64);
    let is_large =
        rows / count >= sizes.segment_rows_max / SETTLED || bytes(run) / count >= sizes.segment_bytes_max / SETTLED;
    let reach = |run: &[Arc<Segment>]| {
        run.iter().fold(None, |reach, segment| Bounds::join(reach, segment.entry.bounds.clone()))
    };
    let apart = |other: &[Arc<Segment>]| match (reach(run), reach(other)) {
        (Some(a), Some(b)) => a.ends_before(&b) || b.ends_before(&a),
        (None, None) => true,
        _ => false,
    };
    is_large
        && run.iter().all(|segment| segment.tombstones == 0)
        && runs.iter().enumerate().all(|(other, runs)| other == index || apart(runs))
}

/// What to merge in a partition, if anything.
fn plan(partition: &Partition, sizes: &Sizes, in_flight: Option<Hlc>, now_ms: u64) -> Option<Plan> {
    let fan_in = sizes.compaction_fan_in.max(2);
    let all = runs(partition);
    let newest = partition.segments.iter().map(|segment| Hlc(segment.entry.newest)).max().unwrap_or_default();
    let is_quiet = partition.recent.is_empty() && newest.unix_ms().saturating_add(QUIET_MS) <= now_ms;
    let share = if is_quiet { QUIET_TOMBSTONES } else { TOMBSTONES };
    if let Some(plan) = without_tombstones(partition, &all, sizes, share, in_flight) {
        return Some(plan);
    }
    let mut due: Vec<Vec<Arc<Segment>>> = all
        .iter()
        .enumerate()
        .filter(|(index, _)| !is_settled(*index, &all, sizes))
        .map(|(_, run)| run.clone())
        .collect();
    due.sort_by_key(|run| (bytes(run), run.first().map(|segment| segment.run)));
    let due_bytes: Vec<u64> = due.iter().map(|run| bytes(run).max(sizes.small_run_bytes)).collect();
    let length = alike(&due_bytes, fan_in).or_else(|| is_quiet.then(|| few(&due, fan_in)).flatten())?;
    due.truncate(length.min(2 * fan_in));
    let (gain, bytes) = (due.len(), due.iter().map(|run| bytes(run)).sum());
    due.sort_by_key(|run| run.first().map(|segment| segment.run));
    Some(Plan { runs: due, gain, bytes })
}

/// All runs, where much of them is tombstones and those can go.
fn without_tombstones(
    partition: &Partition,
    all: &[Vec<Arc<Segment>>],
    sizes: &Sizes,
    share: u64,
    in_flight: Option<Hlc>,
) -> Option<Plan> {
    let segments: Vec<Arc<Segment>> = all.iter().flatten().cloned().collect();
    let (rows, tombstones) = segments
        .iter()
        .fold((0, 0), |(rows, tombstones), segment| (rows + segment.rows, tombstones + segment.tombstones));
    let marked = segments.iter().filter(|segment| segment.tombstones > 0).map(|segment| segment.entry.newest).max()?;
    let worth = tombstones.saturating_mul(share) >= rows && all.len() <= 2 * sizes.compaction_fan_in.max(2);
    let bytes = bytes(&segments);
    (worth && Hlc(marked) < forget_before(partition, &segments, in_flight)).then(|| Plan {
        runs: all.to_vec(),
        gain: all.len(),
        bytes,
    })
}

/// How many of the smallest runs to merge so that `fan_in` of about one size become one; none where there are not as
/// many. `sizes` go up. A run that is at most twice as large as the one before it, or as large as those of its size
/// before it together, is of their size still: any stricter, and runs that differ by a few bytes would never be merged;
/// any looser, and rows would be written more often.
fn alike(sizes: &[u64], fan_in: usize) -> Option<usize> {
    let (mut count, mut sum, mut last) = (0, 0, u64::MAX);
    for (index, size) in sizes.iter().copied().enumerate() {
        if size > sum.max(last.saturating_mul(2)) {
            (count, sum) = (0, 0);
        }
        count += 1;
        sum += size;
        last = size;
        if count == fan_in {
            let more = sizes[index + 1..].iter().take_while(|more| **more <= size * 2);
            return Some(index + 1 + more.count());
        }
    }
    None
}

/// All of a few runs, unless that is to write a large one anew for the sake of little.
fn few(runs: &[Vec<Arc<Segment>>], fan_in: usize) -> Option<usize> {
    let (largest, smaller) = runs.split_last()?;
    let smaller: u64 = smaller.iter().map(|run| bytes(run)).sum();
    (smaller > 0 && smaller.saturating_mul(fan_in as u64) >= bytes(largest)).then_some(runs.len())
}

impl Store {
    /// The merging that readers gain most from; none where none is due.
    pub(crate) fn compaction(&mut self, now_ms: u64) -> Option<Compaction> {
        let snapshot = self.reader.snapshot();
        let mut best: Option<((u32, usize), Plan, &DatasetName, &PartitionKey)> = None;
        for (dataset, partitions) in snapshot.datasets.iter().filter(|(name, _)| !snapshot.damage.contains_key(*name)) {
            for (key, partition) in partitions.iter().filter(|(_, partition)| !partition.segments.is_empty()) {
                let Some(failures) = self.jobs.failures(dataset, key) else { continue };
                let in_flight = self.oldest_open(dataset);
                let Some(plan) = plan(partition, &self.parts.sizes, in_flight, now_ms) else { continue };
                let rank = (failures, usize::MAX - plan.gain);
                let better = best.as_ref().is_none_or(|(other, known, ..)| (rank, plan.bytes) < (*other, known.bytes));
                if better {
                    best = Some((rank, plan, dataset, key));
                }
            }
        }
        let (_, plan, dataset, key) = best?;
        Some(self.compaction_of(&snapshot, dataset, key, plan.runs))
    }

    /// The oldest moment of a dataset that something older may still come to.
    fn oldest_open(&self, dataset: &DatasetName) -> Option<Hlc> {
        self.sequencer.oldest_flight().into_iter().chain(self.logs.oldest_unstable(dataset)).min()
    }

    fn compaction_of(
        &self,
        snapshot: &Snapshot,
        dataset: &DatasetName,
        key: &PartitionKey,
        runs: Vec<Vec<Arc<Segment>>>,
    ) -> Compaction {
        let covered: Vec<Arc<Segment>> = runs.iter().flatten().cloned().collect();
        let partition = snapshot.datasets.get(dataset).and_then(|partitions| partitions.get(key));
        let forget = |partition: &Arc<Partition>| forget_before(partition, &covered, self.oldest_open(dataset));
        Compaction {
            dataset: dataset.clone(),
            partition: key.clone(),
            forget_before: partition.map(forget).unwrap_or_default(),
            runs,
            sizes: self.parts.sizes.clone(),
            disk: Arc::clone(&self.parts.disk),
            dir: self.parts.segments_dir(),
            catalog: Arc::clone(&self.reader.catalog),
            sequencer: Arc::clone(&self.sequencer),
        }
    }

    /// Puts the merged run in the place of its sources. Where one of those is gone meanwhile, nothing changes.
    pub(crate) fn finish_compaction(&mut self, done: Compacted) -> Result<(), StoreError> {
        let Compacted { dataset, partition, sources, written } = done;
        if !self.still_has(&sources) {
            return Ok(());
        }
        let mut edit = self.edit();
        edit.add = written.segments().iter().map(|segment| segment.entry.clone()).collect();
        edit.remove = sources.iter().map(|segment| segment.id).collect();
        if let Err(error) = self.append(edit) {
            if self.manifest.is_poisoned() {
                written.keep();
            }
            return Err(error);
        }
        self.replace(&dataset, &partition, &sources, written.keep())?;
        sources.iter().for_each(|segment| segment.retire());
        Ok(())
    }

    /// Whether the segments are where they were.
    pub(crate) fn still_has(&self, segments: &[Arc<Segment>]) -> bool {
        segments.iter().all(|segment| self.state.segments.get(&segment.id) == Some(&segment.entry))
    }

    /// Shows readers other segments of a partition in the place of some.
    pub(crate) fn replace(
        &self,
        dataset: &DatasetName,
        partition: &PartitionKey,
        old: &[Arc<Segment>],
        new: Vec<Arc<Segment>>,
    ) -> Result<(), StoreError> {
        let mut snapshot = Snapshot::clone(&self.reader.snapshot());
        let first_key = self.reader.catalog.entry(dataset)?.primary_key().first().cloned();
        let gone: BTreeSet<u64> = old.iter().map(|segment| segment.id).collect();
        snapshot.change(dataset, partition, first_key.as_ref(), |partition| {
            partition.segments.retain(|segment| !gone.contains(&segment.id));
            partition.segments.extend(new);
            partition.segments.sort_by_key(|segment| segment.id);
            Ok(())
        })?;
        self.publish(snapshot);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::alike;

    /// Merges until nothing is due; runs are merged into one of all their bytes.
    fn settle(mut sizes: Vec<u64>, fan_in: usize) -> Vec<u64> {
        loop {
            sizes.sort_unstable();
            let Some(length) = alike(&sizes, fan_in) else { return sizes };
            let merged = sizes.drain(..length).sum();
            sizes.push(merged);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the sizes are: what is left is fewer than `fan_in` runs for each doubling of the size.
        #[test]
        fn runs_are_few(sizes in prop::collection::vec(1..1_000_000u64, 0..300), fan_in in 2..9_usize) {
            let left = settle(sizes, fan_in);
            let doublings = left.last().map_or(0, |largest| (largest / left[0]).ilog2() as usize + 1);
            prop_assert!(left.len() <= (fan_in - 1) * doublings, "{left:?}");
        }
    }
}
