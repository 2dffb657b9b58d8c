//! Admitted plans get their data: each scan is bound to the rows of one snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DataFusionError, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, lit, when};
use datafusion::prelude::SessionContext;
use domicile_policy::{Bounds, Form, PolicySet};
use domicile_store::{DatasetSpec, ENTITY_COLUMN, SEQ_COLUMN, Snapshot, StoreReader, arrow_schema};
use domicile_types::{DatasetName, Residency, Secret};

use crate::QueryError;
use crate::admit::{Admission, AdmittedFragment};
use crate::catalog::{Catalog, Relation, relation};
use crate::copies::CopyView;
use crate::mapper_table::mapper_table;
use crate::masks::Masks;
use crate::plugins::PluginSet;
use crate::recheck::Recheck;
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
    recheck: Option<Arc<Recheck>>,
    masks: Option<Masks>,
    /// The rows of another home, read in place of this region's own.
    copy: Option<&'b CopyView>,
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
        Self {
            catalog,
            reader,
            snapshot,
            plugins,
            session,
            partials,
            isolated: false,
            bounded: false,
            recheck: None,
            masks: None,
            copy: None,
        }
    }

    /// The same binder, over the rows of another home as they are here; reference data is this region's own.
    pub(crate) fn over(self, copy: Option<&'b CopyView>) -> Self {
        Self { copy, ..self }
    }

    /// The same binder for an admitted fragment. Where its result crosses a border, mappers see one entity at a time; and
    /// where that is no rows, values beyond the bounds that a policy declares count as the bounds.
    ///
    /// # Errors
    /// Where the fragment reads something that is no table, or joins what a policy masks as it cannot be joined.
    pub(crate) fn of(self, admitted: &AdmittedFragment, secret: &Secret) -> Result<Self, QueryError> {
        let isolated = admitted.verdict.is_some();
        let bounded = isolated && admitted.fragment.facts.form == Form::Aggregate;
        Ok(Self { isolated, bounded, recheck: Recheck::of(admitted)?, masks: Masks::of(admitted, secret)?, ..self })
    }

    /// What looks at the plan that will run, where its result crosses a border.
    pub(crate) fn recheck(&self) -> Option<Arc<Recheck>> {
        self.recheck.clone()
    }

    /// The policies that admitted what is bound.
    pub(crate) fn policies(&self) -> &'b PolicySet {
        self.catalog.policies()
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

    /// The scan as the policies let it be seen where the result crosses: masked, or with its measures within their bounds.
    pub(crate) fn bounded(&self, scan: LogicalPlan, table: &Relation) -> Result<LogicalPlan, DataFusionError> {
        let Relation::Resident { dataset } = table else { return Ok(scan) };
        let scan = match &self.masks {
            Some(masks) => masks.seen(scan, dataset)?,
            None => scan,
        };
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

    pub(crate) fn bind_subqueries(&self, expr: &Expr) -> Result<Expr, QueryError> {
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

    pub(crate) fn provider(&self, scan: &TableScan, with_entity: bool) -> Result<Arc<dyn TableProvider>, QueryError> {
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
        if self.masks.as_ref().is_some_and(|masks| masks.cover(dataset)) {
            let what = format!("mapper `{name}` over rows that a policy masks,");
            return Err(QueryError::AcrossRegions { what });
        }
        let plugin = self.plugins.endpoint(name)?;
        let input = self.segments(self.catalog.spec(dataset.as_str())?, true)?;
        mapper_table(self.session, &plugin, self.plugins.parameters_of(&plugin)?, input, self.isolated, self.recheck())
    }

    fn segments(&self, spec: &DatasetSpec, with_entity: bool) -> Result<Arc<dyn TableProvider>, QueryError> {
        let name = &spec.dataset.name;
        let copy = self.copy.filter(|_| spec.residency != Residency::Reference);
        let (reader, snapshot) = copy.map_or((self.reader, self.snapshot), |copy| (&copy.reader, &copy.snapshot));
        let stored = reader.stored_schema(name)?;
        let mut schema = arrow_schema(spec);
        if with_entity {
            let mut fields = schema.fields().to_vec();
            for hidden in [ENTITY_COLUMN, SEQ_COLUMN] {
                let field = stored.field_with_name(hidden).map_err(DataFusionError::from)?;
                fields.push(Arc::new(field.clone().with_nullable(false)));
            }
            schema = Arc::new(Schema::new(fields));
        }
        let partitions = snapshot.partitions(name)?;
        let snapshot = Arc::clone(snapshot);
        let stored = (stored, reader.shape(name)?);
        Ok(Arc::new(SegmentsTable::new(spec, schema, stored, snapshot, partitions)?))
    }
}

/// The column's value, or the bound that it lies beyond. Nothing stays nothing.
fn within(column: Expr, bounds: Bounds, kind: &DataType) -> Result<Expr, DataFusionError> {
    let bound = |value: f64| Ok::<_, DataFusionError>(lit(ScalarValue::Float64(Some(value)).cast_to(kind)?));
    let (min, max) = (bound(bounds.min)?, bound(bounds.max)?);
    when(column.clone().lt(min.clone()), min).when(column.clone().gt(max.clone()), max).otherwise(column)
}
