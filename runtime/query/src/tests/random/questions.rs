//! Questions over random relations, with the crossings that they cannot do without.

use super::Chance;
use super::judge::{Crossing, Use};
use super::relations::{Flow, Kind, Names, Part, Rows, condition, expression, rows};

/// A question, and what of it has to cross.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) sql: String,
    pub(super) crossings: Vec<Crossing>,
}

/// What has crossed, as a subquery: a text key and a number.
struct Met {
    sql: String,
    crossing: Crossing,
}

impl Crossing {
    fn of(rows: &Rows, as_rows: bool) -> Self {
        let mut crossing = Self { rows: as_rows, ..Self::default() };
        crossing.datasets.clone_from(&rows.datasets);
        crossing.homes.clone_from(&rows.homes);
        crossing.note(Use::Filter, &rows.filters, false);
        crossing
    }

    /// Columns used in this way. What a condition inside an aggregate looks at is a filter, and called `case`.
    fn note(&mut self, used: Use, flow: &Flow, within_aggregate: bool) {
        if used == Use::Measure {
            self.uses.extend(flow.values.iter().map(|(dataset, column)| (Use::Measure, *dataset, *column)));
            self.uses.extend(flow.conditions.iter().map(|(dataset, column)| (Use::Filter, *dataset, *column)));
        } else {
            self.uses.extend(flow.columns().map(|(dataset, column)| (used, dataset, column)));
        }
        self.calls.extend(flow.calls.iter().copied().filter(|call| within_aggregate || *call != "case"));
    }
}

/// Columns that name rows: how many of these there are is no more than how many rows there are.
const NAMES: [(&str, &str); 3] = [("person", "id"), ("visit", "vid"), ("visit", "who")];

fn names_rows(flow: &Flow) -> bool {
    let is_plain = flow.conditions.is_empty() && flow.calls.is_empty() && flow.values.len() == 1;
    is_plain && flow.values.iter().all(|column| NAMES.contains(column))
}

/// The same crossing with the conditions of its aggregates as group keys; `before` is what it was without these.
fn keyed(before: Crossing, crossing: &Crossing) -> Crossing {
    let mut keyed = crossing.clone();
    for (used, dataset, column) in &crossing.uses {
        if *used == Use::Filter && !before.uses.contains(&(*used, dataset, column)) {
            keyed.uses.remove(&(*used, *dataset, *column));
            keyed.uses.insert((Use::Key, *dataset, *column));
        }
    }
    if !before.calls.contains("case") {
        keyed.calls.remove("case");
    }
    keyed
}

