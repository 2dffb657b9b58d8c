//! One load: a file read in chunks, each checked, sorted and written as a segment that nothing refers to yet.

use std::collections::BTreeSet;
use std::path::Path;

use domicile_types::{KeyValue, RegionId, limits};

use crate::catalog::{Catalog, Entry};
use crate::chunk::{self, Gathered};
use crate::disk::{self, Disk};
use crate::input::Input;
use crate::refusals::Refusals;
use crate::segment::{self, Segment};
use crate::{FileFormat, Snapshot, StoreError};

/// Where a load goes, and what its rows are checked against.
pub(crate) struct Target<'a> {
    pub(crate) disk: &'a dyn Disk,
    /// Directory of the segments.
    pub(crate) dir: &'a Path,
    pub(crate) region: &'a RegionId,
    pub(crate) catalog: &'a Catalog,
    pub(crate) entry: &'a Entry,
    pub(crate) snapshot: &'a Snapshot,
}

/// Durable segments that no manifest names. Dropping them removes their files.
pub(crate) struct Uncommitted<'a> {
    disk: &'a dyn Disk,
    segments: Vec<Segment>,
    /// Values of the residency column in the rows.
    pub(crate) values: BTreeSet<KeyValue>,
}

impl Uncommitted<'_> {
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Keeps the files: from here on a manifest may name them.
    pub(crate) fn keep(mut self) -> Vec<Segment> {
        std::mem::take(&mut self.segments)
    }
}

impl Drop for Uncommitted<'_> {
    fn drop(&mut self) {
        for segment in &self.segments {
            disk::discard(self.disk, &segment.path);
        }
    }
}

/// Writes the rows of `source` as segments.
pub(crate) fn run<'a>(target: &Target<'a>, source: &Path, format: FileFormat) -> Result<Uncommitted<'a>, StoreError> {
    let mut input = Input::open(source, format, target.entry)?;
    let mut uncommitted = Uncommitted { disk: target.disk, segments: Vec::new(), values: BTreeSet::new() };
    let mut refusals = Refusals::default();
    let mut gathered = Gathered::default();
    while let Some(batch) = input.next(gathered.rows(), &mut refusals)? {
        gathered.push(batch);
        let rows = refusals.rows_before() + gathered.rows() as u64;
        if rows > limits::LOAD_ROWS_MAX {
            return Err(StoreError::TooLarge { unit: "rows", actual: rows, max: limits::LOAD_ROWS_MAX });
        }
        if gathered.is_full() {
            seal(target, &mut gathered, &mut uncommitted, &mut refusals)?;
        }
    }
    seal(target, &mut gathered, &mut uncommitted, &mut refusals)?;
    refusals.into_result()?;
    if !uncommitted.segments.is_empty() {
        target.disk.sync_dir(target.dir).map_err(StoreError::io("sync", target.dir))?;
    }
    Ok(uncommitted)
}

/// Checks what was gathered and, unless some row of the load was refused, writes it.
fn seal(
    target: &Target<'_>,
    gathered: &mut Gathered,
    uncommitted: &mut Uncommitted<'_>,
    refusals: &mut Refusals,
) -> Result<(), StoreError> {
    let Some(rows) = gathered.take()? else { return Ok(()) };
    let checked = chunk::check(target, &rows, &uncommitted.segments, &mut uncommitted.values, refusals)?;
    let count = rows.num_rows();
    drop(rows);
    if refusals.is_empty() {
        let name = &target.entry.spec.dataset.name;
        let stem = format!("{name}-{:08}-{:03}", target.snapshot.version + 1, uncommitted.segments.len());
        let batches = checked.batches(&target.entry.stored)?;
        uncommitted.segments.push(segment::write(target.disk, target.dir, &stem, target.entry, batches)?);
    }
    refusals.advance(count);
    Ok(())
}
