//! How far one clause is from admitting a fragment.

use std::cmp::Reverse;

use domicile_types::{DatasetName, Digest};

use crate::{Border, Class, Clause, ColumnUse, Date, DenialReason, Form, FragmentFacts, Policy, RefusedColumn, Role};

/// Why one clause, or a policy without a clause, does not admit.
pub(crate) struct Miss {
    pub(crate) reason: DenialReason,
    pub(crate) columns: Vec<ColumnUse>,
    distance: (u8, usize),
}

impl Miss {
    fn new(reason: DenialReason, columns: Vec<ColumnUse>) -> Self {
        let distance = match &reason {
            DenialReason::NotListed { columns, functions, plugins, .. } => {
                (0, columns.len() + functions.len() + plugins.len())
            }
            DenialReason::RowsAsked { .. } => (1, columns.len()),
            DenialReason::Expired { .. } => (2, 0),
            DenialReason::Purpose { .. } => (3, 0),
            DenialReason::NoClause => (4, 0),
            DenialReason::UnknownDataset => (5, 0),
        };
        Self { reason, columns, distance }
    }

    pub(crate) fn whole(reason: DenialReason, facts: &FragmentFacts, dataset: &DatasetName) -> Self {
        Self::new(reason, uses_of(facts, dataset).map(|(_, column)| column.clone()).collect())
    }
}

/// The columns that the fragment uses, in the order of the `SELECT`.
pub(crate) fn uses(facts: &FragmentFacts) -> impl Iterator<Item = (Role, &ColumnUse)> {
    let shown = if facts.form == Form::Rows { Role::Output } else { Role::GroupBy };
    let role = |role| move |column| (role, column);
    let keys = facts.outputs.iter().map(role(shown)).chain(facts.group_by.iter().map(role(Role::GroupBy)));
    keys.chain(facts.measures.iter().map(role(Role::Measure))).chain(facts.filters.iter().map(role(Role::Filter)))
}

fn uses_of<'a>(facts: &'a FragmentFacts, dataset: &'a DatasetName) -> impl Iterator<Item = (Role, &'a ColumnUse)> {
    uses(facts).filter(move |(_, column)| column.dataset == *dataset)
}

/// Of the clauses that admit the fragment the one that asks least of it, or else the closest miss.
pub(crate) fn admit<'a>(
    policy: &'a Policy,
    facts: &FragmentFacts,
    border: &Border<'_>,
) -> Result<&'a Clause, Box<Miss>> {
    let mut admitted: Option<&Clause> = None;
    let mut closest = Miss::whole(DenialReason::NoClause, facts, &policy.dataset);
    for clause in &policy.allow {
        match check(policy, clause, facts, border) {
            Ok(()) if admitted.is_none_or(|best| asks(clause) < asks(best)) => {
                admitted = Some(clause);
            }
            Ok(()) => {}
            Err(miss) if miss.distance < closest.distance => closest = *miss,
            Err(_) => {}
        }
    }
    admitted.ok_or_else(|| Box::new(closest))
}

/// Thresholds first: they decide most about what is released.
pub(crate) fn asks(clause: &Clause) -> (u64, Reverse<u64>, u64) {
    (clause.minimum_entities, Reverse(clause.dominance_percent), clause.round_to)
}

fn check(policy: &Policy, clause: &Clause, facts: &FragmentFacts, border: &Border<'_>) -> Result<(), Box<Miss>> {
    if let Some(reason) = inapplicable(clause, border) {
        return Err(Box::new(Miss::whole(reason, facts, &policy.dataset)));
    }
    let uses: Vec<(Role, &ColumnUse)> = uses_of(facts, &policy.dataset).collect();
    let refused: Vec<RefusedColumn> = uses
        .into_iter()
        .filter(|(role, column)| !admits(policy, clause, *role, &column.column))
        .map(|(role, column)| RefusedColumn { column: column.clone(), role, class: policy.class(&column.column) })
        .collect();
    let columns = refused.iter().map(|refused| refused.column.clone()).collect();
    if facts.form == Form::Rows && clause.form != Form::Rows {
        return Err(Box::new(Miss::new(DenialReason::RowsAsked { clause: clause.id.clone() }, columns)));
    }
    let functions = refused_functions(clause, facts);
    let plugins = refused_plugins(clause, facts);
    if refused.is_empty() && functions.is_empty() && plugins.is_empty() {
        return Ok(());
    }
    let clause = clause.id.clone();
    Err(Box::new(Miss::new(DenialReason::NotListed { clause, columns: refused, functions, plugins }, columns)))
}

/// Why a clause says nothing about this border, purpose or day.
pub(crate) fn inapplicable(clause: &Clause, border: &Border<'_>) -> Option<DenialReason> {
    if !clause.from.contains(border.from) || !clause.to.contains(border.to) {
        return Some(DenialReason::NoClause);
    }
    let purpose_fits = clause.purposes.is_empty() || border.purpose.is_some_and(|it| clause.purposes.contains(it));
    if !purpose_fits {
        return Some(DenialReason::Purpose {
            clause: clause.id.clone(),
            stated: border.purpose.map(str::to_owned),
            allowed: clause.purposes.iter().cloned().collect(),
        });
    }
    let expires = clause.expires.filter(|last| *last < Date(border.today))?;
    Some(DenialReason::Expired { clause: clause.id.clone(), expires })
}

/// Whether the clause lets the column be used in that role.
pub(crate) fn admits(policy: &Policy, clause: &Clause, role: Role, column: &str) -> bool {
    let class = policy.class(column);
    if class.is_none() || (class == Some(Class::Identifier) && !clause.identifiers) {
        return false;
    }
    let list = match role {
        _ if clause.form == Form::Rows => return true,
        Role::Output => return false,
        Role::GroupBy => &clause.group_by,
        Role::Measure => &clause.measures,
        Role::Filter => &clause.filter_by,
    };
    list.iter().any(|listed| listed == column)
}

fn refused_functions(clause: &Clause, facts: &FragmentFacts) -> Vec<String> {
    if clause.form == Form::Rows {
        return Vec::new();
    }
    let asked = facts.functions.iter().map(|function| function.to_lowercase());
    asked.filter(|function| !clause.functions.contains(function)).collect()
}

/// Where the rows may cross as they are, so may whatever is computed from them.
fn refused_plugins(clause: &Clause, facts: &FragmentFacts) -> Vec<Digest> {
    if clause.form == Form::Rows { Vec::new() } else { facts.plugins.difference(&clause.plugins).copied().collect() }
}
