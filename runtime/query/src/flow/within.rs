//! Aggregates within entities: below another aggregate, what a region computes of each entity's own rows.

use std::collections::BTreeMap;

use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use domicile_policy::ColumnUse;

use super::Flows;
use crate::QueryError;
use crate::aggregate::plugin_aggregate;
use crate::catalog::Catalog;
use crate::expression::{Flow, WITHIN, expression};
use crate::fragment::{MERGEABLE, counts_rows};

impl Flows {
    /// The flows of an aggregate each of whose groups is about one entity: one of its keys names a row. What it makes of
    /// columns counts as these columns, whatever it is used for.
    ///
    /// # Errors
    /// Where no key names a row, or rows of several entities may meet.
    pub(super) fn within_entities(
        &mut self,
        input: &LogicalPlan,
        keys: &[Expr],
        aggregates: &[Expr],
        catalog: &Catalog,
    ) -> Result<Vec<Flow>, QueryError> {
        let (instances, conditions) = (self.resident.len(), self.conditions.len());
        let flows = self.node(input, catalog)?;
        let schema = input.schema();
        // Of a table of everybody's only what everybody sees is made.
        let mut is_about_one = self.resident.len() == instances;
        let mut outputs = Vec::with_capacity(keys.len() + aggregates.len());
        for key in keys {
            if matches!(key, Expr::GroupingSet(_)) {
                return Err(QueryError::AcrossRegions { what: "GROUPING SETS below an aggregate".to_owned() });
            }
            let flow = expression(key, schema, &flows)?;
            if flow.names_a_row() {
                is_about_one |= !key.nullable(schema.as_ref())?;
                self.named.extend(flow.values.iter().cloned());
            } else {
                // They say how many rows there are.
                self.keys.absorb(&flow);
            }
            outputs.push(flow);
        }
        if !is_about_one {
            return Err(QueryError::AcrossRegions { what: "an aggregate below another".to_owned() });
        }
        self.co_resident(instances, conditions)?;
        // Whatever is made of an entity's rows is one number of that entity, as a column would be.
        let entity: BTreeMap<ColumnUse, u32> =
            outputs.iter().filter(|key| key.names_a_row()).flat_map(|key| key.powers.clone()).collect();
        for aggregate in aggregates {
            let mut flow = self.within(aggregate, schema, &flows)?;
            flow.powers.extend(entity.clone());
            flow.degree = flow.degree.max(1);
            outputs.push(flow);
        }
        Ok(outputs)
    }

    /// Checks that all resident tables from the given one on are joined on columns that name the same row, by conditions
    /// from the given one on: no row meets one of another entity.
    pub(super) fn co_resident(&self, instances: usize, conditions: usize) -> Result<(), QueryError> {
        let Some(first) = self.resident.get(instances) else { return Ok(()) };
        let mut group: Vec<usize> = (0..self.resident.len()).collect();
        for condition in self.conditions[conditions..].iter().filter(|condition| condition.joins_homes()) {
            if let Some((left, right)) = &condition.equality {
                let (from, to) = (group[left.instance.ordinal], group[right.instance.ordinal]);
                group.iter_mut().filter(|member| **member == from).for_each(|member| *member = to);
            }
        }
        let apart = |instance: &&crate::expression::Instance| group[instance.ordinal] != group[first.ordinal];
        match self.resident[instances..].iter().find(apart) {
            None => Ok(()),
            Some(instance) => Err(QueryError::AcrossRegions {
                what: format!(
                    "a join of `{}` with `{}` on other columns than the key that says where rows live",
                    first.dataset, instance.dataset
                ),
            }),
        }
    }

    /// The flow of one aggregate within an entity. Sums and counts are arithmetic here, and need no
    /// permission.
    fn within(&mut self, expr: &Expr, schema: &DFSchema, input: &[Flow]) -> Result<Flow, QueryError> {
        let function = match expr {
            Expr::Alias(alias) => return self.within(&alias.expr, schema, input),
            Expr::AggregateFunction(function) => function,
            other => return Err(QueryError::AcrossRegions { what: other.to_string() }),
        };
        let name = function.func.name().to_lowercase();
        let is_plain = function.params.order_by.is_empty() && function.params.null_treatment.is_none();
        // The code of a plugin could tell of one entity in what it gives for another.
        if plugin_aggregate(function).is_some() || !is_plain || !MERGEABLE.contains(&name.as_str()) {
            return Err(QueryError::AcrossRegions { what: format!("`{name}` below an aggregate") });
        }
        let mut flow = Flow::default();
        // A mean takes away how often its entity counts, and of an entity's rows the least or greatest is one row: beside
        // a sum, either tells whom of a few it counts more often.
        if matches!(name.as_str(), "avg" | "min" | "max") {
            flow.functions.insert(WITHIN.to_owned());
        }
        flow.counts = name == "count";
        let counts_rows = counts_rows(function, schema, input)?;
        for argument in &function.params.args {
            let argument = expression(argument, schema, input)?;
            if counts_rows {
                self.named.extend(argument.values);
            } else {
                flow.absorb(&argument);
            }
        }
        if let Some(filter) = &function.params.filter {
            flow.absorb(&expression(filter, schema, input)?.into_condition());
        }
        Ok(flow)
    }
}
