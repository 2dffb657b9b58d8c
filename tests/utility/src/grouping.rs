//! Where a question groups rows that have a home: what the guard judges.

use std::ops::ControlFlow;

use anyhow::{Result, bail, ensure};
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, ObjectName, Query, Select,
    SelectItem, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use crate::dialect::expression;

/// The tables whose rows have a home, with the prefix of their columns.
const RESIDENT: [(&str, &str); 3] = [("customer", "c"), ("orders", "o"), ("lineitem", "l")];
const REFERENCE: [&str; 5] = ["region", "nation", "supplier", "part", "partsupp"];
/// Whoever groups by one of these has groups within one entity, which are no groups yet.
const OF_ONE: [&str; 4] = ["c_custkey", "o_custkey", "o_orderkey", "l_orderkey"];
const AGGREGATES: [&str; 14] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "stddev",
    "stddev_pop",
    "var_samp",
    "var_pop",
    "corr",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "percentile",
];

/// One SELECT that groups rows of tables.
#[derive(Debug, Clone)]
pub(crate) struct Grouping {
    /// The prefix of a table whose `_home` and `_entity` say whom a row is about.
    prefix: &'static str,
    /// Group keys, and conditions inside aggregates.
    pub(crate) keys: Vec<String>,
    /// Whether some of the keys are such conditions.
    pub(crate) has_conditions: bool,
    /// What the guard judges of each entity, by `sum` or `count`.
    parts: Vec<String>,
    /// Which of these are computed on one side of a condition only.
    pub(crate) one_sided: Vec<bool>,
    from: String,
    selection: String,
}

impl Grouping {
    /// SQL for what each entity adds to each group: home, entity, keys, parts; sorted by home and keys.
    pub(crate) fn profile(&self) -> String {
        let columns = [format!("{}_home", self.prefix), format!("{}_entity", self.prefix)];
        let columns: Vec<&str> = columns.iter().chain(&self.keys).chain(&self.parts).map(String::as_str).collect();
        let grouped = (1..=self.keys.len() + 2).map(|index| index.to_string()).collect::<Vec<_>>().join(", ");
        let sorted = (3..=self.keys.len() + 2).map(|index| format!(", {index}")).collect::<String>();
        format!(
            "SELECT {} FROM {} WHERE {} GROUP BY {grouped} ORDER BY 1{sorted}",
            columns.join(", "),
            self.from,
            self.selection
        )
    }

    /// The condition that a row is in none of the groups that the table `held` has.
    fn outside(&self, held: &str) -> Result<Expr> {
        let keys = self.keys.iter().enumerate();
        let keys: String =
            keys.map(|(index, key)| format!(" AND {held}.k{index} IS NOT DISTINCT FROM ({key})")).collect();
        expression(&format!("NOT EXISTS (SELECT 1 FROM {held} WHERE {held}.home = {}_home{keys})", self.prefix))
    }
}

/// Every grouping of a query, in the order of the text.
///
/// # Errors
/// Where one cannot be read.
pub(crate) fn groupings(query: &Query) -> Result<Vec<Grouping>> {
    let mut found = Vec::new();
    each(&mut query.clone(), |_, grouping| {
        found.push(grouping);
        Ok(())
    })?;
    Ok(found)
}

/// Lets each grouping leave out the groups of the table that `held` names for it.
///
/// # Errors
/// As for [`groupings`].
pub(crate) fn leave_out(query: &mut Query, held: impl Fn(usize) -> String) -> Result<()> {
    let mut index = 0;
    each(query, |select, grouping| {
        let outside = grouping.outside(&held(index))?;
        index += 1;
        let both = select.selection.take().map_or(outside.to_string(), |old| format!("({old}) AND {outside}"));
        select.selection = Some(expression(&both)?);
        Ok(())
    })
}

