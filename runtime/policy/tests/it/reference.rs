//! A judge for comparison, made of the words of the README's "Write a policy" and of the types' documentation. It knows
//! nothing of how the crate judges, and is slow and plain.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use domicile_policy::{Border, ColumnUse, Form, FragmentFacts, Mask};
use domicile_types::Digest;

/// What a clause asks: see [`Rule::conditions`].
pub(crate) type Conditions = (u64, u64, u64, bool, u64, Option<(u64, u64)>);

/// A policy file, as its author thinks of it.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) dataset: &'static str,
    /// The `[residency]` section and its homes.
    pub(crate) residency: String,
    /// Class of each column.
    pub(crate) classes: BTreeMap<&'static str, &'static str>,
    pub(crate) clauses: Vec<Rule>,
}

/// What a clause is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    Aggregate,
    Masked,
    Replicate,
}

/// An `[[allow]]` section.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) from: Vec<&'static str>,
    pub(crate) to: Vec<&'static str>,
    pub(crate) form: Means,
    /// Of a masked clause: what is seen of which columns.
    pub(crate) masks: BTreeMap<&'static str, Mask>,
    pub(crate) functions: Vec<&'static str>,
    pub(crate) plugins: Vec<Digest>,
    pub(crate) group_by: Vec<&'static str>,
    pub(crate) filter_by: Vec<&'static str>,
    pub(crate) measures: Vec<&'static str>,
    pub(crate) identifiers: bool,
    pub(crate) minimum_entities: u64,
    pub(crate) dominance_percent: Option<u64>,
    pub(crate) round_to: Option<u64>,
    /// Questions, and in how many days.
    pub(crate) budget: Option<(u64, u64)>,
    pub(crate) difference_checks: Option<bool>,
    pub(crate) snapshot_hours: Option<u64>,
    pub(crate) purposes: Vec<&'static str>,
    /// Days since 1970-01-01, below 9.
    pub(crate) expires: Option<i32>,
}

impl Rules {
    /// The text of the file.
    pub(crate) fn toml(&self) -> String {
        let mut text = format!("schema = 1\ndataset = {:?}\nversion = 1\n{}[classes]\n", self.dataset, self.residency);
        for class in ["identifier", "quasi", "measure", "public"] {
            let columns: Vec<_> = self.classes.iter().filter(|(_, its)| **its == class).map(|(name, _)| name).collect();
            writeln!(text, "{class} = {columns:?}").unwrap();
        }
        self.clauses.iter().for_each(|clause| clause.write(&mut text));
        text
    }
}

impl Rule {
    fn write(&self, text: &mut String) {
        let Self { id, from, to, identifiers, .. } = self;
        let form = format!("{:?}", self.form).to_lowercase();
        writeln!(text, "[[allow]]\nid = {id:?}\nfrom = {from:?}\nto = {to:?}\nform = {form:?}").unwrap();
        writeln!(text, "legal_basis = \"basis of {id}\"").unwrap();
        if !self.purposes.is_empty() {
            writeln!(text, "purposes = {:?}", self.purposes).unwrap();
        }
        if let Some(day) = self.expires {
            writeln!(text, "expires = \"1970-01-0{}\"", day + 1).unwrap();
        }
        match self.form {
            Means::Masked => return self.write_masks(text),
            Means::Replicate => return writeln!(text, "identifiers = {identifiers}").unwrap(),
            Means::Aggregate => writeln!(text, "identifiers = {identifiers}").unwrap(),
        }
        let Self { functions, group_by, filter_by, measures, minimum_entities, .. } = self;
        let plugins: Vec<String> = self.plugins.iter().map(ToString::to_string).collect();
        writeln!(text, "functions = {functions:?}\nplugins = {plugins:?}\ngroup_by = {group_by:?}").unwrap();
        writeln!(text, "filter_by = {filter_by:?}\nmeasures = {measures:?}").unwrap();
        writeln!(text, "minimum_entities = {minimum_entities}").unwrap();
        let numbers = [
            ("dominance_percent", self.dominance_percent),
            ("round_to", self.round_to),
            ("snapshot_hours", self.snapshot_hours),
        ];
        for (key, value) in numbers {
            value.into_iter().for_each(|value| writeln!(text, "{key} = {value}").unwrap());
        }
        if let Some((questions, days)) = self.budget {
            writeln!(text, "budget = {{ questions = {questions}, days = {days} }}").unwrap();
        }
        if let Some(checks) = self.difference_checks {
            writeln!(text, "difference_checks = {checks}").unwrap();
        }
    }

