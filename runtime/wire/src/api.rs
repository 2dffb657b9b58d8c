//! Bodies and header names of the HTTP API, shared by the edge, its peers and the command line.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use crate::plugins::PluginUse;
use crate::receipt::SignedReceipt;
use crate::token::RawToken;

/// Header names that are not in a registry of the IETF.
pub mod header {
    /// Response: the query's id.
    pub const QUERY_ID: &str = "query-id";
    /// Response: the region whose edge answered.
    pub const SERVED_BY_REGION: &str = "served-by-region";
    /// Response: bytes that crossed borders for this answer.
    pub const BORDER_BYTES: &str = "border-bytes";
    /// Response: `full`, or `partial; missing=…`.
    pub const COVERAGE: &str = "coverage";
    /// Response: the state of each home's rows that the answer comes from: the version of its store, or, where a copy in
    /// another region answered, the moment that the copy is of (RFC 3339).
    pub const AS_OF: &str = "as-of";
    /// Response: groups held back, by region.
    pub const SUPPRESSED_GROUPS: &str = "suppressed-groups";
    /// Response: fewest entities that a group needs to leave a region, by region.
    pub const MINIMUM_ENTITIES: &str = "minimum-entities";
    /// Response: the epsilon that the answer's noise has spent, by region.
    pub const EPSILON: &str = "epsilon";
    /// Request: `full` (the default) or `partial`.
    pub const REQUIRE_COVERAGE: &str = "require-coverage";
    /// Request: milliseconds.
    pub const QUERY_TIMEOUT: &str = "query-timeout";
    /// Request: how old copies may be that answer in place of homes, in seconds; 0 for none. Without it a copy answers
    /// only where its home does not, however old it is.
    pub const MAX_STALENESS: &str = "max-staleness";
    /// Request: homes to ask, separated by commas; all of them by default.
    pub const DATA_REGION: &str = "data-region";
    /// Request: what the answer is for, compared with the policy's purposes.
    pub const PURPOSE: &str = "purpose";
    /// Request: what makes a batch known when it comes again.
    pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
    /// Request: when rows of a replicated dataset count as stored, `local` or `jurisdiction:COPIES`.
    pub const ACKNOWLEDGE: &str = "acknowledge";
    /// Response: the plugin versions that the answer used, `name=version` separated by commas.
    pub const PLUGINS: &str = "plugins";
    /// Request: the signature of a plugin, base64 of a DSSE envelope.
    pub const SIGNATURE: &str = "domicile-signature";
    /// Request and response: the digest of a body (RFC 9530).
    pub const CONTENT_DIGEST: &str = "content-digest";
    /// Peer reply: the signed receipt, base64 of its JSON text.
    pub const RECEIPT: &str = "receipt";
}

/// Body of `POST /v1/query` as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryBody {
    /// One `SELECT` over the datasets of all regions.
    pub sql: String,
    /// What the answer is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

/// A column of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnswerColumn {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A region that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionReason {
    /// The region.
    pub region: String,
    /// Why.
    pub reason: String,
}

/// Which homes an answer covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Whether every home that the question concerns answered.
    pub full: bool,
    /// Homes that answered.
    pub answered: Vec<String>,
    /// Homes that did not.
    pub missing: Vec<RegionReason>,
    /// Homes that another region answered for, from its copy of their rows. They count among those that answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stood_in: Vec<StandIn>,
}

/// A region that answered for a home.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StandIn {
    /// Where the rows live.
    pub home: String,
    /// The region with the copy.
    pub region: String,
    /// All that the home had written by then is in the answer, and maybe more (RFC 3339, with milliseconds).
    pub as_of: String,
}

/// A receipt in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptSummary {
    /// The source region, which keeps the receipt.
    pub region: String,
    /// Its number there.
    pub sequence: u64,
    /// Bytes that crossed.
    pub bytes: u64,
}

/// Everything about an answer but its rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnswerFacts {
    /// The query's id.
    pub query_id: String,
    /// The answer's columns.
    pub columns: Vec<AnswerColumn>,
    /// Rows in the answer.
    pub row_count: usize,
    /// Which homes answered.
    pub coverage: Coverage,
    /// Store version that each region answered from.
    pub as_of: BTreeMap<String, u64>,
    /// Bytes that crossed borders.
    pub border_bytes: u64,
    /// Groups held back, by region, rounded up to a multiple of the threshold there; regions that held back none are
    /// left out.
    pub suppressed_groups: BTreeMap<String, u64>,
    /// Fewest entities that a group needs to leave a region, by region, where it needs several. What a region leaves out
    /// altogether, since it is about fewer, is told nowhere else: that would tell that somebody is there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub minimum_entities: BTreeMap<String, u64>,
    /// The epsilon of the noise that numbers of a region have (differential privacy); regions whose numbers have none
    /// are left out. Where the same was asked before, nothing is spent again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub epsilon: BTreeMap<String, f64>,
    /// The plugin versions that it used, in every region the same.
    pub plugins: Vec<PluginUse>,
    /// One receipt for each crossing.
    pub receipts: Vec<ReceiptSummary>,
    /// Milliseconds that each region took, as measured there.
    pub region_ms: BTreeMap<String, f64>,
    /// The region whose edge answered.
    pub served_by: String,
    /// Milliseconds from request to answer.
    pub elapsed_ms: f64,
}

