//! `EXPLAIN`: which partitions and segments a question reads, in counts, and nothing of what they hold.

use domicile_query::QueryError;
use domicile_types::{ColumnType, Dataset, Every};
use serde_json::{Value, json};

use crate::data::{dataset, divided};
use crate::world::{World, Writing};

const COLUMNS: [(&str, ColumnType, bool); 4] = [
    ("id", ColumnType::BigInt, false),
    ("day", ColumnType::Date, true),
    ("area", ColumnType::Text, true),
    ("n", ColumnType::Integer, false),
];

/// One row a day of 2024, all in segments.
fn year(dataset: Dataset) -> World {
    let name = dataset.name.as_str().to_owned();
    let mut writing = Writing::start(vec![dataset]);
    let days = |month: usize| [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
    let dates = (1..=12).flat_map(|month| (1..=days(month)).map(move |day| format!("2024-{month:02}-{day:02}")));
    let area = |id: usize| if id.is_multiple_of(10) { Value::Null } else { json!(["north", "south", "west"][id % 3]) };
    let row = |(id, day): (usize, String)| json!({"id": id, "day": day, "area": area(id), "n": id % 5});
    let rows: Vec<Value> = dates.enumerate().map(row).collect();
    rows.chunks(100).for_each(|rows| writing.upsert(&name, rows));
    writing.flush();
    writing.read()
}

#[track_caller]
fn check(world: &World, table: &str, filter: &str, kept: &str) {
    let plan = world.plan(&format!("SELECT count(*) FROM {table} WHERE {filter}"));
    let partitions = plan.split("dataset=t, partitions=").nth(1).and_then(|rest| rest.split(',').next());
    assert_eq!(partitions, Some(kept), "{filter}\n{plan}");
}

#[test]
fn days_are_pruned() {
    let world = year(divided(dataset("t", &COLUMNS, &[]), Some(("day", Every::Day)), &[]));
    check(&world, "t", "day = DATE '2024-02-29'", "1 of 366");
    check(&world, "t", "day BETWEEN DATE '2024-02-28' AND DATE '2024-03-01'", "3 of 366");
    check(&world, "t", "day > DATE '2024-12-31'", "0 of 366");
    check(&world, "t", "day IN (DATE '2024-01-01', DATE '2024-06-30', DATE '2025-01-01')", "2 of 366");
    check(&world, "t", "day IS NULL", "0 of 366");
    check(&world, "t", "n = 3", "366 of 366");
}

#[test]
fn months_are_pruned() {
    let world = year(divided(dataset("t", &COLUMNS, &["id"]), Some(("day", Every::Month)), &[]));
    check(&world, "t", "day = DATE '2024-02-29'", "1 of 12");
    check(&world, "t", "day >= DATE '2024-03-31' AND day < DATE '2024-05-01'", "2 of 12");
    check(&world, "t", "day < DATE '2024-01-01'", "0 of 12");
    check(&world, "t", "day <> DATE '2024-01-01'", "12 of 12");
    check(&world, "t", "day < DATE '2024-02-01' OR day >= DATE '2024-12-01'", "2 of 12");
    check(&world, "t", "id = 5", "12 of 12");
}

#[test]
fn quarters_are_pruned() {
    let world = year(divided(dataset("t", &COLUMNS, &["id"]), Some(("day", Every::Quarter)), &[]));
    check(&world, "t", "day = DATE '2024-03-31'", "1 of 4");
    check(&world, "t", "day > DATE '2024-03-31'", "3 of 4");
    check(&world, "t", "day >= DATE '2024-03-31' AND day <= DATE '2024-07-01'", "3 of 4");
}

#[test]
fn values_are_pruned() {
    // Three areas with five numbers each, and rows without an area, whose number is always 0.
    let world = year(divided(dataset("t", &COLUMNS, &["id"]), None, &[("area", None), ("n", None)]));
    check(&world, "t", "area = 'north'", "5 of 16");
    check(&world, "t", "area IN ('north', 'west') AND n = 2", "2 of 16");
    check(&world, "t", "area IS NULL", "1 of 16");
    check(&world, "t", "area IS NOT NULL", "15 of 16");
    check(&world, "t", "area <> 'north'", "10 of 16");
    check(&world, "t", "area NOT IN ('north', 'south')", "5 of 16");
    check(&world, "t", "area LIKE 'no%'", "5 of 16");
    check(&world, "t", "n > 2 AND area = 'south'", "2 of 16");
    check(&world, "t", "area = 'elsewhere'", "0 of 16");
    check(&world, "t", "area = 'north' OR id = 7", "16 of 16");
}

#[test]
fn buckets_are_pruned() {
    let world = year(divided(dataset("t", &COLUMNS, &["id"]), None, &[("id", Some(4)), ("area", None)]));
    // Each of the four buckets has rows of three areas and rows without one.
    check(&world, "t", "id = 3", "4 of 16");
    check(&world, "t", "id = 3 AND area = 'north'", "1 of 16");
    check(&world, "t", "id = 3 AND area IS NULL", "1 of 16");
    check(&world, "t", "id IN (7, 7)", "4 of 16");
    check(&world, "t", "id > 3", "16 of 16");
    check(&world, "t", "id <> 3", "16 of 16");
    let texts = year(divided(dataset("t", &COLUMNS, &["id"]), None, &[("area", Some(1024))]));
    check(&texts, "t", "area = 'north'", "1 of 4");
    // Another text could share the bucket of this one; rows without a text pass neither.
    check(&texts, "t", "area <> 'north'", "3 of 4");
    check(&texts, "t", "area IN ('south', 'west')", "2 of 4");
    check(&texts, "t", "area > 'p'", "3 of 4");
    check(&texts, "t", "area IS NULL", "1 of 4");
    check(&texts, "t", "area IS NOT NULL", "3 of 4");
}

#[test]
fn counts_are_shown_and_values_are_not() {
    let table = divided(dataset("t", &COLUMNS, &["id"]), None, &[("area", None)]);
    let mut writing = Writing::start(vec![table]);
    let row = |id: u64, area: &str, n: u64| json!({"id": id, "day": "2024-01-01", "area": area, "n": n});
    let rows: Vec<Value> = (0..30).map(|id| row(id, "hideout", 4711)).collect();
    writing.upsert("t", &rows);
    writing.flush();
    writing.upsert("t", &[row(3, "hideout", 4712), row(100, "harbour", 4713)]);
    writing.delete("t", &[json!({"id": 4})]);
    let world = writing.read();
    let scan = "SegmentsExec: dataset=t, partitions=2 of 2, segments=0 plain + 1 merged, recent_rows=3";
    for sql in ["SELECT count(*) FROM t", "SELECT max(n), min(area) FROM t", "SELECT * FROM t WHERE n > 17 ORDER BY n"]
    {
        let plan = world.plan(sql);
        assert!(plan.contains(scan), "{plan}");
        for hidden in ["hideout", "harbour", "4711", "4712", "4713", "30", "parquet", "_hlc"] {
            assert!(!plan.contains(hidden), "{hidden} in {plan}");
        }
    }
    assert!(world.plan("SELECT * FROM t WHERE n > 17").contains("n@3 > 17"));
    assert_eq!(
        world.rows("SELECT count(*), sum(n) FROM t"),
        [["30.0000".to_owned(), format!("{}.0000", 28 * 4711 + 4712 + 4713)]]
    );
}

#[test]
fn limits_reach_the_scan() {
    let world = year(dataset("t", &COLUMNS, &[]));
    assert!(world.plan("SELECT id FROM t LIMIT 5").contains("limit=5"));
    assert!(!world.plan("SELECT id FROM t WHERE n = 1 LIMIT 5").contains("recent_rows=0, limit"));
}

#[test]
fn explain_takes_one_query_and_no_options() {
    let world = Writing::start(vec![dataset("t", &COLUMNS, &[])]).read();
    for sql in [
        "EXPLAIN ANALYZE SELECT 1 AS x",
        "EXPLAIN VERBOSE SELECT 1 AS x",
        "EXPLAIN FORMAT TREE SELECT 1 AS x",
        "EXPLAIN EXPLAIN SELECT 1 AS x",
        "EXPLAIN DROP TABLE t",
        "EXPLAIN SELECT nothing FROM t",
        "EXPLAIN SELECT 1 FROM nowhere",
    ] {
        let error = world.ask(sql).unwrap_err();
        assert!(matches!(error, QueryError::Sql { .. } | QueryError::Unknown { .. }), "{sql}: {error}");
    }
    let answer = world.ask("EXPLAIN SELECT id FROM t").unwrap();
    let names: Vec<&str> = answer.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["plan_type", "plan"]);
    assert_eq!(answer.facts.coverage.answered, ["eu-central"]);
}
