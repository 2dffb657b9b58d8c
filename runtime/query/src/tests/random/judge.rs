//! The judge: what policies say of a crossing, in their own words.

use std::collections::BTreeSet;

use super::policies::{Form, Rule, Rules};

/// What a column is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    Shown,
    Key,
    Measure,
    Filter,
}

/// Something that leaves each of its homes for the region that asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Crossing {
    pub(super) rows: bool,
    pub(super) datasets: BTreeSet<&'static str>,
    pub(super) uses: BTreeSet<(Use, &'static str, &'static str)>,
    pub(super) calls: BTreeSet<&'static str>,
    pub(super) homes: BTreeSet<&'static str>,
    /// The same with conditions inside aggregates as group keys, where there are any.
    pub(super) keyed: Option<Box<Self>>,
}

/// Whether the policies allow it: one clause of each dataset has to allow all of it.
pub(super) fn allowed(rules: &[Rules], crossing: &Crossing, from: &str, to: &str, purpose: Option<&str>) -> bool {
    let keyed = crossing.keyed.as_deref().is_some_and(|keyed| allowed(rules, keyed, from, to, purpose));
    keyed
        || crossing.datasets.iter().all(|dataset| {
            let rules = rules.iter().find(|rules| rules.dataset == *dataset).unwrap();
            rules.rules.iter().any(|rule| allows(rules, rule, crossing, from, to, purpose))
        })
}

fn allows(rules: &Rules, rule: &Rule, crossing: &Crossing, from: &str, to: &str, purpose: Option<&str>) -> bool {
    let place = rule.from.contains(&from) && rule.to.contains(&to);
    let reason = rule.purposes.is_empty() || purpose.is_some_and(|purpose| rule.purposes.contains(&purpose));
    if !place || !reason || rule.expired {
        return false;
    }
    let mut own = crossing.uses.iter().filter(|(_, dataset, _)| *dataset == rules.dataset);
    let may_name = |column: &str| rule.identifiers || !rules.identifiers.contains(&column);
    match rule.form {
        Form::Replicate => own.all(|(_, _, column)| may_name(column)),
        Form::Masked => own.all(|(_, _, column)| rule.columns.contains(column)),
        Form::Aggregate => {
            let listed = |role: Use, column: &&'static str| match role {
                Use::Shown => false,
                Use::Key => rule.group_by.contains(column),
                Use::Measure => rule.measures.contains(column),
                Use::Filter => rule.filter_by.contains(column),
            };
            let calls = crossing.calls.iter().all(|call| rule.functions.contains(call));
            !crossing.rows && calls && own.all(|(role, _, column)| may_name(column) && listed(*role, column))
        }
    }
}
