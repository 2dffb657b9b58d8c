//! `EXPLAIN RESIDENCY`: what it says beforehand is what then happens, and saying it makes nothing happen.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use domicile_harness::{Options, questions};
use domicile_tests::check::problem;
use domicile_tests::world::{World, shared};
use serde_json::Value;

const PATH: &str = "/v1/query/explain?mode=residency";

/// A prediction from what is declared about keys is at most this many times the bytes that then cross.
const BOUND_FACTOR: u64 = 16;
/// One from the latest answer to the same question: it is only rounded.
const REMEMBERED_FACTOR: u64 = 2;

/// Questions whose group keys have few values, as their policies, datasets or functions say.
const DECLARED: [&str; 12] = [
    "SELECT count(*) AS n FROM orders",
    "SELECT sum(o_totalprice) AS s, avg(o_totalprice) AS a, count(*) AS n FROM orders",
    "SELECT c_nationkey, count(*) AS n FROM customer GROUP BY 1",
    "SELECT c_nationkey, sum(c_acctbal) AS s, avg(c_acctbal) AS a FROM customer GROUP BY 1 ORDER BY 2",
    "SELECT date_part('month', o_orderdate) AS m, count(*) AS n FROM orders GROUP BY 1",
    "SELECT date_part('quarter', l_shipdate) AS q, sum(l_quantity) AS s FROM lineitem WHERE l_discount < 0.05 GROUP BY 1",
    "SELECT CASE WHEN c_nationkey < 10 THEN 'low' ELSE 'high' END AS half, count(*) AS n FROM customer GROUP BY 1",
    "SELECT c_nationkey, date_part('quarter', o_orderdate) AS q, count(*) AS n FROM orders \
     JOIN customer ON o_custkey = c_custkey GROUP BY 1, 2",
    "SELECT date_part('month', o_orderdate) AS m, sum(l_extendedprice * (1 - l_discount)) AS s FROM lineitem \
     JOIN orders ON l_orderkey = o_orderkey WHERE l_quantity > 10 GROUP BY 1",
    "SELECT n_name, count(*) AS n FROM customer JOIN nation ON c_nationkey = n_nationkey GROUP BY 1",
    "SELECT a.n, b.m FROM (SELECT count(*) AS n FROM customer) AS a CROSS JOIN (SELECT count(*) AS m FROM orders) AS b",
    "SELECT count(*) AS n FROM customer WHERE c_nationkey = 7",
];

/// Questions of whose keys nothing is declared: the bound holds, and is wide.
const UNDECLARED: [&str; 4] = [
    "SELECT o_orderstatus, count(*) AS n FROM orders GROUP BY 1",
    "SELECT c_mktsegment, c_nationkey, sum(c_acctbal) AS s FROM customer GROUP BY 1, 2",
    "SELECT l_returnflag, l_linestatus, sum(l_quantity) AS q, avg(l_discount) AS d FROM lineitem GROUP BY 1, 2",
    questions::REVENUE,
];

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || World::start(&Options::default()))
}

fn explain(world: &World, region: &str, sql: &str, headers: &[(&str, &str)]) -> Result<Value> {
    let response = world.edge(region).send("POST", PATH, headers, sql.as_bytes())?;
    assert_eq!(response.status, 200, "{sql}\n{}", response.text());
    response.json()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value, member: &str) -> BTreeSet<String> {
    list(value).iter().filter_map(|entry| Some(entry[member].as_str()?.to_owned())).collect()
}

fn ledgers(world: &World) -> Result<usize> {
    ["ap-south", "eu-central", "us-east"].iter().map(|region| Ok(world.edge(region).ledger()?.len())).sum()
}

