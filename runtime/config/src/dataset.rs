//! A dataset's file: its columns, its key, how it is divided, what becomes of conflicts, and whether it is reference
//! data.

use std::str::FromStr;

use domicile_types::{Column, ColumnType, ConflictPolicy, Dataset, DatasetName, nearest, suggestion};
use serde::Deserialize;

use crate::conflict::{self, RawConflict};
use crate::partition::{self, RawLifecycle, RawPartition};
use crate::region::Source;
use crate::strict::{self, Parsed, Schema, Spanned};
use crate::{ConfigError, Position};

/// What one dataset file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetFile {
    /// The file, as the caller named it.
    pub path: String,
    /// The dataset.
    pub dataset: Dataset,
    /// Whether the same rows lie in every region; otherwise a policy says where each row lives.
    pub reference: bool,
    /// What becomes of versions of a row that were written in several regions at the same time.
    pub conflict: ConflictPolicy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDataset {
    #[serde(rename = "schema")]
    _schema: Schema,
    name: Spanned<Parsed<DatasetName>>,
    #[serde(default)]
    reference: bool,
    #[serde(default)]
    primary_key: Vec<String>,
    #[serde(default)]
    partition: RawPartition,
    #[serde(default)]
    lifecycle: RawLifecycle,
    #[serde(default)]
    conflict: RawConflict,
    #[serde(default)]
    column: Vec<RawColumn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    name: String,
    #[serde(rename = "type")]
    kind: Parsed<TypeName>,
    #[serde(default)]
    nullable: bool,
}

impl DatasetFile {
    /// Reads the text of the dataset file that `file` names in messages.
    ///
    /// # Errors
    /// Where the text is not such a file, or its columns contradict each other.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let raw: RawDataset = strict::parse(file, text)?;
        let at = Position::of(file, text, raw.name.span().start);
        let columns = raw
            .column
            .into_iter()
            .map(|column| Column { name: column.name, kind: column.kind.0.0, nullable: column.nullable })
            .collect();
        let dataset = Dataset::new(raw.name.into_inner().0, columns, raw.primary_key)
            .map_err(|source| ConfigError::Dataset { at, source })?;
        let dataset = partition::divided(dataset, &raw.partition, &raw.lifecycle, file, text)?;
        let conflict = conflict::policy(raw.conflict, &dataset, &Source { file, text })?;
        Ok(Self { path: file.to_owned(), dataset, reference: raw.reference, conflict })
    }
}

struct TypeName(ColumnType);

#[derive(Debug, thiserror::Error)]
enum TypeError {
    #[error("unknown type `{name}`{}", suggestion(*.nearest))]
    Unknown { name: String, nearest: Option<&'static str> },
    #[error(
        "`{name}` is not a decimal: write decimal(precision,scale) with precision 1 to 38 and scale 0 to precision"
    )]
    Decimal { name: String },
}

impl FromStr for TypeName {
    type Err = TypeError;

    fn from_str(name: &str) -> Result<Self, TypeError> {
        const NAMES: [&str; 7] = ["bigint", "integer", "double", "decimal(15,2)", "text", "date", "boolean"];
        Ok(Self(match name {
            "bigint" => ColumnType::BigInt,
            "integer" => ColumnType::Integer,
            "double" => ColumnType::Double,
            "text" => ColumnType::Text,
            "date" => ColumnType::Date,
            "boolean" => ColumnType::Boolean,
            _ if name.starts_with("decimal") => {
                decimal(name).ok_or_else(|| TypeError::Decimal { name: name.to_owned() })?
            }
            _ => return Err(TypeError::Unknown { name: name.to_owned(), nearest: nearest(name, NAMES) }),
        }))
    }
}

fn decimal(name: &str) -> Option<ColumnType> {
    let (precision, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: u8 = scale.trim().parse().ok()?;
    let fits = (1..=38).contains(&precision) && scale <= precision;
    fits.then_some(ColumnType::Decimal { precision, scale: i8::try_from(scale).ok()? })
}
