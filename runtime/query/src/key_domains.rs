//! The values that the keys of groups can have, by what policies say of the columns that they are computed of.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, UInt64Array, new_null_array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::physical_expr::create_physical_expr;
use domicile_policy::{PolicySet, Verdict};
use domicile_types::limits::DOMAIN_GROUPS_MAX;
use domicile_types::{DatasetName, KeyValue, RegionId, Residency};

use crate::QueryError;
use crate::definition::Definition;
use crate::flow::Fixed;
use crate::guard::{Domains, KeyDomain};

/// What is known of the columns of a question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'l> {
    pub(crate) definition: &'l Definition,
    /// Columns that every row has one of a few values in.
    pub(crate) fixed: &'l [Fixed],
    pub(crate) verdict: &'l Verdict,
    pub(crate) policies: &'l PolicySet,
    /// The region whose rows they are.
    pub(crate) home: &'l RegionId,
}

impl Listed<'_> {
    /// The values of the keys with these numbers, of the keys `group` over `input`, where they are known of all of them.
    ///
    /// # Errors
    /// Where a key is none of `input`.
    pub(crate) fn domains(
        &self,
        indexes: &[usize],
        input: &DFSchema,
        group: &[Expr],
    ) -> Result<Option<Domains>, QueryError> {
        // Where one alone may leave, no group is too small.
        if self.verdict.minimum_entities <= 1 {
            return Ok(None);
        }
        Ok(self.keys(indexes, input, group)?.and_then(Domains::of))
    }

    /// The values of each of these keys, where they are known of all of them and each is there once.
    ///
    /// # Errors
    /// Where a key is none of `input`.
    pub(crate) fn keys(
        &self,
        indexes: &[usize],
        input: &DFSchema,
        group: &[Expr],
    ) -> Result<Option<Vec<KeyDomain>>, QueryError> {
        let all: BTreeSet<usize> = indexes.iter().copied().collect();
        if all.len() != group.len() || all.len() != indexes.len() {
            return Ok(None);
        }
        let mut keys = Vec::with_capacity(indexes.len());
        for index in indexes {
            let Some(values) = self.definition.key(*index).and_then(|key| self.computed(key)) else { return Ok(None) };
            let nullable = group.get(*index).map(|key| key.nullable(input)).transpose()?;
            keys.push(KeyDomain { nullable: values.nullable || nullable.unwrap_or(true), ..values });
        }
        Ok(Some(keys))
    }

    /// What the key is for all that its columns can be.
    fn computed(&self, key: &Expr) -> Option<KeyDomain> {
        let mut columns: Vec<&Column> = key.column_refs().into_iter().collect();
        columns.sort_unstable();
        let fields: Vec<&FieldRef> =
            columns.iter().map(|column| self.definition.field(column)).collect::<Option<_>>()?;
        let qualified = columns
            .iter()
            .zip(&fields)
            .map(|(column, field)| (column.relation.clone(), Arc::new(field.as_ref().clone().with_name(&column.name))));
        let schema = DFSchema::new_with_metadata(qualified.collect(), Default::default()).ok()?;
        // A plugin's function is volatile, too.
        if key.is_volatile() {
            return None;
        }
        let listed = columns.iter().zip(&fields).map(|(column, field)| self.listed(column, field));
        let columns = combined(listed.collect::<Option<Vec<_>>>()?)?;
        let rows = columns.first().map_or(1, |column| column.len());
        let fields = Schema::new(
            schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>(),
        );
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(fields), columns, &options).ok()?;
        let computed = create_physical_expr(key, &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())
            .ok()?
            .evaluate(&batch)
            .ok()?;
        let texts = cast(&computed.into_array(rows).ok()?, &DataType::Utf8).ok()?;
        let texts = texts.as_string::<i32>();
        let values = texts.iter().flatten().map(str::to_owned).collect();
        Some(KeyDomain { values, nullable: texts.iter().any(|text| text.is_none()) })
    }

    /// All values that a column can have, as its policy lists them and its rows are picked.
    fn listed(&self, column: &Column, field: &FieldRef) -> Option<ArrayRef> {
        // A table that occurs again has a name that is none of a dataset.
        let table = column.relation.as_ref()?.table();
        let dataset: DatasetName = table.parse().ok()?;
        let policy = self.policies.policy(&dataset).filter(|_| !self.verdict.masks.contains_key(&dataset))?;
        let mut values: Vec<String> = policy.domains.get(&column.name)?.iter().map(ToString::to_string).collect();
        // Rows of other homes are not here, as everybody knows who knows the policy.
        if let Residency::Column { column: of, homes, .. } = &policy.residency
            && *of == column.name
        {
            let own: BTreeSet<String> =
                homes.iter().filter(|(_, region)| *region == self.home).map(|(value, _)| text(value)).collect();
            values.retain(|value| own.contains(value));
        }
        // Of a table that is joined to itself nobody knows here which of its rows a filter picks.
        if self.definition.occurs_once(table) {
            let of_column = |fixed: &&Fixed| fixed.column.dataset == dataset && fixed.column.column == column.name;
            for fixed in self.fixed.iter().filter(of_column) {
                let picked: BTreeSet<String> = fixed.values.iter().map(text).collect();
                values.retain(|value| picked.contains(value));
            }
        }
        let values = cast(&StringArray::from(values), field.data_type()).ok()?;
        if !field.is_nullable() {
            return Some(values);
        }
        concat(&[&values, &new_null_array(field.data_type(), 1)]).ok()
    }
}

/// Every combination of the values of several columns.
fn combined(columns: Vec<ArrayRef>) -> Option<Vec<ArrayRef>> {
    let rows = columns.iter().try_fold(1_usize, |rows, column| rows.checked_mul(column.len()))?;
    if rows > DOMAIN_GROUPS_MAX {
        return None;
    }
    let mut behind = rows;
    let column = |column: &ArrayRef| {
        behind /= column.len().max(1);
        let at = (0..rows).map(|row| (row / behind.max(1) % column.len()) as u64);
        take(column, &UInt64Array::from_iter_values(at), None).ok()
    };
    columns.iter().map(column).collect()
}

fn text(value: &KeyValue) -> String {
    match value {
        KeyValue::Integer(number) => number.to_string(),
        KeyValue::Text(text) => text.clone(),
    }
}
