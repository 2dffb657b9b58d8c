//! What readers see: the rows of every dataset at one version.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, UInt8Type};
use domicile_types::{DatasetName, SetName, Vector};

use crate::bounds::Bounds;
use crate::catalog::{Catalog, Entry};
use crate::lookup::{self, Sources};
use crate::partition::PartitionKey;
use crate::recent;
use crate::segment::{SegmentReader, tombstones};
use crate::version::OP_TOMBSTONE;
use crate::{DatasetSpec, Health, Segment, StoreError, rows};

/// The rows of every dataset at one version. It stays as it is while the store goes on, and keeps its files.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Commits so far; 0 for a store that nothing was loaded into.
    pub version: u64,
    /// What counts of each replication set.
    pub applied: Arc<BTreeMap<SetName, Vector>>,
    pub(crate) datasets: BTreeMap<DatasetName, Arc<BTreeMap<PartitionKey, Arc<Partition>>>>,
    /// What cannot be read, by dataset.
    pub(crate) damage: BTreeMap<DatasetName, Arc<StoreError>>,
}

/// The rows of one partition.
#[derive(Debug, Clone, Default)]
pub struct Partition {
    /// Which partition.
    pub key: PartitionKey,
    /// Its segments, in the order of their numbers.
    pub segments: Vec<Arc<Segment>>,
    /// Rows that are in the write-ahead log and in no segment yet: batches of the stored schema, each sorted by primary
    /// key, with each key once.
    pub recent: Vec<RecordBatch>,
    /// How many of the recent batches are on their way into a segment.
    pub(crate) frozen: usize,
    /// The first key column.
    pub(crate) first_key: Option<String>,
}

/// Sources of one partition that are read together.
#[derive(Debug, Clone, Default)]
pub struct ReadGroup {
    /// Segments.
    pub segments: Vec<Arc<Segment>>,
    /// Recent rows.
    pub recent: Vec<RecordBatch>,
    /// Whether versions of one row may lie in several of the sources, or deleted rows in one: then the newest version
    /// of each key counts, and nothing where that is a tombstone. Otherwise every row counts.
    pub merge: bool,
}

struct Reach<'a> {
    bounds: Bounds,
    source: Source<'a>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Segment(&'a Arc<Segment>),
    Recent(&'a RecordBatch),
}

