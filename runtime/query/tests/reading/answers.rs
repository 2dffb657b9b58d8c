//! Random histories of upserts, deletes and flushes; then the region answers as SQLite does.

use crate::data::{self, Chance};
use crate::oracle::Oracle;
use crate::world::{World, Writing};

const ACCOUNTS: &[&str] = &[
    "id = 17",
    "id IN (1, 2, 3, 200, 9999)",
    "id NOT IN (1, 2, 3)",
    "id BETWEEN 20 AND 60 AND n > 5",
    "id > 215 OR id < 4",
    "area = 'north'",
    "area <> 'north'",
    "area IN ('south', 'West')",
    "area NOT IN ('south', 'West')",
    "area IS NULL",
    "area IS NOT NULL",
    "area >= 'n' AND area < 't'",
    "area LIKE 'n%'",
    "area = ''",
    "born = DATE '2023-02-11'",
    "born >= DATE '2023-04-01' AND born < DATE '2023-07-01'",
    "born < DATE '2023-01-15' OR born > DATE '2024-05-20'",
    "born IS NULL",
    "born IS NULL AND area IS NULL",
    "born IS NOT NULL AND area = 'east' AND id < 100",
    "born BETWEEN DATE '2023-03-31' AND DATE '2023-04-01'",
    "balance > 3.25",
    "balance = 3.25",
    "balance IS NULL",
    "score <= -1.5",
    "active",
    "NOT active",
    "active IS NULL",
    "active = true AND area = 'south'",
    "name LIKE '%e%'",
    "name = 'Dörte'",
    "n IN (1, 5, 7) OR n IS NULL",
    "id % 3 = 1 AND n < 30",
    "area = 'north' OR born IS NULL",
    "(area = 'north' AND id = 5) OR (area = 'south' AND id IN (6, 7))",
    "area = 'nowhere'",
    "1 = 1",
];

const EVENTS: &[&str] = &[
    "at = DATE '2023-01-05'",
    "at >= DATE '2023-02-01' AND at <= DATE '2023-02-28'",
    "at < DATE '2022-01-01'",
    "flag",
    "NOT flag",
    "flag IS NULL AND level = 1",
    "flag IS NOT FALSE",
    "level = 2",
    "level <> 2",
    "level IN (0, 2) AND kind = 'open'",
    "level > 0 AND amount < 0",
    "kind IS NULL",
    "1 = 1",
];

const PAIRS: &[&str] = &[
    "a = 3",
    "b = 'q'",
    "b = 'q' AND a IN (0, 1)",
    "b IN ('p', '', 'absent')",
    "b <> 'q'",
    "b > 'p'",
    "a <> 3 AND v IS NOT NULL",
    "v > 500",
    "v IS NULL",
    "1 = 1",
];

const WHOLE: &[&str] = &["k = 'key 7'", "k > 'key 5'", "w < 300", "k IN ('key 1', 'key 2') AND w > 10", "1 = 1"];

const QUESTIONS: &[&str] = &[
    "SELECT count(*) FROM accounts",
    "SELECT count(*), count(area), count(DISTINCT area), count(DISTINCT id), min(born), max(born) FROM accounts",
    "SELECT area, count(*), sum(balance), avg(score), min(name), max(n) FROM accounts GROUP BY area",
    "SELECT active, area, count(*) FROM accounts WHERE n > 3 GROUP BY active, area",
    "SELECT flag, level, count(*), sum(amount), count(DISTINCT at) FROM events GROUP BY flag, level",
    "SELECT a.id, p.b, p.v FROM accounts AS a JOIN pairs AS p ON a.n = p.a WHERE a.area = 'north'",
    "SELECT count(*) FROM accounts AS a LEFT JOIN pairs AS p ON a.id = p.v WHERE p.v IS NULL",
    "SELECT x.area AS one, y.area AS other, count(*) FROM accounts AS x JOIN accounts AS y ON x.n = y.n GROUP BY x.area, y.area",
    "SELECT count(*) FROM accounts WHERE id IN (SELECT v FROM pairs WHERE a < 3)",
    "SELECT count(*) FROM accounts AS o WHERE EXISTS (SELECT 1 FROM pairs AS p WHERE p.v = o.id)",
    "SELECT id, name FROM accounts ORDER BY id LIMIT 7",
    "SELECT id, name FROM accounts ORDER BY id DESC LIMIT 7",
    "SELECT n, id FROM accounts WHERE n IS NOT NULL ORDER BY n DESC, id LIMIT 5",
    "SELECT born, id FROM accounts WHERE born IS NOT NULL ORDER BY born, id LIMIT 9 OFFSET 4",
    "SELECT k FROM whole ORDER BY w, k LIMIT 3",
    "SELECT DISTINCT b FROM pairs",
    "SELECT a, b FROM pairs WHERE v = (SELECT max(v) FROM pairs)",
    "SELECT level FROM events UNION SELECT a FROM pairs",
    "SELECT min(id), max(id), min(k), max(w) FROM accounts, (SELECT k, w FROM whole WHERE w < 200) AS t",
    "SELECT count(*) FROM (SELECT id FROM accounts WHERE area = 'north' LIMIT 1000) AS t",
];

