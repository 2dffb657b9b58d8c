//! The one place that turns errors into problem documents.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domicile_policy::Denial;
use domicile_query::{QueryError, offer, with_rewrites};
use domicile_sandbox::{ErrorKind, SandboxError};
use domicile_store::{BackupProblem, RefusedRow, StoreError};
use domicile_types::limits::BODY_BYTES_PER_S_MIN;
use domicile_wire::problem::PROBLEM_MEDIA_TYPE;
use domicile_wire::{Problem, WireError};
use serde_json::{Value, json};

/// The fact that says in how many seconds to come again, which is also said in the header `Retry-After`.
const RETRY_AFTER: &str = "retry_after_s";
/// When to come again with a batch that there was no room for, in seconds.
const BUSY_RETRY_AFTER_S: u64 = 5;

/// How the engine begins to say that it has no such operation for these types.
const UNSUPPORTED: &str = "This feature is not implemented: ";

const TOKEN_MISSING: &str = "token-missing";
const TOKEN_REFUSED: &str = "token-refused";

/// A refused request.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Problem>);

impl Refusal {
    /// A refusal that says `problem`.
    pub(crate) fn new(problem: Problem) -> Self {
        Self(Box::new(problem))
    }

    /// A request that is not in the agreed form.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Problem::new(400, "bad-request", "The request is not valid", detail))
    }

    /// A body past its limit.
    pub(crate) fn too_large(limit: u64) -> Self {
        let detail = format!("the body is larger than the limit of {limit} bytes; send less at once");
        Self::new(Problem::new(413, "too-large", "Too large", detail).with("limit", limit).with("unit", "bytes"))
    }

    /// A body that pauses, or is slow, for too long.
    pub(crate) fn too_slow(bytes: u64, waited: Duration) -> Self {
        let detail = format!(
            "{bytes} bytes of the body came in {} ms of waiting; send it without long pauses and faster than {} bytes a second",
            waited.as_millis(),
            BODY_BYTES_PER_S_MIN
        );
        Self::new(Problem::new(408, "too-slow", "The body did not come in time", detail))
    }

    /// The detail without what the engine says behind its kind of error, which can hold values.
    fn loggable(&self) -> &str {
        let detail = self.0.detail.as_str();
        let engine = self.0.status == 500;
        detail.match_indices(':').nth(1).filter(|_| engine).map_or(detail, |(end, _)| &detail[..end])
    }

    /// How a client is to say who it is (RFC 6750), where it did not, or not well.
    fn challenge(&self) -> Option<&'static str> {
        match self.0.kind.rsplit('/').next() {
            Some(TOKEN_MISSING) => Some("Bearer"),
            Some(TOKEN_REFUSED) => Some("Bearer error=\"invalid_token\""),
            _ => None,
        }
    }

    /// The same refusal, saying which query it concerns.
    pub(crate) fn of_query(mut self, id: &str) -> Self {
        self.0.instance = Some(format!("/v1/queries/{id}"));
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::warn!(status = self.0.status, kind = self.0.kind, detail = self.loggable(), "refused");
        }
        let retry_after = self.0.facts.get(RETRY_AFTER).and_then(Value::as_u64);
        let challenge = self.challenge();
        let mut response = (status, axum::Json(self.0)).into_response();
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        response
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        Self::new(problem(error))
    }
}

/// The document that says what kept a query from being answered.
pub(crate) fn problem(error: QueryError) -> Problem {
    let detail = in_one_line(&error.to_string());
    match error {
        QueryError::Plugin(error) => plugin(&error, &detail),
        QueryError::Wire(error) => wire(error, &detail),
        QueryError::Store(error) => store(&error, &detail),
        QueryError::Read(error) => store(&error, &detail),
        QueryError::Execution(_) if detail.contains(UNSUPPORTED) => {
            let what = detail.split_once(UNSUPPORTED).map_or(detail.as_str(), |(_, what)| what);
            Problem::new(400, "sql-invalid", "The SQL is not valid", format!("this cannot be computed here: {what}"))
        }
        error => {
            let (status, kind, title) = sort(&error);
            with_facts(Problem::new(status, &kind, &title, detail), error)
        }
    }
}

