//! How far one clause is from admitting a fragment.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use domicile_types::{DatasetName, Digest};

use crate::{
    Border, Class, Clause, ColumnUse, Date, DenialReason, Form, FragmentFacts, Policy, RefusedColumn, Role, Unnoised,
};

/// Why one clause, or a policy without a clause, does not admit.
pub(crate) struct Miss {
    pub(crate) reason: DenialReason,
    pub(crate) columns: Vec<ColumnUse>,
}

impl Miss {
    pub(crate) fn whole(reason: DenialReason, facts: &FragmentFacts, dataset: &DatasetName) -> Self {
        Self { reason, columns: uses_of(facts, dataset).map(|(_, column)| column.clone()).collect() }
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
    let asked = Asked::of(policy, facts);
    let mut admitted: Option<&Clause> = None;
    let mut closest: Option<(Distance, &Clause)> = None;
    for clause in policy.clauses_between(border.from, border.to) {
        match asked.distance(clause, border) {
            None if admitted.is_none_or(|best| asks(clause) < asks(best)) => admitted = Some(clause),
            Some(distance) if closest.is_none_or(|(least, _)| distance < least) => closest = Some((distance, clause)),
            None | Some(_) => {}
        }
    }
    admitted.ok_or_else(|| {
        Box::new(match closest {
            Some((_, clause)) => asked.miss(clause, facts, policy, border),
            None => Miss::whole(DenialReason::NoClause, facts, &policy.dataset),
        })
    })
}

/// How much a clause asks: the less of two is the one that asks less.
type Asks = ((bool, Noise), u64, Reverse<u64>, u64, (bool, bool), u64, Reverse<u64>, u64);

/// Whether there is noise, and how much.
type Noise = (bool, Reverse<u64>, Reverse<u64>);

/// Masks and noise first, since nothing that is computed of masked or noised rows is exact. Then thresholds: of the others they decide most
/// about what is released.
pub(crate) fn asks(clause: &Clause) -> Asks {
    let (questions, days) = clause.budget.map_or((u64::MAX, 0), |quota| (quota.questions, quota.days));
    let noise = clause.differential_privacy.map_or((false, Reverse(u64::MAX), Reverse(u64::MAX)), |noise| {
        (true, Reverse(noise.epsilon_millionths), Reverse(noise.rows_per_entity_max))
    });
    (
        (clause.form == Form::Masked, noise),
        clause.minimum_entities,
        Reverse(clause.dominance_percent),
        clause.round_to,
        (clause.difference_checks, clause.strict_differences),
        clause.snapshot_hours,
        Reverse(questions),
        days,
    )
}

/// How far a clause is from admitting: how serious what is missing is, then how much of it.
type Distance = (u8, usize);

/// A column, what for, and its class; `None` where the dataset has no such column.
type Use<'a> = (Role, &'a ColumnUse, Option<Class>);

/// What is asked of one dataset, looked up once for all clauses.
struct Asked<'a> {
    form: Form,
    uses: Vec<Use<'a>>,
    /// In lower case.
    functions: Vec<String>,
    plugins: &'a BTreeSet<Digest>,
}

impl<'a> Asked<'a> {
    fn of(policy: &Policy, facts: &'a FragmentFacts) -> Self {
        let own = uses(facts).filter(|(_, column)| column.dataset == policy.dataset);
        Self {
            form: facts.form,
            uses: own.map(|(role, column)| (role, column, policy.class(&column.column))).collect(),
            functions: facts.functions.iter().map(|function| function.to_lowercase()).collect(),
            plugins: &facts.plugins,
        }
    }

    /// `None` where the clause, which is about this border, admits all of it.
    fn distance(&self, clause: &Clause, border: &Border<'_>) -> Option<Distance> {
        match lapse(clause, border) {
            Some(Lapse::Purpose) => return Some((3, 0)),
            Some(Lapse::Expired(_)) => return Some((2, 0)),
            None => {}
        }
        let columns = self.refused_uses(clause).count();
        if self.asks_rows_of_aggregates(clause) {
            return Some((1, columns));
        }
        let refused = columns + self.refused_functions(clause).count() + self.refused_plugins(clause).count();
        (refused > 0).then_some((0, refused))
    }

