//! The nearest query that would be admitted, for the person whose query was not.

use std::collections::BTreeSet;

use domicile_types::{ColumnType, Dataset};

use crate::closest::{admits, inapplicable, uses};
use crate::{Border, Class, Clause, ColumnUse, Form, FragmentFacts, Policy, PolicySet, Role, judge};

/// The rewrite over the policy's own dataset that keeps most of the columns asked for. Its facts have been judged.
pub(crate) fn nearest(set: &PolicySet, policy: &Policy, facts: &FragmentFacts, border: &Border<'_>) -> Option<String> {
    let schema = set.schema(&policy.dataset)?;
    let asked: Vec<&str> = uses(facts)
        .filter(|(role, column)| *role != Role::Filter && column.dataset == policy.dataset)
        .map(|(_, column)| column.column.as_str())
        .collect();
    let applicable = policy.allow.iter().filter(|clause| inapplicable(clause, border).is_none());
    let drafts = applicable.filter_map(|clause| Draft::new(schema, policy, clause, &asked, facts.form));
    let mut admitted: Vec<Draft<'_>> =
        drafts.filter(|draft| judge::verdict(set, &draft.facts(schema), border).is_ok()).collect();
    admitted.sort_by_key(|draft| std::cmp::Reverse(draft.kept(&asked)));
    admitted.first().map(|draft| draft.sql(schema))
}

struct Draft<'a> {
    form: Form,
    keys: Vec<&'a str>,
    count: bool,
    sums: Vec<&'a str>,
}

impl<'a> Draft<'a> {
    /// Asked columns first; where none may be a key, the first that may.
    fn new(schema: &'a Dataset, policy: &Policy, clause: &Clause, asked: &[&str], asked_form: Form) -> Option<Self> {
        let form = if clause.form == Form::Rows { asked_form } else { Form::Aggregate };
        let key_role = if form == Form::Rows { Role::Output } else { Role::GroupBy };
        let may = |role, column: &str| admits(policy, clause, role, column);
        let in_order: Vec<&str> = match clause.form {
            Form::Rows => schema.columns.iter().map(|column| column.name.as_str()).collect(),
            Form::Aggregate => clause.group_by.iter().filter_map(|name| name_in(schema, name)).collect(),
        };
        let mut keys: Vec<&str> = Vec::new();
        for name in asked.iter().filter_map(|name| name_in(schema, name)) {
            let measure = form == Form::Aggregate && policy.classes.get(name) == Some(&Class::Measure);
            if !measure && may(key_role, name) && !keys.contains(&name) {
                keys.push(name);
            }
        }
        if keys.is_empty() {
            let few = |name: &&str| {
                schema.column(name).is_ok_and(|c| matches!(c.kind, ColumnType::Text | ColumnType::Boolean))
            };
            let mut allowed = in_order.into_iter().filter(|name| may(key_role, name)).collect::<Vec<_>>();
            // Texts usually have few values, so that most groups are large enough to be released.
            allowed.sort_by_key(|name| !few(name));
            keys.extend(allowed.first());
        }
        if form == Form::Rows {
            return (!keys.is_empty()).then_some(Self { form, keys, count: false, sums: Vec::new() });
        }
        let calls = |function: &str| clause.form == Form::Rows || clause.functions.contains(function);
        let summable = |name: &&str| calls("sum") && may(Role::Measure, name) && is_number(schema, name);
        let mut sums: Vec<&str> = Vec::new();
        for name in asked.iter().filter_map(|name| name_in(schema, name)).filter(summable) {
            if !keys.contains(&name) && !sums.contains(&name) {
                sums.push(name);
            }
        }
        let count = calls("count");
        if !count && sums.is_empty() {
            sums.extend(schema.columns.iter().map(|column| column.name.as_str()).find(summable));
        }
        (count || !sums.is_empty()).then_some(Self { form, keys, count, sums })
    }

    fn kept(&self, asked: &[&str]) -> usize {
        self.keys.iter().chain(&self.sums).filter(|name| asked.contains(name)).count()
    }

    fn facts(&self, schema: &Dataset) -> FragmentFacts {
        let columns = |names: &[&str]| -> Vec<ColumnUse> {
            let column = |name: &&str| ColumnUse { dataset: schema.name.clone(), column: (*name).to_owned() };
            names.iter().map(column).collect()
        };
        let keys = columns(&self.keys);
        let (outputs, group_by) = if self.form == Form::Rows { (keys, Vec::new()) } else { (Vec::new(), keys) };
        let mut functions = BTreeSet::new();
        functions.extend(self.count.then(|| "count".to_owned()));
        functions.extend((!self.sums.is_empty()).then(|| "sum".to_owned()));
        FragmentFacts {
            datasets: BTreeSet::from([schema.name.clone()]),
            form: self.form,
            outputs,
            group_by,
            measures: columns(&self.sums),
            filters: Vec::new(),
            functions,
            plugins: BTreeSet::new(),
        }
    }

    fn sql(&self, schema: &Dataset) -> String {
        let keys: Vec<String> = self.keys.iter().map(|name| identifier(name)).collect();
        let mut shown = keys.clone();
        shown.extend(self.count.then(|| "count(*) AS rows".to_owned()));
        shown.extend(
            self.sums.iter().map(|name| format!("sum({}) AS {}", identifier(name), identifier(&format!("sum_{name}")))),
        );
        let mut sql = format!("SELECT {} FROM {}", shown.join(", "), schema.name);
        if self.form == Form::Aggregate && !keys.is_empty() {
            sql.push_str(" GROUP BY ");
            sql.push_str(&keys.join(", "));
        }
        sql
    }
}

fn name_in<'a>(schema: &'a Dataset, name: &str) -> Option<&'a str> {
    schema.column(name).ok().map(|column| column.name.as_str())
}

fn is_number(schema: &Dataset, name: &str) -> bool {
    let kind = schema.column(name).map(|column| column.kind);
    matches!(kind, Ok(ColumnType::BigInt | ColumnType::Integer | ColumnType::Double | ColumnType::Decimal { .. }))
}

/// The name as SQL reads it back.
fn identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