/// Status, kind and title of an error.
fn sort(error: &QueryError) -> (u16, Cow<'static, str>, Cow<'static, str>) {
    let (status, kind, title) = match error {
        QueryError::Unknown { kind, .. } => {
            let status = if matches!(*kind, "parameter" | "region" | "column") { 400 } else { 404 };
            return (status, format!("unknown-{kind}").into(), format!("No such {kind}").into());
        }
        QueryError::Sql { .. } => (400, "sql-invalid", "The SQL is not valid"),
        QueryError::Parameter { .. } => (400, "parameter-invalid", "A parameter has a value that it cannot have"),
        QueryError::AcrossRegions { .. } => (422, "across-regions", "Not answerable across regions"),
        QueryError::Budget(_) => (429, "budget-used-up", "The policy answers no further questions for now"),
        QueryError::Denied(_) | QueryError::ClientNowhere { .. } => {
            (403, "residency-denied", "The policy does not allow it")
        }
        QueryError::PolicyChanged { .. } => (409, "policy-changed", "The policy changed meanwhile"),
        QueryError::PoliciesRefused { .. } => {
            (422, "policies-refused", "The policy files are not taken, those before stay in force")
        }
        QueryError::TooLarge { .. } => (413, "too-large", "Too large"),
        QueryError::Busy { .. } => (503, "loads-busy", "Too many batches are under way"),
        QueryError::TokenMissing { .. } => (401, TOKEN_MISSING, "A token is needed"),
        QueryError::TokenRefused { .. } => (401, TOKEN_REFUSED, "The token is not accepted"),
        QueryError::RoleMissing { .. } => (403, "role-missing", "The token does not allow it"),
        QueryError::ClientElsewhere { .. } => (403, "client-elsewhere", "Only for clients who stand here"),
        QueryError::PurposeNotGranted { .. } => (403, "purpose-denied", "The token does not cover the purpose"),
        QueryError::PluginFailedElsewhere { .. } => (422, "plugin-failed", "A plugin failed"),
        QueryError::Coverage { .. } => (503, "coverage-unmet", "A region did not answer"),
        QueryError::ReferenceMissing { .. } => (409, "reference-missing", "A region lacks reference data"),
        QueryError::Copy(_) => (503, "copy-unfit", "A copy cannot answer"),
        QueryError::TimedOut { .. } => (504, "deadline", "The query took too long"),
        QueryError::VersionTaken { .. } => (409, "version-conflict", "The version exists with other content"),
        QueryError::NameTaken { .. } => (409, "name-conflict", "The name is taken"),
        QueryError::SignatureRefused { .. } => (403, "signature-refused", "The plugin's signature is not accepted"),
        QueryError::Compiled { .. } => (422, "plugin-rejected", "The plugin cannot run here"),
        QueryError::VersionInUse { .. } => (409, "version-in-use", "The version is in use"),
        QueryError::NothingBefore { .. } => (409, "nothing-to-roll-back", "There is no version to go back to"),
        QueryError::NoShadow { .. } => (404, "no-shadow", "The plugin has no shadow"),
        QueryError::PluginMissing { .. } => (503, "plugin-pending", "The plugin has not arrived yet"),
        QueryError::PlanRefused => (500, "plan-refused", "The plan is not what was admitted"),
        QueryError::OwnerGone(_) => (503, "read-only", "No changes can be made"),
        QueryError::Data(_) => (422, "data-unfit", "The SQL does not fit a value in the data"),
        QueryError::Execution(_)
        | QueryError::Plugin(_)
        | QueryError::Wire(_)
        | QueryError::Store(_)
        | QueryError::Read(_) => (500, "execution-failed", "The query failed"),
    };
    (status, kind.into(), title.into())
}

