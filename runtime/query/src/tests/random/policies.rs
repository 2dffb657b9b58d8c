//! Three small datasets, and policies drawn for them.

use std::fmt::Write as _;

use domicile_policy::PolicySet;
use domicile_store::DatasetSpec;
use domicile_types::{Column, ColumnType, Dataset};

use super::{Chance, REGIONS, TODAY};
use crate::catalog::Catalog;

pub(super) const PERSON: [(&str, ColumnType); 6] = [
    ("id", ColumnType::BigInt),
    ("country", ColumnType::Text),
    ("city", ColumnType::Text),
    ("age", ColumnType::BigInt),
    ("income", ColumnType::Double),
    ("name", ColumnType::Text),
];
pub(super) const VISIT: [(&str, ColumnType); 6] = [
    ("vid", ColumnType::BigInt),
    ("who", ColumnType::BigInt),
    ("kind", ColumnType::Text),
    ("day", ColumnType::Date),
    ("amount", ColumnType::Double),
    ("note", ColumnType::Text),
];
pub(super) const PLACE: [(&str, ColumnType); 3] =
    [("pcity", ColumnType::Text), ("area", ColumnType::Text), ("size", ColumnType::BigInt)];

/// Countries and their homes.
pub(super) const COUNTRIES: [(&str, &str); 4] = [("DE", "eu"), ("FR", "eu"), ("US", "us"), ("IN", "ap")];

const FUNCTIONS: [&str; 12] =
    ["count", "sum", "min", "max", "case", "upper", "lower", "abs", "date_part", "date_trunc", "/", "cast"];
const PURPOSES: [&str; 2] = ["reporting", "fraud"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Aggregate,
    Masked,
    Replicate,
}

/// An `[[allow]]` section, as drawn.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) from: Vec<&'static str>,
    pub(super) to: Vec<&'static str>,
    pub(super) form: Form,
    pub(super) functions: Vec<&'static str>,
    pub(super) group_by: Vec<&'static str>,
    pub(super) filter_by: Vec<&'static str>,
    pub(super) measures: Vec<&'static str>,
    /// Of a masked clause.
    pub(super) columns: Vec<&'static str>,
    pub(super) identifiers: bool,
    pub(super) purposes: Vec<&'static str>,
    pub(super) expired: bool,
}

/// The rules of one dataset.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) dataset: &'static str,
    pub(super) identifiers: Vec<&'static str>,
    pub(super) rules: Vec<Rule>,
}

pub(super) struct World {
    pub(super) catalog: Catalog,
    pub(super) rules: Vec<Rules>,
}

impl World {
    /// Policies that the loader takes: it refuses clauses that another one makes needless.
    pub(super) fn drawn(chance: &mut Chance) -> Self {
        const TRIES: usize = 200;
        for _ in 0..TRIES {
            let rules = vec![
                drawn(chance, "person", &PERSON.map(|(name, _)| name), "id"),
                drawn(chance, "visit", &VISIT.map(|(name, _)| name), "vid"),
            ];
            let homes = REGIONS.map(|region| {
                let values: Vec<String> = COUNTRIES
                    .iter()
                    .filter(|(_, home)| *home == region)
                    .map(|(value, _)| format!("{value:?}"))
                    .collect();
                format!("[[residency.home]]\nregion = {region:?}\nvalues = [{}]\n", values.join(", "))
            });
            let person = format!("[residency]\nentity = \"id\"\ncolumn = \"country\"\n{}", homes.join(""));
            let visit = "[residency]\nfollows = \"person\"\non = \"who\"\n".to_owned();
            let texts = [(&rules[0], &person, &PERSON), (&rules[1], &visit, &VISIT)]
                .map(|(rules, residency, columns)| (rules.dataset.to_owned(), text(rules, residency, columns)));
            let datasets = datasets();
            if let Ok(policies) = PolicySet::load(&datasets, &texts) {
                let spec = |(dataset, _): &(Dataset, bool)| DatasetSpec {
                    dataset: dataset.clone(),
                    residency: policies.residency(&dataset.name).unwrap().clone(),
                };
                let specs = datasets.iter().map(spec).collect();
                return Self { catalog: Catalog::new(specs, policies), rules };
            }
        }
        panic!("none of {TRIES} drawn policies is taken");
    }
}

