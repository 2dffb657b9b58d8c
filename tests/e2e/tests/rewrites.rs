//! What a denial offers instead is answered where and as it says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use domicile_harness::Options;
use domicile_tests::check::problem;
use domicile_tests::world::{World, shared};
use serde_json::Value;

const DATASET: &str = r#"schema = 1
name = "visits"
primary_key = ["id"]
column = [
  { name = "id", type = "bigint" },
  { name = "person", type = "bigint" },
  { name = "country", type = "text" },
  { name = "city", type = "text" },
  { name = "day", type = "date" },
  { name = "amount", type = "double" },
]
"#;

/// Statistics for a purpose, other ones for another, and copies to one region only.
const POLICY: &str = r#"schema = 1
dataset = "visits"
version = 1
[residency]
entity = "person"
column = "country"
[[residency.home]]
region = "eu-central"
values = ["DE"]
[[residency.home]]
region = "us-east"
values = ["US"]
[[residency.home]]
region = "ap-south"
values = ["IN"]
[classes]
identifier = ["id", "person"]
quasi = ["country", "city", "day"]
measure = ["amount"]
[[allow]]
id = "statistics"
from = ["eu-central", "us-east", "ap-south"]
to = ["eu-central", "us-east", "ap-south"]
form = "aggregate"
purposes = ["statistics"]
functions = ["count", "sum", "avg", "date_trunc"]
group_by = ["city", "day"]
filter_by = ["city", "day"]
measures = ["amount"]
minimum_entities = 3
legal_basis = "test"
[[allow]]
id = "fraud"
from = ["eu-central", "us-east", "ap-south"]
to = ["eu-central", "us-east", "ap-south"]
form = "aggregate"
purposes = ["fraud"]
functions = ["count", "sum"]
group_by = ["country"]
filter_by = ["amount"]
measures = ["amount"]
minimum_entities = 3
legal_basis = "test"
[[allow]]
id = "copies"
from = ["eu-central", "us-east"]
to = ["ap-south"]
form = "replicate"
purposes = ["statistics"]
legal_basis = "test"
"#;