/// A fragment as one region asks another. The asking region is the one that signed the request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FragmentRequest {
    /// The query that this is a part of.
    pub query_id: String,
    /// The fragment: one aggregation in SQL over the datasets of one region.
    pub sql: String,
    /// What the answer is for.
    pub purpose: Option<String>,
    /// The plugins that the fragment calls, so that every region runs the same code.
    pub plugins: Vec<PluginPin>,
    /// The query plugin among them whose contribution is asked for, with its input as `sql`; none where the rows of
    /// the fragment are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_of: Option<String>,
    /// Whether only the terms are asked for under which the result would cross
    /// ([`crate::explain::CrossingTerms`]); then nothing is executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explain: bool,
    /// The token of the client who asks, which the owning region checks itself; none for who has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<RawToken>,
    /// Where the rows live that it is about, where the answering region is to stand in for another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// How old its copy of them may be, in milliseconds; as old as it is where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staleness_max_ms: Option<u64>,
    /// Milliseconds left for it.
    pub timeout_ms: u64,
}

/// One plugin, exactly, with the parameters it is to run with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginPin {
    /// Name in SQL.
    pub name: String,
    /// SHA-256 of the component.
    pub sha256: String,
    /// Parameters as text, by name; those left out have their defaults.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

/// Facts beside a fragment's data, in the `Receipt` header of the reply.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FragmentFacts {
    /// The receipt of the crossing.
    pub receipt: SignedReceipt,
    /// Store version answered from.
    pub as_of: u64,
    /// Milliseconds that the region took.
    pub elapsed_ms: f64,
    /// Reference datasets that the fragment reads and the region holds no rows of.
    #[serde(default)]
    pub without_rows: Vec<String>,
    /// The epsilon of the noise that its numbers have, in millionths; 0 where they have none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epsilon_millionths: u64,
    /// The moment that the rows are of, in Unix milliseconds, where they are a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of_unix_ms: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl FragmentFacts {
    /// As the `Receipt` header carries it: base64 of the JSON text.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn to_header(&self) -> Result<String, serde_json::Error> {
        serde_json::to_vec(self).map(|json| BASE64.encode(json))
    }

    /// Reads the header; none where it is something else.
    pub fn from_header(header: &[u8]) -> Option<Self> {
        serde_json::from_slice(&BASE64.decode(header).ok()?).ok()
    }
}

/// Answer to a load or a deletion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadAnswer {
    /// The dataset.
    pub dataset: String,
    /// Rows in the batch; for a deletion, keys.
    pub rows: u64,
    /// Bytes of the segments written.
    pub bytes: u64,
    /// Store version that holds the batch.
    pub version: u64,
    /// Whether the very same batch had been loaded before, so that nothing was done.
    pub already_loaded: bool,
}

/// A partition in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionEntry {
    /// Its name, as backups take it.
    pub name: String,
    /// Row versions in it. Rows that were replaced or deleted count until compaction.
    pub row_versions: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Segments that they are in.
    pub segments: usize,
    /// Whether any of these is in cold storage.
    pub cold: bool,
}

/// Body of `POST /v1/backups`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupBody {
    /// Where to, as an address that the region's file allows.
    #[serde(default)]
    pub to: String,
    /// Only this dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Only this partition of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupAnswer {
    /// Where it is.
    pub at: String,
    /// Its name there.
    pub name: String,
    /// Version of the store that it has.
    pub version: u64,
    /// Segments in it.
    pub segments: usize,
    /// Row versions in them.
    pub row_versions: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes that were not there yet.
    pub copied_bytes: u64,
}

/// A backup in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupEntry {
    /// Its name.
    pub name: String,
    /// The region that it is of.
    pub region: String,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// The dataset, where it has only one.
    pub dataset: Option<String>,
    /// The partition, where it has only one.
    pub partition: Option<String>,
    /// Version of the store that it has.
    pub version: u64,
    /// Segments in it.
    pub segments: usize,
    /// Row versions in them.
    pub row_versions: u64,
    /// Bytes of them.
    pub bytes: u64,
}