/// Explains, asks and explains again. The first prediction is no less than what crossed and, where `within` says, no
/// more than so many times it.
fn check_prediction(number: usize, sql: &str, within: Option<u64>) -> Result<()> {
    // A purpose of its own: nobody has asked a part of this question for that yet.
    let purpose = format!("prediction {number}");
    let headers = [("Purpose", purpose.as_str())];
    let before = explain(world(), "ap-south", sql, &headers)?;
    assert_eq!(before["admitted"], true, "{before}");
    assert!(list(&before["crossings"]).iter().all(|crossing| crossing["terms"]["prediction"] == "bound"), "{before}");
    let predicted = before["predicted_bytes"].as_u64().context("no prediction")?;
    let actual = world().edge("ap-south").query_with(sql, &headers)?.answer()?.border_bytes();
    assert!(actual > 0 && predicted >= actual, "{predicted} predicted, {actual} crossed: {sql}");
    if let Some(factor) = within {
        assert!(predicted <= actual * factor, "{predicted} predicted, {actual} crossed: {sql}");
    }
    let after = explain(world(), "ap-south", sql, &headers)?;
    assert!(
        list(&after["crossings"]).iter().all(|crossing| crossing["terms"]["prediction"] == "remembered"),
        "{after}"
    );
    let predicted = after["predicted_bytes"].as_u64().context("no prediction")?;
    assert!(predicted >= actual && predicted <= actual * REMEMBERED_FACTOR, "{predicted} for {actual}: {sql}");
    for crossing in list(&after["crossings"]) {
        assert!(crossing["terms"]["predicted_bytes"].as_u64().is_some_and(u64::is_power_of_two), "{crossing}");
    }
    Ok(())
}

#[test]
fn no_more_crosses_than_predicted_and_not_much_less() -> Result<()> {
    let declared = DECLARED.iter().map(|sql| (sql, Some(BOUND_FACTOR)));
    let questions = declared.chain(UNDECLARED.iter().map(|sql| (sql, None)));
    questions.enumerate().try_for_each(|(number, (sql, within))| check_prediction(number, sql, within))
}

#[test]
fn predictions_do_not_depend_on_what_is_filtered() -> Result<()> {
    let predicted = |day: &str| -> Result<Value> {
        let sql =
            format!("SELECT o_orderstatus, count(*) AS n FROM orders WHERE o_orderdate < DATE '{day}' GROUP BY 1");
        Ok(explain(world(), "eu-central", &sql, &[])?["predicted_bytes"].clone())
    };
    let all = predicted("2020-01-01")?;
    assert!(all.is_u64());
    for day in ["1990-01-01", "1992-01-02", "1995-06-17"] {
        assert_eq!(predicted(day)?, all, "{day}");
    }
    Ok(())
}

#[test]
fn the_terms_are_those_of_the_receipts() -> Result<()> {
    for sql in DECLARED.iter().chain(&UNDECLARED) {
        let explained = explain(world(), "us-east", sql, &[])?;
        let answer = world().ask("us-east", sql)?;
        let path = format!("/v1/queries/{}/receipt", answer.query_id());
        let receipts = world().edge("us-east").get(&path)?.json()?;
        let receipts = list(&receipts["receipts"]);
        let crossings = list(&explained["crossings"]);
        assert_eq!(receipts.len(), crossings.len(), "{sql}");
        for crossing in crossings {
            let terms = &crossing["terms"];
            let columns = texts(&terms["columns"], "column");
            let fits = |signed: &&Value| {
                let receipt = &signed["receipt"];
                let named: BTreeSet<String> =
                    list(&receipt["columns"]).iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
                ["from", "to"].iter().all(|end| receipt[end] == crossing[end])
                    && receipt["clauses"] == terms["clauses"]
                    && receipt["form"] == terms["form"]
                    && receipt["minimum_entities"] == terms["minimum_entities"]
                    && named == columns
            };
            assert_eq!(crossing["judged_by"], "owner");
            assert!(receipts.iter().any(|receipt| fits(&receipt)), "{crossing}\n{receipts:?}");
        }
    }
    Ok(())
}

