//! Deployed plugins of the world `merge`, asked for what becomes of versions that were written at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, new_null_array,
};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int32Type, Int64Type};
use domicile_query::Region;
use domicile_sandbox::{ErrorKind, Field, Interface, Plugin, RowVersion, SandboxError, Value, ValueType};
use domicile_sync::conflict::{MergeFailure, MergePlugin, Merged, Siblings, Unavailable};
use domicile_sync::{Applier, Policy};
use domicile_types::{DatasetName, Digest, PluginName};

/// What applies entries, with the plugins that the policies name.
pub(super) fn applier(region: &Arc<Region>, policies: BTreeMap<DatasetName, Policy>) -> Applier {
    let with_plugin = |policy: Policy| match policy.names_plugin() {
        Some((name, sha256)) => {
            let rule = DeployedRule { region: Arc::clone(region), name: name.clone(), sha256: *sha256 };
            policy.with_plugin(Arc::new(rule))
        }
        None => policy,
    };
    Applier::new(policies.into_iter().map(|(dataset, policy)| (dataset, with_plugin(policy))).collect())
}

/// One plugin, by its code: it may be deployed later than it is asked for.
#[derive(Debug)]
struct DeployedRule {
    region: Arc<Region>,
    name: PluginName,
    sha256: Digest,
}

/// A plugin that is here.
struct Found {
    plugin: Arc<Plugin>,
    /// The columns that it resolves, with their places among the versions' columns.
    columns: Vec<(Field, usize)>,
}

impl DeployedRule {
    fn unavailable(&self, problem: &str) -> Unavailable {
        Unavailable { problem: format!("plugin `{}` {problem}", self.name) }
    }

    fn find(&self, rows: &RecordBatch) -> Result<Found, Unavailable> {
        let plugins = self.region.plugins();
        let plugin = plugins.with_code(&self.name, &self.sha256).ok_or_else(|| {
            self.unavailable(&format!("with the code {} is not here, or not trusted here; deploy it", self.sha256))
        })?;
        let Interface::Merge(interface) = plugin.interface() else {
            return Err(self.unavailable("is not of the world `merge`; name another one in the dataset's file"));
        };
        let place = |field: &Field| match rows.schema_ref().column_with_name(&field.name) {
            Some((place, column)) if fits(field.kind, column.data_type()) => Ok((field.clone(), place)),
            Some((_, column)) => Err(self.unavailable(&format!(
                "takes column `{}` for a {}, and it is a {}; deploy one that fits, and name its code",
                field.name,
                field.kind,
                column.data_type()
            ))),
            None => Err(self.unavailable(&format!(
                "resolves column `{}`, which the dataset does not have; deploy one that fits, and name its code",
                field.name
            ))),
        };
        let columns = interface.columns.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Found { plugin: Arc::clone(plugin), columns })
    }
}

impl MergePlugin for DeployedRule {
    /// Rows count before deletions that knew nothing of them: the plugin sees the rows only, and where there is one, that
    /// is it. Columns that it does not declare are those of the row that was written last.
    fn merge(&self, siblings: &Siblings) -> Result<Result<Merged, MergeFailure>, Unavailable> {
        let rows = siblings.rows();
        let Found { plugin, columns } = self.find(rows)?;
        let written: Vec<usize> =
            (0..siblings.count()).filter(|index| !siblings.version(*index).is_tombstone()).collect();
        let Some(last) = written.last() else { return Ok(Ok(Merged::Tombstone)) };
        let last = rows.slice(*last, 1);
        if written.len() == 1 {
            return Ok(Ok(Merged::Row(last)));
        }
        let versions: Vec<RowVersion> = written.iter().map(|index| version(siblings, *index, &columns)).collect();
        let resolved = plugin.merge().and_then(|mut instance| instance.resolve(&versions));
        match resolved {
            Ok(values) => Ok(row(&last, &columns, &values).map(Merged::Row)),
            Err(error) => match error.kind() {
                // What depends on this region and this moment must not decide what counts everywhere.
                ErrorKind::Busy | ErrorKind::TimedOut | ErrorKind::Internal => {
                    Err(self.unavailable(&format!("could not be asked: {error}")))
                }
                _ => Ok(Err(failure(error))),
            },
        }
    }
}

fn failure(error: SandboxError) -> MergeFailure {
    MergeFailure { problem: error.without_guest_text().to_string() }
}

fn fits(kind: ValueType, column: &DataType) -> bool {
    matches!(
        (kind, column),
        (ValueType::BigInt, DataType::Int64 | DataType::Int32)
            | (ValueType::Double, DataType::Float64)
            | (ValueType::Text, DataType::Utf8)
            | (ValueType::Date, DataType::Date32)
            | (ValueType::Boolean, DataType::Boolean)
    )
}

fn version(siblings: &Siblings, index: usize, columns: &[(Field, usize)]) -> RowVersion {
    let mark = &siblings.marks()[index];
    let values = columns.iter().map(|(_, place)| value(siblings.rows().column(*place), index)).collect();
    RowVersion { written_at: mark.hlc.0, origin: mark.dot.origin.region.to_string(), values }
}

/// A value of a column that [`fits`].
fn value(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Int64 => Value::BigInt(column.as_primitive::<Int64Type>().value(row)),
        DataType::Int32 => Value::BigInt(i64::from(column.as_primitive::<Int32Type>().value(row))),
        DataType::Float64 => Value::Double(column.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => Value::Date(column.as_primitive::<Date32Type>().value(row)),
        DataType::Boolean => Value::Boolean(column.as_boolean().value(row)),
        DataType::Utf8 => Value::Text(column.as_string::<i32>().value(row).to_owned()),
        _ => Value::Null,
    }
}

/// The row `last`, with the values that the plugin gave.
fn row(last: &RecordBatch, columns: &[(Field, usize)], values: &[Value]) -> Result<RecordBatch, MergeFailure> {
    let mut made = last.columns().to_vec();
    for ((field, place), value) in columns.iter().zip(values) {
        made[*place] = array(value, last.column(*place).data_type()).ok_or_else(|| MergeFailure {
            problem: format!("it gave `{}` a value that the column cannot have", field.name),
        })?;
    }
    RecordBatch::try_new(last.schema(), made).map_err(|error| MergeFailure { problem: error.to_string() })
}

fn array(value: &Value, column: &DataType) -> Option<ArrayRef> {
    Some(match (value, column) {
        (Value::Null, column) => new_null_array(column, 1),
        (Value::BigInt(value), DataType::Int64) => Arc::new(Int64Array::from(vec![*value])),
        (Value::BigInt(value), DataType::Int32) => Arc::new(Int32Array::from(vec![i32::try_from(*value).ok()?])),
        (Value::Double(value), DataType::Float64) => Arc::new(Float64Array::from(vec![*value])),
        (Value::Date(value), DataType::Date32) => Arc::new(Date32Array::from(vec![*value])),
        (Value::Boolean(value), DataType::Boolean) => Arc::new(BooleanArray::from(vec![*value])),
        (Value::Text(value), DataType::Utf8) => Arc::new(StringArray::from(vec![value.as_str()])),
        _ => return None,
    })
}
