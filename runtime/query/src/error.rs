//! Why a query was not answered.

use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use domicile_policy::{Budget, Denial};
use domicile_sandbox::SandboxError;
use domicile_store::StoreError;
use domicile_types::{DatasetName, RegionId, nearest};
use domicile_wire::WireError;
use domicile_wire::api::RegionReason;
use domicile_wire::token::Role;

use crate::copies::CopyError;
use crate::owner::OwnerGone;

/// Everything that can keep a query, an endpoint or a deployment from succeeding.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The SQL is not valid.
    #[error("{message}")]
    Sql {
        /// What the parser or planner said.
        message: String,
        /// Line and column, from 1, where known.
        place: Option<(u64, u64)>,
    },
    /// A name that nothing has.
    #[error("there is no {kind} `{name}`{}", domicile_types::suggestion(.nearest.as_deref()))]
    Unknown {
        /// What was looked for: `dataset`, `plugin`, `parameter`, `region`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// A value that does not fit its parameter.
    #[error("parameter `{name}` takes {expected}, not `{value}`")]
    Parameter {
        /// The parameter.
        name: String,
        /// What it takes.
        expected: String,
        /// What was given.
        value: String,
    },
    /// The question has a part that cannot be computed where the data is and then merged.
    #[error(
        "{what} cannot be answered across regions; aggregate first, with count, sum or avg over joins on the datasets' own \
         keys, or name one home in `Data-Region` and ask at that region's own edge"
    )]
    AcrossRegions {
        /// The part.
        what: String,
    },
    /// The policy does not let the data cross.
    #[error("{0}")]
    Denied(Box<Denial>),
    /// As many questions as a clause admits in a time were asked.
    #[error(
        "clause `{}` of the policy for `{}` admits {} new questions in {} days, and they have been asked; ask one of them \
         again, which counts once, or wait",
        .0.clause, .0.dataset, .0.questions, .0.days
    )]
    Budget(Budget),
    /// The policies changed under a question, and the new ones do not let its result cross as it is.
    #[error(
        "the policies of region `{region}` changed while the question was answered, and do not let this result cross as \
         it is any more; ask again"
    )]
    PolicyChanged {
        /// The region that the result would have left.
        region: RegionId,
    },
    /// Policy files that are not taken.
    #[error("{detail}")]
    PoliciesRefused {
        /// Which file, why, and what to do.
        detail: String,
    },
    /// A client without a token, where one is needed.
    #[error(
        "region `{region}` answers clients with a token only; send one as `Authorization: Bearer`, on the command line with \
         `--token-file FILE`; whoever runs the region has `domicile token new` make it"
    )]
    TokenMissing {
        /// The region.
        region: RegionId,
    },
    /// A token that is not accepted, for whatever reason.
    #[error(
        "region `{region}` does not accept the token: it may have expired, be none of Domicile, or be signed with a key \
         that the region does not trust; `domicile token show` says what it holds"
    )]
    TokenRefused {
        /// The region.
        region: RegionId,
    },
    /// A client that may not do this.
    #[error("this needs a token with the role `{role}`; whoever signs your tokens can give it")]
    RoleMissing {
        /// The role.
        role: Role,
    },
    /// A client that asks for what only those may see who stand in the region.
    #[error(
        "region `{region}` shows and does this only for clients who stand there, by the `jurisdictions` of their tokens"
    )]
    ClientElsewhere {
        /// The region.
        region: RegionId,
    },
    /// A client that no region knows the law of.
    #[error("your token's jurisdictions {} are those of no region, so no policy can say what may go there", quoted(.jurisdictions))]
    ClientNowhere {
        /// The token's jurisdictions.
        jurisdictions: Vec<String>,
    },
    /// A purpose that the client's token does not give.
    #[error("your token does not cover the purpose `{purpose}`; it covers {}", quoted(.granted))]
    PurposeNotGranted {
        /// The purpose stated.
        purpose: String,
        /// Those of the token.
        granted: Vec<String>,
    },
    /// More than a named limit.
    #[error("{what} is larger than the limit of {limit} {unit}")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// Its unit.
        unit: &'static str,
    },
    /// As many batches of one dataset as there may be.
    #[error("{max} batches of `{dataset}` are under way already, the most there may be; send this one again later")]
    Busy {
        /// The dataset.
        dataset: DatasetName,
        /// How many there may be.
        max: usize,
    },
    /// Homes that the question concerns did not answer.
    #[error("{}; ask again later, or accept the rest with `Require-Coverage: partial`", missing_text(.missing))]
    Coverage {
        /// The homes, and why.
        missing: Vec<RegionReason>,
    },
    /// A region without reference data that others have.
    #[error(
        "region `{region}` holds no rows of the reference dataset `{dataset}`, and `{holder}` does: its own rows would be \
         missing from the answer; load the same file into `{dataset}` there, or leave the region out with \
         `Require-Coverage: partial`"
    )]
    ReferenceMissing {
        /// The region.
        region: RegionId,
        /// The dataset.
        dataset: String,
        /// A region that holds rows of it.
        holder: RegionId,
    },
    /// The query took longer than it may.
    #[error("the query took longer than its limit of {timeout_ms} ms; raise `Query-Timeout` or ask for less")]
    TimedOut {
        /// The limit.
        timeout_ms: u128,
    },
    /// A version that exists with other content.
    #[error(
        "plugin `{name}` version {version} exists with other content (sha256 {sha256}); a version never changes, deploy a new one"
    )]
    VersionTaken {
        /// The plugin.
        name: String,
        /// The version.
        version: String,
        /// What is deployed under it.
        sha256: String,
    },
    /// A name in SQL that something else has.
    #[error("`{name}` is already the name of {taken_by}; plugins need names of their own in SQL")]
    NameTaken {
        /// The name.
        name: String,
        /// What has it.
        taken_by: String,
    },
    /// A plugin that nobody trusted stands for.
    #[error("plugin `{name}` {version} is not accepted: {detail}")]
    SignatureRefused {
        /// The plugin.
        name: String,
        /// The version.
        version: String,
        /// Why, and what to do.
        detail: String,
    },
    /// Compiled code in the place of a component.
    #[error(
        "plugin `{name}` came as a compiled artefact; nobody can check what such code does, so send the .wasm: each \
         region compiles it itself"
    )]
    Compiled {
        /// The plugin.
        name: String,
    },
    /// A version that has a part in its plugin's release.
    #[error("version {version} of `{name}` is the {role} one; promote another version first, or end its part")]
    VersionInUse {
        /// The plugin.
        name: String,
        /// The version.
        version: String,
        /// `active`, `canary` or `shadow`.
        role: &'static str,
    },
    /// No version was active before.
    #[error(
        "no other version of `{name}` was active before, or none of them is deployed any more; promote one by its number"
    )]
    NothingBefore {
        /// The plugin.
        name: String,
    },
    /// A plugin without a shadow.
    #[error("`{name}` has no shadow; set one with `domicile plugin shadow {name} VERSION`")]
    NoShadow {
        /// The plugin.
        name: String,
    },
    /// A fragment is pinned to plugin code that this region does not have yet.
    #[error(
        "region `{region}` does not have plugin `{name}` with sha256 {sha256} yet; it fetches it from its peers, ask again shortly"
    )]
    PluginMissing {
        /// The region.
        region: RegionId,
        /// The plugin.
        name: String,
        /// The content.
        sha256: String,
    },
    /// The plan that would have run for another region is not what was admitted.
    #[error(
        "the plan for this part of the question does more than was admitted, so it was not run; ask in other words, and \
         report it: the region's log says what it was"
    )]
    PlanRefused,
    /// A plugin failed.
    #[error(transparent)]
    Plugin(#[from] SandboxError),
    /// A plugin failed where whoever asks does not stand.
    #[error("a plugin could not finish in region `{region}`; its log there says why")]
    PluginFailedElsewhere {
        /// The region.
        region: RegionId,
    },
    /// A region failed while answering.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A copy does not answer for its home.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stored rows could not be read.
    #[error(transparent)]
    Read(Arc<StoreError>),
    /// An owning thread ended.
    #[error(transparent)]
    OwnerGone(#[from] OwnerGone),
    /// A value in the data that the SQL cannot be computed for.
    #[error("{0}; for values that may not fit, use try_cast or nullif")]
    Data(String),
    /// Execution failed.
    #[error("the query failed while running: {0}")]
    Execution(String),
}

fn missing_text(missing: &[RegionReason]) -> String {
    let parts: Vec<String> =
        missing.iter().map(|m| format!("region `{}` did not answer: {}", m.region, m.reason)).collect();
    parts.join("; ")
}

fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ")
}

