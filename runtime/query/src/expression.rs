//! What flows into an expression: values carried, columns compared, functions called.
//!
//! Passes over sets stay small however often an expression is repeated. Expression kinds that are not known here are
//! refused, not passed over.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Case, Expr, ExprSchemable, LogicalPlan};
use domicile_policy::ColumnUse;
use domicile_types::DatasetName;

use crate::QueryError;

mod arithmetic;
mod constants;

use arithmetic::{binary_flow, number};
pub(crate) use constants::Constants;

/// One occurrence of a table in a plan; a table that is joined to itself occurs twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instance {
    pub(crate) ordinal: usize,
    pub(crate) dataset: DatasetName,
}

/// A column of one occurrence of a resident dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) instance: Instance,
    pub(crate) column: String,
    /// The dataset of whose rows it names one, and with it that row's home and entity: the followed dataset for a
    /// following column, the dataset itself for its single-column primary key.
    pub(crate) names: Option<DatasetName>,
}

/// What flows into one column or expression.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Flow {
    /// Columns of resident datasets whose values it carries.
    pub(crate) values: BTreeSet<ColumnUse>,
    /// Columns of resident datasets that a condition in it compares.
    pub(crate) conditions: BTreeSet<ColumnUse>,
    /// Functions called in it; `case` stands for CASE and for comparisons used as values.
    pub(crate) functions: BTreeSet<String>,
    /// The base column itself, where nothing was computed.
    pub(crate) direct: Option<Base>,
    /// Columns that name rows, of which it only takes whether they have a value.
    pub(crate) named: BTreeSet<ColumnUse>,
    /// How often each column is multiplied into one product of it, at most.
    pub(crate) powers: BTreeMap<ColumnUse, u32>,
    /// How many columns are, at most.
    pub(crate) degree: u32,
    /// Tables of reference data and mappers that it carries columns of.
    pub(crate) origins: BTreeSet<Origin>,
    /// Resident columns by which its columns of reference data were looked up.
    pub(crate) lookups: BTreeSet<Lookup>,
    pub(crate) constants: Constants,
    /// Whether it counts something.
    pub(crate) counts: bool,
}

/// One occurrence of a table whose columns are no resident ones, by its number in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin(pub(crate) usize);

/// A resident column that rows of reference data were chosen by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lookup {
    pub(crate) column: ColumnUse,
    /// Which occurrence of its dataset, where it is the column itself and nothing computed.
    pub(crate) ordinal: Option<usize>,
}

impl Base {
    pub(crate) fn column_use(&self) -> ColumnUse {
        ColumnUse { dataset: self.instance.dataset.clone(), column: self.column.clone() }
    }
}

impl Flow {
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.values.extend(other.values.iter().cloned());
        self.conditions.extend(other.conditions.iter().cloned());
        self.functions.extend(other.functions.iter().cloned());
        self.named.extend(other.named.iter().cloned());
        self.origins.extend(&other.origins);
        self.lookups.extend(other.lookups.iter().cloned());
        self.degree = self.degree.max(other.degree);
        self.counts |= other.counts;
        self.constants = self.constants.or(other.constants);
        for (column, power) in &other.powers {
            let own = self.powers.entry(column.clone()).or_default();
            *own = (*own).max(*power);
        }
    }

    /// The same, as a factor that this column is.
    pub(crate) fn factor(self, column: ColumnUse) -> Self {
        Self { powers: BTreeMap::from([(column, 1)]), degree: 1, ..self }
    }

    /// The flow of what the two are multiplied to.
    fn multiplied(&self, other: &Self) -> Self {
        let mut product = self.clone();
        product.absorb(other);
        product.degree = self.degree.saturating_add(other.degree);
        product.constants = self.constants.times(other.constants);
        for (column, power) in &mut product.powers {
            let of = |flow: &Self| flow.powers.get(column).copied().unwrap_or_default();
            *power = of(self).saturating_add(of(other));
        }
        product
    }

    /// What a policy has to permit of the products in it. A column that is the same for all but one is one person's, as a
    /// factor of another; and sums of powers of a column tell how often each of its values occurs.
    pub(crate) fn products(&self) -> Option<&'static str> {
        if self.powers.values().any(|power| *power > 1) { Some(POWER) } else { (self.degree > 1).then_some(PRODUCT) }
    }

    /// Whether it is the same for all rows.
    fn is_constant(&self) -> bool {
        self.columns().next().is_none() && self.named.is_empty() && self.origins.is_empty() && !self.counts
    }

    /// Whether it is a sum of multiples of resident columns and of constants, so that sums of it follow from theirs.
    pub(crate) fn is_linear(&self) -> bool {
        let of_columns = !self.values.is_empty() && self.conditions.is_empty() && self.origins.is_empty();
        of_columns && self.degree == 1 && self.functions.is_empty() && !self.counts
    }

    /// The same flow as looked at by a condition.
    pub(crate) fn into_condition(mut self) -> Self {
        self.conditions.append(&mut self.values);
        self.functions.insert(CASE.to_owned());
        self.direct = None;
        self
    }

    /// The column that it is, as one that something may be looked up by.
    pub(crate) fn lookup(&self) -> Option<Lookup> {
        let base = self.direct.as_ref()?;
        Some(Lookup { column: base.column_use(), ordinal: Some(base.instance.ordinal) })
    }

    /// Whether it is a column that names a row, and with that row one entity.
    pub(crate) fn names_a_row(&self) -> bool {
        self.direct.as_ref().is_some_and(|base| base.names.is_some())
    }

    /// Every column that it carries or looked at.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &ColumnUse> {
        self.values.iter().chain(&self.conditions)
    }
}

