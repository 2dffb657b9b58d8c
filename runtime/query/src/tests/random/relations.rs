//! Relations put together from parts, each with what flows into its columns.

use std::collections::BTreeSet;

use domicile_types::ColumnType;

use super::policies::{COUNTRIES, PERSON, PLACE, VISIT};
use super::{Chance, REGIONS};

pub(super) type Base = (&'static str, &'static str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Date,
}

/// What flows into something.
#[derive(Debug, Clone, Default)]
pub(super) struct Flow {
    pub(super) values: BTreeSet<Base>,
    pub(super) conditions: BTreeSet<Base>,
    pub(super) calls: BTreeSet<&'static str>,
}

impl Flow {
    fn and(mut self, other: &Self) -> Self {
        self.values.extend(&other.values);
        self.conditions.extend(&other.conditions);
        self.calls.extend(&other.calls);
        self
    }

    /// The same, only looked at.
    fn looked_at(mut self) -> Self {
        self.conditions.append(&mut self.values);
        self
    }

    fn calling(mut self, call: &'static str) -> Self {
        self.calls.insert(call);
        self
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = Base> {
        self.values.iter().chain(&self.conditions).copied()
    }
}

/// A piece of SQL that has a value.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) sql: String,
    pub(super) kind: Kind,
    pub(super) flow: Flow,
    /// The base column that it is as it stands.
    pub(super) direct: Option<Base>,
}

/// What stands behind `FROM` and `WHERE`: rows that have not crossed.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) from: String,
    pub(super) columns: Vec<Part>,
    pub(super) filters: Flow,
    pub(super) conditions: Vec<String>,
    pub(super) datasets: BTreeSet<&'static str>,
    pub(super) homes: BTreeSet<&'static str>,
}

impl Rows {
    pub(super) fn source(&self) -> String {
        if self.conditions.is_empty() {
            return self.from.clone();
        }
        format!("{} WHERE {}", self.from, self.conditions.join(" AND "))
    }
}

/// Names that occur once in a question.
#[derive(Debug, Default)]
pub(super) struct Names(usize);

impl Names {
    pub(super) fn next(&mut self, prefix: &str) -> String {
        self.0 += 1;
        format!("{prefix}{}", self.0)
    }
}

fn table(names: &mut Names, dataset: &'static str, columns: &[(&'static str, ColumnType)], resident: bool) -> Rows {
    let alias = names.next("t");
    let column = |(name, kind): &(&'static str, ColumnType)| Part {
        sql: format!("{alias}.{name}"),
        kind: match kind {
            ColumnType::Text => Kind::Text,
            ColumnType::Date => Kind::Date,
            _ => Kind::Number,
        },
        flow: Flow { values: resident.then_some((dataset, *name)).into_iter().collect(), ..Flow::default() },
        direct: resident.then_some((dataset, *name)),
    };
    Rows {
        from: format!("{dataset} AS {alias}"),
        columns: columns.iter().map(column).collect(),
        filters: Flow::default(),
        conditions: Vec::new(),
        datasets: resident.then_some(dataset).into_iter().collect(),
        homes: if resident { REGIONS.into_iter().collect() } else { BTreeSet::new() },
    }
}

/// Rows of one or more tables, filtered and nested at random.
pub(super) fn rows(chance: &mut Chance, names: &mut Names, depth: usize) -> Rows {
    let mut rows = match chance.below(if depth == 0 { 4 } else { 6 }) {
        0 => table(names, "person", &PERSON, true),
        1 => table(names, "visit", &VISIT, true),
        2 => followed(chance, names),
        3 => beside_place(chance, names),
        _ => nested(chance, names, depth - 1),
    };
    while chance.percent(35) && rows.conditions.len() < 2 {
        filter(chance, &mut rows);
    }
    rows
}

/// Visits with their persons, on the key that says where they live.
fn followed(chance: &mut Chance, names: &mut Names) -> Rows {
    let (mut visit, mut person) = (table(names, "visit", &VISIT, true), table(names, "person", &PERSON, true));
    let outer = chance.percent(30);
    if outer && chance.percent(50) {
        // A filter below the side that may be empty holds for no visit that has no person: every home is concerned.
        let alias = names.next("s");
        person.from = format!("(SELECT * FROM {} WHERE {} = 'DE') AS {alias}", person.from, person.columns[1].sql);
        for (column, (name, _)) in person.columns.iter_mut().zip(PERSON) {
            column.sql = format!("{alias}.{name}");
        }
        visit.filters.conditions.insert(("person", "country"));
    }
    let join = if outer { "LEFT JOIN" } else { "JOIN" };
    let from = format!("{} {join} {} ON {} = {}", visit.from, person.from, visit.columns[1].sql, person.columns[0].sql);
    visit.columns.append(&mut person.columns);
    visit.datasets.insert("person");
    Rows { from, ..visit }
}

/// Persons with what is known of their cities everywhere.
fn beside_place(chance: &mut Chance, names: &mut Names) -> Rows {
    let (mut person, mut place) = (table(names, "person", &PERSON, true), table(names, "place", &PLACE, false));
    let join = chance.of(&["JOIN", "LEFT JOIN"]);
    let on = format!("{} = {}", person.columns[2].sql, place.columns[0].sql);
    person.filters.conditions.insert(("person", "city"));
    person.columns.append(&mut place.columns);
    Rows { from: format!("{} {join} {} ON {on}", person.from, place.from), ..person }
}