impl QueryError {
    pub(crate) fn sql(message: &str, place: Option<(u64, u64)>) -> Self {
        Self::Sql { message: message.to_owned(), place }
    }

    pub(crate) fn unknown<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Unknown { kind, name: name.to_owned(), nearest: nearest(name, known).map(str::to_owned) }
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        let error = match own(error) {
            Ok(own) => return own,
            Err(foreign) => foreign,
        };
        if let Some(plugin) = cause::<SandboxError>(&error) {
            return Self::Plugin(plugin);
        }
        if let Some(store) = cause::<Arc<StoreError>>(&error) {
            return Self::Read(store);
        }
        match error.find_root() {
            DataFusionError::ArrowError(arrow, _) if about_data(arrow) => Self::Data(arrow.to_string()),
            _ => Self::Execution(error.strip_backtrace()),
        }
    }
}

/// The error of this crate that a planner closure passed through the engine.
fn own(error: DataFusionError) -> Result<QueryError, DataFusionError> {
    match error {
        DataFusionError::External(inner) => inner.downcast().map(|own| *own).map_err(DataFusionError::External),
        DataFusionError::Context(_, inner) => own(*inner),
        other => Err(other),
    }
}

/// Whether the error is about a value and not about the engine.
fn about_data(error: &ArrowError) -> bool {
    matches!(
        error,
        ArrowError::CastError(_)
            | ArrowError::ParseError(_)
            | ArrowError::ComputeError(_)
            | ArrowError::DivideByZero
            | ArrowError::ArithmeticOverflow(_)
    )
}

/// The error of that type, where it is what stopped the execution.
fn cause<E: std::error::Error + Clone + 'static>(error: &DataFusionError) -> Option<E> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<E>() {
            return Some(found.clone());
        }
        cause = inner.source();
    }
    None
}