impl Partition {
    /// The sources in groups that share no keys.
    pub fn groups(&self) -> Vec<ReadGroup> {
        let Some(key) = &self.first_key else {
            return vec![ReadGroup { segments: self.segments.clone(), recent: self.recent.clone(), merge: false }];
        };
        let segments = self.segments.iter().map(|segment| {
            let bounds = segment.entry.bounds.clone().unwrap_or_default();
            Reach { bounds, source: Source::Segment(segment) }
        });
        let recent = self.recent.iter().map(|batch| {
            let bounds = Bounds::of_sorted(batch, key).unwrap_or_default();
            Reach { bounds, source: Source::Recent(batch) }
        });
        let mut sources: Vec<Reach<'_>> = segments.chain(recent).collect();
        sources.sort_by(|a, b| a.bounds.min.cmp(&b.bounds.min));
        let mut groups: Vec<(Option<Bounds>, Vec<Source<'_>>)> = Vec::new();
        for reach in sources {
            match groups.last_mut() {
                Some((Some(bounds), sources)) if !bounds.ends_before(&reach.bounds) => {
                    sources.push(reach.source);
                    let joined = Bounds::join(Some(bounds.clone()), Some(reach.bounds));
                    *bounds = joined.unwrap_or_default();
                }
                _ => groups.push((Some(reach.bounds), vec![reach.source])),
            }
        }
        groups.into_iter().flat_map(|(_, sources)| group(&sources)).collect()
    }

    /// Row versions, tombstones included.
    pub fn rows(&self) -> u64 {
        let segments: u64 = self.segments.iter().map(|segment| segment.rows).sum();
        segments + self.recent.iter().map(|batch| batch.num_rows() as u64).sum::<u64>()
    }

    /// Bytes of the segments on disk, and of the recent rows in memory.
    pub fn bytes(&self) -> u64 {
        let segments: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        segments + self.recent.iter().map(|batch| recent::bytes(batch) as u64).sum::<u64>()
    }
}

/// One group of sources that overlap, or, where they are segments of one run, which share no keys, one for each.
fn group(sources: &[Source<'_>]) -> Vec<ReadGroup> {
    let runs = sources.iter().map(|source| match source {
        Source::Segment(segment) => Some(segment.run),
        Source::Recent(_) => None,
    });
    let deleted = |source: &Source<'_>| match source {
        Source::Segment(segment) => segment.tombstones > 0,
        Source::Recent(batch) => tombstones(batch) > 0,
    };
    let mut runs: Vec<_> = runs.collect();
    runs.dedup();
    let apart = sources.len() == 1 || matches!(runs.as_slice(), [Some(_)]);
    let of = |sources: &[Source<'_>], merge| {
        let mut group = ReadGroup { merge, ..ReadGroup::default() };
        for source in sources {
            match source {
                Source::Segment(segment) => group.segments.push(Arc::clone(segment)),
                Source::Recent(batch) => group.recent.push((*batch).clone()),
            }
        }
        group
    };
    if !apart {
        return vec![of(sources, true)];
    }
    sources.iter().map(|source| of(&[*source], deleted(source))).collect()
}

impl Snapshot {
    /// The partitions of a dataset, in the order of their keys; none where there is no such dataset.
    ///
    /// # Errors
    /// Where rows of the dataset are known to be missing: what is left must not pass for all of it.
    pub fn partitions(&self, dataset: &DatasetName) -> Result<Vec<Arc<Partition>>, StoreError> {
        if let Some(damage) = self.damage.get(dataset) {
            return Err(StoreError::Damaged { dataset: dataset.clone(), source: Arc::clone(damage) });
        }
        Ok(self.held(dataset).cloned().collect())
    }

    /// The partitions of a dataset, damaged or not.
    pub(crate) fn held(&self, dataset: &DatasetName) -> impl Iterator<Item = &Arc<Partition>> {
        self.datasets.get(dataset).into_iter().flat_map(|partitions| partitions.values())
    }

    /// Changes a partition, which comes into being where there is none.
    pub(crate) fn change(
        &mut self,
        dataset: &DatasetName,
        key: &PartitionKey,
        first_key: Option<&String>,
        change: impl FnOnce(&mut Partition) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let partitions = Arc::make_mut(self.datasets.entry(dataset.clone()).or_default());
        let empty = || Arc::new(Partition { key: key.clone(), first_key: first_key.cloned(), ..Partition::default() });
        let partition = partitions.entry(key.clone()).or_insert_with(empty);
        let changed = Arc::make_mut(partition);
        change(changed)?;
        if changed.segments.is_empty() && changed.recent.is_empty() {
            partitions.remove(key);
        }
        Ok(())
    }

    /// Row versions of a dataset. Rows that were replaced or deleted count until compaction.
    pub fn rows(&self, dataset: &DatasetName) -> u64 {
        self.held(dataset).map(|partition| partition.rows()).sum()
    }

    /// Bytes that a dataset takes, on disk and in memory.
    pub fn bytes(&self, dataset: &DatasetName) -> u64 {
        self.held(dataset).map(|partition| partition.bytes()).sum()
    }

    /// Segments of a dataset.
    pub fn segments_len(&self, dataset: &DatasetName) -> usize {
        self.held(dataset).map(|partition| partition.segments.len()).sum()
    }
}

/// Reads a store while its owner writes into it. Cheap to clone.
#[derive(Clone)]
pub struct StoreReader {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) current: Arc<ArcSwap<Snapshot>>,
    pub(crate) health: Arc<ArcSwap<Health>>,
}

impl fmt::Debug for StoreReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreReader").field("version", &self.snapshot().version).finish_non_exhaustive()
    }
}

impl StoreReader {
    /// The state after the last commit.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Whether the store takes writes, and what it cannot read.
    pub fn health(&self) -> Arc<Health> {
        self.health.load_full()
    }