/// Purpose, `-` where none is stated, and a question that is denied at the US edge.
const DENIED: [(&str, &str); 40] = [
    ("-", "SELECT c_name FROM customer"),
    ("-", "SELECT c_name, c_phone FROM customer WHERE c_nationkey = 7"),
    ("-", "SELECT * FROM customer"),
    ("-", "SELECT c_name, c_acctbal FROM customer ORDER BY 2 DESC LIMIT 10"),
    ("-", "SELECT c_name, count(*) AS n FROM customer GROUP BY c_name"),
    ("-", "SELECT c_mktsegment, c_name, count(*) AS n FROM customer GROUP BY 1, 2 ORDER BY 2, 1"),
    ("-", "SELECT c_mktsegment AS s, c_phone AS p, sum(c_acctbal) AS b FROM customer GROUP BY s, p ORDER BY p, b DESC"),
    ("-", "SELECT count(*) AS n FROM customer WHERE c_name = 'Customer#000000001'"),
    ("-", "SELECT c_mktsegment, count(*) AS n FROM customer WHERE c_nationkey = 7 AND c_phone LIKE '17%' GROUP BY 1"),
    ("-", "SELECT c_mktsegment, count(*) AS n FROM customer GROUP BY 1 HAVING count(c_phone) > 3"),
    ("-", "SELECT c_mktsegment, max(c_acctbal) AS m, avg(c_acctbal) AS a FROM customer GROUP BY 1"),
    ("-", "SELECT min(c_acctbal) AS m FROM customer"),
    ("-", "SELECT sum(CASE WHEN c_name < 'D' THEN 1 ELSE 0 END) AS n, count(*) AS m FROM customer"),
    ("-", "SELECT DISTINCT c_address FROM customer"),
    ("-", "SELECT length(c_comment) AS l, count(*) AS n FROM customer GROUP BY 1"),
    ("-", "SELECT o_orderkey, o_totalprice FROM orders"),
    ("-", "SELECT o_orderdate, o_totalprice FROM orders WHERE o_orderstatus = 'F'"),
    ("-", "SELECT o_clerk, sum(o_totalprice) AS s FROM orders GROUP BY 1 ORDER BY 2 DESC LIMIT 5"),
    ("-", "SELECT o_clerk, date_trunc('month', o_orderdate) AS m, sum(o_totalprice) AS s FROM orders GROUP BY 1, 2"),
    ("-", "SELECT date_trunc('month', o_orderdate) AS m, count(*) AS n FROM orders WHERE o_clerk = 'x' GROUP BY 1"),
    ("-", "SELECT o_orderstatus, max(o_orderdate) AS last FROM orders GROUP BY 1"),
    ("-", "SELECT o_custkey, count(*) AS n FROM orders GROUP BY 1"),
    ("-", "SELECT c_name, sum(o_totalprice) AS s FROM orders JOIN customer ON o_custkey = c_custkey GROUP BY 1"),
    (
        "-",
        "SELECT c_name, c_mktsegment, o_clerk, sum(o_totalprice) AS s FROM orders JOIN customer ON o_custkey = c_custkey GROUP BY 1, 2, 3",
    ),
    (
        "-",
        "SELECT c_mktsegment, count(*) AS n FROM orders JOIN customer ON o_custkey = c_custkey WHERE o_clerk > 'a' AND c_comment LIKE '%x%' GROUP BY 1",
    ),
    ("-", "SELECT l_partkey, sum(l_quantity) AS q FROM lineitem GROUP BY 1"),
    ("-", "SELECT l_suppkey, l_shipmode, sum(l_quantity) AS q FROM lineitem GROUP BY 1, 2 ORDER BY q"),
    ("-", "SELECT l_comment FROM lineitem LIMIT 3"),
    ("-", "SELECT l_shipmode, count(*) AS n FROM lineitem WHERE l_extendedprice > 1000 GROUP BY 1"),
    ("-", "SELECT n_name, c_name, count(*) AS n FROM customer JOIN nation ON c_nationkey = n_nationkey GROUP BY 1, 2"),
    ("-", "SELECT city, count(*) AS n FROM visits GROUP BY 1"),
    ("fraud", "SELECT city, count(*) AS n FROM visits GROUP BY 1"),
    ("fraud", "SELECT city, country, sum(amount) AS s FROM visits GROUP BY 1, 2"),
    ("statistics", "SELECT country, sum(amount) AS s FROM visits GROUP BY 1"),
    ("statistics", "SELECT country, city, sum(amount) AS s FROM visits WHERE amount > 2 GROUP BY 1, 2"),
    ("statistics", "SELECT city, day, amount FROM visits"),
    ("statistics", "SELECT day, count(*) AS n FROM visits WHERE amount > 2 AND city = 'Berlin' GROUP BY 1"),
    ("statistics", "SELECT person, count(*) AS n FROM visits GROUP BY 1"),
    ("-", "SELECT country, sum(amount) AS s FROM visits WHERE amount > 1 GROUP BY 1"),
    ("marketing", "SELECT city, sum(amount) AS s FROM visits GROUP BY 1"),
];

fn rows(country: &str, city: &str, first: u32) -> String {
    let mut rows = String::from("id,person,country,city,day,amount\n");
    for id in first..first + 40 {
        rows.push_str(&format!("{id},{id},{country},{city},2024-0{}-1{},{}\n", id % 9 + 1, id % 7, id % 5));
    }
    rows
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || {
        let world = World::start(&Options {
            datasets: vec![("visits".to_owned(), DATASET.to_owned())],
            policies: vec![("visits".to_owned(), POLICY.to_owned())],
            ..Options::default()
        })?;
        for (region, country, city, first) in
            [("eu-central", "DE", "Berlin", 1), ("us-east", "US", "Boston", 100), ("ap-south", "IN", "Pune", 200)]
        {
            let rows = rows(country, city, first);
            let csv = [("Content-Type", "text/csv")];
            let loaded = world.edge(region).rows("POST", "visits", &csv, rows.as_bytes())?;
            ensure!(loaded.status == 200, "{}", loaded.text());
        }
        Ok(world)
    })
}

fn stated(purpose: &str) -> Vec<(&'static str, String)> {
    if purpose == "-" { Vec::new() } else { vec![("Purpose", purpose.to_owned())] }
}

fn ask(region: &str, sql: &str, purpose: &str) -> Result<domicile_harness::Response> {
    let headers = stated(purpose);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world().edge(region).query_with(sql, &headers)
}

fn offers(denied: &Value) -> Vec<Value> {
    denied["rewrites"].as_array().cloned().unwrap_or_default()
}

