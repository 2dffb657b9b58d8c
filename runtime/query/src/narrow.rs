//! A denied question without what is refused in it: shown columns, group keys, conditions.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, Value, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use domicile_policy::{Change, Denial, DenialReason, Role};

use crate::expression::CASE;
use crate::fragment::MERGEABLE;

/// The question without what `denial` refuses, and what that changes; none where nothing would be left, or what is
/// refused is not found in the outermost `SELECT`.
pub(crate) fn narrowed(query: &Query, denial: &Denial) -> Option<(Query, Change)> {
    // Rows are refused whichever columns they have.
    if matches!(denial.reason, DenialReason::RowsAsked { .. } | DenialReason::UnknownDataset) {
        return None;
    }
    let refused = Refused::of(denial);
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    if let Some(OrderByKind::Expressions(orders)) = query.order_by.as_mut().map(|by| &mut by.kind) {
        orders.iter_mut().for_each(|order| spell_out(&mut order.expr, &select.projection));
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        keys.iter_mut().for_each(|key| spell_out(key, &select.projection));
    }
    let gone = refused.items(select);
    let keys_left = refused.keys(select, &gone);
    let filtered = refused.filters(select);
    if select.projection.is_empty() {
        // Without a key or an aggregate there is nothing to count by.
        keys_left?;
        select.projection.push(counted()?);
    }
    if let Some(by) = query.order_by.as_mut() {
        if let OrderByKind::Expressions(orders) = &mut by.kind {
            orders.retain(|order| !refused.stands_in(&order.expr, &roles(&order.expr)) && !gone.holds(&order.expr));
        }
        if matches!(&by.kind, OrderByKind::Expressions(orders) if orders.is_empty()) {
            query.order_by = None;
        }
    }
    let coarser = !gone.is_empty() || keys_left == Some(true);
    match (coarser, filtered) {
        (true, _) => Some((query, Change::Coarser)),
        (false, true) => Some((query, Change::WithoutFilter)),
        (false, false) => None,
    }
}

/// `drafted` under the conditions of `query`; none where that has none, or is over more than one table.
pub(crate) fn with_conditions(drafted: &Query, query: &Query) -> Option<Query> {
    let SetExpr::Select(asked) = query.body.as_ref() else { return None };
    let [table] = asked.from.as_slice() else { return None };
    if asked.selection.is_none() || !table.joins.is_empty() {
        return None;
    }
    let mut drafted = drafted.clone();
    let SetExpr::Select(select) = drafted.body.as_mut() else { return None };
    select.from.clone_from(&asked.from);
    select.selection.clone_from(&asked.selection);
    Some(drafted)
}

/// What is refused, by name. A name that two datasets have is refused as both: what comes of it is judged again.
struct Refused {
    columns: Vec<(String, Option<Role>)>,
    functions: BTreeSet<String>,
}

/// Items that are left out: as they were written, and by their names.
struct Gone {
    exprs: Vec<Expr>,
    names: BTreeSet<String>,
}

impl Gone {
    fn is_empty(&self) -> bool {
        self.exprs.is_empty()
    }

    fn holds(&self, expr: &Expr) -> bool {
        self.exprs.contains(expr) || name_of(expr).is_some_and(|name| self.names.contains(&name))
    }
}

impl Refused {
    fn of(denial: &Denial) -> Self {
        let (mut columns, mut functions) = (Vec::new(), BTreeSet::new());
        let told = match &denial.reason {
            DenialReason::NotListed { columns, functions: named, .. } => {
                functions.extend(named.iter().cloned());
                columns.as_slice()
            }
            _ => &[],
        };
        for column in &denial.columns {
            let roles: Vec<Role> = told.iter().filter(|t| t.column == *column).map(|told| told.role).collect();
            // Of other datasets than the one that the reason is about, the roles are not told.
            if roles.is_empty() {
                columns.push((column.column.clone(), None));
            }
            columns.extend(roles.into_iter().map(|role| (column.column.clone(), Some(role))));
        }
        Self { columns, functions }
    }

