//! Admitted plans get their data: each scan is bound to the rows of one snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DataFusionError, JoinType, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, col, lit, when};
use datafusion::prelude::SessionContext;
use domicile_policy::{Bounds, Form};
use domicile_store::{DatasetSpec, ENTITY_COLUMN, Snapshot, StoreReader, arrow_schema};
use domicile_types::DatasetName;

use crate::QueryError;
use crate::admit::{Admission, AdmittedFragment};
use crate::catalog::{Catalog, Relation, relation};
use crate::mapper_table::mapper_table;
use crate::plugins::PluginSet;
use crate::segments::SegmentsTable;

/// Binds the scans of admitted plans.
pub(crate) struct Binder<'b> {
    catalog: &'b Catalog,
    reader: &'b StoreReader,
    snapshot: &'b Arc<Snapshot>,
    plugins: &'b PluginSet,
    session: &'b SessionContext,
    /// Partial results by fragment.
    partials: BTreeMap<usize, Arc<dyn TableProvider>>,
    isolated: bool,
    bounded: bool,
}

impl<'b> Binder<'b> {
    /// A binder for one plan, which `_admission` proves to be admitted.
    pub(crate) fn new(
        _admission: &Admission,
        catalog: &'b Catalog,
        reader: &'b StoreReader,
        snapshot: &'b Arc<Snapshot>,
        plugins: &'b PluginSet,
        session: &'b SessionContext,
        partials: BTreeMap<usize, Arc<dyn TableProvider>>,
    ) -> Self {
        Self { catalog, reader, snapshot, plugins, session, partials, isolated: false, bounded: false }
    }

    /// The same binder for an admitted fragment. Where its result crosses a border, mappers see one entity at a time; and
    /// where that is no rows, values beyond the bounds that a policy declares count as the bounds.
    pub(crate) fn of(self, admitted: &AdmittedFragment) -> Self {
        let isolated = admitted.verdict.is_some();
        Self { isolated, bounded: isolated && admitted.fragment.facts.form == Form::Aggregate, ..self }
    }

