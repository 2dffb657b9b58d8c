//! Admitted plans with more columns: whom each row is about, and which versions of which rows it is made of.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, JoinType};
use datafusion::datasource::provider_as_source;
use datafusion::functions::expr_fn::abs;
use datafusion::functions_aggregate::expr_fn::{max, sum};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder, SubqueryAlias, TableScan, cast,
    col,
};
use domicile_policy::FragmentFacts;
use domicile_store::{ENTITY_COLUMN, SEQ_COLUMN};
use domicile_types::limits::ROW_VERSIONS_MAX;

use crate::QueryError;
use crate::bind::Binder;
use crate::catalog::{Relation, relation};
use crate::fragment::aggregate_function;
use crate::guard::{About, MarkKey, Measure, Supports, Version, VersionColumns};

/// Binds `plan` to its rows, with what the guard has to know about them as further columns. Where it aggregates rows of
/// one entity, their marks under `key` stand for their versions.
///
/// # Errors
/// Where the plan has no entity, or a table cannot be opened.
pub(crate) fn bind_about(
    binder: &Binder<'_>,
    plan: &LogicalPlan,
    facts: &FragmentFacts,
    key: MarkKey,
) -> Result<(LogicalPlan, About), QueryError> {
    let bound = Abouts { binder, facts, key, columns: 0, occurrences: 0 }.bind(plan)?;
    bound.ok_or_else(|| QueryError::Execution("the fragment reads no resident dataset".to_owned()))
}

/// Nothing where the plan reads no rows of anybody.
type Bound = Option<(LogicalPlan, About)>;

struct Abouts<'b> {
    binder: &'b Binder<'b>,
    facts: &'b FragmentFacts,
    key: MarkKey,
    /// Columns named so far: each has a name of its own, whatever is joined or renamed above it.
    columns: usize,
    /// Tables so far.
    occurrences: usize,
}

