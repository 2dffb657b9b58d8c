//! What noted conflicts would have come to under another policy. Nothing is changed by it.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use domicile_store::{DatasetSpec, arrow_schema};
use domicile_types::{
    ColumnPolicy, ConflictPolicy, ConflictPolicyError, Hlc, Mark, RegionId, RowPolicy, SetName, Vector,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::conflict::{NoPlugin, OP_COLUMN, Rules, Siblings, dot, resolve};
use crate::ledger::{ListedConflict, rows_text};
use crate::{Policy, SyncError};

/// Settles noted conflicts of one dataset again.
#[derive(Debug)]
pub struct Replay {
    rules: Rules,
    schema: SchemaRef,
    set: SetName,
}

/// One conflict, settled again.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// The key of the row.
    pub key: String,
    /// The versions that met, in the order that all regions agree on.
    pub versions: Vec<String>,
    /// The version that counted when they met, or `several`.
    pub winner_now: String,
    /// The one that would have, or `several`.
    pub winner_then: String,
    /// Why that one.
    pub reason_then: String,
    /// What the row would have been, with its operation; columns that are counters are left as that version has them.
    pub row_then: Box<RawValue>,
    /// Whether another version would have counted.
    pub differs: bool,
}

/// Why conflicts cannot be settled again in that way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// No policy, or one that needs more than is noted.
    #[error(
        "conflicts cannot be replayed with the policy `{policy}`; take lww, first_write, origin_priority or manual"
    )]
    Policy {
        /// What was asked for.
        policy: String,
    },
    /// An order of regions for a policy that has none.
    #[error("`origins` belongs to the policy `origin_priority`, and this one is `{policy}`")]
    Origins {
        /// The policy.
        policy: String,
    },
    /// What the dataset cannot have.
    #[error(transparent)]
    Unfit(#[from] ConflictPolicyError),
}

impl Replay {
    /// Settles conflicts of a dataset by a row policy: `lww`, `first_write`, `manual`, or `origin_priority` with the regions
    /// in their order; by the one that it has now where none is named. Columns with policies of their own keep these.
    ///
    /// # Errors
    /// Where the policy is none of these, or the dataset cannot have it.
    pub fn new(
        spec: &DatasetSpec,
        policy: &Policy,
        set: SetName,
        row: Option<&str>,
        origins: Vec<RegionId>,
    ) -> Result<Self, ReplayError> {
        let row = match (row, origins) {
            (None | Some("origin_priority"), origins) if !origins.is_empty() => RowPolicy::OriginPriority(origins),
            (Some(row), origins) if !origins.is_empty() => return Err(ReplayError::Origins { policy: row.to_owned() }),
            (None, _) => policy.policy.row.clone(),
            (Some("lww"), _) => RowPolicy::Lww,
            (Some("first_write"), _) => RowPolicy::FirstWrite,
            (Some("manual"), _) => RowPolicy::Manual,
            (Some("origin_priority"), _) => match &policy.policy.row {
                RowPolicy::OriginPriority(regions) => RowPolicy::OriginPriority(regions.clone()),
                _ => RowPolicy::OriginPriority(Vec::new()),
            },
            (Some(other), _) => return Err(ReplayError::Policy { policy: other.to_owned() }),
        };
        if matches!(row, RowPolicy::ColumnLww | RowPolicy::Wasm { .. }) {
            return Err(ReplayError::Policy { policy: row.to_string() });
        }
        // What each writer added is not noted with a conflict.
        let mut columns = policy.policy.columns.clone();
        columns.retain(|_, policy| *policy != ColumnPolicy::Counter);
        let rules = Rules::new(&ConflictPolicy { row, columns }, &spec.dataset, &spec.residency)?;
        let declared = arrow_schema(spec);
        // Deleted rows have a key only.
        let fields = declared.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let fields = fields.chain([Field::new(OP_COLUMN, DataType::UInt8, false)]).collect::<Vec<_>>();
        Ok(Self { rules, schema: Arc::new(Schema::new(fields)), set })
    }

    /// The row policy.
    #[must_use]
    pub fn policy(&self) -> String {
        self.rules.row_policy().to_string()
    }

