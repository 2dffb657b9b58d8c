//! The judge itself: answers that it has to take, and the same ones bent, which it must not.

use anyhow::{Context, Result};
use domicile_harness::{Answer, workspace::REGIONS};
use domicile_tests::oracle::Cell;
use domicile_tests::world::SCALE;
use domicile_utility::case::{self, Case};
use domicile_utility::judge::{Judge, Outcome};
use domicile_utility::oracle::Oracle;
use domicile_utility::soundness::Rule;
use serde_json::{Value, json};

const BY_SEGMENT: &str = "SELECT c_mktsegment, count(*) FROM customer GROUP BY 1 ORDER BY 1";
const BY_MONTH: &str = "SELECT strftime('%Y-%m-01', o_orderdate), count(*) FROM orders GROUP BY 1 ORDER BY 1";

/// An answer with these rows, in which these regions report this many groups as held back.
fn answer(rows: &[Vec<Cell>], reported: Value) -> Result<Answer> {
    let value = |cell: &Cell| match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => json!(text),
        Cell::Number(number) => json!(number),
    };
    let row = |row: &Vec<Cell>| row.iter().enumerate().map(|(at, cell)| (format!("c{at}"), value(cell))).collect();
    let rows: Vec<serde_json::Map<String, Value>> = rows.iter().map(row).collect();
    Answer::new(json!({
        "query_id": "q", "columns": [{ "name": "c0" }, { "name": "c1" }], "rows": rows, "coverage": { "full": true },
        "border_bytes": 1, "suppressed_groups": reported,
    }))
}

struct Bench {
    cases: Vec<Case>,
    oracle: Oracle,
    rule: Rule,
}

impl Bench {
    fn rows(&self, homes: &[&str], sql: &str) -> Result<Vec<Vec<Cell>>> {
        self.oracle.choose(homes)?;
        self.oracle.rows(sql)
    }

    #[track_caller]
    fn check(&self, case: &str, rows: &[Vec<Cell>], reported: Value, expect: &str) -> Result<()> {
        let case = self.cases.iter().find(|one| one.name == case).context("there is no such case")?;
        let outcome = Judge { oracle: &self.oracle, rule: self.rule }.answered(case, &answer(rows, reported)?)?;
        let said = match outcome {
            Outcome::Right(held) if held.beyond > 0 => "right, and more held back than the rules want".to_owned(),
            Outcome::Right(_) => "right".to_owned(),
            Outcome::Wrong(why) => format!("wrong: {why}"),
            other => format!("{other:?}"),
        };
        assert!(said.starts_with(expect) && (expect != "right" || said == expect), "{}: {said}", case.name);
        Ok(())
    }
}

#[test]
fn bent_answers_are_found() -> Result<()> {
    let bench = Bench { cases: case::all()?, oracle: Oracle::new(SCALE)?, rule: Rule::shipped()? };
    let (none, segments, months) = (json!({}), "customers by segment", "orders by month");

    let whole = bench.rows(&REGIONS, BY_SEGMENT)?;
    bench.check(segments, &whole, none.clone(), "right")?;
    let mut bent = whole.clone();
    bent[0][1] = Cell::Number(1.0);
    bench.check(segments, &bent, none.clone(), "wrong: row 0 is \"AUTOMOBILE\", 1.0")?;
    bench.check(segments, &whole[1..], none.clone(), "wrong: row 0")?;
    bench.check(segments, &bent, json!({ "us-east": 10 }), "wrong: no regions' rows make")?;

    // A region that gives nothing, although nothing of it is small.
    let without = bench.rows(&["eu-central", "us-east"], BY_SEGMENT)?;
    bench.check(segments, &without, none.clone(), "wrong: row 0")?;
    bench.check(segments, &without, json!({ "ap-south": 10 }), "right, and more held back than the rules want")?;
    bench.check(
        segments,
        &without,
        json!({ "ap-south": 20 }),
        "wrong: ap-south holds 5 groups back, and reports 20",
    )?;

    // The last month is a small one in two regions, and may not leave.
    let all = bench.rows(&REGIONS, BY_MONTH)?;
    bench.check(months, &all, json!({ "ap-south": 10 }), "wrong: ap-south: [Text(\"1998-08-01\")] left, with")?;
    bench.check(months, &all, none, "wrong: ap-south: ")?;

    // With nothing but it held back, the total would tell about it.
    let mut rest = all;
    let (last, own) = (rest.len() - 1, bench.rows(&["us-east"], BY_MONTH)?);
    rest[last] = own[own.len() - 1].clone();
    let reported = json!({ "ap-south": 10, "eu-central": 10 });
    bench.check(months, &rest, reported, "wrong: ap-south: what is held back can be subtracted")
}