#[test]
fn explaining_makes_nothing_cross() -> Result<()> {
    // Apart from the questions of other tests.
    let world = World::start(&Options::default())?;
    for sql in DECLARED.iter().chain(&UNDECLARED) {
        explain(&world, "us-east", sql, &[])?;
        let answer = world.ask("us-east", &format!("EXPLAIN RESIDENCY {sql}"))?;
        assert_eq!(answer.columns(), ["crossing", "what", "detail"]);
        assert_eq!(answer.border_bytes(), 0);
    }
    assert_eq!(ledgers(&world)?, 0, "something crossed");
    world.ask("us-east", DECLARED[0])?;
    assert_eq!(ledgers(&world)?, 2, "two homes elsewhere");
    Ok(())
}

#[test]
fn where_nothing_crosses_it_says_so() -> Result<()> {
    for (region, sql, headers, reason) in [
        ("us-east", "SELECT n_name FROM nation", &[][..], "all that is read is in us-east"),
        ("us-east", "SELECT c_name FROM customer", &[("Data-Region", "us-east")][..], "all that is read is in us-east"),
        ("eu-central", "SELECT c_name FROM customer WHERE c_nationkey = 7", &[][..], "no other region than eu-central"),
    ] {
        let explained = explain(world(), region, sql, headers)?;
        assert_eq!(
            (&explained["admitted"], list(&explained["crossings"]).len()),
            (&Value::Bool(true), 0),
            "{explained}"
        );
        assert!(explained["nothing_crosses"].as_str().is_some_and(|why| why.starts_with(reason)), "{explained}");
    }
    Ok(())
}

#[test]
fn a_denial_is_told_as_the_question_would_be_denied() -> Result<()> {
    for sql in [
        questions::GERMAN_CUSTOMERS,
        "SELECT c_phone, count(*) AS n FROM customer GROUP BY 1",
        "SELECT count(*) AS n FROM customer JOIN orders ON o_custkey = c_custkey WHERE o_clerk = 'x'",
        "SELECT max(c_acctbal) AS m FROM customer",
    ] {
        let mut denied = problem(&world().edge("us-east").query(sql)?, 403, Some("residency-denied"), &[]);
        let explained = explain(world(), "us-east", sql, &[])?;
        denied.as_object_mut().context("no object")?.remove("instance");
        assert_eq!((&explained["admitted"], &explained["denied"]), (&Value::Bool(false), &denied), "{sql}");
        let rows = world().ask("us-east", &format!("explain residency {sql}"))?;
        let said = |what: &str| -> Vec<String> {
            let rows = rows.rows().iter().filter(|row| row["what"] == what);
            rows.filter_map(|row| Some(row["detail"].as_str()?.to_owned())).collect()
        };
        assert!(said("denied").contains(&denied["detail"].as_str().unwrap_or_default().to_owned()), "{rows:?}");
        for rewrite in list(&denied["rewrites"]) {
            let sql = rewrite["sql"].as_str().context("no sql")?;
            assert!(said("rewrite").iter().any(|detail| detail.ends_with(sql)), "{rows:?}");
        }
    }
    Ok(())
}