fn each(query: &mut Query, visit: impl FnMut(&mut Select, Grouping) -> Result<()>) -> Result<()> {
    struct Selects<F>(F);
    impl<F: FnMut(&mut Select, Grouping) -> Result<()>> VisitorMut for Selects<F> {
        type Break = anyhow::Error;
        fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<anyhow::Error> {
            match grouping(select).and_then(|found| found.map_or(Ok(()), |found| (self.0)(select, found))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        }
    }
    match query.visit(&mut Selects(visit)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

fn grouping(select: &Select) -> Result<Option<Grouping>> {
    let Some(prefix) = resident(select)? else { return Ok(None) };
    let mut aggregates = Aggregates::default();
    let _ = select.projection.visit(&mut aggregates);
    let _ = select.having.visit(&mut aggregates);
    let mut keys = keys(select)?;
    if (keys.is_empty() && aggregates.found.is_empty()) || keys.iter().any(|key| OF_ONE.contains(&key.as_str())) {
        return Ok(None);
    }
    let (mut parts, mut one_sided, before) = (Vec::new(), Vec::new(), keys.len());
    for function in &aggregates.found {
        let conditions = conditions(function);
        parts.extend(parts_of(function)?);
        one_sided.resize(parts.len(), !conditions.is_empty());
        for condition in conditions {
            // Where it is nothing it counts as false.
            let decided = format!("coalesce({condition}, 0)");
            if !keys.contains(&condition) && !keys.contains(&decided) {
                keys.push(decided);
            }
        }
    }
    let from = select.from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let selection = select.selection.as_ref().map_or("1".to_owned(), ToString::to_string);
    let has_conditions = keys.len() > before;
    Ok(Some(Grouping { prefix, keys, has_conditions, parts, one_sided, from, selection }))
}

/// The prefix of the first table with homes, if the SELECT reads tables only and one of these is among them.
fn resident(select: &Select) -> Result<Option<&'static str>> {
    let mut found = None;
    for part in &select.from {
        for factor in [&part.relation].into_iter().chain(part.joins.iter().map(|join| &join.relation)) {
            let TableFactor::Table { name, alias, .. } = factor else { return Ok(None) };
            let name = name.to_string();
            if let Some((_, prefix)) = RESIDENT.iter().find(|(table, _)| *table == name) {
                ensure!(alias.is_none(), "`{name}` has an alias, which is not understood here");
                found = found.or(Some(*prefix));
            } else if !REFERENCE.contains(&name.as_str()) {
                return Ok(None);
            }
        }
    }
    Ok(found)
}

fn keys(select: &Select) -> Result<Vec<String>> {
    let GroupByExpr::Expressions(exprs, _) = &select.group_by else { bail!("GROUP BY ALL is not understood here") };
    let item = |index: usize| select.projection.get(index);
    let text = |expr: &Expr| -> Result<Vec<String>> {
        Ok(match expr {
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => match item(number.parse::<usize>()? - 1) {
                    Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => {
                        vec![expr.to_string()]
                    }
                    _ => bail!("there is no column {number}"),
                },
                other => vec![other.to_string()],
            },
            Expr::Rollup(sets) => sets.iter().flatten().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        })
    };
    let keys: Vec<Vec<String>> = exprs.iter().map(text).collect::<Result<_>>()?;
    Ok(keys.concat())
}

/// The aggregates of a SELECT itself, not of its subqueries, and not the windows over them.
#[derive(Default)]
struct Aggregates {
    depth: usize,
    found: Vec<Function>,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && self.depth == 0
            && function.over.is_none()
            && is_aggregate(&function.name)
        {
            self.found.push(function.clone());
        }
        ControlFlow::Continue(())
    }
}

pub(crate) fn is_aggregate(name: &ObjectName) -> bool {
    AGGREGATES.contains(&name.to_string().to_lowercase().as_str())
}

/// Whether an expression aggregates, outside of its subqueries.
pub(crate) fn aggregates(item: &SelectItem) -> bool {
    let mut aggregates = Aggregates::default();
    let _ = item.visit(&mut aggregates);
    !aggregates.found.is_empty()
}

/// What the guard judges of an aggregate: of an average its sum and its count.
fn parts_of(function: &Function) -> Result<Vec<String>> {
    let named =
        |name: &str| Function { name: ObjectName::from(vec![Ident::new(name)]), ..function.clone() }.to_string();
    Ok(match function.name.to_string().to_lowercase().as_str() {
        "sum" | "count" => vec![function.to_string()],
        "avg" => vec![named("sum"), named("count")],
        _ => match first_argument(function) {
            Some(argument) => vec![format!("count({argument})")],
            None => bail!("`{function}` is not understood here"),
        },
    })
}

fn first_argument(function: &Function) -> Option<&Expr> {
    match &function.args {
        FunctionArguments::List(list) => match list.args.first()? {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        },
        _ => None,
    }
}

fn conditions(function: &Function) -> Vec<String> {
    #[derive(Default)]
    struct Conditions(Vec<String>);
    impl Visitor for Conditions {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::Case { conditions, .. } = expr {
                self.0.extend(conditions.iter().map(|when| when.condition.to_string()));
            }
            ControlFlow::Continue(())
        }
    }
    let mut found = Conditions(function.filter.iter().map(ToString::to_string).collect());
    let _ = function.args.visit(&mut found);
    found.0
}