fn history(seed: u64) -> (World, Oracle) {
    let datasets = data::datasets();
    let (mut writing, oracle, mut chance) =
        (Writing::start(datasets.clone()), Oracle::new(&datasets), Chance::new(seed));
    for _ in 0..50 {
        let dataset = &datasets[chance.below(4) as usize];
        let name = dataset.name.as_str();
        let most = if chance.below(6) == 0 { 160 } else { 12 };
        let rows: Vec<_> = (0..=chance.below(most)).map(|_| data::row(name, &mut chance)).collect();
        match chance.below(10) {
            0 | 1 if !dataset.primary_key.is_empty() => {
                let keys: Vec<_> = rows.iter().map(|row| data::key(dataset, row)).collect();
                writing.delete(name, &keys);
                oracle.delete(dataset, &keys);
            }
            2 if chance.below(2) == 0 => writing.flush(),
            _ => {
                writing.upsert(name, &rows);
                oracle.upsert(dataset, &rows);
            }
        }
    }
    assert!(datasets.iter().all(|dataset| writing.segments(dataset.name.as_str()) > 0), "nothing was flushed");
    (writing.read(), oracle)
}

fn check(world: &World, oracle: &Oracle, seed: u64, sql: &str) {
    let (mut got, mut expect) = (world.rows(sql), oracle.rows(sql));
    got.sort();
    expect.sort();
    if got != expect {
        let only = |a: &[Vec<String>], b: &[Vec<String>]| -> Vec<Vec<String>> {
            a.iter().filter(|row| !b.contains(row)).take(5).cloned().collect()
        };
        let (extra, missing) = (only(&got, &expect), only(&expect, &got));
        panic!("seed {seed}: {sql}\nnot expected: {extra:?}\nmissing: {missing:?}\n{}", world.plan(sql));
    }
}

fn check_filters(world: &World, oracle: &Oracle, seed: u64, dataset: &str, filters: &[&str], total: &str) {
    for filter in filters {
        check(world, oracle, seed, &format!("SELECT * FROM {dataset} WHERE {filter}"));
        check(world, oracle, seed, &format!("SELECT count(*), {total} FROM {dataset} WHERE {filter}"));
        let all = oracle.rows(&format!("SELECT * FROM {dataset} WHERE {filter}"));
        let some = world.rows(&format!("SELECT * FROM {dataset} WHERE {filter} LIMIT 3"));
        assert_eq!(some.len(), all.len().min(3), "seed {seed}: {dataset} WHERE {filter} LIMIT 3");
        assert!(some.iter().all(|row| all.contains(row)), "seed {seed}: {dataset} WHERE {filter} LIMIT 3");
    }
}

fn answers_as_sqlite_does(seed: u64) {
    let (world, oracle) = history(seed);
    check_filters(&world, &oracle, seed, "accounts", ACCOUNTS, "sum(balance), max(name), count(DISTINCT n)");
    check_filters(&world, &oracle, seed, "events", EVENTS, "sum(amount), count(kind)");
    check_filters(&world, &oracle, seed, "pairs", PAIRS, "sum(v), min(b)");
    check_filters(&world, &oracle, seed, "whole", WHOLE, "sum(w), max(k)");
    QUESTIONS.iter().for_each(|sql| check(&world, &oracle, seed, sql));
}

#[test]
fn random_history_1() {
    answers_as_sqlite_does(1);
}

#[test]
fn random_history_2() {
    answers_as_sqlite_does(2);
}

#[test]
fn random_history_3() {
    answers_as_sqlite_does(3);
}

/// More versions of few rows in the log than are merged one by one.
#[test]
fn many_small_batches() {
    let datasets = data::datasets();
    let sizes = domicile_store::Sizes::default();
    let (mut writing, oracle, mut chance) =
        (Writing::with_sizes(datasets.clone(), sizes), Oracle::new(&datasets), Chance::new(99));
    let dataset = data::whole();
    for step in 0..150 {
        let row = data::row("whole", &mut chance);
        if step % 7 == 3 {
            let key = [data::key(&dataset, &row)];
            writing.delete("whole", &key);
            oracle.delete(&dataset, &key);
        } else {
            writing.upsert("whole", std::slice::from_ref(&row));
            oracle.upsert(&dataset, &[row]);
        }
        if step == 60 {
            writing.flush();
        }
    }
    let world = writing.read();
    check_filters(&world, &oracle, 99, "whole", WHOLE, "sum(w), max(k)");
}

#[test]
fn hidden_columns_are_not_seen() {
    let (world, _) = history(7);
    let answer = world.ask("SELECT * FROM accounts LIMIT 1").unwrap();
    let names: Vec<&str> = answer.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["id", "area", "born", "balance", "score", "active", "name", "n"]);
    let nullable: Vec<bool> = answer.schema.fields().iter().map(|field| field.is_nullable()).collect();
    assert_eq!(nullable, [false, true, true, true, true, true, false, true]);
    for column in ["_hlc", "_op", "_origin", "_seq", "_epoch", "_entity"] {
        assert!(world.ask(&format!("SELECT {column} FROM accounts")).is_err(), "{column}");
    }
}

#[test]
fn empty_datasets_answer() {
    let world = Writing::start(data::datasets()).read();
    assert_eq!(world.rows("SELECT count(*), max(id) FROM accounts"), [["0.0000", "∅"]]);
    assert!(world.rows("SELECT * FROM events WHERE level = 1").is_empty());
}