impl Abouts<'_> {
    fn bind(&mut self, plan: &LogicalPlan) -> Result<Bound, QueryError> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.alias(alias),
            LogicalPlan::Projection(projection) => {
                let Some((input, about)) = self.bind(&projection.input)? else { return Ok(None) };
                let subqueries = projection.expr.iter().map(|expr| self.binder.bind_subqueries(expr));
                let mut exprs = subqueries.collect::<Result<Vec<_>, _>>()?;
                exprs.extend(about.columns().cloned().map(Expr::Column));
                Ok(Some((LogicalPlanBuilder::from(input).project(exprs)?.build()?, about)))
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Aggregate(aggregate) => {
                self.aggregate(&aggregate.input, aggregate.group_expr.clone(), aggregate.aggr_expr.clone())
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                self.aggregate(input, input.schema().columns().into_iter().map(Expr::Column).collect(), Vec::new())
            }
            LogicalPlan::Filter(_) => {
                let inputs = plan.inputs();
                let Some((input, about)) = self.bind(inputs[0])? else { return Ok(None) };
                let exprs = plan.expressions();
                let exprs = exprs.iter().map(|expr| self.binder.bind_subqueries(expr)).collect::<Result<_, _>>()?;
                Ok(Some((plan.with_new_exprs(exprs, vec![input])?, about)))
            }
            _ => Ok(None),
        }
    }

    /// An aggregate of one entity's rows: the entity is a key of it, so that no group is about two, whatever its keys are.
    fn aggregate(
        &mut self,
        input: &LogicalPlan,
        mut keys: Vec<Expr>,
        mut aggregates: Vec<Expr>,
    ) -> Result<Bound, QueryError> {
        let Some((input, mut about)) = self.bind(input)? else { return Ok(None) };
        keys.push(col(about.entity.clone()));
        let within = aggregates.clone();
        let mut named = |aggregate: Expr| {
            let name = format!("_about{}", self.columns);
            self.columns += 1;
            aggregates.push(aggregate.alias(&name));
            Column::new_unqualified(name)
        };
        let functions = within.iter().map(aggregate_function).collect::<Result<Vec<_>, _>>()?;
        let supports = Supports::of(functions.into_iter(), input.schema())?;
        about.versions = about.versions.into_iter().try_fold(Vec::new(), |mut versions, version| {
            let mark = version.mark(self.key);
            let is_used = version.is_used && (supports.all || within.is_empty());
            let all = Version { columns: VersionColumns::Marks(named(sum(mark.clone()))), is_used, ..version.clone() };
            versions.push(all);
            for support in &supports.some {
                let of = version.of.iter().chain([&support.of]).map(String::as_str).collect::<Vec<_>>().join(", ");
                let marks = sum(mark.clone()).filter(support.value.clone().is_not_null()).build()?;
                versions.push(Version {
                    of: Some(of),
                    columns: VersionColumns::Marks(named(marks)),
                    ..version.clone()
                });
            }
            Ok::<_, QueryError>(versions)
        })?;
        if about.versions.len() > ROW_VERSIONS_MAX {
            return Err(QueryError::AcrossRegions { what: "so many aggregates within each other".to_owned() });
        }
        for measure in &mut about.measures {
            let column = col(measure.column.clone());
            let whole = if measure.is_number { sum(abs(cast(column, DataType::Float64))) } else { max(column) };
            measure.column = named(whole);
        }
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), keys, aggregates)?);
        Ok(Some((plan, about)))
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Bound, QueryError> {
        let relation = relation(scan)?;
        let (table, is_mapper) = match &relation {
            Relation::Mapper { name, .. } => (name.to_string(), true),
            Relation::Resident { dataset } => (dataset.to_string(), false),
            Relation::Reference { .. } | Relation::Partial { .. } => return Ok(None),
        };
        let source = provider_as_source(self.binder.provider(scan, true)?);
        let plan = LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?.build()?;
        let plan = self.binder.bounded(plan, &relation)?;
        let (entities, rest): (Vec<_>, Vec<_>) =
            plan.schema().columns().into_iter().partition(|column| column.name == ENTITY_COLUMN);
        let entity = entities.into_iter().next();
        let entity = entity.ok_or_else(|| QueryError::Execution(format!("`{}` has no entity", scan.table_name)))?;
        let mut exprs: Vec<Expr> = rest.iter().filter(|column| column.name != SEQ_COLUMN).cloned().map(col).collect();
        let entity = self.named(&mut exprs, entity);
        let mut about = About { entity, versions: Vec::new(), measures: Vec::new() };
        for name in self.measured(&table) {
            let (qualifier, field) = plan.schema().qualified_field_with_unqualified_name(&name)?;
            let column = self.named(&mut exprs, Column::new(qualifier.cloned(), &name));
            let is_number = field.data_type().is_numeric();
            about.measures.push(Measure { table: table.clone(), name, column, is_number });
        }
        // What a mapper makes of somebody's rows has no version but its own values.
        let versions = rest.into_iter().filter(|column| is_mapper || column.name == SEQ_COLUMN);
        let columns = VersionColumns::Row(versions.map(|column| self.named(&mut exprs, column)).collect());
        let occurrence = self.occurrences;
        self.occurrences += 1;
        about.versions.push(Version { table, occurrence, of: None, is_used: true, columns });
        Ok(Some((LogicalPlanBuilder::from(plan).project(exprs)?.build()?, about)))
    }

    /// One more output of a scan, under a name that no other has.
    fn named(&mut self, exprs: &mut Vec<Expr>, column: Column) -> Column {
        let name = format!("_about{}", self.columns);
        self.columns += 1;
        exprs.push(col(column).alias(&name));
        Column::new_unqualified(name)
    }

    /// The columns of a table that values are computed of.
    fn measured(&self, table: &str) -> Vec<String> {
        let of_table = self.facts.measures.iter().filter(|measure| measure.dataset.as_str() == table);
        of_table.map(|measure| measure.column.clone()).collect()
    }

    fn alias(&mut self, alias: &SubqueryAlias) -> Result<Bound, QueryError> {
        let Some((input, about)) = self.bind(&alias.input)? else { return Ok(None) };
        let plan = LogicalPlanBuilder::from(input).alias(alias.alias.clone())?.build()?;
        let renamed = |column: Column| Column::new(Some(alias.alias.clone()), column.name);
        Ok(Some((plan, about.renamed(renamed))))
    }

    /// All resident sides of an admitted join are about the same entity, so one side's column is enough; it has to be
    /// a side whose rows the join keeps. The versions of both count.
    fn join(&mut self, join: &Join) -> Result<Bound, QueryError> {
        let shows_left = !matches!(join.join_type, JoinType::RightSemi | JoinType::RightAnti);
        let shows_right = !matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti);
        let (left, left_about) = self.side(&join.left, shows_left)?;
        let (right, right_about) = self.side(&join.right, shows_right)?;
        let keeps_left = join.join_type != JoinType::Right;
        let keeps_right = join.join_type != JoinType::Left;
        let entity = left_about.as_ref().filter(|_| keeps_left).or(right_about.as_ref().filter(|_| keeps_right));
        let Some(entity) = entity.map(|about| about.entity.clone()) else { return Ok(None) };
        let (mut versions, mut measures) = (Vec::new(), Vec::new());
        for about in [left_about, right_about].into_iter().flatten() {
            versions.extend(about.versions);
            measures.extend(about.measures);
        }
        let whole = LogicalPlan::Join(join.clone());
        let exprs = whole.expressions();
        let exprs = exprs.iter().map(|expr| self.binder.bind_subqueries(expr)).collect::<Result<_, _>>()?;
        Ok(Some((whole.with_new_exprs(exprs, vec![left, right])?, About { entity, versions, measures })))
    }

    fn side(&mut self, plan: &LogicalPlan, shown: bool) -> Result<(LogicalPlan, Option<About>), QueryError> {
        let bound = if shown { self.bind(plan)? } else { None };
        match bound {
            Some((plan, about)) => Ok((plan, Some(about))),
            None => Ok((self.binder.bind(plan.clone())?, None)),
        }
    }
}
