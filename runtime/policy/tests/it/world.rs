//! A small world for the tests: three resident datasets, one reference dataset, two regions.

use std::collections::BTreeSet;

use domicile_policy::{Border, ColumnUse, Form, FragmentFacts, PolicySet};
use domicile_types::{Column, ColumnType, Dataset, DatasetName, RegionId};

pub(crate) const CUSTOMER: &str = r#"schema = 1
dataset = "customer"
version = 1

[residency]
entity = "c_key"
column = "c_nation"

[[residency.home]]
region = "eu"
name = "EUROPE"
values = [6, 7]

[[residency.home]]
region = "us"
values = [24]

[classes]
identifier = ["c_key", "c_name"]
quasi = ["c_nation", "c_segment"]
measure = ["c_balance"]

[[allow]]
id = "sales"
from = ["eu", "us"]
to = ["eu", "us"]
form = "aggregate"
functions = ["count", "SUM", "date_trunc"]
group_by = ["c_nation"]
filter_by = ["c_nation", "c_segment"]
measures = ["c_balance"]
minimum_entities = 10
legal_basis = "test"
"#;

pub(crate) const ORDERS: &str = r#"schema = 1
dataset = "orders"
version = 3
[residency]
follows = "customer"
on = "o_customer"
[classes]
identifier = ["o_key", "o_customer"]
quasi = ["o_day"]
measure = ["o_price"]
[[allow]]
id = "orders-sales"
from = ["eu"]
to = ["us"]
form = "aggregate"
functions = ["count", "sum", "date_trunc"]
group_by = ["o_day"]
filter_by = ["o_day"]
measures = ["o_price"]
minimum_entities = 25
legal_basis = "test orders"
"#;

pub(crate) const ITEM: &str = r#"schema = 1
dataset = "item"
version = 1
[residency]
follows = "orders"
on = "i_order"
[classes]
identifier = ["i_order"]
quasi = ["i_line"]
measure = []
"#;

pub(crate) fn files() -> Vec<(String, String)> {
    let file = |name: &str, text: &str| (format!("{name}.toml"), text.to_owned());
    vec![file("customer", CUSTOMER), file("orders", ORDERS), file("item", ITEM)]
}

/// The files with `from` replaced by `to` in the one named `file`.
#[track_caller]
pub(crate) fn changed(file: &str, from: &str, to: &str) -> Vec<(String, String)> {
    let mut files = files();
    let (_, text) = files.iter_mut().find(|(name, _)| name == file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from} must stand once in {file}");
    *text = text.replace(from, to);
    files
}

pub(crate) fn datasets() -> Vec<(Dataset, bool)> {
    use ColumnType::{BigInt, Date, Integer, Text};
    let money = ColumnType::Decimal { precision: 15, scale: 2 };
    let dataset = |name: &str, columns: &[(&str, ColumnType)], keys: &[&str]| {
        let column = |&(name, kind): &(&str, ColumnType)| Column { name: name.to_owned(), kind, nullable: false };
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        Dataset::new(name.parse().unwrap(), columns.iter().map(column).collect(), keys).unwrap()
    };
    let customer =
        [("c_key", BigInt), ("c_name", Text), ("c_nation", BigInt), ("c_segment", Text), ("c_balance", money)];
    let orders = [("o_key", BigInt), ("o_customer", BigInt), ("o_day", Date), ("o_price", money)];
    vec![
        (dataset("customer", &customer, &["c_key"]), false),
        (dataset("orders", &orders, &["o_key"]), false),
        (dataset("item", &[("i_order", BigInt), ("i_line", Integer)], &["i_order", "i_line"]), false),
        (dataset("part", &[("p_key", BigInt), ("p_group", Text)], &["p_key"]), true),
    ]
}

pub(crate) fn set(files: &[(String, String)]) -> PolicySet {
    PolicySet::load(&datasets(), files).unwrap()
}

pub(crate) fn name(dataset: &str) -> DatasetName {
    dataset.parse().unwrap()
}

pub(crate) fn region(id: &str) -> RegionId {
    id.parse().unwrap()
}

/// A column written `dataset.column`.
pub(crate) fn column(text: &str) -> ColumnUse {
    let (dataset, column) = text.split_once('.').unwrap();
    ColumnUse { dataset: name(dataset), column: column.to_owned() }
}

/// Facts with the columns written `dataset.column`, separated by blanks.
pub(crate) fn facts(form: Form, lists: [&str; 4], functions: &str) -> FragmentFacts {
    let [outputs, group_by, measures, filters] =
        lists.map(|list| list.split_whitespace().map(column).collect::<Vec<_>>());
    let all = [&outputs, &group_by, &measures, &filters].into_iter().flatten();
    FragmentFacts {
        datasets: all.map(|column| column.dataset.clone()).collect(),
        form,
        outputs,
        group_by,
        measures,
        filters,
        functions: functions.split_whitespace().map(str::to_owned).collect(),
        plugins: BTreeSet::new(),
    }
}

pub(crate) fn aggregate(group_by: &str, measures: &str, filters: &str, functions: &str) -> FragmentFacts {
    facts(Form::Aggregate, ["", group_by, measures, filters], functions)
}

pub(crate) fn rows(outputs: &str, filters: &str) -> FragmentFacts {
    facts(Form::Rows, [outputs, "", "", filters], "")
}

pub(crate) fn judge(
    set: &PolicySet,
    facts: &FragmentFacts,
    from: &str,
    to: &str,
    purpose: Option<&str>,
    today: i32,
) -> Result<domicile_policy::Verdict, Box<domicile_policy::Denial>> {
    set.judge(facts, &Border { from: &region(from), to: &region(to), purpose, today })
}

/// Reads back the few forms of SQL that a rewrite has, written here apart from the code that writes them.
pub(crate) fn read_back(sql: &str) -> FragmentFacts {
    // A date that is cut is that date, and a call.
    let cut = ["month", "quarter"].iter().fold(sql.to_owned(), |sql, unit| sql.replace(&format!("('{unit}', "), "("));
    let (shown, rest) = cut.strip_prefix("SELECT ").unwrap().split_once(" FROM ").unwrap();
    let (dataset, keys) = rest.split_once(" GROUP BY ").unwrap_or((rest, ""));
    let dataset = name(dataset);
    let column =
        |text: &str| ColumnUse { dataset: dataset.clone(), column: text.trim_matches('"').replace("\"\"", "\"") };
    let mut facts = aggregate("", "", "", "");
    facts.datasets = BTreeSet::from([dataset.clone()]);
    let uncut =
        |text: &str| text.strip_prefix("date_trunc(").map_or(text, |rest| rest.trim_end_matches(')')).to_owned();
    facts.group_by = keys.split(", ").filter(|key| !key.is_empty()).map(|key| column(&uncut(key))).collect();
    let mut plain = Vec::new();
    for item in shown.split(", ") {
        let mut call = item.split(" AS ").next().unwrap();
        let cut = uncut(call);
        if cut != call {
            facts.functions.insert("date_trunc".to_owned());
            call = &cut;
        }
        match call.strip_suffix(')').and_then(|call| call.split_once('(')) {
            None => plain.push(column(call)),
            Some((function, argument)) => {
                facts.functions.insert(function.to_owned());
                facts.measures.extend((argument != "*").then(|| column(argument)));
            }
        }
    }
    if facts.functions.is_empty() && facts.group_by.is_empty() {
        facts.form = Form::Rows;
        facts.outputs = plain;
    } else {
        assert_eq!(plain, facts.group_by, "every plain column is a group key");
    }
    facts
}