/// A subquery whose columns are computed, as a view would be.
fn nested(chance: &mut Chance, names: &mut Names, depth: usize) -> Rows {
    let inner = rows(chance, names, depth);
    let alias = names.next("s");
    let mut columns = Vec::new();
    let mut items = Vec::new();
    for _ in 0..3 + chance.below(3) {
        let part = if chance.percent(60) { chance.of(&inner.columns).clone() } else { expression(chance, &inner) };
        let name = names.next("x");
        items.push(format!("{} AS {name}", part.sql));
        columns.push(Part { sql: format!("{alias}.{name}"), ..part });
    }
    Rows {
        from: format!("(SELECT {} FROM {}) AS {alias}", items.join(", "), inner.source()),
        columns,
        conditions: Vec::new(),
        ..inner
    }
}

fn pick(chance: &mut Chance, rows: &Rows, kind: Kind) -> Option<Part> {
    let fitting: Vec<&Part> = rows.columns.iter().filter(|column| column.kind == kind).collect();
    (!fitting.is_empty()).then(|| (*chance.of(&fitting)).clone())
}

/// Something computed from columns.
pub(super) fn expression(chance: &mut Chance, rows: &Rows) -> Part {
    let computed = |sql: String, kind, flow| Part { sql, kind, flow, direct: None };
    let column = chance.of(&rows.columns).clone();
    match (chance.below(6), column.kind) {
        (0, _) => {
            let (condition, looked_at) = condition(chance, rows);
            let other = pick(chance, rows, column.kind).unwrap_or_else(|| column.clone());
            let flow = looked_at.and(&column.flow).and(&other.flow).calling("case");
            computed(format!("CASE WHEN {condition} THEN {} ELSE {} END", column.sql, other.sql), column.kind, flow)
        }
        (1, Kind::Number) => {
            let other = pick(chance, rows, Kind::Number).unwrap_or_else(|| column.clone());
            let operator = chance.of(&["+", "-", "*"]);
            computed(format!("({} {operator} {})", column.sql, other.sql), Kind::Number, column.flow.and(&other.flow))
        }
        (2, Kind::Number) => {
            let other = pick(chance, rows, Kind::Number).unwrap_or_else(|| column.clone());
            let divided = !other.flow.values.is_empty() || !other.flow.conditions.is_empty();
            let flow = column.flow.and(&other.flow);
            let flow = if divided { flow.calling("/") } else { flow };
            computed(format!("({} / {})", column.sql, other.sql), Kind::Number, flow)
        }
        (3, Kind::Number) => computed(format!("abs({})", column.sql), Kind::Number, column.flow.calling("abs")),
        (1 | 2, Kind::Text) => {
            let call = *chance.of(&["upper", "lower"]);
            computed(format!("{call}({})", column.sql), Kind::Text, column.flow.calling(call))
        }
        (1, Kind::Date) => {
            computed(format!("date_part('month', {})", column.sql), Kind::Number, column.flow.calling("date_part"))
        }
        (2, Kind::Date) => {
            computed(format!("date_trunc('month', {})", column.sql), Kind::Date, column.flow.calling("date_trunc"))
        }
        _ => column,
    }
}

/// A condition on some column, and what it looks at.
pub(super) fn condition(chance: &mut Chance, rows: &Rows) -> (String, Flow) {
    let column = chance.of(&rows.columns).clone();
    let literal = match column.kind {
        Kind::Number => "3",
        Kind::Text => "'m'",
        Kind::Date => "DATE '2024-05-01'",
    };
    let operator = chance.of(&["<", ">=", "<>"]);
    let sql = match chance.below(5) {
        0 => format!("{} IS NOT NULL", column.sql),
        1 => format!("{} BETWEEN {literal} AND {literal}", column.sql),
        2 => format!("NOT ({} = {literal})", column.sql),
        3 if column.kind == Kind::Text => format!("{} IN (SELECT pcity FROM place WHERE size > 3)", column.sql),
        _ => format!("{} {operator} {literal}", column.sql),
    };
    (sql, column.flow.looked_at())
}

/// One more condition for the rows, now and then one on where they live.
fn filter(chance: &mut Chance, rows: &mut Rows) {
    let home = rows.columns.iter().find(|column| column.direct == Some(("person", "country"))).cloned();
    if let Some(home) = home.filter(|_| chance.percent(50)) {
        let countries = chance.some(&COUNTRIES, 50);
        let (country, region) = *chance.of(&COUNTRIES);
        let listed: Vec<String> = countries.iter().map(|(country, _)| format!("'{country}'")).collect();
        let of_countries: BTreeSet<&str> = countries.iter().map(|(_, region)| *region).collect();
        match chance.below(3) {
            0 => {
                rows.conditions.push(format!("{} = '{country}'", home.sql));
                rows.homes.retain(|home| *home == region);
            }
            1 if !listed.is_empty() => {
                rows.conditions.push(format!("{} IN ({})", home.sql, listed.join(", ")));
                rows.homes.retain(|home| of_countries.contains(home));
            }
            // Lets rows of every home through.
            _ => rows.conditions.push(format!("({} = '{country}' OR {} = {})", home.sql, home.sql, home.sql)),
        }
        rows.filters = rows.filters.clone().and(&home.flow.looked_at());
        return;
    }
    let (sql, flow) = condition(chance, rows);
    rows.conditions.push(sql);
    rows.filters = rows.filters.clone().and(&flow);
}
