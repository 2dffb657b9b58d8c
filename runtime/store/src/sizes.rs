//! How large things get before something happens.

use domicile_types::limits;

/// Sizes at which a store changes what it does. The default is for production; tests make them small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of recent rows after which they are written to segments.
    pub recent_bytes_max: usize,
    /// Bytes up to which a batch goes through the write-ahead log.
    pub batch_bytes_max: usize,
    /// Bytes of a larger batch that are sorted at a time.
    pub chunk_bytes_max: usize,
    /// Rows of a larger batch that are sorted at a time, and so the rows of one of its segments.
    pub chunk_rows_max: usize,
    /// Bytes that are reserved for a log file; a fuller one is followed by the next.
    pub log_file_bytes: u64,
    /// Bytes of manifest edits after which the manifest is written anew.
    pub manifest_bytes: u64,
    /// Rows of a segment that compaction writes.
    pub segment_rows_max: u64,
    /// Bytes of such a segment after which it is sealed.
    pub segment_bytes_max: u64,
    /// Partitions of a dataset.
    pub partitions_max: usize,
    /// Segments of about one size that are merged into one.
    pub compaction_fan_in: usize,
    /// Bytes below which runs count as equally small.
    pub small_run_bytes: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            recent_bytes_max: limits::RECENT_BYTES_MAX,
            batch_bytes_max: limits::LOGGED_BATCH_BYTES_MAX,
            chunk_bytes_max: limits::LOAD_CHUNK_BYTES_MAX,
            chunk_rows_max: limits::LOAD_CHUNK_ROWS_MAX,
            log_file_bytes: limits::LOG_FILE_BYTES,
            manifest_bytes: 1024 * 1024,
            segment_rows_max: 4 * 1024 * 1024,
            segment_bytes_max: limits::SEGMENT_BYTES_MAX,
            partitions_max: limits::DATASET_PARTITIONS_MAX,
            compaction_fan_in: 8,
            small_run_bytes: 256 * 1024,
        }
    }
}
