//! Segments: immutable Parquet files, each sorted by primary key.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use domicile_types::Digest;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::catalog::Entry;
use crate::disk::{self, Disk};
use crate::hash::{self, HashingWriter};
use crate::{SegmentProblem, StoreError};

/// Rows of one row group.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Rows of one batch while reading keys back.
const READ_ROWS: usize = 8192;

/// An immutable Parquet file that holds rows of one dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The file.
    pub path: PathBuf,
    /// Rows in it. Never zero.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub digest: Digest,
}

impl Segment {
    /// Reads the whole file and compares its digest.
    ///
    /// # Errors
    /// Where the file cannot be read or is not what was written.
    pub fn verify(&self) -> Result<(), StoreError> {
        if hash::of_file(&self.path)? == self.digest {
            return Ok(());
        }
        Err(self.refused(SegmentProblem::Damaged))
    }

    /// Checks size and footer, which is what a crash or a half-done copy would damage.
    pub(crate) fn check(&self, entry: &Entry) -> Result<(), StoreError> {
        let actual = match fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.refused(SegmentProblem::Missing)),
            Err(source) => return Err(StoreError::io("inspect", &self.path)(source)),
        };
        if actual != self.bytes {
            return Err(self.refused(SegmentProblem::Size { expected: self.bytes, actual }));
        }
        let builder = self.open()?;
        if u64::try_from(builder.metadata().file_metadata().num_rows()) != Ok(self.rows) {
            return Err(self.refused(SegmentProblem::Damaged));
        }
        if !same_columns(builder.schema(), &entry.stored) {
            return Err(self.refused(SegmentProblem::Schema { dataset: entry.spec.dataset.name.clone() }));
        }
        Ok(())
    }

    /// The named columns, in the order of the segment's schema.
    pub(crate) fn read(
        &self,
        columns: &[&str],
        range: Option<(usize, usize)>,
    ) -> Result<SegmentReader<'_>, StoreError> {
        let builder = self.open()?;
        let fields = builder.schema().fields();
        let wanted: Vec<usize> =
            (0..fields.len()).filter(|index| columns.contains(&fields[*index].name().as_str())).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        let mut builder = builder.with_projection(mask).with_batch_size(READ_ROWS);
        if let Some((offset, limit)) = range {
            builder = builder.with_offset(offset).with_limit(limit);
        }
        let reader = builder.build().map_err(StoreError::damaged(&self.path))?;
        Ok(SegmentReader { segment: self, reader })
    }

    fn open(&self) -> Result<ParquetRecordBatchReaderBuilder<File>, StoreError> {
        let file = File::open(&self.path).map_err(StoreError::io("open", &self.path))?;
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(StoreError::damaged(&self.path))
    }

    fn refused(&self, problem: SegmentProblem) -> StoreError {
        StoreError::Segment { path: self.path.clone(), problem }
    }
}

/// Batches of a segment.
pub(crate) struct SegmentReader<'a> {
    segment: &'a Segment,
    reader: ParquetRecordBatchReader,
}

impl Iterator for SegmentReader<'_> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.reader.next()?.map_err(StoreError::damaged(&self.segment.path)))
    }
}

fn same_columns(found: &Schema, expected: &Schema) -> bool {
    let key = |schema: &Schema| -> Vec<_> {
        schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone(), f.is_nullable())).collect()
    };
    key(found) == key(expected)
}

/// Writes sorted rows as a durable segment named after `stem` and its own digest. A failure leaves no file.
pub(crate) fn write(
    disk: &dyn Disk,
    dir: &Path,
    stem: &str,
    entry: &Entry,
    batches: impl Iterator<Item = Result<RecordBatch, StoreError>>,
) -> Result<Segment, StoreError> {
    let temporary = disk::temporary(&dir.join(stem));
    let written = write_file(disk, &temporary, entry, batches).and_then(|(rows, bytes, digest)| {
        let path = dir.join(format!("{stem}-{}.parquet", digest.short()));
        disk.rename(&temporary, &path).map_err(StoreError::io("rename to", &path))?;
        Ok(Segment { path, rows, bytes, digest })
    });
    if written.is_err() {
        disk::discard(disk, &temporary);
    }
    written
}

fn write_file(
    disk: &dyn Disk,
    path: &Path,
    entry: &Entry,
    batches: impl Iterator<Item = Result<RecordBatch, StoreError>>,
) -> Result<(u64, u64, Digest), StoreError> {
    let failed = |source| StoreError::Write { path: path.to_owned(), source };
    let file = disk.create(path).map_err(StoreError::io("create", path))?;
    let mut sink = HashingWriter::new(BufWriter::new(file));
    let mut rows = 0;
    let schema = Arc::clone(&entry.stored);
    let mut writer = ArrowWriter::try_new(&mut sink, schema, Some(properties(entry))).map_err(failed)?;
    for batch in batches {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    let (mut sink, digest, bytes) = sink.finish();
    sink.flush().and_then(|()| disk.sync(sink.get_ref())).map_err(StoreError::io("write", path))?;
    Ok((rows, bytes, digest))
}

fn properties(entry: &Entry) -> WriterProperties {
    let position = |name: &String| entry.stored.index_of(name).ok().and_then(|index| i32::try_from(index).ok());
    let key = entry.primary_key().iter().filter_map(position);
    let sorting: Vec<_> =
        key.map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false }).collect();
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_sorting_columns((!sorting.is_empty()).then_some(sorting))
        .set_created_by("domicile".to_owned())
        .build()
}