    /// The plan over real tables, with the columns that their declarations name.
    ///
    /// # Errors
    /// Where a table cannot be opened.
    pub(crate) fn bind(&self, plan: LogicalPlan) -> Result<LogicalPlan, QueryError> {
        let bound = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(scan) => {
                let external = |e: QueryError| DataFusionError::External(Box::new(e));
                let provider = self.provider(&scan, false).map_err(external)?;
                let table = relation(&scan).map_err(external)?;
                let scan = LogicalPlanBuilder::scan(scan.table_name, provider_as_source(provider), scan.projection)?;
                Ok(Transformed::yes(self.bounded(scan.build()?, &table)?))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(bound.data)
    }

    /// The plan over real tables with one more output column: the entity that each row is about.
    ///
    /// # Errors
    /// Where the plan has no entity, or a table cannot be opened.
    pub(crate) fn bind_with_entity(&self, plan: &LogicalPlan) -> Result<(LogicalPlan, Column), QueryError> {
        self.entity(plan)?.ok_or_else(|| QueryError::Execution("the fragment reads no resident dataset".to_owned()))
    }

    fn entity(&self, plan: &LogicalPlan) -> Result<Option<(LogicalPlan, Column)>, QueryError> {
        match plan {
            LogicalPlan::TableScan(scan) => self.entity_scan(scan),
            LogicalPlan::SubqueryAlias(alias) => {
                let Some((input, column)) = self.entity(&alias.input)? else { return Ok(None) };
                let plan = LogicalPlanBuilder::from(input).alias(alias.alias.clone())?.build()?;
                Ok(Some((plan, Column::new(Some(alias.alias.clone()), column.name))))
            }
            LogicalPlan::Projection(projection) => {
                let Some((input, column)) = self.entity(&projection.input)? else { return Ok(None) };
                let subqueries = projection.expr.iter().map(|expr| self.bind_subqueries(expr));
                let mut exprs = subqueries.collect::<Result<Vec<_>, _>>()?;
                exprs.push(col(column).alias(ENTITY_COLUMN));
                let plan = LogicalPlanBuilder::from(input).project(exprs)?.build()?;
                Ok(Some((plan, Column::new_unqualified(ENTITY_COLUMN))))
            }
            LogicalPlan::Join(join) => self.entity_join(join),
            LogicalPlan::Filter(_) => {
                let inputs = plan.inputs();
                let Some((input, column)) = self.entity(inputs[0])? else { return Ok(None) };
                let exprs =
                    plan.expressions().iter().map(|expr| self.bind_subqueries(expr)).collect::<Result<_, _>>()?;
                Ok(Some((plan.with_new_exprs(exprs, vec![input])?, column)))
            }
            _ => Ok(None),
        }
    }

    fn entity_scan(&self, scan: &TableScan) -> Result<Option<(LogicalPlan, Column)>, QueryError> {
        let table = relation(scan)?;
        if matches!(table, Relation::Reference { .. } | Relation::Partial { .. }) {
            return Ok(None);
        }
        let source = provider_as_source(self.provider(scan, true)?);
        let plan = LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?.build()?;
        let plan = self.bounded(plan, &table)?;
        Ok(Some((plan, Column::new(Some(scan.table_name.clone()), ENTITY_COLUMN))))
    }

    /// The scan with its measures within their bounds, where the result crosses.
    fn bounded(&self, scan: LogicalPlan, table: &Relation) -> Result<LogicalPlan, DataFusionError> {
        let Relation::Resident { dataset } = table else { return Ok(scan) };
        let policy = self.catalog.policies().policy(dataset).filter(|policy| self.bounded && !policy.bounds.is_empty());
        let Some(policy) = policy else { return Ok(scan) };
        let columns = scan.schema().iter().map(|(qualifier, field)| {
            let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            match policy.bounds.get(field.name()) {
                Some(bounds) => {
                    Ok(within(column, *bounds, field.data_type())?.alias_qualified(qualifier.cloned(), field.name()))
                }
                None => Ok(column),
            }
        });
        let columns = columns.collect::<Result<Vec<_>, DataFusionError>>()?;
        LogicalPlanBuilder::from(scan).project(columns)?.build()
    }

    /// All resident sides of an admitted join are about the same entity, so one side's column is enough; it has to be
    /// a side whose rows the join keeps.
    fn entity_join(&self, join: &datafusion::logical_expr::Join) -> Result<Option<(LogicalPlan, Column)>, QueryError> {
        let keeps_left = !matches!(join.join_type, JoinType::Right | JoinType::RightSemi | JoinType::RightAnti);
        let keeps_right = !matches!(join.join_type, JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti);
        let left = if keeps_left { self.entity(&join.left)? } else { None };
        let right = if left.is_none() && keeps_right { self.entity(&join.right)? } else { None };
        let (left, right, column) = match (left, right) {
            (Some((left, column)), _) => (left, self.bind(join.right.as_ref().clone())?, column),
            (None, Some((right, column))) => (self.bind(join.left.as_ref().clone())?, right, column),
            (None, None) => return Ok(None),
        };
        let mut exprs = Vec::new();
        for expr in LogicalPlan::Join(join.clone()).expressions() {
            exprs.push(self.bind_subqueries(&expr)?);
        }
        Ok(Some((LogicalPlan::Join(join.clone()).with_new_exprs(exprs, vec![left, right])?, column)))
    }

    fn bind_subqueries(&self, expr: &Expr) -> Result<Expr, QueryError> {
        let bound = expr.clone().transform_up(|expr| {
            let bind = |plan: &LogicalPlan| {
                self.bind(plan.clone()).map(Arc::new).map_err(|e| DataFusionError::External(Box::new(e)))
            };
            Ok(match expr {
                Expr::ScalarSubquery(mut subquery) => {
                    subquery.subquery = bind(&subquery.subquery)?;
                    Transformed::yes(Expr::ScalarSubquery(subquery))
                }
                Expr::Exists(mut exists) => {
                    exists.subquery.subquery = bind(&exists.subquery.subquery)?;
                    Transformed::yes(Expr::Exists(exists))
                }
                Expr::InSubquery(mut within) => {
                    within.subquery.subquery = bind(&within.subquery.subquery)?;
                    Transformed::yes(Expr::InSubquery(within))
                }
                other => Transformed::no(other),
            })
        })?;
        Ok(bound.data)
    }

    fn provider(&self, scan: &TableScan, with_entity: bool) -> Result<Arc<dyn TableProvider>, QueryError> {
        match relation(scan)? {
            Relation::Reference { dataset } => self.segments(self.catalog.spec(dataset.as_str())?, false),
            Relation::Resident { dataset } => self.segments(self.catalog.spec(dataset.as_str())?, with_entity),
            Relation::Mapper { name, dataset, .. } => self.mapper(name.as_str(), &dataset),
            Relation::Partial { fragment } => self
                .partials
                .get(&fragment)
                .cloned()
                .ok_or_else(|| QueryError::Execution(format!("fragment {fragment} has no result"))),
        }
    }

    fn mapper(&self, name: &str, dataset: &DatasetName) -> Result<Arc<dyn TableProvider>, QueryError> {
        let plugin = self.plugins.endpoint(name)?;
        let input = self.segments(self.catalog.spec(dataset.as_str())?, true)?;
        mapper_table(self.session, &plugin, self.plugins.parameters_of(&plugin)?, input, self.isolated)
    }

    fn segments(&self, spec: &DatasetSpec, with_entity: bool) -> Result<Arc<dyn TableProvider>, QueryError> {
        let name = &spec.dataset.name;
        let stored = self.reader.stored_schema(name)?;
        let mut schema = arrow_schema(spec);
        if with_entity {
            let entity = stored.field_with_name(ENTITY_COLUMN).map_err(DataFusionError::from)?;
            let fields = schema.fields().iter().cloned().chain([Arc::new(entity.clone().with_nullable(false))]);
            schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        }
        let partitions = self.snapshot.partitions(name)?;
        let snapshot = Arc::clone(self.snapshot);
        Ok(Arc::new(SegmentsTable::new(spec, schema, stored, snapshot, partitions)?))
    }
}

/// The column's value, or the bound that it lies beyond. Nothing stays nothing.
fn within(column: Expr, bounds: Bounds, kind: &DataType) -> Result<Expr, DataFusionError> {
    let bound = |value: f64| Ok::<_, DataFusionError>(lit(ScalarValue::Float64(Some(value)).cast_to(kind)?));
    let (min, max) = (bound(bounds.min)?, bound(bounds.max)?);
    when(column.clone().lt(min.clone()), min).when(column.clone().gt(max.clone()), max).otherwise(column)
}
