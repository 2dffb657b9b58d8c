//! How many values a column can have, and how many rows a plan.

use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Operator, TableScan};
use domicile_types::{ColumnType, DatasetName, Residency};

use super::Known;
use crate::QueryError;
use crate::catalog::{Relation, relation};

/// Rows that a dataset of somebody's rows is taken to have at least.
const ROWS_MIN: u64 = 1024;

/// What is known of one column of a plan.
#[derive(Debug, Clone)]
pub(super) struct Domain {
    /// Values that it can have, missing ones as one more.
    values: u64,
    /// The scan and the column that it is.
    base: Option<(usize, String)>,
}

/// One scan of a plan.
#[derive(Debug)]
struct Scanned {
    rows: u64,
    key: Vec<String>,
    /// Scans whose rows decide which one row of this one there is.
    decided_by: Vec<usize>,
    /// Equalities of its key's columns, with the scan on the other side.
    equal: Vec<(String, usize)>,
    /// Whether each of its rows is at most once in the result.
    hidden: bool,
}

/// Walks a plan from below.
pub(super) struct Domains<'a> {
    known: Known<'a>,
    scans: Vec<Scanned>,
}

impl<'a> Domains<'a> {
    pub(super) fn new(known: Known<'a>) -> Self {
        Self { known, scans: Vec::new() }
    }