    /// What one conflict would have come to.
    ///
    /// # Errors
    /// Where what is noted of it cannot be read.
    pub fn of(&self, conflict: &ListedConflict) -> Result<Replayed, SyncError> {
        let dots = conflict.versions.iter().map(|version| dot(version)).collect::<Option<Vec<_>>>();
        let unreadable = || SyncError::Unreadable { key: conflict.key.clone() };
        // The order is all that policies ask of moments.
        let mark =
            |(hlc, dot)| Mark { set: self.set.clone(), dot, hlc: Hlc(hlc), follows: Vector::new(), change: None };
        let marks: Vec<Mark> = (1..).zip(dots.ok_or_else(unreadable)?).map(mark).collect();
        let siblings = Siblings::new(&self.rows(&conflict.rows)?, &marks)?;
        let unavailable = |_| unreadable();
        let resolved = resolve(&self.rules, &siblings, &NoPlugin).map_err(unavailable)?;
        let winner_then = resolved.winner.as_ref().map_or_else(|| "several".to_owned(), ToString::to_string);
        let row = rows_text(&resolved.row)?;
        let row_then = row.trim().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Replayed {
            key: conflict.key.clone(),
            versions: conflict.versions.clone(),
            differs: winner_then != conflict.winner,
            winner_now: conflict.winner.clone(),
            winner_then,
            reason_then: resolved.explanation(),
            row_then: RawValue::from_string(row_then)?,
        })
    }

    /// The rows of the versions, from a JSON list.
    fn rows(&self, text: &str) -> Result<RecordBatch, SyncError> {
        let rows: Vec<Box<RawValue>> = serde_json::from_str(text)?;
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let reader = ReaderBuilder::new(Arc::clone(&self.schema)).build(Cursor::new(lines.into_bytes()))?;
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        Ok(concat_batches(&self.schema, &batches)?)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use domicile_types::{Column, ColumnType, Dataset, Residency};

    use super::*;

    fn spec() -> DatasetSpec {
        let column = |name: &str, kind| Column { name: name.to_owned(), kind, nullable: name != "id" };
        let columns = vec![
            column("id", ColumnType::BigInt),
            column("price", ColumnType::Decimal { precision: 15, scale: 2 }),
            column("day", ColumnType::Date),
            column("stock", ColumnType::BigInt),
        ];
        let dataset = Dataset::new("item".parse().unwrap(), columns, vec!["id".to_owned()]).unwrap();
        DatasetSpec { dataset, residency: Residency::Reference }
    }

    fn policy(columns: &[(&str, ColumnPolicy)]) -> Policy {
        let columns = columns.iter().map(|(name, policy)| ((*name).to_owned(), *policy)).collect();
        Policy::new(ConflictPolicy { row: RowPolicy::Lww, columns }, &spec()).unwrap()
    }

    fn conflict(last_is_deleted: bool) -> ListedConflict {
        let last = match last_is_deleted {
            true => r#"{"id":7,"price":null,"day":null,"stock":null,"_op":1}"#,
            false => r#"{"id":7,"price":3.50,"day":"2024-03-01","stock":5,"_op":0}"#,
        };
        ListedConflict {
            dataset: "item".to_owned(),
            key: "[\"7\"]".to_owned(),
            versions: vec!["eu-central.0:3".to_owned(), "ap-south.1:2".to_owned()],
            rows: format!(r#"[{{"id":7,"price":9.25,"day":"2024-02-29","stock":8,"_op":0}},{last}]"#),
            winner: "ap-south.1:2".to_owned(),
            policy: "lww".to_owned(),
            reason: "written last".to_owned(),
            detected_ms: 1,
        }
    }

    fn replayed(row: Option<&str>, origins: &[&str], policy: &Policy, conflict: &ListedConflict) -> Replayed {
        let origins = origins.iter().map(|region| region.parse().unwrap()).collect();
        Replay::new(&spec(), policy, "set".parse().unwrap(), row, origins).unwrap().of(conflict).unwrap()
    }

    #[test]
    fn other_policies_pick_other_versions() {
        let (plain, met) = (policy(&[]), conflict(false));
        let same = replayed(None, &[], &plain, &met);
        assert!(!same.differs && same.winner_then == "ap-south.1:2", "{same:?}");
        let first = replayed(Some("first_write"), &[], &plain, &met);
        assert!(first.differs && first.winner_then == "eu-central.0:3" && first.winner_now == met.winner, "{first:?}");
        let row: serde_json::Value = serde_json::from_str(first.row_then.get()).unwrap();
        assert_eq!((&row["day"], &row["stock"]), (&"2024-02-29".into(), &8.into()));
        let of = |origins: &[&str]| replayed(Some("origin_priority"), origins, &plain, &met).winner_then;
        assert_eq!(of(&["eu-central"]), "eu-central.0:3");
        assert_eq!(of(&["ap-south", "eu-central"]), "ap-south.1:2");
    }

    #[test]
    fn columns_keep_their_policies_but_for_counters() {
        let policy = policy(&[("price", ColumnPolicy::Max), ("stock", ColumnPolicy::Counter)]);
        let last = replayed(Some("lww"), &[], &policy, &conflict(false));
        let row: serde_json::Value = serde_json::from_str(last.row_then.get()).unwrap();
        assert_eq!((row["price"].to_string().as_str(), &row["stock"]), ("9.25", &5.into()), "{row}");
    }

    #[test]
    fn deletions_count_like_rows() {
        let (plain, met) = (policy(&[]), conflict(true));
        assert!(!replayed(Some("lww"), &[], &plain, &met).differs);
        assert!(replayed(Some("first_write"), &[], &plain, &met).differs);
    }

    #[test]
    fn what_cannot_be_replayed_is_told() {
        let new = |row, origins| Replay::new(&spec(), &policy(&[]), "set".parse().unwrap(), row, origins).err();
        assert!(matches!(new(Some("column_lww"), Vec::new()), Some(ReplayError::Policy { .. })));
        assert!(matches!(new(Some("latest"), Vec::new()), Some(ReplayError::Policy { .. })));
        assert!(matches!(new(Some("origin_priority"), Vec::new()), Some(ReplayError::Unfit(_))));
        assert!(matches!(new(Some("lww"), vec!["a".parse().unwrap()]), Some(ReplayError::Origins { .. })));
        let replay = Replay::new(&spec(), &policy(&[]), "set".parse().unwrap(), None, Vec::new()).unwrap();
        let damaged = ListedConflict { versions: vec!["eu-central".to_owned()], ..conflict(false) };
        assert!(matches!(replay.of(&damaged), Err(SyncError::Unreadable { .. })));
        let damaged = ListedConflict { rows: "[{}]".to_owned(), ..conflict(false) };
        assert!(replay.of(&damaged).is_err());
    }
}
