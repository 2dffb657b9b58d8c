//! Which columns flow into what: the evidence that admission judges.
//!
//! One bottom-up pass gives every output column of every plan node its [`Flow`], and notes the conditions that decide
//! which rows count. Node kinds that are not known here are refused, not passed over.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, JoinType, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Distinct, Expr, Join, LogicalPlan, Operator, TableScan};
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::{Optimizer, OptimizerContext, OptimizerRule};
use domicile_policy::ColumnUse;
use domicile_types::{DatasetName, KeyValue, PluginName, Residency};

use crate::QueryError;
use crate::catalog::{Catalog, Relation, relation};
use crate::expression::{Base, CASE, CAST, Flow, Instance, column_flow, expression};

mod lookups;
mod within;

use lookups::Lookups;

/// A condition that decides which rows count: a filter, or what a join compares.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) flow: Flow,
    /// The two base columns, where the condition is an equality of two plain columns.
    pub(crate) equality: Option<Ends>,
}

/// A base column that a filter lets have only these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) column: ColumnUse,
    pub(crate) values: Vec<KeyValue>,
}

impl Condition {
    /// Whether it only puts rows together that live together: it equates two columns that name the same row.
    pub(crate) fn joins_homes(&self) -> bool {
        let same = |(left, right): &Ends| left.names.is_some() && left.names == right.names;
        self.equality.as_ref().is_some_and(same)
    }
}

/// The flows of a subtree.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    /// One for each output column, in order.
    pub(crate) outputs: Vec<Flow>,
    /// Every condition below.
    pub(crate) conditions: Vec<Condition>,
    /// Every occurrence of a resident dataset below.
    pub(crate) resident: Vec<Instance>,
    /// Columns that every row has one of a few values in.
    pub(crate) fixed: Vec<Fixed>,
    /// Every mapper read below.
    pub(crate) mappers: Vec<Mapper>,
    /// Columns that name rows and are used for nothing else but to count or to group by.
    pub(crate) named: BTreeSet<ColumnUse>,
    /// What aggregates within entities are grouped by beside the entity.
    pub(crate) keys: Flow,
    lookups: Lookups,
    ordinal_next: usize,
}

/// A mapper that a plan reads: what it sees crosses with whatever is made of its output.
#[derive(Debug, Clone)]
pub(crate) struct Mapper {
    pub(crate) name: PluginName,
    pub(crate) inputs: BTreeSet<ColumnUse>,
}

impl Flows {
    /// The flows of `plan`, a subtree of scans, projections, filters, joins, aliases, and aggregates within entities.
    ///
    /// # Errors
    /// Where the subtree has any other node, a subquery over resident data that is no EXISTS or IN, or rows that may
    /// live in different regions.
    pub(crate) fn of(plan: &LogicalPlan, catalog: &Catalog) -> Result<Self, QueryError> {
        let mut flows = Self::default();
        flows.outputs = flows.node(&joined(plan)?, catalog)?;
        flows.co_resident(0, 0)?;
        flows.lookups.resolve(&mut flows.outputs);
        // A table that the walk did not pass would be read unjudged, wherever in an expression it hides.
        if resident_scans(plan)? != flows.resident.len() {
            return Err(QueryError::AcrossRegions { what: "a subquery over resident data".to_owned() });
        }
        Ok(flows)
    }