    /// All datasets, as given when the store was opened.
    pub fn specs(&self) -> &[DatasetSpec] {
        self.catalog.specs()
    }

    /// The newest versions of the rows that have these keys: for each its row in the batch, which has the columns
    /// `wanted`; none where there is no such row.
    ///
    /// # Errors
    /// Where there is no such dataset, or its rows cannot be read.
    pub fn find(
        &self,
        dataset: &DatasetName,
        keys: &[ArrayRef],
        wanted: &[&str],
    ) -> Result<(Option<RecordBatch>, Vec<Option<u32>>), StoreError> {
        let entry = self.catalog.entry(dataset)?;
        let partitions = self.snapshot().partitions(dataset)?;
        let sources = Sources { entry, partitions: &partitions, written: &[] };
        let found = lookup::newest(&sources, keys, entry.primary_key(), wanted)?;
        Ok((found.rows, found.at))
    }

    /// The newest versions of all rows of a dataset that is small, without deleted ones.
    ///
    /// # Errors
    /// Where there is no such dataset, its rows cannot be read, or they take more than `bytes_max`.
    pub fn rows(&self, dataset: &DatasetName, bytes_max: u64) -> Result<RecordBatch, StoreError> {
        let entry = self.catalog.entry(dataset)?;
        let snapshot = self.snapshot();
        let actual = snapshot.bytes(dataset);
        if actual > bytes_max {
            return Err(StoreError::TooLarge { unit: "bytes", actual, max: bytes_max });
        }
        let all = snapshot.partitions(dataset)?;
        let segments = all.iter().flat_map(|partition| &partition.segments);
        live(entry, segments, all.iter().flat_map(|partition| &partition.recent))
    }

    /// Whether a snapshot has any rows of a dataset, deleted ones not counted.
    ///
    /// # Errors
    /// Where there is no such dataset, or its rows cannot be read.
    pub fn has_rows(&self, snapshot: &Snapshot, dataset: &DatasetName) -> Result<bool, StoreError> {
        let entry = self.catalog.entry(dataset)?;
        for group in snapshot.partitions(dataset)?.iter().flat_map(|partition| partition.groups()) {
            if !group.merge || live(entry, &group.segments, &group.recent)?.num_rows() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The declared columns of a dataset.
    ///
    /// # Errors
    /// Where there is no such dataset; the error names the nearest one.
    pub fn schema(&self, dataset: &DatasetName) -> Result<SchemaRef, StoreError> {
        Ok(Arc::clone(&self.catalog.entry(dataset)?.schema))
    }

    /// The columns of a dataset's segments: the declared ones, the entity where rows have a home, the hidden ones. A
    /// segment from before columns were added lacks these.
    ///
    /// # Errors
    /// Where there is no such dataset; the error names the nearest one.
    pub fn stored_schema(&self, dataset: &DatasetName) -> Result<SchemaRef, StoreError> {
        Ok(Arc::clone(&self.catalog.entry(dataset)?.stored))
    }

    /// The [`Segment::shape`] of segments that have all of these columns.
    ///
    /// # Errors
    /// Where there is no such dataset; the error names the nearest one.
    pub fn shape(&self, dataset: &DatasetName) -> Result<u32, StoreError> {
        Ok(self.catalog.entry(dataset)?.shape)
    }
}

/// The newest versions of the rows in these, without deleted ones.
fn live<'s>(
    entry: &Entry,
    segments: impl IntoIterator<Item = &'s Arc<Segment>>,
    recent: impl IntoIterator<Item = &'s RecordBatch>,
) -> Result<RecordBatch, StoreError> {
    let mut batches: Vec<RecordBatch> = recent.into_iter().cloned().collect();
    for segment in segments {
        for batch in SegmentReader::open::<&str>(segment, entry, None)? {
            batches.push(batch?);
        }
    }
    let merged = rows::merged(&batches, &entry.stored, entry.primary_key())?;
    let ops = merged.column(merged.num_columns() - 1).as_primitive::<UInt8Type>();
    let live = BooleanArray::from_unary(ops, |op| op != OP_TOMBSTONE);
    Ok(filter_record_batch(&merged, &live)?)
}