fn datasets() -> Vec<(Dataset, bool)> {
    let dataset = |name: &str, columns: &[(&str, ColumnType)]| {
        let column =
            |(name, kind): &(&str, ColumnType)| Column { name: (*name).to_owned(), kind: *kind, nullable: false };
        let key = vec![columns[0].0.to_owned()];
        Dataset::new(name.parse().unwrap(), columns.iter().map(column).collect(), key).unwrap()
    };
    vec![(dataset("person", &PERSON), false), (dataset("visit", &VISIT), false), (dataset("place", &PLACE), true)]
}

fn drawn(chance: &mut Chance, dataset: &'static str, columns: &[&'static str], key: &'static str) -> Rules {
    let mut identifiers = vec![key];
    identifiers.extend(columns.iter().copied().filter(|column| *column != key && chance.percent(20)));
    let clauses = 1 + chance.below(3);
    let rules = (0..clauses).map(|_| rule(chance, columns, &identifiers)).collect();
    Rules { dataset, identifiers, rules }
}

fn rule(chance: &mut Chance, columns: &[&'static str], identifiers: &[&'static str]) -> Rule {
    let form = match chance.below(10) {
        0 => Form::Replicate,
        1 => Form::Masked,
        _ => Form::Aggregate,
    };
    let with_identifiers = chance.percent(40);
    let list = |chance: &mut Chance| {
        let listed = chance.some(columns, 85);
        listed.into_iter().filter(|column| with_identifiers || !identifiers.contains(column)).collect::<Vec<_>>()
    };
    let (group_by, filter_by, measures) = (list(chance), list(chance), list(chance));
    Rule {
        from: chance.some(&REGIONS, 90),
        to: chance.some(&REGIONS, 90),
        form,
        functions: chance.some(&FUNCTIONS, 90),
        group_by,
        filter_by,
        measures,
        columns: chance.some(columns, 80),
        identifiers: with_identifiers && form != Form::Masked,
        purposes: if chance.percent(25) { chance.some(&PURPOSES, 60) } else { Vec::new() },
        expired: chance.percent(10),
    }
}

fn text(rules: &Rules, residency: &str, columns: &[(&str, ColumnType)]) -> String {
    let list = |names: &[&str]| format!("{names:?}");
    let others = columns.iter().map(|(name, _)| *name).filter(|name| !rules.identifiers.contains(name));
    let mut text = format!(
        "schema = 1\ndataset = {:?}\nversion = 1\n{residency}[classes]\nidentifier = {}\nquasi = {}\n",
        rules.dataset,
        list(&rules.identifiers),
        list(&others.collect::<Vec<_>>()),
    );
    for (number, rule) in rules.rules.iter().enumerate() {
        write!(text, "[[allow]]\nid = \"c{number}\"\nfrom = {}\nto = {}\n", list(&rule.from), list(&rule.to)).unwrap();
        if !rule.purposes.is_empty() {
            writeln!(text, "purposes = {}", list(&rule.purposes)).unwrap();
        }
        if rule.expired {
            writeln!(text, "expires = {:?}", domicile_policy::Date(TODAY - 1).to_string()).unwrap();
        }
        // With a basis of its own, none makes another needless for asking the same.
        writeln!(text, "legal_basis = \"basis {number}\"").unwrap();
        match rule.form {
            Form::Replicate => writeln!(text, "form = \"replicate\"\nidentifiers = {}", rule.identifiers).unwrap(),
            Form::Masked => {
                let masks = rule.columns.iter().enumerate();
                let masks =
                    masks.map(|(at, column)| format!("{column} = {:?}", if at == 0 { "null" } else { "plain" }));
                let masks = masks.collect::<Vec<_>>().join(", ");
                writeln!(text, "form = \"masked\"\ncolumns = {{ {masks} }}").unwrap();
            }
            Form::Aggregate => {
                let (functions, group_by) = (list(&rule.functions), list(&rule.group_by));
                writeln!(text, "form = \"aggregate\"\nidentifiers = {}", rule.identifiers).unwrap();
                writeln!(text, "functions = {functions}\ngroup_by = {group_by}").unwrap();
                writeln!(text, "filter_by = {}\nmeasures = {}", list(&rule.filter_by), list(&rule.measures)).unwrap();
                writeln!(text, "minimum_entities = 1").unwrap();
            }
        }
    }
    text
}
