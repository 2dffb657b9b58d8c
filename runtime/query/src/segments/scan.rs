//! What one scan reads, and how its columns lie in segments.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::config::{ConfigOptions, TableParquetOptions};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use domicile_store::{OP_COLUMN, Partition, ReadGroup, Segment, Snapshot, VERSION_COLUMNS};
use domicile_types::DatasetName;

use super::reader::{SegmentReaders, file_of};

/// The columns of segments.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) stored: SchemaRef,
    /// The shape of segments that have them all.
    shape: u32,
    /// Names of the primary key; none where all rows are live.
    pub(crate) key: Vec<String>,
    /// Places of all columns that merging looks at, in ascending order.
    merging: Vec<usize>,
}

impl Layout {
    pub(crate) fn new((stored, shape): (SchemaRef, u32), key: &[String]) -> DataFusionResult<Self> {
        let mut merging = Vec::new();
        if !key.is_empty() {
            let names = key.iter().map(String::as_str).chain(VERSION_COLUMNS).chain([OP_COLUMN]);
            merging = names.map(|name| Ok(stored.index_of(name)?)).collect::<DataFusionResult<_>>()?;
            merging.sort_unstable();
        }
        Ok(Self { stored, shape, key: key.to_vec(), merging })
    }

    /// The places of the columns of `schema`.
    pub(crate) fn places(&self, schema: &Schema) -> DataFusionResult<Vec<usize>> {
        schema.fields().iter().map(|field| Ok(self.stored.index_of(field.name())?)).collect()
    }

    /// `places` and those of the columns that merging looks at, in ascending order.
    pub(crate) fn merged(&self, places: &[usize]) -> Vec<usize> {
        let mut merged: Vec<usize> = self.merging.iter().chain(places).copied().collect();
        merged.sort_unstable();
        merged.dedup();
        merged
    }

    /// The order of merging for rows of `schema`: by key, the newest version first.
    ///
    /// # Errors
    /// Where the dataset has no key, so that there is nothing to merge by.
    pub(crate) fn order(&self, schema: &Schema) -> DataFusionResult<LexOrdering> {
        let sorted = |name: &str, options| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(name, schema.index_of(name)?));
            Ok(PhysicalSortExpr::new(column, options))
        };
        let key = self.key.iter().map(|name| sorted(name, SortOptions { descending: false, nulls_first: true }));
        let newest = SortOptions { descending: true, nulls_first: false };
        let versions = VERSION_COLUMNS.iter().filter(|_| !self.key.is_empty()).map(|name| sorted(name, newest));
        let order = key.chain(versions).collect::<DataFusionResult<Vec<_>>>()?;
        LexOrdering::new(order)
            .ok_or_else(|| DataFusionError::Internal("rows of a dataset without key are to be merged".to_owned()))
    }
}

/// What one scan reads: all groups of the partitions that pruning left.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) dataset: DatasetName,
    pub(crate) layout: Layout,
    /// Segments whose rows are all live.
    pub(crate) plain: Vec<Arc<Segment>>,
    /// Recent rows that are all live.
    pub(crate) recent: Vec<RecordBatch>,
    /// Groups that have to be merged, each by itself.
    pub(crate) merged: Vec<ReadGroup>,
    pub(crate) partitions: usize,
    pub(crate) partitions_all: usize,
    _snapshot: Arc<Snapshot>,
}

impl Scan {
    pub(crate) fn new(
        dataset: DatasetName,
        layout: Layout,
        snapshot: Arc<Snapshot>,
        partitions: &[Arc<Partition>],
        partitions_all: usize,
    ) -> Self {
        let (mut plain, mut recent, mut merged) = (Vec::new(), Vec::new(), Vec::new());
        for group in partitions.iter().flat_map(|partition| partition.groups()) {
            if group.merge {
                merged.push(group);
            } else {
                plain.extend(group.segments);
                recent.extend(group.recent);
            }
        }
        // Large ones first, so that the last ones to be taken are small and no thread works alone for long.
        plain.sort_by_key(|segment| std::cmp::Reverse(segment.bytes));
        let partitions = partitions.len();
        Self { dataset, layout, plain, recent, merged, partitions, partitions_all, _snapshot: snapshot }
    }

    pub(crate) fn merged_segments(&self) -> usize {
        self.merged.iter().map(|group| group.segments.len()).sum()
    }

    /// Recent row versions, tombstones included.
    pub(crate) fn recent_rows(&self) -> usize {
        let merged = self.merged.iter().flat_map(|group| &group.recent);
        self.recent.iter().chain(merged).map(RecordBatch::num_rows).sum()
    }

    /// Row versions in segments, tombstones included.
    pub(crate) fn segment_rows(&self) -> u64 {
        let merged = self.merged.iter().flat_map(|group| &group.segments);
        self.plain.iter().chain(merged).map(|segment| segment.rows).sum()
    }
}

/// A scan of `groups` of segments, one output partition each, giving the columns at `places`: so many rows at a time,
/// or as many as the session says, and never more than are in one row group.
pub(crate) fn parquet(
    layout: &Layout,
    places: Vec<usize>,
    groups: Vec<FileGroup>,
    batch_rows: Option<usize>,
    filter: Option<&Arc<dyn PhysicalExpr>>,
    ordered: bool,
    options: &ConfigOptions,
) -> DataFusionResult<Arc<DataSourceExec>> {
    let options = TableParquetOptions { global: options.execution.parquet.clone(), ..TableParquetOptions::default() };
    let mut source = ParquetSource::new(Arc::clone(&layout.stored))
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(SegmentReaders));
    if let Some(filter) = filter {
        source = source.with_predicate(Arc::clone(filter));
    }
    let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
        .with_projection_indices(Some(places))?
        .with_file_groups(groups)
        .with_batch_size(batch_rows)
        .with_preserve_order(ordered)
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// Segments in up to `count` groups.
pub(crate) fn file_groups(layout: &Layout, segments: &[Arc<Segment>], count: usize) -> Vec<FileGroup> {
    let mut groups = vec![Vec::new(); count.min(segments.len())];
    for (index, segment) in segments.iter().enumerate() {
        let group = index % groups.len();
        let known = (segment.shape() == layout.shape).then_some(&layout.stored);
        groups[group].push(file_of(segment, known));
    }
    groups.into_iter().map(FileGroup::new).collect()
}
