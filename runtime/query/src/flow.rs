//! Which columns flow into what: the evidence that admission judges.
//!
//! One bottom-up pass gives every output column of every plan node its [`Flow`]: base columns whose values it
//! carries, base columns that conditions inside it looked at, and the functions called on the way. A pass over sets
//! stays small however often an expression is repeated.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use domicile_policy::ColumnUse;
use domicile_types::{DatasetName, KeyValue, PluginName};

use crate::QueryError;
use crate::catalog::{Relation, relation};

/// One occurrence of a table in a plan; a table that is joined to itself occurs twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instance {
    pub(crate) ordinal: usize,
    pub(crate) dataset: DatasetName,
}

/// What flows into one column or expression.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Columns of resident datasets whose values it carries.
    pub(crate) values: BTreeSet<ColumnUse>,
    /// Columns of resident datasets that a condition in it compares.
    pub(crate) conditions: BTreeSet<ColumnUse>,
    /// Functions called in it; `case` stands for CASE and for comparisons used as values.
    pub(crate) functions: BTreeSet<String>,
    /// The base column itself, where nothing was computed.
    pub(crate) direct: Option<(Instance, String)>,
}

impl Flow {
    fn absorb(&mut self, other: &Self) {
        self.values.extend(other.values.iter().cloned());
        self.conditions.extend(other.conditions.iter().cloned());
        self.functions.extend(other.functions.iter().cloned());
    }

    /// The same flow as looked at by a condition.
    fn into_condition(mut self) -> Self {
        self.conditions.append(&mut self.values);
        self.functions.insert(CASE.to_owned());
        self.direct = None;
        self
    }

    /// Every column that it carries or looked at.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &ColumnUse> {
        self.values.iter().chain(&self.conditions)
    }
}

/// The name under which policies permit conditions inside expressions.
pub(crate) const CASE: &str = "case";

/// A condition that decides which rows count: a filter, or what a join compares.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) flow: Flow,
    /// The two base columns, where the condition is an equality of two plain columns.
    pub(crate) equality: Option<((Instance, String), (Instance, String))>,
}

/// A base column that a filter lets have only these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) column: ColumnUse,
    pub(crate) values: Vec<KeyValue>,
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
    ordinal_next: usize,
}

/// A mapper that a plan reads: what it sees crosses with whatever is made of its output.
#[derive(Debug, Clone)]
pub(crate) struct Mapper {
    pub(crate) name: PluginName,
    pub(crate) inputs: BTreeSet<ColumnUse>,
}

impl Flows {
    /// The flows of `plan`, a subtree of scans, projections, filters, joins and aliases.
    ///
    /// # Errors
    /// Where the subtree has any other node, or a subquery over resident data.
    pub(crate) fn of(plan: &LogicalPlan) -> Result<Self, QueryError> {
        let mut flows = Self::default();
        flows.outputs = flows.node(plan)?;
        Ok(flows)
    }