    fn node(&mut self, plan: &LogicalPlan, catalog: &Catalog) -> Result<Vec<Flow>, QueryError> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, catalog),
            LogicalPlan::SubqueryAlias(alias) => self.node(&alias.input, catalog),
            LogicalPlan::EmptyRelation(_) => Ok(vec![Flow::default(); plan.schema().fields().len()]),
            LogicalPlan::Projection(projection) => {
                let input = self.node(&projection.input, catalog)?;
                projection.expr.iter().map(|expr| expression(expr, projection.input.schema(), &input)).collect()
            }
            LogicalPlan::Filter(filter) => {
                let input = self.node(&filter.input, catalog)?;
                self.condition(&filter.predicate, filter.input.schema(), &input, &|_| true)?;
                self.fix(&filter.predicate, filter.input.schema(), &input)?;
                Ok(input)
            }
            LogicalPlan::Join(join) => self.join(join, catalog),
            LogicalPlan::Aggregate(aggregate) => {
                self.within_entities(&aggregate.input, &aggregate.group_expr, &aggregate.aggr_expr, catalog)
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
                self.within_entities(input, &columns, &[], catalog)
            }
            other => Err(QueryError::AcrossRegions { what: node_name(other).to_owned() }),
        }
    }

    fn scan(&mut self, scan: &TableScan, catalog: &Catalog) -> Result<Vec<Flow>, QueryError> {
        let columns = scan.projected_schema.fields().iter().map(|field| field.name().clone());
        match relation(scan)? {
            Relation::Reference { dataset } => {
                let flow = self.lookups.reference();
                let column = |column| flow.clone().factor(ColumnUse { dataset: dataset.clone(), column });
                Ok(columns.map(column).collect())
            }
            Relation::Partial { .. } => {
                let flow = self.lookups.reference();
                Ok(columns.map(|_| flow.clone()).collect())
            }
            Relation::Resident { dataset } => {
                let instance = self.occurs(&dataset);
                Ok(columns.map(|column| base(&instance, column, catalog)).collect())
            }
            Relation::Mapper { name, dataset, inputs } => {
                self.occurs(&dataset);
                let inputs = inputs.into_iter().map(|column| ColumnUse { dataset: dataset.clone(), column });
                let mapper = Mapper { name, inputs: inputs.collect() };
                let flow = self.lookups.mapper(&mapper.inputs);
                self.mappers.push(mapper);
                Ok(columns.map(|_| flow.clone()).collect())
            }
        }
    }

    fn occurs(&mut self, dataset: &DatasetName) -> Instance {
        let instance = Instance { ordinal: self.ordinal_next, dataset: dataset.clone() };
        self.ordinal_next += 1;
        self.resident.push(instance.clone());
        instance
    }

    /// Notes the columns that a filter fixes. Filters only: what a join compares need not hold for every row.
    fn fix(&mut self, predicate: &Expr, schema: &DFSchema, input: &[Flow]) -> Result<(), QueryError> {
        for conjunct in split_conjunction(predicate) {
            let Some((column, values)) = fixed_values(conjunct) else { continue };
            if let Some(base) = &column_flow(column, schema, input)?.direct {
                self.fixed.push(Fixed { column: base.column_use(), values });
            }
        }
        Ok(())
    }

    /// Joins that could keep or drop a row of reference data by what one region holds are refused: each region would
    /// keep it, and the merged answer count it several times.
    fn join(&mut self, join: &Join, catalog: &Catalog) -> Result<Vec<Flow>, QueryError> {
        let (before, fixed_before) = (self.ordinal_next, self.fixed.len());
        let left = self.node(&join.left, catalog)?;
        let (boundary, fixed_left) = (self.ordinal_next, self.fixed.len());
        let right = self.node(&join.right, catalog)?;
        // A filter below the side that an outer join may leave empty holds for none of the rows that it does leave.
        match join.join_type {
            JoinType::Left | JoinType::LeftAnti => self.fixed.truncate(fixed_left),
            JoinType::Right | JoinType::RightAnti => drop(self.fixed.drain(fixed_before..fixed_left)),
            _ => {}
        }
        let (left_resident, right_resident) = (boundary > before, self.ordinal_next > boundary);
        let keeps = match join.join_type {
            JoinType::Inner => true,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => left_resident || !right_resident,
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => right_resident || !left_resident,
            _ => !left_resident && !right_resident,
        };
        if !keeps {
            return Err(QueryError::AcrossRegions {
                what: format!("a {} join that keeps reference rows", join.join_type),
            });
        }
        // In an outer join only an equality between the two sides ties their rows together: one within a side drops
        // no row of that side.
        let inner = join.join_type == JoinType::Inner;
        let ties = |ends: &Ends| inner || (ends.0.instance.ordinal < boundary) != (ends.1.instance.ordinal < boundary);
        let both: Vec<Flow> = left.into_iter().chain(right).collect();
        let schema = join.left.schema().join(join.right.schema())?;
        for (a, b) in &join.on {
            self.condition(&a.clone().eq(b.clone()), &schema, &both, &ties)?;
        }
        if let Some(filter) = &join.filter {
            self.condition(filter, &schema, &both, &ties)?;
        }
        Ok(visible(join, both))
    }

    fn condition(
        &mut self,
        predicate: &Expr,
        schema: &DFSchema,
        input: &[Flow],
        ties: &dyn Fn(&Ends) -> bool,
    ) -> Result<(), QueryError> {
        for conjunct in split_conjunction(predicate) {
            let mut flow = expression(conjunct, schema, input)?;
            // A filter is a condition anyway: only what it calls besides comparing needs a permission of its own.
            flow.functions.retain(|name| name != CASE && name != CAST);
            self.lookups.compare(conjunct, schema, input)?;
            let equality = equality(conjunct, schema, input)?.filter(ties);
            self.conditions.push(Condition { flow, equality });
        }
        Ok(())
    }
}

