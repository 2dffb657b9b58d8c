//! What groups are groups of, in words: two groups with the same rows are the same to whoever knows that they have to be,
//! and tell that nobody is in one only where they do not.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, Result, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use domicile_types::limits::DEFINITION_NODES_MAX;
use twox_hash::XxHash3_64;

use crate::guard::MarkKey;

/// The conditions that rows of groups keep to, and what their keys are, as text that is the same for the same conditions.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    key: MarkKey,
    conditions: BTreeSet<String>,
    /// The keys as expressions of columns of tables, and as text.
    keys: Vec<(Expr, String)>,
    fields: Fields,
}

/// The columns of the tables.
type Fields = HashMap<Column, FieldRef>;

impl Definition {
    /// That of the groups of `input` by `group`.
    pub(crate) fn of(key: MarkKey, input: &LogicalPlan, group: &[Expr]) -> Result<Self> {
        let (mut conditions, mut fields) = (BTreeSet::new(), Fields::new());
        let outputs = walk(input, &mut conditions, &mut fields)?;
        let key_of = |expr| {
            let key = substitute(expr, input.schema(), &outputs)?;
            let text = text(&key)?;
            Ok((key, text))
        };
        let keys = group.iter().map(key_of).collect::<Result<_>>()?;
        Ok(Self { key, conditions, keys, fields })
    }

    /// A key as an expression of columns of tables.
    pub(crate) fn key(&self, key: usize) -> Option<&Expr> {
        self.keys.get(key).map(|(expr, _)| expr)
    }

    /// What a column of a table holds.
    pub(crate) fn field(&self, column: &Column) -> Option<&FieldRef> {
        self.fields.get(column)
    }

    /// Whether the table is there once only.
    pub(crate) fn occurs_once(&self, table: &str) -> bool {
        self.conditions.contains(&format!("from {table}")) && !self.conditions.contains(&format!("from {table} 2"))
    }

    /// That of one row of these keys, each with the number of its expression; of all rows together without any.
    ///
    /// # Errors
    /// Where a key is of a type that has no single values.
    pub(crate) fn group(&self, keys: &[(usize, &ArrayRef)], row: usize) -> Result<u64> {
        let mut conditions = self.conditions.clone();
        for (index, values) in keys {
            let expr = self.keys.get(*index).map_or("?", |(_, text)| text);
            let value = ScalarValue::try_from_array(values, row)?;
            conditions.insert(if value.is_null() {
                format!("{expr} IS NULL")
            } else {
                format!("{expr} = {}", literal(&value))
            });
        }
        // Each by itself, so that no text within one can look like two.
        let hash = |condition: &String| XxHash3_64::oneshot_with_seed(self.key.0, condition.as_bytes()).to_le_bytes();
        let hashes: Vec<u8> = conditions.iter().flat_map(hash).collect();
        Ok(XxHash3_64::oneshot_with_seed(self.key.0, &hashes))
    }
}

/// The outputs of a plan as expressions of columns of tables; notes its conditions.
fn walk(plan: &LogicalPlan, conditions: &mut BTreeSet<String>, fields: &mut Fields) -> Result<Vec<Expr>> {
    Ok(match plan {
        LogicalPlan::TableScan(scan) => {
            // A table that occurs again is another one.
            let table = scan.table_name.table();
            let mut names = (1..).map(|time| if time == 1 { table.to_owned() } else { format!("{table} {time}") });
            let name = names.find(|name| conditions.insert(format!("from {name}"))).unwrap_or_default();
            let column = |field: &FieldRef| {
                let column = Column::new(Some(name.clone()), field.name());
                fields.insert(column.clone(), Arc::clone(field));
                Expr::Column(column)
            };
            plan.schema().fields().iter().map(column).collect()
        }
        LogicalPlan::SubqueryAlias(alias) => walk(&alias.input, conditions, fields)?,
        LogicalPlan::Projection(projection) => {
            let below = walk(&projection.input, conditions, fields)?;
            let schema = projection.input.schema();
            let output = |expr| substitute(expr, schema, &below).and_then(short);
            projection.expr.iter().map(output).collect::<Result<_>>()?
        }
        LogicalPlan::Filter(filter) => {
            let below = walk(&filter.input, conditions, fields)?;
            let predicate = substitute(&filter.predicate, filter.input.schema(), &below)?;
            for condition in split_conjunction(&predicate) {
                conditions.insert(text(condition)?);
            }
            below
        }
        LogicalPlan::Join(join) => {
            let mut outputs = walk(&join.left, conditions, fields)?;
            let left = outputs.clone();
            let right = walk(&join.right, conditions, fields)?;
            for (one, other) in &join.on {
                let one = text(&substitute(one, join.left.schema(), &left)?)?;
                let other = text(&substitute(other, join.right.schema(), &right)?)?;
                let (least, greatest) = if one < other { (one, other) } else { (other, one) };
                conditions.insert(format!("{} join on {least} = {greatest}", join.join_type));
            }
            outputs.extend(right);
            if let Some(filter) = &join.filter {
                let filter = substitute(filter, plan.schema(), &outputs)?;
                conditions.insert(format!("{} join where {}", join.join_type, text(&filter)?));
            }
            if outputs.len() != plan.schema().fields().len() {
                conditions.insert(plan.display_indent().to_string());
                outputs = plan.schema().columns().into_iter().map(Expr::Column).collect();
            }
            outputs
        }
        _ => {
            conditions.insert(plan.display_indent().to_string());
            plan.schema().columns().into_iter().map(Expr::Column).collect()
        }
    })
}