/// One aggregate over the rows.
fn aggregate(chance: &mut Chance, rows: &Rows, crossing: &mut Crossing) -> String {
    let any = if chance.percent(60) { chance.of(&rows.columns).clone() } else { expression(chance, rows) };
    let (sql, calls, argument): (String, &[&'static str], Option<&Part>) = match (chance.below(6), any.kind) {
        (0 | 1, _) => ("count(*)".to_owned(), &["count"], None),
        (2 | 3, Kind::Number) => (format!("sum({})", any.sql), &["sum"], Some(&any)),
        (4, Kind::Number) => (format!("avg({})", any.sql), &["sum", "count"], Some(&any)),
        (2, _) => (format!("max({})", any.sql), &["max"], Some(&any)),
        (3, _) => (format!("min({})", any.sql), &["min"], Some(&any)),
        _ => (format!("count({})", any.sql), &["count"], Some(&any)),
    };
    crossing.calls.extend(calls);
    let counts_rows = sql.starts_with("count") && argument.is_some_and(|argument| names_rows(&argument.flow));
    if let Some(argument) = argument.filter(|_| !counts_rows) {
        crossing.note(Use::Measure, &argument.flow, true);
    }
    if chance.percent(15) {
        let (condition, looked_at) = condition(chance, rows);
        crossing.note(Use::Filter, &looked_at, true);
        crossing.calls.insert("case");
        return format!("{sql} FILTER (WHERE {condition})");
    }
    sql
}

/// Groups of rows: keys, aggregates, and now and then a condition on groups.
fn groups(chance: &mut Chance, names: &mut Names) -> Question {
    let rows = rows(chance, names, 2);
    let mut crossing = Crossing::of(&rows, false);
    let (mut items, mut keys) = (Vec::new(), Vec::new());
    for _ in 0..chance.below(3) {
        let key = if chance.percent(60) { chance.of(&rows.columns).clone() } else { expression(chance, &rows) };
        if !keys.contains(&key.sql) {
            crossing.note(Use::Key, &key.flow, false);
            items.push(format!("{} AS {}", key.sql, names.next("k")));
            keys.push(key.sql);
        }
    }
    let before = crossing.clone();
    for _ in 0..1 + chance.below(3) {
        let aggregate = aggregate(chance, &rows, &mut crossing);
        items.push(format!("{aggregate} AS {}", names.next("a")));
    }
    let mut sql = format!("SELECT {} FROM {}", items.join(", "), rows.source());
    if !keys.is_empty() {
        sql.push_str(&format!(" GROUP BY {}", keys.join(", ")));
    }
    if chance.percent(20) {
        let aggregate = aggregate(chance, &rows, &mut crossing);
        sql.push_str(&format!(" HAVING {aggregate} IS NOT NULL"));
    }
    if chance.percent(30) {
        sql.push_str(" ORDER BY 1 LIMIT 7");
    }
    crossing.keyed = Some(Box::new(keyed(before, &crossing)));
    Question { sql, crossings: vec![crossing] }
}

/// Groups with one text key and one number, to be used further.
fn met(chance: &mut Chance, names: &mut Names) -> Met {
    let rows = rows(chance, names, 1);
    let mut crossing = Crossing::of(&rows, false);
    let texts: Vec<&Part> = rows.columns.iter().filter(|column| column.kind == Kind::Text).collect();
    let key = (!texts.is_empty()).then(|| (*chance.of(&texts)).clone());
    let numbers: Vec<&Part> = rows.columns.iter().filter(|column| column.kind == Kind::Number).collect();
    let number = (!numbers.is_empty() && chance.percent(60)).then(|| (*chance.of(&numbers)).clone());
    let value = match &number {
        Some(number) => {
            crossing.note(Use::Measure, &number.flow, true);
            crossing.calls.insert("sum");
            format!("CAST(sum({}) AS DOUBLE)", number.sql)
        }
        None => {
            crossing.calls.insert("count");
            "CAST(count(*) AS DOUBLE)".to_owned()
        }
    };
    let (shown, by) = match &key {
        Some(key) => {
            crossing.note(Use::Key, &key.flow, false);
            (key.sql.clone(), format!(" GROUP BY {}", key.sql))
        }
        None => ("'all'".to_owned(), String::new()),
    };
    Met { sql: format!("SELECT {shown} AS g, {value} AS n FROM {}{by}", rows.source()), crossing }
}

/// Rows as they are, with all that decides which.
fn shown(chance: &mut Chance, names: &mut Names) -> Question {
    let rows = rows(chance, names, 2);
    let mut crossing = Crossing::of(&rows, true);
    let mut items = Vec::new();
    for _ in 0..1 + chance.below(3) {
        let part = if chance.percent(70) { chance.of(&rows.columns).clone() } else { expression(chance, &rows) };
        crossing.note(Use::Shown, &part.flow, true);
        items.push(format!("{} AS {}", part.sql, names.next("c")));
    }
    if chance.percent(20) {
        let part = chance.of(&rows.columns).clone();
        crossing.note(Use::Shown, &part.flow, true);
        items.push(format!("row_number() OVER (ORDER BY {}) AS {}", part.sql, names.next("w")));
    }
    let order = if chance.percent(30) { " ORDER BY 1 LIMIT 3" } else { "" };
    Question { sql: format!("SELECT {} FROM {}{order}", items.join(", "), rows.source()), crossings: vec![crossing] }
}

/// Distinct values are groups without aggregates.
fn distinct(chance: &mut Chance, names: &mut Names) -> Question {
    let rows = rows(chance, names, 1);
    let mut crossing = Crossing::of(&rows, false);
    let mut items = Vec::new();
    for _ in 0..1 + chance.below(2) {
        let part = chance.of(&rows.columns).clone();
        crossing.note(Use::Key, &part.flow, false);
        items.push(format!("{} AS {}", part.sql, names.next("d")));
    }
    Question { sql: format!("SELECT DISTINCT {} FROM {}", items.join(", "), rows.source()), crossings: vec![crossing] }
}

/// Groups of two relations put together where they meet.
fn both(chance: &mut Chance, names: &mut Names) -> Question {
    let (one, other) = (met(chance, names), met(chance, names));
    let (a, b) = (names.next("m"), names.next("m"));
    let operator = *chance.of(&["UNION ALL", "UNION", "EXCEPT", "INTERSECT"]);
    let sql = match chance.below(3) {
        0 => format!("{} {operator} {}", one.sql, other.sql),
        1 => format!(
            "WITH {a} AS ({}), {b} AS ({}) SELECT {a}.g, {a}.n - {b}.n AS d FROM {a} JOIN {b} ON {a}.g = {b}.g",
            one.sql, other.sql
        ),
        _ => format!("SELECT g, sum(n) AS s FROM ({} UNION ALL {}) AS {a} GROUP BY g ORDER BY 2", one.sql, other.sql),
    };
    Question { sql, crossings: vec![one.crossing, other.crossing] }
}

/// More work over groups that have crossed.
fn further(chance: &mut Chance, names: &mut Names) -> Question {
    let met = met(chance, names);
    let alias = names.next("m");
    let rest = match chance.below(4) {
        0 => format!("SELECT max(n) AS top, count(DISTINCT g) AS d FROM ({}) AS {alias}", met.sql),
        1 => format!("SELECT g, n, rank() OVER (ORDER BY n DESC) AS r FROM ({}) AS {alias}", met.sql),
        2 => format!("WITH {alias} AS ({}) SELECT g FROM {alias} WHERE n > (SELECT avg(n) FROM {alias})", met.sql),
        _ => format!(
            "SELECT upper(g) AS u, CASE WHEN n > 3 THEN 'much' ELSE 'little' END AS c FROM ({}) AS {alias}",
            met.sql
        ),
    };
    Question { sql: rest, crossings: vec![met.crossing] }
}

/// Rows beside groups that have crossed: these rows have to cross as well.
fn mixed(chance: &mut Chance, names: &mut Names) -> Question {
    let met = met(chance, names);
    let rows = rows(chance, names, 0);
    let mut crossing = Crossing::of(&rows, true);
    let part = chance.of(&rows.columns).clone();
    crossing.note(Use::Shown, &part.flow, true);
    let (alias, column) = (names.next("m"), names.next("c"));
    let inner = format!("(SELECT {} AS {column} FROM {})", part.sql, rows.source());
    let sql = format!("SELECT {column}, sum(n) AS s FROM ({}) AS {alias} CROSS JOIN {inner} AS r GROUP BY 1", met.sql);
    Question { sql, crossings: vec![met.crossing, crossing] }
}

/// Conditions that look into other residents' rows.
fn looking_into(chance: &mut Chance, names: &mut Names) -> Question {
    let mut question = groups_of_person(names);
    let crossing = &mut question.crossings[0];
    let inside = *chance.of(&[
        "age IN (SELECT vid FROM visit)",
        "EXISTS (SELECT 1 FROM visit WHERE who = age)",
        "age > (SELECT max(vid) FROM visit)",
        "age = ANY (SELECT vid FROM visit)",
    ]);
    crossing.uses.insert((Use::Filter, "person", "age"));
    question.sql.push_str(&format!(" WHERE {inside}"));
    question
}

fn groups_of_person(names: &mut Names) -> Question {
    let mut crossing = Crossing { calls: ["count"].into(), datasets: ["person"].into(), ..Crossing::default() };
    crossing.homes.extend(super::REGIONS);
    let alias = names.next("t");
    Question { sql: format!("SELECT count(*) AS n FROM person AS {alias}"), crossings: vec![crossing] }
}

/// A question.
pub(super) fn question(chance: &mut Chance) -> Question {
    let names = &mut Names::default();
    match chance.below(20) {
        0..=8 => groups(chance, names),
        9 | 10 => distinct(chance, names),
        11 | 12 => shown(chance, names),
        13..=15 => both(chance, names),
        16 | 17 => further(chance, names),
        18 => mixed(chance, names),
        _ => looking_into(chance, names),
    }
}
