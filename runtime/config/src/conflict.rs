//! The section `[conflict]` of a dataset's file: what becomes of versions that were written at the same time.

use std::collections::BTreeMap;

use domicile_types::{
    ColumnPolicy, ConflictPolicy, ConflictPolicyError, Dataset, Digest, RegionId, RowPolicy, nearest,
};
use serde::Deserialize;

use crate::ConfigError;
use crate::region::Source;
use crate::strict::{Parsed, Spanned};

/// What starts the policy of a plugin; its name follows.
const PLUGIN_PREFIX: &str = "wasm:";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConflict {
    row: Option<Spanned<String>>,
    origins: Option<Origins>,
    sha256: Option<Spanned<Parsed<Digest>>>,
    #[serde(default)]
    columns: BTreeMap<Spanned<String>, Spanned<RawColumn>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum RawColumn {
    Max,
    Min,
    Counter,
    SetUnion,
}

/// The policy, which fits the dataset.
pub(crate) fn policy(raw: RawConflict, dataset: &Dataset, source: &Source<'_>) -> Result<ConflictPolicy, ConfigError> {
    let RawConflict { row, origins, sha256, columns } = raw;
    let places = Places {
        row: row.as_ref().map_or(0, |row| row.span().start),
        origins: origins.iter().flat_map(|list| list.get_ref()).map(|origin| origin.span().start).collect(),
        columns: columns.iter().map(|(name, policy)| Place::new(name, policy)).collect(),
    };
    let of = |(name, policy): (Spanned<String>, Spanned<RawColumn>)| (name.into_inner(), policy.into_inner().policy());
    let columns = columns.into_iter().map(of).collect();
    let policy = ConflictPolicy { row: row_policy(row, origins, sha256, source)?, columns };
    policy.check(dataset).map_err(|problem| {
        let at = source.at(places.of(&problem, &policy));
        ConfigError::Conflict { at, source: problem }
    })?;
    Ok(policy)
}

impl RawColumn {
    fn policy(self) -> ColumnPolicy {
        match self {
            Self::Max => ColumnPolicy::Max,
            Self::Min => ColumnPolicy::Min,
            Self::Counter => ColumnPolicy::Counter,
            Self::SetUnion => ColumnPolicy::SetUnion,
        }
    }
}

type Origins = Spanned<Vec<Spanned<Parsed<RegionId>>>>;

fn row_policy(
    row: Option<Spanned<String>>,
    origins: Option<Origins>,
    sha256: Option<Spanned<Parsed<Digest>>>,
    source: &Source<'_>,
) -> Result<RowPolicy, ConfigError> {
    const WORDS: [&str; 6] = ["lww", "first_write", "origin_priority", "column_lww", "manual", "wasm:PLUGIN"];
    let at = row.as_ref().map(|row| source.at(row.span().start));
    let word = row.as_ref().map_or("lww", |row| row.get_ref().as_str());
    if let Some(origins) = origins {
        if word == "origin_priority" {
            let regions = origins.into_inner().into_iter().map(|region| region.into_inner().0);
            return Ok(RowPolicy::OriginPriority(regions.collect()));
        }
        let problem = format!("`origins` belongs to `row = \"origin_priority\"`, and this policy is `{word}`");
        return Err(ConfigError::Invalid { at: source.at(origins.span().start), problem });
    }
    let code = sha256.as_ref().map(|sha256| sha256.get_ref().0);
    if let Some(sha256) = sha256.filter(|_| !word.starts_with(PLUGIN_PREFIX)) {
        let problem = format!("`sha256` belongs to `row = \"{PLUGIN_PREFIX}PLUGIN\"`, and this policy is `{word}`");
        return Err(ConfigError::Invalid { at: source.at(sha256.span().start), problem });
    }
    let at = at.unwrap_or_else(|| source.at(0));
    match word {
        "lww" => Ok(RowPolicy::Lww),
        "first_write" => Ok(RowPolicy::FirstWrite),
        "column_lww" => Ok(RowPolicy::ColumnLww),
        "manual" => Ok(RowPolicy::Manual),
        "origin_priority" => Err(ConfigError::MissingKey { at, key: "origins".to_owned() }),
        _ => match word.strip_prefix(PLUGIN_PREFIX).map(str::parse) {
            Some(Ok(plugin)) => match code {
                Some(sha256) => Ok(RowPolicy::Wasm { plugin, sha256 }),
                None => Err(ConfigError::MissingKey { at, key: "sha256".to_owned() }),
            },
            Some(Err(problem)) => Err(ConfigError::Invalid { at, problem: format!("{problem}") }),
            None => Err(ConfigError::UnknownValue {
                at,
                value: word.to_owned(),
                known: WORDS.map(str::to_owned).to_vec(),
                nearest: nearest(word, WORDS).map(str::to_owned),
            }),
        },
    }
}

/// Where in the file the words stand.
struct Places {
    row: usize,
    origins: Vec<usize>,
    columns: Vec<Place>,
}

struct Place {
    column: String,
    name: usize,
    policy: usize,
}

impl Place {
    fn new(name: &Spanned<String>, policy: &Spanned<RawColumn>) -> Self {
        Self { column: name.get_ref().clone(), name: name.span().start, policy: policy.span().start }
    }
}

impl Places {
    /// Where the words stand that are wrong.
    fn of(&self, problem: &ConflictPolicyError, policy: &ConflictPolicy) -> usize {
        let place = |column: &str| self.columns.iter().find(|place| place.column == column);
        let name = |column: &str| place(column).map(|place| place.name);
        let found = match problem {
            ConflictPolicyError::Column(domicile_types::DatasetError::UnknownColumn { column, .. })
            | ConflictPolicyError::KeyColumn { column, .. }
            | ConflictPolicyError::HomeColumn { column, .. } => name(column),
            ConflictPolicyError::ColumnType { column, .. } => place(column).map(|place| place.policy),
            ConflictPolicyError::RepeatedOrigin { region, .. } => match &policy.row {
                RowPolicy::OriginPriority(regions) => {
                    regions.iter().rposition(|other| other == region).and_then(|index| self.origins.get(index).copied())
                }
                _ => None,
            },
            ConflictPolicyError::NoKey { .. } if policy.row == RowPolicy::Lww => {
                self.columns.iter().map(|place| place.name).min()
            }
            ConflictPolicyError::NoKey { .. }
            | ConflictPolicyError::NoOrigins { .. }
            | ConflictPolicyError::Column(_) => None,
        };
        found.unwrap_or(self.row)
    }
}