    fn write_masks(&self, text: &mut String) {
        writeln!(text, "[allow.columns]").unwrap();
        for (column, mask) in &self.masks {
            match mask {
                Mask::Prefix(characters) => writeln!(text, "{column} = {{ prefix = {characters} }}"),
                Mask::MultipleOf(step) => writeln!(text, "{column} = {{ multiple_of = {step} }}"),
                plain => writeln!(text, "{column} = {:?}", format!("{plain:?}").to_lowercase()),
            }
            .unwrap();
        }
    }

    /// Fewest entities, largest share in percent, step of numbers, checks, hours and budget, as a verdict writes them.
    pub(crate) fn conditions(&self) -> Conditions {
        if self.form != Means::Aggregate {
            return (0, 100, 0, false, 0, None);
        }
        (
            self.minimum_entities,
            self.dominance_percent.unwrap_or(100),
            self.round_to.unwrap_or(0),
            self.difference_checks.unwrap_or(true),
            self.snapshot_hours.unwrap_or(0),
            self.budget,
        )
    }

    /// "Nothing crosses a border unless an `[[allow]]` clause lists it."
    fn allows(&self, rules: &Rules, facts: &FragmentFacts, border: &Border<'_>) -> bool {
        // Where from, where to, what for, until when.
        if !self.from.contains(&border.from.as_str()) || !self.to.contains(&border.to.as_str()) {
            return false;
        }
        if !self.purposes.is_empty() && !border.purpose.is_some_and(|purpose| self.purposes.contains(&purpose)) {
            return false;
        }
        if self.expires.is_some_and(|last| border.today > last) {
            return false;
        }
        let own = |column: &&ColumnUse| column.dataset.as_str() == rules.dataset;
        // "Columns that are not in the table may not be used at all", and functions do not matter.
        if self.form == Means::Masked {
            return columns(facts).into_iter().filter(own).all(|it| self.masks.contains_key(it.column.as_str()));
        }
        // A column has to exist, and an identifier needs the clause's word.
        for column in columns(facts).into_iter().filter(own) {
            match rules.classes.get(column.column.as_str()) {
                None => return false,
                Some(&"identifier") if !self.identifiers => return false,
                Some(_) => {}
            }
        }
        // "Rows include aggregates."
        if self.form == Means::Replicate {
            return true;
        }
        if facts.form == Form::Rows {
            return false;
        }
        let listed = |list: &[&str], used: &[ColumnUse]| {
            used.iter().filter(own).all(|column| list.contains(&column.column.as_str()))
        };
        // "Where an aggregate names an output, the column counts as a group key."
        let columns = listed(&self.group_by, &facts.outputs)
            && listed(&self.group_by, &facts.group_by)
            && listed(&self.measures, &facts.measures)
            && listed(&self.filter_by, &facts.filters);
        let functions =
            facts.functions.iter().all(|asked| self.functions.iter().any(|f| f.eq_ignore_ascii_case(asked)));
        columns && functions && facts.plugins.iter().all(|plugin| self.plugins.contains(plugin))
    }
}

fn columns(facts: &FragmentFacts) -> Vec<&ColumnUse> {
    [&facts.outputs, &facts.group_by, &facts.measures, &facts.filters].into_iter().flatten().collect()
}

/// Of each resident dataset that is read, the clauses that allow it; `None` where the fragment may not cross.
pub(crate) fn allowing<'a>(
    policies: &'a [Rules],
    facts: &FragmentFacts,
    border: &Border<'_>,
) -> Option<BTreeMap<&'a str, Vec<&'a Rule>>> {
    // "The same region is no border."
    if border.from == border.to {
        return Some(BTreeMap::new());
    }
    let named = columns(facts).into_iter().map(|column| column.dataset.as_str());
    let read: BTreeSet<&str> = facts.datasets.iter().map(|dataset| dataset.as_str()).chain(named).collect();
    let mut all = BTreeMap::new();
    // "Reference data concerns nobody; there is no policy."
    for dataset in read.into_iter().filter(|dataset| *dataset != "part") {
        let rules = policies.iter().find(|rules| rules.dataset == dataset)?;
        let clauses: Vec<&Rule> = rules.clauses.iter().filter(|clause| clause.allows(rules, facts, border)).collect();
        if clauses.is_empty() {
            return None;
        }
        all.insert(rules.dataset, clauses);
    }
    Some(all)
}
