//! Parquet's way to the bytes of a segment: always through the store, which compares checksums, and never by a path.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use domicile_store::{Segment, StoreError};
use futures::FutureExt;
use futures::future::BoxFuture;

/// The file that stands for a segment in a scan. Its name says nothing: the segment itself goes along. Where it has not
/// the columns `known`, its footer says which: rows have no value in those that it lacks.
pub(crate) fn file_of(segment: &Arc<Segment>, known: Option<&SchemaRef>) -> PartitionedFile {
    let file = PartitionedFile::new(segment.id.to_string(), segment.bytes).with_extension(Arc::clone(segment));
    match known {
        Some(known) => file.with_arrow_schema(Arc::clone(known)),
        None => file,
    }
}

/// Opens what [`file_of`] made.
#[derive(Debug)]
pub(crate) struct SegmentReaders;

impl ParquetFileReaderFactory for SegmentReaders {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> DataFusionResult<Box<dyn AsyncFileReader + Send>> {
        let segment = file.extension::<Arc<Segment>>();
        let segment = segment.ok_or_else(|| DataFusionError::Internal("a file is not a segment".to_owned()))?;
        Ok(Box::new(SegmentFile(Arc::clone(segment))))
    }
}

struct SegmentFile(Arc<Segment>);

impl SegmentFile {
    /// Reads on a thread that may wait for the disk, or for storage that is further away.
    fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Segment) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, ParquetResult<T>> {
        let segment = Arc::clone(&self.0);
        async move {
            let read = tokio::task::spawn_blocking(move || read(&segment)).await;
            let read = read.map_err(|error| ParquetError::External(Box::new(error)))?;
            // Shared, because operators pass an error on to several streams.
            read.map_err(|error| ParquetError::External(Box::new(Arc::new(error))))
        }
        .boxed()
    }
}

impl AsyncFileReader for SegmentFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.blocking(move |segment| segment.read(range))
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.blocking(move |segment| ranges.into_iter().map(|range| segment.read(range)).collect())
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        self.blocking(Segment::metadata)
    }
}