/// How often the plan reads resident data, subqueries included.
fn resident_scans(plan: &LogicalPlan) -> Result<usize, QueryError> {
    let mut scans = 0;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let relation = relation(scan).map_err(|e| DataFusionError::External(Box::new(e)))?;
            scans += usize::from(matches!(relation, Relation::Resident { .. } | Relation::Mapper { .. }));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scans)
}

fn base(instance: &Instance, column: String, catalog: &Catalog) -> Flow {
    let value = ColumnUse { dataset: instance.dataset.clone(), column: column.clone() };
    let names = catalog.spec(instance.dataset.as_str()).ok().and_then(|spec| match &spec.residency {
        Residency::Follows { dataset, column: follows } if *follows == column => Some(dataset.clone()),
        _ => (spec.dataset.primary_key == [column.as_str()]).then(|| instance.dataset.clone()),
    });
    let direct = Some(Base { instance: instance.clone(), column, names });
    Flow { values: BTreeSet::from([value.clone()]), direct, ..Flow::default() }.factor(value)
}

/// The plan with EXISTS and IN as the joins that they are.
fn joined(plan: &LogicalPlan) -> Result<LogicalPlan, QueryError> {
    let mut outside = 0;
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let relation = relation(scan).map_err(|e| DataFusionError::External(Box::new(e)))?;
            outside += usize::from(matches!(relation, Relation::Resident { .. } | Relation::Mapper { .. }));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    // Subqueries over what everybody sees stay conditions.
    if outside == resident_scans(plan)? {
        return Ok(plan.clone());
    }
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![Arc::new(DecorrelatePredicateSubquery::new())];
    Ok(Optimizer::with_rules(rules).optimize(plan.clone(), &OptimizerContext::new(), |_, _| {})?)
}

fn visible(join: &Join, mut both: Vec<Flow>) -> Vec<Flow> {
    let left = join.left.schema().fields().len();
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => both.truncate(left),
        JoinType::RightSemi | JoinType::RightAnti => {
            both.drain(..left);
        }
        _ => {}
    }
    both
}

/// The column and values of `column = literal` and `column IN (literals)`.
fn fixed_values(conjunct: &Expr) -> Option<(&Column, Vec<KeyValue>)> {
    match conjunct {
        Expr::BinaryExpr(binary) if binary.op == Operator::Eq => match (binary.left.as_ref(), binary.right.as_ref()) {
            (Expr::Column(column), value) | (value, Expr::Column(column)) => Some((column, vec![key_value(value)?])),
            _ => None,
        },
        Expr::InList(list) if !list.negated => match list.expr.as_ref() {
            Expr::Column(column) => Some((column, list.list.iter().map(key_value).collect::<Option<_>>()?)),
            _ => None,
        },
        _ => None,
    }
}

fn key_value(expr: &Expr) -> Option<KeyValue> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => Some(KeyValue::Integer(*value)),
        Expr::Literal(ScalarValue::Int32(Some(value)), _) => Some(KeyValue::Integer(i64::from(*value))),
        Expr::Literal(ScalarValue::Utf8(Some(value)), _) => Some(KeyValue::Text(value.clone())),
        _ => None,
    }
}

/// Two base columns that are equal.
pub(crate) type Ends = (Base, Base);

fn equality(expr: &Expr, schema: &DFSchema, input: &[Flow]) -> Result<Option<Ends>, QueryError> {
    let Expr::BinaryExpr(binary) = expr else { return Ok(None) };
    let (Expr::Column(left), Expr::Column(right)) = (binary.left.as_ref(), binary.right.as_ref()) else {
        return Ok(None);
    };
    if binary.op != Operator::Eq {
        return Ok(None);
    }
    let left = column_flow(left, schema, input)?.direct.clone();
    let right = column_flow(right, schema, input)?.direct.clone();
    Ok(left.zip(right))
}

pub(crate) fn node_name(plan: &LogicalPlan) -> &'static str {
    match plan {
        LogicalPlan::Window(_) => "a window function over raw rows",
        LogicalPlan::Union(_) => "UNION over raw rows",
        LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => "LIMIT over raw rows",
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => "an aggregate below another",
        LogicalPlan::Unnest(_) => "UNNEST",
        LogicalPlan::Values(_) => "VALUES joined to resident data",
        LogicalPlan::Subquery(_) => "a lateral join",
        LogicalPlan::RecursiveQuery(_) => "WITH RECURSIVE",
        _ => "this kind of statement",
    }
}