fn substitute(expr: &Expr, schema: &DFSchemaRef, outputs: &[Expr]) -> Result<Expr> {
    let indexes: HashMap<Column, usize> =
        schema.columns().into_iter().enumerate().map(|(index, column)| (column, index)).collect();
    let replaced = expr.clone().transform(|expr| {
        Ok(match &expr {
            Expr::Column(column) => match indexes.get(column).and_then(|index| outputs.get(*index)) {
                Some(output) => Transformed::yes(output.clone()),
                None => Transformed::no(expr),
            },
            _ => Transformed::no(expr),
        })
    })?;
    Ok(replaced.data.unalias_nested().data)
}

/// The expression, or a column that stands for it where it is long: what is computed of what is computed could grow with
/// each query around it, without end.
fn short(expr: Expr) -> Result<Expr> {
    let mut nodes = 0_usize;
    expr.apply(|_| {
        nodes += 1;
        Ok(if nodes > DEFINITION_NODES_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if nodes <= DEFINITION_NODES_MAX {
        return Ok(expr);
    }
    let digest = XxHash3_64::oneshot(text(&expr)?.as_bytes());
    Ok(Expr::Column(Column::new_unqualified(format!("{digest:016x}"))))
}

/// A condition or key as text, equalities with the column before the value.
fn text(expr: &Expr) -> Result<String> {
    let plain = expr.clone().transform(|expr| {
        Ok(match expr {
            Expr::Literal(value, _) => Transformed::yes(Expr::Column(Column::new_unqualified(literal(&value)))),
            Expr::BinaryExpr(mut binary) if binary.op == Operator::Eq && comes_first(&binary.right, &binary.left) => {
                std::mem::swap(&mut binary.left, &mut binary.right);
                Transformed::yes(Expr::BinaryExpr(binary))
            }
            other => Transformed::no(other),
        })
    })?;
    let mut whole = plain.data.to_string();
    // The text of an expression does not show what a subquery asks.
    expr.apply(|part| {
        let asked = match part {
            Expr::Exists(exists) => Some(&exists.subquery),
            Expr::InSubquery(within) => Some(&within.subquery),
            Expr::SetComparison(compared) => Some(&compared.subquery),
            Expr::ScalarSubquery(subquery) => Some(subquery),
            _ => None,
        };
        whole.extend(asked.map(|asked| asked.subquery.display_indent().to_string()));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(whole)
}

/// Columns of tables, which are qualified, come before values, which are not any more; else the lesser text.
fn comes_first(one: &Expr, other: &Expr) -> bool {
    let rank = |expr: &Expr| matches!(expr, Expr::Column(column) if column.relation.is_none());
    (rank(one), one.to_string()) < (rank(other), other.to_string())
}

/// A value as text that no other value of its kind has, and that has no line of its own.
fn literal(value: &ScalarValue) -> String {
    match value.try_as_str() {
        Some(Some(text)) => format!("{text:?}"),
        _ => value.to_string(),
    }
}