    /// Whether something refused in one of these roles stands in the expression.
    fn stands_in(&self, expr: &Expr, roles: &[Role]) -> bool {
        let found = visit_expressions(expr, |part| {
            let column = |name: &String| {
                self.columns
                    .iter()
                    .any(|(column, role)| column == name && role.is_none_or(|role| roles.contains(&role)))
            };
            let refused = match part {
                Expr::Function(call) => self.functions.contains(&call.name.to_string().to_lowercase()),
                Expr::Case { .. } => self.functions.contains(CASE),
                other => name_of(other).as_ref().is_some_and(column),
            };
            if refused { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        found.is_break()
    }

    /// Leaves refused items out.
    fn items(&self, select: &mut Select) -> Gone {
        let mut gone = Gone { exprs: Vec::new(), names: BTreeSet::new() };
        select.projection.retain(|item| {
            let Some(expr) = item_expr(item) else { return true };
            let refused = self.stands_in(expr, &roles(expr));
            if refused {
                gone.exprs.push(expr.clone());
                if let SelectItem::ExprWithAlias { alias, .. } = item {
                    gone.names.insert(folded(alias));
                }
            }
            !refused
        });
        gone
    }

    /// Leaves refused group keys out, and says whether there were any; none where nothing is grouped.
    fn keys(&self, select: &mut Select, gone: &Gone) -> Option<bool> {
        let grouped = select.projection.iter().filter_map(item_expr).chain(&gone.exprs).any(aggregates);
        let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return None };
        let before = keys.len();
        keys.retain(|key| !self.stands_in(key, &[Role::GroupBy, Role::Output]) && !gone.holds(key));
        (before > 0 || grouped).then_some(keys.len() < before)
    }

    /// Leaves refused conditions out, and says whether there were any.
    fn filters(&self, select: &mut Select) -> bool {
        let mut left_out = false;
        if let Some(condition) = select.selection.take() {
            let (kept, refused): (Vec<Expr>, Vec<Expr>) =
                conjuncts(condition).into_iter().partition(|part| !self.stands_in(part, &[Role::Filter]));
            left_out = !refused.is_empty();
            select.selection = kept.into_iter().reduce(and);
        }
        if select.having.as_ref().is_some_and(|having| self.stands_in(having, &[Role::Measure, Role::Filter])) {
            select.having = None;
            left_out = true;
        }
        left_out
    }
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

fn conjuncts(condition: Expr) -> Vec<Expr> {
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut parts = conjuncts(*left);
            parts.extend(conjuncts(*right));
            parts
        }
        other => vec![other],
    }
}

/// The item that a number in `GROUP BY` or `ORDER BY` stands for, in its place.
fn spell_out(expr: &mut Expr, items: &[SelectItem]) {
    let Expr::Value(value) = expr else { return };
    let Value::Number(number, _) = &value.value else { return };
    let place: Option<usize> = number.to_string().parse().ok();
    if let Some(item) = place.and_then(|place| items.get(place.checked_sub(1)?)).and_then(item_expr) {
        *expr = item.clone();
    }
}

fn item_expr(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

fn counted() -> Option<SelectItem> {
    let expr = Parser::new(&GenericDialect {}).try_with_sql("count(*)").ok()?.parse_expr().ok()?;
    Some(SelectItem::ExprWithAlias { expr, alias: Ident::new("rows") })
}

/// The roles that columns have in an item or a key.
fn roles(expr: &Expr) -> [Role; 2] {
    if aggregates(expr) { [Role::Measure, Role::Filter] } else { [Role::GroupBy, Role::Output] }
}

fn aggregates(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |part| match part {
        Expr::Function(call) if MERGEABLE.contains(&call.name.to_string().to_lowercase().as_str()) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// The name of a column, as the planner reads it.
fn name_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(folded(name)),
        Expr::CompoundIdentifier(names) => names.last().map(folded),
        _ => None,
    }
}

fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}
