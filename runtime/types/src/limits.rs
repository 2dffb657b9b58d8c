//! Every bound on what outsiders can make grow, in one place.

mod replication;

pub use replication::*;

use std::num::NonZeroUsize;
use std::time::Duration;

/// Longest SQL text accepted, in bytes.
pub const SQL_BYTES_MAX: usize = 64 * 1024;
/// Largest body of a request that is not a load or a plugin, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Largest file that one load may send, in bytes. A load is all or nothing, so this bounds the batch.
pub const LOAD_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Largest plugin component, in bytes.
pub const PLUGIN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Plugins that one region keeps, over all names and versions.
pub const PLUGINS_MAX: usize = 256;
/// Public keys that a region may trust for plugins.
pub const PLUGIN_KEYS_MAX: usize = 64;
/// Public keys that a region may trust for clients' tokens.
pub const CLIENT_KEYS_MAX: usize = 64;
/// Bytes of a client's token.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Jurisdictions, purposes, audiences or roles that a token may name, each.
pub const TOKEN_ITEMS_MAX: usize = 64;
/// Longest text in a token, in bytes.
pub const TOKEN_TEXT_BYTES_MAX: usize = 256;
/// How far ahead of a region's clock the moment may lie at which a token was made, or from which it holds.
pub const TOKEN_CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);
/// Longest that `domicile token new` lets a token hold.
pub const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// Bytes of the envelope that a plugin is signed with, in the form of its header.
pub const PLUGIN_ENVELOPE_BYTES_MAX: usize = 8 * 1024;
/// Signatures in one such envelope.
pub const PLUGIN_SIGNATURES_MAX: usize = 16;
/// Public keys that a region may trust for policies.
pub const POLICY_KEYS_MAX: usize = 64;
/// Bytes of a policy's signature: the file beside it.
pub const POLICY_SIGNATURE_BYTES_MAX: u64 = 64 * 1024;
/// Values that a policy may list for one column.
pub const DOMAIN_VALUES_MAX: usize = 1024;
/// Groups that the listed values of a table's keys may make up for the table to be judged by all of them.
pub const DOMAIN_GROUPS_MAX: usize = 4096;
/// Reloads of policies that wait for the one under way.
pub const POLICY_RELOADS_MAX: usize = 16;
/// Versions that a release remembers to go back to; the oldest are forgotten first.
pub const RELEASE_HISTORY_MAX: usize = 16;
/// Removed versions that a region remembers so that they do not come back; the oldest are forgotten first.
pub const PLUGINS_REMOVED_MAX: usize = 1024;
/// How far ahead of this region's clock the release of another region may be dated.
pub const RELEASE_AHEAD_MAX: Duration = Duration::from_secs(600);
/// Answers that wait to be compared with those of a shadow; further ones are not compared.
pub const SHADOW_QUEUE_MAX: usize = 16;
/// Bytes in memory of an answer that is compared with that of a shadow.
pub const SHADOW_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest that a shadow may take to answer.
pub const SHADOW_TIMEOUT: Duration = Duration::from_secs(30);
/// Differences of a shadow that are kept to be shown; the oldest are forgotten first.
pub const SHADOW_DIFFERENCES_MAX: usize = 16;
/// Characters of one value in such a difference.
pub const SHADOW_VALUE_CHARS_MAX: usize = 80;
/// Columns that such a difference shows.
pub const SHADOW_COLUMNS_MAX: usize = 32;
/// Latest times of answers, of a version and of its shadow each, that percentiles are taken from.
pub const SHADOW_TIMES_MAX: usize = 1024;
/// Rows that one answer may have.
pub const ANSWER_ROWS_MAX: usize = 1_000_000;
/// Groups that one fragment may release across a border.
pub const FRAGMENT_ROWS_MAX: usize = 1_000_000;
/// Uncompressed bytes of one wire frame.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of one fragment's answer on the wire.
pub const FRAGMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Refused rows that a load's error document lists one by one.
pub const REFUSED_ROWS_LISTED_MAX: usize = 10;
/// Characters of a refused value that such a document shows.
pub const REFUSED_VALUE_CHARS_MAX: usize = 80;
/// Rows that one load may bring. A small compressed file can claim any number of them.
pub const LOAD_ROWS_MAX: u64 = 500_000_000;
/// Rows that a load sorts at a time, and so the rows of one segment.
pub const LOAD_CHUNK_ROWS_MAX: usize = 1 << 20;
/// Bytes in memory that loads sort at a time; those that run at once share them.
pub const LOAD_CHUNK_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that all rows of one load may take, one after the other, once decoded: a small compressed file can hold any
/// number of them.
pub const LOAD_DECODED_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Bytes that one row may take as CSV or JSON text, and its texts in another format: what a quote that is never closed,
/// or a text that is said to be repeated, can make grow.
pub const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of text whose rows are decoded together, one row aside.
pub const TEXT_BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the body of one message of an Arrow stream, before and after decompression; and of its dictionaries together.
pub const ARROW_MESSAGE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Bytes of the description of one message of an Arrow stream.
pub const ARROW_HEADER_BYTES_MAX: u32 = 1024 * 1024;
/// Tables in the description of one message of an Arrow stream, each counted as often as it is used. A field has a few.
pub const ARROW_HEADER_TABLES_MAX: usize = 64 * 1024;
/// Rows of one message of an Arrow stream. Columns that are wholly missing have no bytes.
pub const ARROW_MESSAGE_ROWS_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the footer of a Parquet file.
pub const PARQUET_FOOTER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Elements of all lists in the footer of a Parquet file: each may take far more memory than bytes.
pub const PARQUET_FOOTER_ITEMS_MAX: usize = 256 * 1024;
/// Groups and columns in the schema of a Parquet file.
pub const PARQUET_SCHEMA_NODES_MAX: usize = 16 * 1024;
/// Deepest that groups nest in the schema of a Parquet file.
pub const PARQUET_SCHEMA_DEPTH_MAX: usize = 64;
/// Bytes of the header of a page of a Parquet file, which may show the page's smallest and largest value.
pub const PARQUET_PAGE_HEADER_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of the decompressed pages and dictionaries of a Parquet file that are in memory at a time, over all columns.
pub const PARQUET_READ_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes that the header row of a CSV file may take.
pub const CSV_HEADER_BYTES_MAX: usize = 1024 * 1024;
/// Segments that one store holds over all datasets; each is named in the manifest.
pub const SEGMENTS_MAX: usize = 100_000;
/// Bytes of a segment from which on compaction starts another one.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes in memory of the rows of one row group of a segment, one row aside.
pub const ROW_GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes in memory of the rows of segments that are read at a time, about, and one row aside.
pub const SEGMENT_READ_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest record of a journal, in bytes.
pub const JOURNAL_RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Rewrites that a denial offers.
pub const REWRITES_MAX: usize = 3;
/// Questions that are planned and judged to find rewrites of one that is denied.
pub const REWRITES_TRIED_MAX: usize = 16;
/// Sizes of earlier answers that a region remembers to predict those of the same questions; the oldest are forgotten
/// first.
pub const REMEMBERED_SIZES_MAX: usize = 4096;
/// Queries whose receipts a region remembers for `GET /v1/queries/{id}/receipt` at the coordinator.
pub const REMEMBERED_QUERIES_MAX: usize = 1024;
/// Queries that run at once in one region; further ones wait.
pub const CONCURRENT_QUERIES_MAX: usize = 32;
/// Queries that run at once in one region and call plugins; further ones wait. The rest is for those that call none.
pub const CONCURRENT_PLUGIN_QUERIES_MAX: usize = CONCURRENT_QUERIES_MAX / 2;
/// Batches that are read or prepared at once in one region; further ones wait.
pub const CONCURRENT_LOADS_MAX: usize = 16;
/// Batches of one dataset that are under way in one region, those that wait included; further ones are refused.
pub const DATASET_LOADS_MAX: usize = 256;
/// Batches of one dataset whose rows wait on the disk for their turn; further ones wait before.
pub const KEPT_LOADS_MAX: usize = 8;
/// Longest that a body may pause.
pub const BODY_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Bytes a second that a body has to bring on average, apart from one pause of the longest kind.
pub const BODY_BYTES_PER_S_MIN: u64 = 64 * 1024;
/// Longest that a body may pause once the batch was refused.
pub const DISCARDED_SILENCE_MAX: Duration = Duration::from_secs(1);
/// Bytes of a body that are still taken, and dropped, once the batch was refused.
pub const DISCARDED_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Receipts of other regions that wait to be noted. One that comes when so many wait is noted with the next.
pub const HEAD_NOTES_MAX: usize = 256;
/// Loads that wait for the store's owner.
pub const LOAD_QUEUE_MAX: usize = 16;
/// Longest a query may take where the caller names no `Query-Timeout`.
pub const QUERY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Of so many parts of a question's time, homes do not get the last one: it is for answering without those that hang.
pub const QUERY_TIMEOUT_PARTS: u32 = 10;
/// Longest `Query-Timeout` accepted.
pub const QUERY_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// Longest a connection to a peer may take to open.
pub const PEER_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long nothing may come over a connection to a peer that owes an answer before it is pinged.
pub const PEER_PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long the answer to such a ping may take before another connection is opened. Over a slow link it comes behind
/// what is under way.
pub const PEER_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Age at which a peer's signed request is refused.
pub const PEER_REQUEST_AGE_MAX: Duration = Duration::from_secs(60);
/// Bytes of a file with certificates or a private key.
pub const CERTIFICATE_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Certificates in one such file.
pub const CERTIFICATES_MAX: usize = 32;
/// Longest that certificates from `domicile certs init` hold, in days.
pub const CERTIFICATE_DAYS_MAX: u32 = 3650;
/// Longest that a TLS handshake between regions may take.
pub const PEER_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// TLS handshakes that a region has under way at once as the one that is asked. One more ends the oldest of them, so that
/// connections which only stay half open stop nobody.
pub const PEER_HANDSHAKES_MAX: usize = 128;
/// Connections over TLS that one region holds to another as the one that asks. One more ends the oldest of them.
pub const PEER_CONNECTIONS_MAX: usize = 16;
/// Longest that a connection over TLS takes new requests: the next one shows its certificate again.
pub const PEER_CONNECTION_AGE_MAX: Duration = Duration::from_secs(3600);
/// Longest that requests in flight may take to end once the region drains.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// Pairs of rows that a join without an equality may compare.
pub const JOIN_PAIRS_MAX: usize = 100_000_000;
/// Rows of one batch at which a plugin's function may fail and give nothing, before the whole part of an answer is held
/// back: each costs an instance.
pub const PLUGIN_ROWS_FAILED_MAX: usize = 64;
/// Conditions inside the aggregates of one `SELECT` that become group keys, and fragments that it becomes: with more, its
/// groups are too small, and too many totals could be asked for beside them.
pub const CONDITION_KEYS_MAX: usize = 6;
/// Parts of an expression of a question, where each column is replaced by what it is computed of.
pub const EXPANDED_NODES_MAX: usize = 10_000;
/// Parts of an expression that says what groups are groups of; a longer one counts as its digest.
pub const DEFINITION_NODES_MAX: usize = 256;
/// Kinds of rows that are told apart behind one answer: of each table, and of each aggregate within entities those that
/// have something.
pub const ROW_VERSIONS_MAX: usize = 64;
/// Operators in one SQL text: the depth of its expressions cannot be larger.
pub const SQL_OPERATORS_MAX: usize = 250;
/// Nesting of parentheses and subqueries in one SQL text; in a fragment's text each operator has parentheses.
pub const SQL_NESTING_MAX: NonZeroUsize = NonZeroUsize::new(SQL_OPERATORS_MAX + 50).unwrap();
/// Stack of each thread that plans or executes, in bytes. Planning recurses as deep as expressions nest; the memory is
/// only reserved until it is used.
pub const THREAD_STACK_BYTES: usize = 64 * 1024 * 1024;
/// Threads that execute plans, at least.
pub const COMPUTE_THREADS_MIN: usize = 4;
/// Fragments for other regions that run at once in one region; further ones wait.
pub const CONCURRENT_FRAGMENTS_MAX: usize = 32;
/// Fragments for other regions that run at once in one region and call plugins; further ones wait.
pub const CONCURRENT_PLUGIN_FRAGMENTS_MAX: usize = CONCURRENT_FRAGMENTS_MAX / 2;
/// Deepest nesting of a query plan that is admitted.
pub const PLAN_DEPTH_MAX: usize = 256;
/// Linear memory that one plugin instance may have, in bytes.
pub const PLUGIN_MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest that one call into a plugin may take, in wall-clock time.
pub const PLUGIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest that one call into a plugin may compute, in time of its thread's processor.
pub const PLUGIN_CPU_TIME_MAX: Duration = Duration::from_secs(4);
/// Bytes of a component's debug information, which is read whenever its code traps.
pub const PLUGIN_DEBUG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that a logged line counts for beside its text.
pub const PLUGIN_LOG_LINE_BYTES: usize = 64;
/// How long a call into a plugin may take before it has to wait for a turn: such calls leave one processor to others.
pub const PLUGIN_LONG_CALL_AFTER: Duration = Duration::from_millis(50);
/// Longest that a plugin's instance may take to start, in wall-clock time.
pub const PLUGIN_START_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest that compiling a plugin may take, where that happens in a process of its own.
pub const PLUGIN_COMPILE_TIMEOUT: Duration = Duration::from_secs(60);
/// Address space of the process that compiles a plugin, in bytes.
pub const PLUGIN_COMPILE_MEMORY_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Bytes of a compiled plugin.
pub const PLUGIN_ARTEFACT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of the compiled plugins that one region keeps for its next start; what was written first is removed first.
pub const PLUGIN_ARTEFACTS_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Functions that a plugin's code may have.
pub const PLUGIN_CODE_FUNCTIONS_MAX: usize = 65_536;
/// Bytes of one function of a plugin's code.
pub const PLUGIN_CODE_FUNCTION_BYTES_MAX: usize = 512 * 1024;
/// Local variables of one function of a plugin's code, its parameters aside.
pub const PLUGIN_CODE_LOCALS_MAX: usize = 16_384;
/// Modules, components and instances that a plugin may be made of, each.
pub const PLUGIN_CODE_PARTS_MAX: usize = 128;
/// Types, imports, exports, globals and segments of a plugin's code, together.
pub const PLUGIN_CODE_ITEMS_MAX: usize = 65_536;
/// Stack of a plugin's code, in bytes.
pub const PLUGIN_STACK_BYTES_MAX: usize = 512 * 1024;
/// Entries of a plugin's table, which bounds the functions that it can call indirectly.
pub const PLUGIN_TABLE_ELEMENTS_MAX: usize = 20_000;
/// Handles that a plugin may hold at once.
pub const PLUGIN_HANDLES_MAX: usize = 1024;
/// Times that one call into a plugin may call the host.
pub const PLUGIN_HOST_CALLS_MAX: u64 = 1_000_000;
/// Columns that one call into a plugin may make.
pub const PLUGIN_COLUMNS_MAX: usize = 16 * 1024;
/// Bytes of the columns that one call into a plugin makes, together.
pub const PLUGIN_COLUMN_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Steps that one call into a plugin that resolves conflicts may take.
pub const PLUGIN_MERGE_FUEL_MAX: u64 = 50_000_000;
/// Instances of plugins that resolve conflicts, at once in one region.
pub const PLUGIN_MERGE_INSTANCES_MAX: usize = 16;
/// Lines of a plugin's log that are kept for its author.
pub const PLUGIN_LOG_LINES_KEPT_MAX: usize = 256;
/// Longest text of a plugin's query, in bytes.
pub const PLUGIN_QUERY_BYTES_MAX: usize = 16 * 1024;
/// Rows that one call of a plugin's function may be asked for, and so return.
pub const PLUGIN_OUTPUT_ROWS_MAX: usize = 1024 * 1024;
/// Bytes that one call of a plugin's function may return, and one of its host calls may pass.
pub const PLUGIN_OUTPUT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Rows that one call of a mapper is given, one entity aside.
pub const MAPPER_CALL_ROWS_MAX: usize = 64 * 1024;
/// Rows of one entity that a mapper is given.
pub const ENTITY_ROWS_MAX: usize = 1024 * 1024;
/// Plugin instances that exist at once in one region, idle ones included.
pub const PLUGIN_INSTANCES_MAX: usize = 128;
/// Bytes that one call into a plugin may log; further lines are dropped.
pub const PLUGIN_LOG_BYTES_MAX: usize = 16 * 1024;
/// Bytes of an error message that are a plugin's own words; what is longer is cut.
pub const PLUGIN_MESSAGE_BYTES_MAX: usize = 1024;
/// Functions, arguments, inputs, parameters or outputs that a plugin may declare, each.
pub const PLUGIN_ITEMS_MAX: usize = 64;
/// Values that one category of a plugin may list.
pub const PLUGIN_CATEGORY_VALUES_MAX: usize = 256;
/// Longest text of a category or of a parameter's default, in bytes.
pub const PLUGIN_TEXT_BYTES_MAX: usize = 256;
/// Memory that all queries of a region may hold at once, in bytes.
pub const QUERY_MEMORY_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;
/// Partitions that the rows of one batch may lie in.
pub const BATCH_PARTITIONS_MAX: usize = 1024;
/// Partitions that a dataset may have in one region.
pub const DATASET_PARTITIONS_MAX: usize = 16 * 1024;
/// Bytes in memory of rows that wait for their segment, before the write-ahead log goes on in a new file.
pub const RECENT_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Bytes in memory up to which a batch goes through the write-ahead log; a larger one is written as segments at once.
pub const LOGGED_BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of one file of the write-ahead log that are reserved before it is written to.
pub const LOG_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of one record of the write-ahead log.
pub const LOG_RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes in memory of the rows of one entry of a replication set's log.
pub const ENTRY_DECODED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The same where rows say what they change. Where versions meet, a row says what all of their writers changed, and the
/// rows of the entry still have to fit into one record of the log.
pub const NOTED_ENTRY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Idempotency keys that a store remembers; the oldest are forgotten first.
pub const IDEMPOTENCY_KEYS_MAX: usize = 100_000;
/// Bytes of the list of segments that a backup has.
pub const BACKUP_LIST_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Bytes a second that background work reads and writes, where the region's file says nothing.
pub const COMPACTION_BYTES_PER_S_DEFAULT: u64 = 64 * 1024 * 1024;
/// Most bytes a second that a region may allow background work.
pub const COMPACTION_BYTES_PER_S_MAX: u64 = 1024 * 1024 * 1024 * 1024;
/// Lists of backups that are read at once in one region; further ones wait.
pub const BACKUP_LISTINGS_MAX: usize = 4;
/// Places that a region may allow backups at.
pub const BACKUP_URLS_MAX: usize = 64;
/// Longest that partitions may be kept or stay before they move, in days.
pub const LIFECYCLE_DAYS_MAX: u32 = 365_000;
/// Batches that wait to be committed; further ones wait before.
pub const COMMIT_QUEUE_MAX: usize = 256;
/// Batches of one group commit.
pub const COMMIT_GROUP_MAX: usize = 256;
/// Bytes of a local file of rows that a plugin is tried with.
pub const LOCAL_FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Released groups that are remembered of one tenant and dataset, to compare later ones with.
pub const RELEASED_GROUPS_MAX: usize = 100_000;
/// Bytes of the file of what was released below which it is not written anew.
pub const RELEASES_REWRITE_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// How many times as long as it was when it was written anew that file grows before it is again.
pub const RELEASES_REWRITE_FACTOR: u64 = 2;
/// Answers that are remembered whole, so that they can be given again.
pub const GIVEN_ANSWERS_MAX: usize = 4096;
/// Bytes of these answers.
pub const GIVEN_ANSWERS_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Questions that the budget of a clause may have.
pub const BUDGET_QUESTIONS_MAX: usize = 1_000_000;
