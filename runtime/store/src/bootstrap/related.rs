//! The part of a dataset's rows that is about certain other datasets, as segments.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use domicile_types::DatasetName;

use super::RowsAbout;
use crate::catalog::Entry;
use crate::disk::Disk;
use crate::partition::PartitionKey;
use crate::segment::{SegmentReader, Writer, WriterParts};
use crate::version::Sequencer;
use crate::{Segment, Snapshot, StoreError, rows};

/// Where segments are written that a store does not have.
pub(crate) struct Target<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) dir: &'a Path,
    pub(crate) sequencer: &'a Sequencer,
}

impl Target<'_> {
    /// A segment of these rows.
    pub(crate) fn write(
        &self,
        entry: &Entry,
        partition: &PartitionKey,
        batches: &[RecordBatch],
    ) -> Result<Segment, StoreError> {
        let id = self.sequencer.segment_id();
        let merged = rows::merged(batches, &entry.stored, entry.primary_key())?;
        let parts = WriterParts { disk: self.disk, dir: self.dir, entry, partition, id, run: id };
        let mut writer = Writer::create(&parts, &merged)?;
        writer.write(&merged)?;
        writer.finish()
    }
}

/// The rows of a dataset of which `is_wanted` says so by what they are about: the segments that have only such, and new
/// ones with those of the others.
pub(crate) fn segments(
    snapshot: &Snapshot,
    entry: &Entry,
    about: &RowsAbout,
    is_wanted: &dyn Fn(&str) -> bool,
    target: &Target<'_>,
) -> Result<(Vec<Arc<Segment>>, Vec<Segment>), StoreError> {
    let (mut whole, mut written) = (Vec::new(), Vec::new());
    for partition in snapshot.partitions(&about.dataset)? {
        for segment in &partition.segments {
            let batches = SegmentReader::open::<&str>(segment, entry, None)?.collect::<Result<Vec<_>, _>>()?;
            let kept = wanted(&batches, about, is_wanted)?;
            let count: usize = kept.iter().map(RecordBatch::num_rows).sum();
            match count as u64 {
                0 => {}
                count if count == segment.rows => whole.push(Arc::clone(segment)),
                _ => written.push(target.write(entry, &partition.key, &kept)?),
            }
        }
        let recent = wanted(&partition.recent, about, is_wanted)?;
        if recent.iter().any(|batch| batch.num_rows() > 0) {
            written.push(target.write(entry, &partition.key, &recent)?);
        }
    }
    Ok((whole, written))
}

fn wanted(
    batches: &[RecordBatch],
    about: &RowsAbout,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<RecordBatch>, StoreError> {
    let filtered = |batch: &RecordBatch| {
        let column = batch.column(batch.schema_ref().index_of(&about.column)?);
        let names = column.as_string_opt::<i32>();
        let mask = names.into_iter().flatten().map(|name| Some(name.is_some_and(is_wanted)));
        Ok(filter_record_batch(batch, &mask.collect::<BooleanArray>())?)
    };
    batches.iter().map(filtered).collect()
}

/// Whether a dataset is one of these, by name.
pub(crate) fn names(datasets: &BTreeSet<DatasetName>) -> impl Fn(&str) -> bool {
    |name| datasets.iter().any(|dataset| dataset.as_str() == name)
}