/// The same document, with what a program may want to know of the error.
fn with_facts(problem: Problem, error: QueryError) -> Problem {
    match error {
        QueryError::Sql { place, .. } => {
            problem.with("line", place.map(|(line, _)| line)).with("column", place.map(|(_, column)| column))
        }
        QueryError::Unknown { nearest, .. } => problem.with("nearest", nearest),
        QueryError::Parameter { name, .. } => problem.with("parameter", name),
        QueryError::Denied(denial) => denied(&denial, problem),
        QueryError::PolicyChanged { region } => problem.with("region", region.to_string()),
        QueryError::TooLarge { limit, unit, .. } => problem.with("limit", limit).with("unit", unit),
        QueryError::Busy { .. } => problem.with(RETRY_AFTER, BUSY_RETRY_AFTER_S),
        QueryError::RoleMissing { role } => problem.with("role", role.to_string()),
        QueryError::ClientNowhere { jurisdictions } => {
            problem.with("code", "RES-002").with("jurisdictions", jurisdictions)
        }
        QueryError::PurposeNotGranted { granted, .. } => problem.with("purposes", granted),
        QueryError::Coverage { missing } => {
            problem.with("missing", serde_json::to_value(missing).unwrap_or(Value::Null))
        }
        QueryError::ReferenceMissing { region, dataset, .. } => {
            problem.with("region", region.to_string()).with("dataset", dataset)
        }
        QueryError::VersionTaken { sha256, .. } => problem.with("sha256", sha256),
        QueryError::SignatureRefused { name, version, .. } => problem.with("plugin", name).with("version", version),
        QueryError::Compiled { name } => problem.with("plugin", name),
        QueryError::VersionInUse { role, .. } => problem.with("role", role),
        _ => problem,
    }
}

/// The text in one line: engines break theirs where they please.
fn in_one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn denied(denial: &Denial, problem: Problem) -> Problem {
    let columns: Vec<String> = denial.columns.iter().map(ToString::to_string).collect();
    let problem = problem
        .with("code", "RES-001")
        .with("columns", columns)
        .with("policy", denial.policy.clone())
        .with("from", denial.from.to_string())
        .with("to", denial.to.to_string());
    with_rewrites(problem, denial.rewrites.iter().map(offer).collect())
}

fn plugin(error: &SandboxError, detail: &str) -> Problem {
    let (status, kind, title) = match error.kind() {
        ErrorKind::Plugin => match error {
            SandboxError::LimitReached { .. } => (422, "plugin-limit", "A plugin exceeded a limit"),
            SandboxError::Trapped { .. }
            | SandboxError::Returned { .. }
            | SandboxError::Misused { .. }
            | SandboxError::OutputInvalid { .. } => (422, "plugin-failed", "A plugin failed"),
            _ => (422, "plugin-rejected", "The plugin cannot run here"),
        },
        ErrorKind::TimedOut => (504, "plugin-limit", "A plugin exceeded its time limit"),
        ErrorKind::Request => (400, "plugin-request", "The plugin cannot be asked this"),
        ErrorKind::Busy => (503, "plugin-busy", "All plugin instances are in use"),
        ErrorKind::Internal => (500, "execution-failed", "The query failed"),
    };
    let limit = match error {
        SandboxError::LimitReached { limit, .. } => json!({limit.name(): limit.value()}),
        SandboxError::ComponentTooLarge { limit, .. } => json!({"component_bytes": limit}),
        _ => Value::Null,
    };
    Problem::new(status, kind, title, detail)
        .with("plugin", error.plugin().map(|id| id.name.to_string()))
        .with("version", error.plugin().map(|id| id.version.clone()))
        .with("limit", limit)
}