#[test]
fn errors_are_those_of_the_question_at_their_places() -> Result<()> {
    for sql in [
        "SELECT c_nam FROM customer",
        "SELECT count(*)\n  FROM custommer",
        "SELECT median(c_acctbal) AS m FROM customer",
        "SELECT count(*",
        "DROP TABLE customer",
        "EXPLAIN SELECT 1 AS x",
    ] {
        let edge = world().edge("us-east");
        let strip = |mut document: Value| {
            document.as_object_mut().map(|document| document.remove("instance"));
            document
        };
        let asked = if sql.starts_with("EXPLAIN") { "DROP TABLE customer" } else { sql };
        let asked = edge.query(asked)?;
        let explained = edge.send("POST", PATH, &[], sql.as_bytes())?;
        assert_eq!(explained.status, asked.status, "{}", explained.text());
        if !sql.starts_with("EXPLAIN") {
            assert_eq!(strip(explained.json()?), strip(asked.json()?), "{sql}");
        }
        let padded = edge.query(&format!("{:18}{sql}", ""))?;
        let behind = edge.query(&format!("EXPLAIN RESIDENCY {sql}"))?;
        if !sql.starts_with("EXPLAIN") {
            assert_eq!(strip(behind.json()?), strip(padded.json()?), "{sql}");
        }
        assert_eq!(behind.status, asked.status);
    }
    problem(&world().edge("us-east").send("POST", "/v1/query/explain", &[], b"SELECT 1 AS x")?, 400, None, &["mode"]);
    let sql = b"SELECT 1 AS x";
    problem(&world().edge("us-east").send("POST", "/v1/query/explain?mode=x", &[], sql)?, 400, None, &["mode"]);
    Ok(())
}

#[test]
fn the_owning_region_has_the_last_word_and_one_that_is_away_is_named() -> Result<()> {
    let mut world = World::start(&Options { permissive: vec!["us-east"], ..Options::default() })?;
    let sql = "SELECT c_name, count(*) AS n FROM customer GROUP BY c_name";
    let denied = problem(&world.edge("us-east").query(sql)?, 403, Some("residency-denied"), &[]);
    let explained = explain(&world, "us-east", sql, &[])?;
    assert_eq!(explained["admitted"], false);
    for crossing in list(&explained["crossings"]) {
        assert_eq!(
            (&crossing["judged_by"], &crossing["admitted"]),
            (&"owner".into(), &Value::Bool(false)),
            "{crossing}"
        );
        assert_eq!(crossing["denied"]["columns"], denied["columns"]);
        assert_eq!(crossing["denied"]["rewrites"], denied["rewrites"]);
    }
    world.cluster.kill("eu-central")?;
    let explained = explain(&world, "us-east", "SELECT count(*) AS n FROM customer", &[])?;
    assert_eq!(explained["admitted"], true);
    for crossing in list(&explained["crossings"]) {
        let away = crossing["from"] == "eu-central";
        assert_eq!(crossing["unreachable"].is_string(), away, "{crossing}");
        assert_eq!(crossing["judged_by"], if away { "asker" } else { "owner" });
        assert_eq!(crossing["terms"]["clauses"][0]["clause"], if away { "everything" } else { "world-reporting" });
        assert_eq!(crossing["terms"]["prediction"], if away { "unknown" } else { "bound" });
    }
    assert!(explained["predicted_bytes"].is_null(), "{explained}");
    Ok(())
}

#[test]
fn the_command_line_proves_with_its_exit_code() -> Result<()> {
    let cli = world().cluster.cli("us-east");
    let admitted = cli.run(&["query", "--explain", "residency", DECLARED[2]])?.success()?;
    assert!(
        admitted.stdout.contains("eu-central → us-east, fragment 1: admitted by eu-central"),
        "{}",
        admitted.stdout
    );
    assert!(admitted.stdout.contains("by clause `world-reporting` of customer v1"), "{}", admitted.stdout);
    let denied = cli.run(&["query", "--explain", "residency", questions::GERMAN_CUSTOMERS])?;
    assert_eq!(denied.code, 4);
    assert!(denied.stdout.contains("you may ask for groups in place of rows: SELECT"), "{}", denied.stdout);
    let denied = cli.json(&["query", "--explain", "residency", questions::GERMAN_CUSTOMERS])?;
    assert_eq!((denied.code, &denied.document()?["admitted"]), (4, &Value::Bool(false)));
    let plan = cli.run(&["query", "--explain", "plan", DECLARED[0]])?.success()?;
    assert!(plan.stdout.contains("SegmentsExec: dataset=orders"), "{}", plan.stdout);
    Ok(())
}