/// The name under which policies permit conditions inside expressions.
pub(crate) const CASE: &str = "case";
/// The name under which policies permit casts that round or cut inside aggregates.
pub(crate) const CAST: &str = "cast";
/// The name under which policies permit that a column is multiplied with itself inside aggregates.
pub(crate) const POWER: &str = "power";
/// The name under which policies permit reference data inside aggregates that is looked up by more than group keys.
pub(crate) const LOOKUP: &str = "lookup";
/// The name under which policies permit that columns are multiplied inside aggregates.
pub(crate) const PRODUCT: &str = "product";

/// The name under which policies permit means, least and greatest values of each entity's own rows inside aggregates.
pub(crate) const WITHIN: &str = "within";

pub(crate) fn column_flow<'f>(column: &Column, schema: &DFSchema, input: &'f [Flow]) -> Result<&'f Flow, QueryError> {
    let index = schema.index_of_column(column)?;
    input.get(index).ok_or_else(|| QueryError::AcrossRegions { what: format!("column {column}") })
}

/// The flow of an expression over columns with the flows `input`.
///
/// # Errors
/// Where it holds a subquery over resident data, an aggregate, or anything else that is not known to be safe.
pub(crate) fn expression(expr: &Expr, schema: &DFSchema, input: &[Flow]) -> Result<Flow, QueryError> {
    match expr {
        Expr::Literal(value, _) => Ok(Flow { constants: Constants::of(number(value)), ..Flow::default() }),
        Expr::Column(column) => Ok(column_flow(column, schema, input)?.clone()),
        Expr::Alias(alias) => expression(&alias.expr, schema, input),
        Expr::Negative(inner) => Ok(computed(expression(inner, schema, input)?)),
        Expr::Cast(cast) => cast_flow(&cast.expr, cast.field.data_type(), schema, input),
        Expr::TryCast(cast) => cast_flow(&cast.expr, cast.field.data_type(), schema, input),
        Expr::BinaryExpr(binary) => binary_flow(expr, binary, schema, input),
        Expr::Case(case) => case_flow(case, schema, input),
        Expr::ScalarFunction(call) => {
            // What a function makes of its arguments may be their product.
            let mut flow = Flow::default();
            for argument in &call.args {
                let argument = expression(argument, schema, input)?;
                let constants = flow.constants.or(argument.constants);
                flow = Flow { constants, ..flow.multiplied(&argument) };
            }
            flow.functions.insert(call.name().to_lowercase());
            Ok(computed(flow))
        }
        Expr::ScalarSubquery(subquery) => reference_only(&subquery.subquery),
        Expr::Exists(exists) => reference_only(&exists.subquery.subquery),
        Expr::InSubquery(within) => {
            let mut flow = expression(&within.expr, schema, input)?.into_condition();
            flow.absorb(&reference_only(&within.subquery.subquery)?);
            Ok(flow)
        }
        Expr::Like(_) | Expr::SimilarTo(_) | Expr::Not(_) | Expr::Between(_) | Expr::InList(_) => {
            Ok(children(expr, schema, input)?.into_condition())
        }
        Expr::IsNotNull(inner) | Expr::IsNull(inner) => {
            let mut flow = expression(inner, schema, input)?;
            // A column that names rows has no value only where an outer join found no row: that tells no name.
            if flow.names_a_row() && inner.nullable(schema)? {
                flow.named.append(&mut flow.values);
            }
            Ok(flow.into_condition())
        }
        Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_) => Ok(children(expr, schema, input)?.into_condition()),
        other => Err(QueryError::AcrossRegions { what: format!("`{other}`") }),
    }
}

fn computed(mut flow: Flow) -> Flow {
    flow.direct = None;
    flow
}

/// A cast that keeps every difference between values is free; one that rounds or cuts can tell values apart like a
/// comparison does, and is a function that a policy has to name.
fn cast_flow(inner: &Expr, to: &DataType, schema: &DFSchema, input: &[Flow]) -> Result<Flow, QueryError> {
    let mut flow = computed(expression(inner, schema, input)?);
    if flow.columns().next().is_some() && !keeps_differences(&inner.get_type(schema)?, to) {
        flow.functions.insert(CAST.to_owned());
    }
    Ok(flow)
}

/// Whether a cast between these types keeps every difference between values.
pub(crate) fn keeps_differences(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Date64, Decimal128, Float64, LargeUtf8, Timestamp, Utf8, Utf8View};
    match (from, to) {
        _ if from == to => true,
        (Decimal128(from_precision, from_scale), Decimal128(precision, scale)) => {
            scale >= from_scale
                && i16::from(*precision) - i16::from(*scale) >= i16::from(*from_precision) - i16::from(*from_scale)
        }
        (from, Decimal128(precision, scale)) => {
            let digits =
                from.primitive_width().map_or(u8::MAX, |bytes| if bytes < 8 { bytes as u8 * 5 / 2 + 1 } else { 19 });
            from.is_integer() && *scale >= 0 && i16::from(*precision) - i16::from(*scale) >= i16::from(digits)
        }
        (from, Float64) => from.is_numeric(),
        (Date32, Date64 | Timestamp(..)) => true,
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (from, to) if from.is_signed_integer() && to.is_signed_integer() => {
            from.primitive_width() <= to.primitive_width()
        }
        _ => false,
    }
}

fn case_flow(case: &Case, schema: &DFSchema, input: &[Flow]) -> Result<Flow, QueryError> {
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
    let (mut outer, mut flow) = (false, Flow::default());
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                match part {
                    Expr::OuterReferenceColumn(..) => outer = true,
                    Expr::ScalarFunction(call) => drop(flow.functions.insert(call.name().to_lowercase())),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    if outer {
        return Err(QueryError::AcrossRegions { what: "a subquery that refers to outer columns".to_owned() });
    }
    Ok(flow)
}