    /// The columns of a plan of scans, projections, filters, joins and aliases.
    ///
    /// # Errors
    /// Where it has any other node.
    pub(super) fn node(&mut self, plan: &LogicalPlan) -> Result<Vec<Domain>, QueryError> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.node(&alias.input),
            LogicalPlan::EmptyRelation(_) => Ok(vec![Domain { values: 1, base: None }; plan.schema().fields().len()]),
            LogicalPlan::Projection(projection) => {
                let input = self.node(&projection.input)?;
                let schema = projection.input.schema();
                Ok(projection.expr.iter().map(|expr| self.domain(expr, schema, &input)).collect())
            }
            LogicalPlan::Filter(filter) => {
                let input = self.node(&filter.input)?;
                self.equalities(&filter.predicate, filter.input.schema(), &input, &|_| true);
                Ok(input)
            }
            LogicalPlan::Join(join) => self.join(join),
            other => Err(QueryError::AcrossRegions { what: crate::flow::node_name(other).to_owned() }),
        }
    }

    /// Rows that the plan gives at most: those of its scans multiplied, without the scans of which one row at most goes
    /// with each row of the others.
    pub(super) fn rows(&self) -> u64 {
        let free = self.scans.iter().filter(|scan| scan.decided_by.is_empty() && !scan.hidden);
        free.fold(1, |rows: u64, scan| rows.saturating_mul(scan.rows))
    }

    /// Values that an expression can have.
    pub(super) fn values(&self, expr: &Expr, schema: &DFSchema, input: &[Domain]) -> u64 {
        self.domain(expr, schema, input).values
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Vec<Domain>, QueryError> {
        let (dataset, own) = match relation(scan)? {
            Relation::Reference { dataset } | Relation::Resident { dataset } => (dataset, true),
            Relation::Mapper { dataset, .. } => (dataset, false),
            Relation::Partial { .. } => {
                return Err(QueryError::AcrossRegions { what: "a partial result in a fragment".to_owned() });
            }
        };
        let mut rows = self.known.snapshot.rows(&dataset);
        if !matches!(relation(scan)?, Relation::Reference { .. }) {
            // Rounded before anything is made of it, so that nothing that is chosen well tells the exact number.
            rows = rows.max(ROWS_MIN).next_power_of_two();
        }
        let spec = self.known.catalog.spec(dataset.as_str())?;
        let key = if own { spec.dataset.primary_key.clone() } else { Vec::new() };
        let index = self.scans.len();
        self.scans.push(Scanned { rows, key, decided_by: Vec::new(), equal: Vec::new(), hidden: false });
        let column = |field: &std::sync::Arc<arrow::datatypes::Field>| {
            let declared = own.then(|| self.declared(&dataset, field.name())).flatten();
            Domain {
                values: declared.unwrap_or(u64::MAX).min(rows.saturating_add(1)),
                base: own.then(|| (index, field.name().clone())),
            }
        };
        Ok(scan.projected_schema.fields().iter().map(column).collect())
    }

    /// Values that a dataset's column can have in this region, where its type or its policy says.
    fn declared(&self, dataset: &DatasetName, column: &str) -> Option<u64> {
        let spec = self.known.catalog.spec(dataset.as_str()).ok()?;
        if let Residency::Column { column: home, homes, .. } = &spec.residency
            && home == column
        {
            return Some(homes.values().filter(|region| *region == self.known.home).count() as u64 + 1);
        }
        let kind = spec.dataset.column(column).ok()?.kind;
        (kind == ColumnType::Boolean).then_some(3)
    }

    fn join(&mut self, join: &Join) -> Result<Vec<Domain>, QueryError> {
        let start = self.scans.len();
        let left = self.node(&join.left)?;
        let middle = self.scans.len();
        let right = self.node(&join.right)?;
        let both: Vec<Domain> = left.iter().chain(&right).cloned().collect();
        let schema = join.left.schema().join(join.right.schema())?;
        // A row of the side that an outer join keeps is there whether or not the other side has one.
        let decided: &dyn Fn(usize) -> bool = match join.join_type {
            JoinType::Inner => &|_| true,
            JoinType::Left => &|scan| scan >= middle,
            JoinType::Right => &|scan| scan < middle,
            _ => &|_| false,
        };
        for (a, b) in &join.on {
            self.equalities(&a.clone().eq(b.clone()), &schema, &both, decided);
        }
        if let Some(filter) = &join.filter {
            self.equalities(filter, &schema, &both, decided);
        }
        match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => {
                self.scans[middle..].iter_mut().for_each(|scan| scan.hidden = true);
                Ok(left)
            }
            JoinType::RightSemi | JoinType::RightAnti => {
                self.scans[start..middle].iter_mut().for_each(|scan| scan.hidden = true);
                Ok(right)
            }
            JoinType::Inner => Ok(both),
            // A row may be alone, with nothing in the columns of the other side; in a full join on either side.
            JoinType::Left | JoinType::Right => Ok(both.into_iter().map(or_missing).collect()),
            _ => {
                self.scans[start..].iter_mut().for_each(|scan| scan.rows = scan.rows.saturating_add(1));
                Ok(both.into_iter().map(or_missing).collect())
            }
        }
    }

    /// Notes which scans have at most one row for each row of others, because their whole key equals columns of those.
    fn equalities(&mut self, predicate: &Expr, schema: &DFSchema, input: &[Domain], may: &dyn Fn(usize) -> bool) {
        for conjunct in split_conjunction(predicate) {
            let Expr::BinaryExpr(binary) = conjunct else { continue };
            if binary.op != Operator::Eq {
                continue;
            }
            let side = |expr: &Expr| self.domain(expr, schema, input).base;
            let (Some(left), Some(right)) = (side(&binary.left), side(&binary.right)) else { continue };
            // Only one of the two can be decided by the other.
            if !self.decide(&left, &right, may) {
                self.decide(&right, &left, may);
            }
        }
    }

    fn decide(&mut self, this: &(usize, String), other: &(usize, String), may: &dyn Fn(usize) -> bool) -> bool {
        let (scan, column) = this;
        let fits = may(*scan) && this.0 != other.0 && self.scans[*scan].key.contains(column);
        if !fits || !self.scans[*scan].decided_by.is_empty() || self.depends_on(other.0, *scan) {
            return false;
        }
        self.scans[*scan].equal.push((column.clone(), other.0));
        let Scanned { key, equal, .. } = &self.scans[*scan];
        let whole = key.iter().all(|column| equal.iter().any(|(equal, _)| equal == column));
        let deciding: Vec<usize> = equal.iter().map(|(_, other)| *other).collect();
        let circular = deciding.iter().any(|other| self.depends_on(*other, *scan));
        if whole && !circular {
            self.scans[*scan].decided_by = deciding;
        }
        whole && !circular
    }

    fn depends_on(&self, scan: usize, on: usize) -> bool {
        scan == on || self.scans[scan].decided_by.iter().any(|next| self.depends_on(*next, on))
    }

    fn domain(&self, expr: &Expr, schema: &DFSchema, input: &[Domain]) -> Domain {
        let of = |values| Domain { values, base: None };
        match expr {
            Expr::Column(column) => {
                let index = schema.index_of_column(column).ok();
                index.and_then(|index| input.get(index).cloned()).unwrap_or_else(|| of(u64::MAX))
            }
            Expr::Alias(alias) => self.domain(&alias.expr, schema, input),
            Expr::Literal(..) | Expr::ScalarSubquery(_) => of(1),
            Expr::Cast(cast) => of(self.domain(&cast.expr, schema, input).values.saturating_add(1)),
            Expr::TryCast(cast) => of(self.domain(&cast.expr, schema, input).values.saturating_add(1)),
            Expr::Negative(inner) => of(self.domain(inner, schema, input).values),
            Expr::BinaryExpr(binary) if binary.op.supports_propagation() || is_logical(binary.op) => of(3),
            Expr::BinaryExpr(binary) => {
                let sides = [&binary.left, &binary.right].map(|side| self.domain(side, schema, input).values);
                of(sides[0].saturating_mul(sides[1]).saturating_add(1))
            }
            Expr::Case(case) => {
                let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
                let values = results.map(|result| self.domain(result, schema, input).values);
                of(values.fold(1, u64::saturating_add))
            }
            Expr::ScalarFunction(call) => {
                let arguments = call.args.iter().map(|argument| self.domain(argument, schema, input).values);
                let pure = arguments.fold(1, u64::saturating_mul).saturating_add(1);
                // What takes nothing may give anything, a random number for example.
                let pure = if call.args.is_empty() { u64::MAX } else { pure };
                of(date_parts(call.name(), &call.args).unwrap_or(u64::MAX).min(pure))
            }
            Expr::Like(_) | Expr::SimilarTo(_) | Expr::Not(_) | Expr::Between(_) | Expr::InList(_) => of(3),
            Expr::Exists(_) | Expr::InSubquery(_) => of(3),
            Expr::IsNotNull(_) | Expr::IsNull(_) | Expr::IsTrue(_) | Expr::IsFalse(_) | Expr::IsUnknown(_) => of(2),
            Expr::IsNotTrue(_) | Expr::IsNotFalse(_) | Expr::IsNotUnknown(_) => of(2),
            _ => of(u64::MAX),
        }
    }
}

fn or_missing(domain: Domain) -> Domain {
    Domain { values: domain.values.saturating_add(1), ..domain }
}

fn is_logical(operator: Operator) -> bool {
    matches!(operator, Operator::And | Operator::Or | Operator::NotEq | Operator::IsDistinctFrom)
}

/// Values of a part of a date, missing ones as one more.
fn date_parts(function: &str, arguments: &[Expr]) -> Option<u64> {
    let Expr::Literal(unit, _) = arguments.first()? else { return None };
    let values = match (function, unit.to_string().to_lowercase().as_str()) {
        ("date_part", "quarter") => 4,
        ("date_part", "month") => 12,
        ("date_part", "week") => 53,
        ("date_part", "day") => 31,
        ("date_part", "dow" | "isodow") => 7,
        ("date_part", "doy") => 366,
        ("date_part", "hour") => 24,
        ("date_part", "minute") => 60,
        _ => return None,
    };
    Some(values + 1)
}