    fn node(&mut self, plan: &LogicalPlan) -> Result<Vec<Flow>, QueryError> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.node(&alias.input),
            LogicalPlan::Subquery(subquery) => self.node(&subquery.subquery),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.node(&sort.input),
            LogicalPlan::Repartition(repartition) => self.node(&repartition.input),
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {
                Ok(vec![Flow::default(); plan.schema().fields().len()])
            }
            LogicalPlan::Projection(projection) => {
                let input = self.node(&projection.input)?;
                projection.expr.iter().map(|expr| expression(expr, projection.input.schema(), &input)).collect()
            }
            LogicalPlan::Filter(filter) => {
                let input = self.node(&filter.input)?;
                self.condition(&filter.predicate, filter.input.schema(), &input)?;
                self.fix(&filter.predicate, filter.input.schema(), &input)?;
                Ok(input)
            }
            LogicalPlan::Join(join) => {
                let left = self.node(&join.left)?;
                let right = self.node(&join.right)?;
                let both: Vec<Flow> = left.into_iter().chain(right).collect();
                let schema = join.left.schema().join(join.right.schema())?;
                for (a, b) in &join.on {
                    self.condition(&a.clone().eq(b.clone()), &schema, &both)?;
                }
                if let Some(filter) = &join.filter {
                    self.condition(filter, &schema, &both)?;
                }
                Ok(visible(join, both))
            }
            other => Err(QueryError::AcrossRegions { what: node_name(other).to_owned() }),
        }
    }

    fn scan(&mut self, scan: &datafusion::logical_expr::TableScan) -> Result<Vec<Flow>, QueryError> {
        let columns = scan.projected_schema.fields().iter().map(|field| field.name().clone());
        match relation(scan)? {
            Relation::Reference { .. } | Relation::Partial { .. } => Ok(columns.map(|_| Flow::default()).collect()),
            Relation::Resident { dataset } => {
                let instance = self.occurs(&dataset);
                Ok(columns.map(|column| base(&instance, column)).collect())
            }
            Relation::Mapper { name, dataset, inputs } => {
                self.occurs(&dataset);
                let inputs = inputs.into_iter().map(|column| ColumnUse { dataset: dataset.clone(), column });
                self.mappers.push(Mapper { name, inputs: inputs.collect() });
                Ok(columns.map(|_| Flow::default()).collect())
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
        for conjunct in datafusion::logical_expr::utils::split_conjunction(predicate) {
            let Some((column, values)) = fixed_values(conjunct) else { continue };
            if let Some((instance, name)) = &column_flow(column, schema, input)?.direct {
                let column = ColumnUse { dataset: instance.dataset.clone(), column: name.clone() };
                self.fixed.push(Fixed { column, values });
            }
        }
        Ok(())
    }

    fn condition(&mut self, predicate: &Expr, schema: &DFSchema, input: &[Flow]) -> Result<(), QueryError> {
        for conjunct in datafusion::logical_expr::utils::split_conjunction(predicate) {
            let mut flow = expression(conjunct, schema, input)?;
            // A filter is a condition anyway: only what it calls besides comparing needs a permission of its own.
            flow.functions.remove(CASE);
            let equality = equality(conjunct, schema, input)?;
            self.conditions.push(Condition { flow, equality });
        }
        Ok(())
    }
}

fn base(instance: &Instance, column: String) -> Flow {
    let value = ColumnUse { dataset: instance.dataset.clone(), column: column.clone() };
    Flow { values: BTreeSet::from([value]), direct: Some((instance.clone(), column)), ..Flow::default() }
}

fn visible(join: &datafusion::logical_expr::Join, mut both: Vec<Flow>) -> Vec<Flow> {
    use datafusion::common::JoinType;
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

fn column_flow<'f>(column: &Column, schema: &DFSchema, input: &'f [Flow]) -> Result<&'f Flow, QueryError> {
    let index = schema.index_of_column(column)?;
    input.get(index).ok_or_else(|| QueryError::AcrossRegions { what: format!("column {column}") })
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

type Ends = ((Instance, String), (Instance, String));

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

/// The flow of an expression over columns with the flows `input`.
///
/// # Errors
/// Where it holds a subquery over resident data or an aggregate.
pub(crate) fn expression(expr: &Expr, schema: &DFSchema, input: &[Flow]) -> Result<Flow, QueryError> {
    match expr {
        Expr::Column(column) => Ok(column_flow(column, schema, input)?.clone()),
        Expr::Alias(alias) => expression(&alias.expr, schema, input),
        Expr::ScalarSubquery(subquery) => reference_only(&subquery.subquery),
        Expr::Exists(exists) => reference_only(&exists.subquery.subquery),
        Expr::InSubquery(within) => {
            let mut flow = expression(&within.expr, schema, input)?.into_condition();
            flow.absorb(&reference_only(&within.subquery.subquery)?);
            Ok(flow)
        }
        Expr::OuterReferenceColumn(_, column) => {
            Err(QueryError::AcrossRegions { what: format!("a subquery that refers to the outer column {column}") })
        }
        Expr::Case(case) => case_flow(case, schema, input),
        Expr::Literal(..) => Ok(Flow::default()),
        other => {
            let mut flow = children(other, schema, input)?;
            if let Some(name) = function_name(other) {
                flow.functions.insert(name);
            }
            Ok(if compares(other) { flow.into_condition() } else { flow })
        }
    }
}

fn case_flow(case: &datafusion::logical_expr::Case, schema: &DFSchema, input: &[Flow]) -> Result<Flow, QueryError> {
    let mut flow = Flow::default();
    let subject = case.expr.iter().map(AsRef::as_ref);
    for condition in subject.chain(case.when_then_expr.iter().map(|(when, _)| when.as_ref())) {
        flow.absorb(&expression(condition, schema, input)?.into_condition());
    }
    let values = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
    for value in values.chain(case.else_expr.iter().map(AsRef::as_ref)) {
        flow.absorb(&expression(value, schema, input)?);
    }
    flow.functions.insert(CASE.to_owned());
    Ok(flow)
}

fn children(expr: &Expr, schema: &DFSchema, input: &[Flow]) -> Result<Flow, QueryError> {
    let mut flow = Flow::default();
    let mut failed = None;
    expr.apply_children(|child| {
        match expression(child, schema, input) {
            Ok(child) => flow.absorb(&child),
            Err(error) => {
                failed = Some(error);
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    failed.map_or(Ok(flow), Err)
}

fn reference_only(plan: &LogicalPlan) -> Result<Flow, QueryError> {
    if crate::split::has_resident(plan)? {
        return Err(QueryError::AcrossRegions { what: "a subquery over resident data inside a condition".to_owned() });
    }
    let mut outer = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            outer |= expr.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(..))))?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if outer {
        return Err(QueryError::AcrossRegions { what: "a subquery that refers to outer columns".to_owned() });
    }
    Ok(Flow::default())
}

/// Whether the expression turns values into the answer of a comparison.
fn compares(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(binary) => {
            !matches!(binary.op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide)
        }
        Expr::Negative(_) | Expr::Cast(_) | Expr::TryCast(_) | Expr::ScalarFunction(_) | Expr::Alias(_) => false,
        _ => true,
    }
}

fn function_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::ScalarFunction(call) => Some(call.name().to_lowercase()),
        Expr::HigherOrderFunction(_) | Expr::Lambda(_) | Expr::WindowFunction(_) => Some("lambda".to_owned()),
        _ => None,
    }
}

pub(crate) fn node_name(plan: &LogicalPlan) -> &'static str {
    match plan {
        LogicalPlan::Window(_) => "a window function over raw rows",
        LogicalPlan::Union(_) => "UNION over raw rows",
        LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => "LIMIT over raw rows",
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => "an aggregate below another",
        LogicalPlan::Unnest(_) => "UNNEST",
        LogicalPlan::RecursiveQuery(_) => "WITH RECURSIVE",
        _ => "this kind of statement",
    }
}