#[test]
fn every_rewrite_is_answered() -> Result<()> {
    let (mut changes, mut helped) = (BTreeMap::<String, usize>::new(), 0);
    for (purpose, sql) in DENIED {
        let denied = problem(&ask("us-east", sql, purpose)?, 403, Some("residency-denied"), &[]);
        let offers = offers(&denied);
        assert!(offers.len() <= 3, "{denied}");
        helped += usize::from(!offers.is_empty());
        for offer in &offers {
            let rewrite = offer["sql"].as_str().context("no sql")?;
            let edge = offer["edge"].as_str().unwrap_or("us-east");
            let purpose = offer["purpose"].as_str().unwrap_or(purpose);
            let answered = ask(edge, rewrite, purpose)?;
            assert_eq!(answered.status, 200, "{sql}\n{offer}\n{}", answered.text());
            *changes.entry(offer["change"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        let same_way = offers.iter().find(|offer| offer["edge"].is_null() && offer["purpose"].is_null());
        assert_eq!(denied["rewrite"], same_way.map_or(Value::Null, |offer| offer["sql"].clone()), "{denied}");
    }
    let kinds: BTreeSet<&str> = changes.keys().map(String::as_str).collect();
    assert_eq!(kinds, BTreeSet::from(["aggregate", "ask-at", "coarser", "purpose", "without-filter"]), "{changes:?}");
    assert!(helped * 10 >= DENIED.len() * 9, "only {helped} of {} were helped", DENIED.len());
    Ok(())
}

#[track_caller]
fn check(purpose: &str, sql: &str, change: &str, expect: &str) -> Result<()> {
    let denied = problem(&ask("us-east", sql, purpose)?, 403, Some("residency-denied"), &[]);
    let offers = offers(&denied);
    let found = offers.iter().find(|offer| offer["change"] == change).with_context(|| denied.to_string())?;
    let place = found["edge"].as_str().or(found["purpose"].as_str()).map(|place| format!("{place}: "));
    assert_eq!(format!("{}{}", place.unwrap_or_default(), found["sql"].as_str().unwrap_or_default()), expect);
    Ok(())
}

#[test]
fn a_rewrite_keeps_what_it_can_of_the_question() -> Result<()> {
    check(
        "-",
        "SELECT c_mktsegment AS s, c_phone AS p, sum(c_acctbal) AS b FROM customer GROUP BY s, p ORDER BY p, b DESC",
        "coarser",
        "SELECT c_mktsegment AS s, sum(c_acctbal) AS b FROM customer GROUP BY s ORDER BY b DESC",
    )?;
    check(
        "-",
        "SELECT c_mktsegment, count(*) AS n FROM orders JOIN customer ON o_custkey = c_custkey \
         WHERE o_clerk > 'a' AND o_orderstatus = 'F' AND c_comment LIKE '%x%' GROUP BY 1",
        "without-filter",
        "SELECT c_mktsegment, count(*) AS n FROM orders JOIN customer ON o_custkey = c_custkey \
         WHERE o_orderstatus = 'F' GROUP BY c_mktsegment",
    )?;
    check(
        "-",
        "SELECT o_orderdate, o_totalprice FROM orders",
        "aggregate",
        "SELECT date_trunc('month', o_orderdate) AS o_orderdate_month, count(*) AS rows, \
         sum(o_totalprice) AS sum_o_totalprice FROM orders GROUP BY date_trunc('month', o_orderdate)",
    )?;
    check(
        "-",
        "SELECT o_orderdate, o_totalprice FROM orders AS o WHERE o.o_orderstatus = 'F'",
        "aggregate",
        "SELECT date_trunc('month', o_orderdate) AS o_orderdate_month, count(*) AS rows, \
         sum(o_totalprice) AS sum_o_totalprice FROM orders AS o WHERE o.o_orderstatus = 'F' \
         GROUP BY date_trunc('month', o_orderdate)",
    )?;
    check(
        "-",
        "SELECT c_name FROM customer WHERE c_nationkey = 7",
        "ask-at",
        "eu-central: SELECT c_name FROM customer WHERE c_nationkey = 7",
    )?;
    let cities = "SELECT city, count(*) AS n FROM visits GROUP BY city";
    check("-", cities, "purpose", &format!("statistics: {cities}"))?;
    check("fraud", cities, "purpose", &format!("statistics: {cities}"))
}

#[test]
fn an_explanation_offers_the_same() -> Result<()> {
    for (purpose, sql) in DENIED.iter().step_by(7) {
        let denied = problem(&ask("us-east", sql, purpose)?, 403, Some("residency-denied"), &[]);
        let behind = ask("us-east", &format!("EXPLAIN {sql}"), purpose)?;
        let behind = problem(&behind, 403, Some("residency-denied"), &[]);
        assert_eq!(offers(&behind), offers(&denied), "{sql}");
    }
    Ok(())
}