fn wire(error: WireError, detail: &str) -> Problem {
    match error {
        WireError::Refused(problem) => *problem,
        WireError::TooLarge { limit, .. } => {
            Problem::new(413, "too-large", "Too large", detail).with("limit", limit).with("unit", "bytes")
        }
        WireError::NotAuthentic { .. } | WireError::UnknownPeer { .. } | WireError::Stale { .. } => {
            Problem::new(401, "unauthenticated", "Not a known peer", detail)
        }
        WireError::CertificateOfOther { signer, shown } => {
            Problem::new(403, "peer-certificate", "The certificate is of another region", detail)
                .with("signer", signer.to_string())
                .with("certificate", shown.to_string())
        }
        _ => Problem::new(503, "region-unavailable", "A region is out of reach", detail),
    }
}

fn store(error: &StoreError, detail: &str) -> Problem {
    match error {
        _ if error.is_storage_full() => Problem::new(507, "storage-full", "The region's disk is full", detail),
        StoreError::Group { source } => store(source, detail),
        StoreError::RowsRefused { refused, first } => rows_refused(*refused, first, detail),
        StoreError::UnknownDataset { nearest, .. } => {
            Problem::new(404, "unknown-dataset", "No such dataset", detail).with("nearest", nearest.clone())
        }
        StoreError::TooLarge { max, unit, .. } => {
            Problem::new(413, "too-large", "Too large", detail).with("limit", *max).with("unit", *unit)
        }
        StoreError::TooManyPartitions { max, .. } => {
            Problem::new(413, "too-large", "Too large", detail).with("limit", *max).with("unit", "partitions")
        }
        StoreError::Oversized { max, unit, .. } => {
            Problem::new(413, "too-large", "Too large", detail).with("limit", *max).with("unit", *unit)
        }
        StoreError::Header { .. } | StoreError::Malformed { .. } | StoreError::Compute { .. } => {
            Problem::new(422, "file-invalid", "The file cannot be read, nothing was loaded", detail)
        }
        StoreError::Source { .. } => Problem::new(400, "bad-request", "The request is not valid", detail),
        StoreError::NoKey { .. } => Problem::new(422, "no-primary-key", "The dataset has no primary key", detail),
        StoreError::KeyReused { .. } => {
            Problem::new(422, "idempotency-key-reused", "The idempotency key came with other content", detail)
        }
        StoreError::Backup { problem, .. } => backup(problem, detail),
        StoreError::Objects { .. } => {
            Problem::new(503, "object-store-failed", "An object store cannot do this now", detail)
        }
        StoreError::Stale { .. } => Problem::new(409, "dataset-changed", "The dataset changed meanwhile", detail),
        StoreError::ReadOnly { .. } | StoreError::Poisoned { .. } => {
            Problem::new(503, "store-read-only", "The store takes no writes", detail)
        }
        _ => Problem::new(503, "store-failed", "The store cannot do this now", detail),
    }
}

fn backup(problem: &BackupProblem, detail: &str) -> Problem {
    match problem {
        BackupProblem::Busy => Problem::new(409, "backup-busy", "Another backup is being made", detail),
        BackupProblem::Missing => Problem::new(404, "unknown-backup", "No such backup", detail),
        BackupProblem::NoPartition { nearest, .. } => {
            Problem::new(404, "unknown-partition", "No such partition", detail).with("nearest", nearest.clone())
        }
        _ => Problem::new(422, "backup-unfit", "The backup cannot be used", detail),
    }
}

fn rows_refused(refused: u64, first: &[RefusedRow], detail: &str) -> Problem {
    let row = |row: &RefusedRow| json!({"row": row.row, "column": row.column, "value": row.value, "reason": row.reason.to_string()});
    Problem::new(422, "rows-refused", "Rows were refused, nothing was loaded", detail)
        .with("refused_rows", refused)
        .with("rows", first.iter().map(row).collect::<Vec<_>>())
}
