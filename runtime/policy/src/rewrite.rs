//! The nearest queries that would be admitted, for the person whose query was not.

use std::collections::BTreeSet;
use std::fmt;

use domicile_types::limits::REWRITES_MAX;
use domicile_types::{ColumnType, Dataset, RegionId};

use crate::closest::{admits, lapse, uses};
use crate::{Border, Class, Clause, ColumnUse, Form, FragmentFacts, Mask, Policy, PolicySet, Role, judge};

/// A question near a denied one, and what is other about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// The question.
    pub sql: String,
    /// What is other about it.
    pub change: Change,
}

/// What a rewrite changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It shows less: refused columns are left out, or replaced by coarser ones.
    Coarser,
    /// It asks for groups where rows were asked for.
    Aggregate,
    /// It lacks the refused conditions.
    WithoutFilter,
    /// The same question, asked at the edge of this region.
    AskAt(RegionId),
    /// The same question, asked for this purpose.
    Purpose(String),
}

impl Change {
    /// Its name in documents; it does not change between versions.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Coarser => "coarser",
            Self::Aggregate => "aggregate",
            Self::WithoutFilter => "without-filter",
            Self::AskAt(_) => "ask-at",
            Self::Purpose(_) => "purpose",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coarser => f.write_str("leave out what may not cross, or ask for something coarser"),
            Self::Aggregate => f.write_str("ask for groups in place of rows"),
            Self::WithoutFilter => f.write_str("leave out the conditions that are refused"),
            Self::AskAt(edge) => write!(f, "ask at edge {edge}, where all that is read may go"),
            Self::Purpose(purpose) => write!(f, "state the purpose `{purpose}`, if that is what the answer is for"),
        }
    }
}

/// Rewrites over the policy's own dataset, those first that keep most of the columns asked for, and rather rows where
/// rows were. Their facts have been judged.
pub(crate) fn nearest(set: &PolicySet, policy: &Policy, facts: &FragmentFacts, border: &Border<'_>) -> Vec<Rewrite> {
    let Some(schema) = set.schema(&policy.dataset) else { return Vec::new() };
    let asked: Vec<&str> = uses(facts)
        .filter(|(role, column)| *role != Role::Filter && column.dataset == policy.dataset)
        .map(|(_, column)| column.column.as_str())
        .collect();
    let applicable = policy.clauses_between(border.from, border.to).filter(|clause| lapse(clause, border).is_none());
    let drafts = applicable.filter_map(|clause| Draft::new(schema, policy, clause, &asked, facts.form));
    let mut drafts: Vec<Draft<'_>> = drafts.collect();
    drafts.sort_by_cached_key(|draft| (std::cmp::Reverse(draft.kept(&asked)), draft.form != facts.form));
    let mut rewrites: Vec<Rewrite> = Vec::new();
    let mut admitted = drafts.iter().filter(|draft| judge::verdict(set, &draft.facts(schema), border).is_ok());
    while rewrites.len() < REWRITES_MAX
        && let Some(draft) = admitted.next()
    {
        let change = if draft.form == facts.form { Change::Coarser } else { Change::Aggregate };
        let rewrite = Rewrite { sql: draft.sql(schema), change };
        if !rewrites.contains(&rewrite) {
            rewrites.push(rewrite);
        }
    }
    rewrites
}

const DATE_TRUNC: &str = "date_trunc";
/// Thresholds up to which a month is likely to have enough entities.
const MONTHLY_ENTITIES: u64 = 25;

struct Draft<'a> {
    form: Form,
    keys: Vec<&'a str>,
    /// What dates among the keys are cut to; groups of single days rarely have enough entities.
    unit: Option<&'static str>,
    count: bool,
    sums: Vec<&'a str>,
}

impl<'a> Draft<'a> {
    /// Asked columns first; where none may be a key, the first that may.
    fn new(schema: &'a Dataset, policy: &Policy, clause: &Clause, asked: &[&str], asked_form: Form) -> Option<Self> {
        let form = if clause.form == Form::Aggregate { Form::Aggregate } else { asked_form };
        let key_role = if form == Form::Rows { Role::Output } else { Role::GroupBy };
        // What is missing in every row is no answer.
        let missing = |column: &str| clause.masks.get(column) == Some(&Mask::Null);
        let may = |role, column: &str| admits(policy, clause, role, column) && !missing(column);
        let in_order: Vec<&str> = match clause.form {
            Form::Rows | Form::Masked => schema.columns.iter().map(|column| column.name.as_str()).collect(),
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
            let rows = Self { form, keys, unit: None, count: false, sums: Vec::new() };
            return (!rows.keys.is_empty()).then_some(rows);
        }
        let calls = |function: &str| clause.form != Form::Aggregate || clause.functions.contains(function);
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
        let unit =
            calls(DATE_TRUNC).then_some(if clause.minimum_entities > MONTHLY_ENTITIES { "quarter" } else { "month" });
        (count || !sums.is_empty()).then_some(Self { form, keys, unit, count, sums })
    }

    /// The key as it is shown and grouped by, and the name that it then needs.
    fn key(&self, schema: &Dataset, name: &str) -> (String, Option<String>) {
        match self.unit.filter(|_| is_date(schema, name)) {
            Some(unit) => {
                (format!("{DATE_TRUNC}('{unit}', {})", identifier(name)), Some(identifier(&format!("{name}_{unit}"))))
            }
            None => (identifier(name), None),
        }
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
        let cut = self.unit.is_some() && self.keys.iter().any(|name| is_date(schema, name));
        functions.extend(cut.then(|| DATE_TRUNC.to_owned()));
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
        let keys: Vec<(String, Option<String>)> = self.keys.iter().map(|name| self.key(schema, name)).collect();
        let shown = keys.iter().map(|(key, name)| match name {
            Some(name) => format!("{key} AS {name}"),
            None => key.clone(),
        });
        let mut shown: Vec<String> = shown.collect();
        let keys: Vec<String> = keys.into_iter().map(|(key, _)| key).collect();
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

fn is_date(schema: &Dataset, name: &str) -> bool {
    schema.column(name).is_ok_and(|column| column.kind == ColumnType::Date)
}

/// The name as SQL reads it back.
fn identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