    /// What is missing, of a clause that does not admit.
    fn miss(&self, clause: &Clause, facts: &FragmentFacts, policy: &Policy, border: &Border<'_>) -> Miss {
        let id = clause.id.clone();
        match lapse(clause, border) {
            Some(Lapse::Purpose) => {
                let (stated, allowed) = (border.purpose.map(str::to_owned), clause.purposes.iter().cloned().collect());
                return Miss::whole(DenialReason::Purpose { clause: id, stated, allowed }, facts, &policy.dataset);
            }
            Some(Lapse::Expired(expires)) => {
                return Miss::whole(DenialReason::Expired { clause: id, expires }, facts, &policy.dataset);
            }
            None => {}
        }
        let refused = self.refused_uses(clause);
        let refused: Vec<RefusedColumn> =
            refused.map(|&(role, column, class)| RefusedColumn { column: column.clone(), role, class }).collect();
        let columns = refused.iter().map(|refused| refused.column.clone()).collect();
        let reason = if self.asks_rows_of_aggregates(clause) {
            DenialReason::RowsAsked { clause: id }
        } else {
            let functions = self.refused_functions(clause).cloned().collect();
            let plugins: Vec<Digest> = self.refused_plugins(clause).copied().collect();
            if clause.differential_privacy.is_some() && refused.is_empty() {
                DenialReason::Unnoised { clause: id, what: Unnoised::Functions(functions) }
            } else {
                DenialReason::NotListed { clause: id, columns: refused, functions, plugins }
            }
        };
        Miss { reason, columns }
    }

    fn asks_rows_of_aggregates(&self, clause: &Clause) -> bool {
        self.form == Form::Rows && clause.form == Form::Aggregate
    }

    fn refused_uses(&self, clause: &Clause) -> impl Iterator<Item = &Use<'a>> {
        self.uses.iter().filter(|(role, column, class)| !lists(clause, *role, &column.column, *class))
    }

    /// Where rows may cross, as they are or masked, so may whatever is computed from what crosses.
    fn refused_functions(&self, clause: &Clause) -> impl Iterator<Item = &String> {
        let any = clause.form != Form::Aggregate;
        self.functions.iter().filter(move |function| !any && !clause.functions.contains(*function))
    }

    fn refused_plugins(&self, clause: &Clause) -> impl Iterator<Item = &Digest> {
        let any = clause.form != Form::Aggregate;
        self.plugins.iter().filter(move |digest| !any && !clause.plugins.contains(*digest))
    }
}

/// Why a clause about a border does not hold there.
pub(crate) enum Lapse {
    Purpose,
    Expired(Date),
}

/// Why a clause about this border says nothing for this purpose or on this day.
pub(crate) fn lapse(clause: &Clause, border: &Border<'_>) -> Option<Lapse> {
    let purpose_fits = clause.purposes.is_empty() || border.purpose.is_some_and(|it| clause.purposes.contains(it));
    if !purpose_fits {
        return Some(Lapse::Purpose);
    }
    clause.expires.filter(|last| *last < Date(border.today)).map(Lapse::Expired)
}

/// Whether the clause lets the column be used in that role.
pub(crate) fn admits(policy: &Policy, clause: &Clause, role: Role, column: &str) -> bool {
    lists(clause, role, column, policy.class(column))
}

/// As [`admits`]. `class` is the column's; `None` where the dataset has no such column.
fn lists(clause: &Clause, role: Role, column: &str, class: Option<Class>) -> bool {
    if class.is_none() || (class == Some(Class::Identifier) && !clause.identifiers && clause.form != Form::Masked) {
        return false;
    }
    let list = match (clause.form, role) {
        (Form::Rows, _) => return true,
        (Form::Masked, _) => return clause.masks.contains_key(column),
        (Form::Aggregate, Role::Output) => return false,
        (Form::Aggregate, Role::GroupBy) => &clause.group_by,
        (Form::Aggregate, Role::Measure) => &clause.measures,
        (Form::Aggregate, Role::Filter) => &clause.filter_by,
    };
    list.iter().any(|listed| listed == column)
}
