//! Nothing leaves that may not: denials, thresholds, what is recorded on the wire, and whom a region trusts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use domicile_harness::{Options, questions};
use domicile_tests::check::{problem, same_rows};
use domicile_tests::oracle::{Cell, Oracle, oracle};
use domicile_tests::world::{World, shared};
use serde_json::Value;

/// The threshold of the project's policies.
const MINIMUM_ENTITIES: u64 = 10;
/// As in `regions/policies`: the most that one customer may make up.
const DOMINANCE_PERCENT: f64 = 80.0;

type Rows = Vec<Vec<Cell>>;

const BY_NATION_AND_MONTH: &str = "SELECT n_name, date_trunc('month', o_orderdate) AS month, count(*) AS orders \
     FROM orders JOIN customer ON o_custkey = c_custkey JOIN nation ON c_nationkey = n_nationkey \
     GROUP BY 1, 2 ORDER BY 1, 2";

/// The project's own policies; what the US edge asks of Europe is recorded.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || World::start(&Options { record: Some(("us-east", "eu-central")), ..Options::default() }))
}

/// A question at the US edge is denied, and the denial names these columns.
#[track_caller]
fn check_denied(sql: &str, columns: &[&str]) -> Result<Value> {
    let denied = problem(&world().edge("us-east").query(sql)?, 403, Some("residency-denied"), &[]);
    let named: BTreeSet<&str> =
        denied["columns"].as_array().into_iter().flatten().filter_map(|column| column.as_str()).collect();
    assert!(columns.iter().all(|column| named.contains(column)), "{columns:?} in {denied}\n{sql}");
    assert!(denied["policy"].as_str().is_some_and(|policy| policy.contains(" v1 sha256:")), "{denied}");
    Ok(denied)
}

#[test]
fn names_do_not_cross_and_the_rewrite_is_answered() -> Result<()> {
    let denied = check_denied(questions::GERMAN_CUSTOMERS, &["customer.c_name", "customer.c_phone"])?;
    assert!(denied["policy"].as_str().is_some_and(|policy| policy.starts_with("customer ")), "{denied}");
    let rewrite = denied["rewrite"].as_str().context("no rewrite")?;
    let answer = world().ask("us-east", rewrite)?;
    assert!(!answer.rows().is_empty());
    Ok(())
}

#[test]
fn every_clause_of_a_question_counts() -> Result<()> {
    for (sql, column) in [
        ("SELECT count(*) FROM customer WHERE c_name = 'Customer#000000001'", "customer.c_name"),
        ("SELECT count(*) FROM customer WHERE c_phone LIKE '17-%'", "customer.c_phone"),
        ("SELECT c_mktsegment, count(*) FROM customer GROUP BY c_mktsegment, c_name", "customer.c_name"),
        ("SELECT c_mktsegment FROM customer GROUP BY 1 HAVING count(c_phone) > 3", "customer.c_phone"),
        ("SELECT c_mktsegment FROM customer GROUP BY 1 ORDER BY sum(length(c_comment))", "customer.c_comment"),
        ("SELECT sum(CASE WHEN c_address < 'm' THEN 1 ELSE 0 END) FROM customer", "customer.c_address"),
        ("SELECT count(*) FILTER (WHERE c_name < 'Customer#000000002') FROM customer", "customer.c_name"),
        ("SELECT count(*) FROM orders JOIN nation ON o_clerk = n_name", "orders.o_clerk"),
        (
            "SELECT o_orderkey, sum(l_quantity) FROM orders JOIN lineitem ON o_orderkey = l_orderkey GROUP BY 1",
            "orders.o_orderkey",
        ),
        (
            "SELECT count(*) FROM (SELECT c_name AS n, c_acctbal FROM customer) AS hidden WHERE n > 'C'",
            "customer.c_name",
        ),
        ("WITH x AS (SELECT c_phone AS p FROM customer) SELECT p, count(*) FROM x GROUP BY p", "customer.c_phone"),
        ("SELECT DISTINCT c_name FROM customer", "customer.c_name"),
        ("SELECT c_nationkey FROM customer UNION ALL SELECT c_custkey FROM customer", "customer.c_nationkey"),
        (
            "SELECT c_nationkey, count(*) FROM customer GROUP BY 1 UNION ALL \
             SELECT c_custkey, count(*) FROM customer GROUP BY 1",
            "customer.c_custkey",
        ),
    ] {
        check_denied(sql, &[column])?;
    }
    Ok(())
}

#[test]
fn no_detour_leads_to_an_identifier() -> Result<()> {
    for sql in [
        "SELECT 1 AS one FROM customer",
        "SELECT * FROM customer LIMIT 1",
        "SELECT count(*), c_nationkey FROM customer GROUP BY c_nationkey, CASE WHEN c_name = 'x' THEN 1 ELSE 0 END",
        "SELECT count(DISTINCT c_phone) FROM customer",
        "SELECT array_agg(c_name) FROM customer",
        "SELECT string_agg(c_name, ',') FROM customer GROUP BY c_nationkey",
        "SELECT first_value(c_name) FROM customer",
        "SELECT median(c_acctbal) FROM customer",
        "SELECT sum(ascii(c_name)) FROM customer GROUP BY c_nationkey",
        "SELECT sum(c_custkey) FROM customer",
        "SELECT count(*) FROM customer JOIN (VALUES ('Customer#000000007')) AS v(n) ON c_name = n",
        "SELECT count(*) FROM customer JOIN nation ON c_nationkey = n_nationkey AND c_name > n_name",
        "SELECT count(*) FROM customer WHERE c_nationkey = (SELECT max(c_nationkey) FROM customer WHERE c_custkey = 7)",
        "SELECT count(*) FROM customer WHERE EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey AND o_clerk < 'D')",
        "SELECT c_nationkey, row_number() OVER (ORDER BY c_name) FROM customer",
        "SELECT c_mktsegment, count(*) FROM customer GROUP BY GROUPING SETS ((c_mktsegment), (c_name))",
        "SELECT c_mktsegment, count(*) FROM customer GROUP BY ROLLUP (c_mktsegment, c_phone)",
        "SELECT count(*) FROM customer GROUP BY c_nationkey HAVING max(c_name) > 'Customer#000000100'",
        "SELECT c_nationkey, sum(c_acctbal) FROM customer WHERE c_custkey BETWEEN 1 AND 5 GROUP BY 1",
        "SELECT sum(o_totalprice) FROM orders WHERE o_orderkey = 7",
        "SELECT sum(o_totalprice) FROM orders JOIN customer ON o_custkey = c_custkey AND c_phone = '1'",
        "SELECT count(*) FROM customer AS a JOIN customer AS b ON a.c_name = b.c_name",
        "SELECT count(_entity) FROM customer",
        "SELECT _entity, count(*) FROM orders GROUP BY 1",
        "SELECT c_name FROM (SELECT c_name, c_nationkey FROM customer) AS s WHERE c_nationkey = 24 OR c_nationkey = 7",
        "(SELECT c_name FROM customer WHERE c_nationkey = 24) UNION (SELECT c_name FROM customer WHERE c_nationkey = 7)",
        "SELECT c_name FROM customer EXCEPT SELECT c_name FROM customer WHERE c_nationkey = 24",
    ] {
        let response = world().edge("us-east").query(sql)?;
        assert!([400, 403, 422].contains(&response.status), "{sql}: {} {}", response.status, response.text());
        problem(&response, response.status, None, &[]);
        assert!(!response.text().contains("Customer#0"), "{sql}: {}", response.text());
    }
    Ok(())
}

#[test]
fn functions_that_show_single_rows_are_denied() -> Result<()> {
    for (function, sql) in [
        ("max", "SELECT c_mktsegment, max(c_acctbal) FROM customer GROUP BY 1"),
        ("min", "SELECT min(o_totalprice) FROM orders"),
    ] {
        let denied = problem(&world().edge("us-east").query(sql)?, 403, Some("residency-denied"), &[]);
        assert!(denied["detail"].as_str().is_some_and(|detail| detail.contains(function)), "{denied}");
    }
    Ok(())
}

#[test]
fn a_client_in_the_region_sees_its_rows() -> Result<()> {
    let sql = "SELECT c_name, c_phone FROM customer JOIN nation ON c_nationkey = n_nationkey \
               WHERE n_name = 'GERMANY' ORDER BY c_name";
    let answer = world().ask_homes("eu-central", "eu-central", sql)?;
    same_rows(&answer, &oracle().ask(sql)?);
    assert_eq!(answer.border_bytes(), 0);
    Ok(())
}

/// The groups by nation and month that `edge` is to see: its own, and those of others that are large enough. A nation's
/// customers all have one home, so no group comes from two. Also how many groups each home is to report as held back:
/// rounded up to the threshold, so that asking twice does not show whether one group is among them.
///
/// What a home holds back is together at least one group that would have been large enough, the smallest first: else
/// who subtracts the groups from their total would learn about fewer customers than the threshold.
fn expected_groups(oracle: &Oracle, edge: &str) -> Result<(Rows, BTreeMap<String, u64>)> {
    let grouped = oracle.rows(
        "WITH of AS (SELECT n_name, strftime('%Y-%m-01', o_orderdate) AS month, home, c_custkey, count(*) AS orders \
         FROM orders JOIN customer ON o_custkey = c_custkey JOIN nation ON c_nationkey = n_nationkey GROUP BY 1, 2, 3, 4) \
         SELECT n_name, month, sum(orders), home, count(*), max(orders) FROM of GROUP BY 1, 2, 4 ORDER BY 5, 1, 2",
    )?;
    let number = |cell: &Cell| if let Cell::Number(number) = cell { *number } else { f64::NAN };
    let is_sound = |customers: f64, orders: f64, most: f64| {
        customers >= MINIMUM_ENTITIES as f64 && most <= orders * DOMINANCE_PERCENT / 100.0
    };
    let (mut seen, mut hidden) = (Vec::new(), BTreeMap::new());
    for home in ["ap-south", "eu-central", "us-east"] {
        let groups = grouped.iter().filter(|row| row[3] == Cell::Text(home.to_owned()));
        let (mut open, held): (Vec<_>, Vec<_>) =
            groups.partition(|row| home == edge || is_sound(number(&row[4]), number(&row[2]), number(&row[5])));
        let mut held: Vec<&Vec<Cell>> = held;
        let sum = |rows: &[&Vec<Cell>], column: usize| rows.iter().map(|row| number(&row[column])).sum::<f64>();
        let largest = |rows: &[&Vec<Cell>]| rows.iter().map(|row| number(&row[4])).fold(0.0, f64::max);
        while !held.is_empty() && !open.is_empty() && !is_sound(largest(&held), sum(&held, 2), sum(&held, 5)) {
            held.push(open.remove(0));
        }
        seen.extend(open.into_iter().map(|row| row[..3].to_vec()));
        if !held.is_empty() {
            hidden.insert(home.to_owned(), (held.len() as u64).next_multiple_of(MINIMUM_ENTITIES));
        }
    }
    seen.sort_by(|left, right| format!("{:?}", &left[..2]).cmp(&format!("{:?}", &right[..2])));
    Ok((seen, hidden))
}

#[test]
fn small_groups_stay_at_their_source_and_are_counted() -> Result<()> {
    for edge in ["us-east", "eu-central"] {
        let (expected, hidden) = expected_groups(&oracle(), edge)?;
        assert!(hidden.len() == 2 && !expected.is_empty(), "the data shows nothing");
        let response = world().edge(edge).query(BY_NATION_AND_MONTH)?;
        let answer = response.answer()?;
        same_rows(&answer, &expected);
        assert_eq!(answer.suppressed_groups(), hidden);
        assert!(response.header("suppressed-groups").is_some_and(|value| !value.is_empty()));
    }
    Ok(())
}

#[test]
fn thresholds_count_customers_not_rows() -> Result<()> {
    // One customer has many orders: each group has rows enough, yet one person behind it.
    let sql = "SELECT o_totalprice, count(*) AS lines FROM orders JOIN lineitem ON o_orderkey = l_orderkey GROUP BY 1";
    let answer = world().ask_homes("us-east", "eu-central", sql)?;
    assert_eq!(answer.rows(), &[] as &[Value]);
    assert!(answer.suppressed_groups()["eu-central"] > 1000);
    Ok(())
}

#[test]
fn receipts_name_what_flowed_and_never_an_identifier() -> Result<()> {
    let answer = world().ask("us-east", questions::REVENUE)?;
    let response = world().edge("us-east").get(&format!("/v1/queries/{}/receipt", answer.query_id()))?;
    let document = response.json()?;
    let receipts = document["receipts"].as_array().context("no receipts")?;
    let from: BTreeSet<_> = receipts.iter().filter_map(|signed| signed["receipt"]["from"].as_str()).collect();
    assert_eq!(from, BTreeSet::from(["ap-south", "eu-central"]));
    for signed in receipts {
        let receipt = &signed["receipt"];
        let columns: Vec<_> = receipt["columns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(columns.contains(&"lineitem.l_extendedprice"), "{receipt}");
        assert!(columns.contains(&"orders.o_orderdate"), "{receipt}");
        for identifier in ["orders.o_orderkey", "lineitem.l_orderkey", "orders.o_custkey", "customer.c_name"] {
            assert!(!columns.contains(&identifier), "{receipt}");
        }
        assert_eq!(receipt["minimum_entities"], MINIMUM_ENTITIES, "{receipt}");
        assert!(receipt["clauses"][0]["legal_basis"].as_str().is_some_and(|basis| basis.contains("GDPR")), "{receipt}");
    }
    Ok(())
}

/// Names of European customers that are to be seen in these bytes. The frames are compressed, but a name that occurs
/// for the first time is a literal there; `the_recorder_would_see_a_name` shows that this works.
fn european_names_in(bytes: &[u8]) -> Result<usize> {
    let names = oracle().rows("SELECT c_name, c_phone FROM customer WHERE home = 'eu-central'")?;
    let seen = |cell: &Cell| match cell {
        Cell::Text(text) => bytes.windows(text.len()).any(|window| window == text.as_bytes()),
        _ => false,
    };
    Ok(names.iter().flatten().filter(|cell| seen(cell)).count())
}

#[test]
fn no_name_is_on_the_wire() -> Result<()> {
    let world = world();
    world.ask("us-east", questions::REVENUE)?;
    world.ask("us-east", BY_NATION_AND_MONTH)?;
    world.ask("us-east", "SELECT c_mktsegment, sum(c_acctbal) FROM customer GROUP BY 1")?;
    check_denied(questions::GERMAN_CUSTOMERS, &["customer.c_name"])?;
    let recorded = world.cluster.recorded();
    assert!(recorded.len() > 10_000, "only {} bytes went through the recorder", recorded.len());
    assert_eq!(european_names_in(&recorded)?, 0);
    Ok(())
}

#[test]
fn the_recorder_would_see_a_name() -> Result<()> {
    let options = Options { record: Some(("us-east", "eu-central")), ..Options::permissive() };
    let world = World::start(&options)?;
    world.ask("us-east", "SELECT c_name, c_phone, count(*) FROM customer GROUP BY 1, 2")?;
    assert!(european_names_in(&world.cluster.recorded())? > 0);
    Ok(())
}

#[test]
fn no_region_trusts_the_policies_of_another() -> Result<()> {
    let world = World::start(&Options { permissive: vec!["us-east"], ..Options::default() })?;
    let sql = "SELECT c_name, count(*) FROM customer GROUP BY c_name";
    let denied = problem(&world.edge("us-east").query(sql)?, 403, Some("residency-denied"), &[]);
    let columns = denied["columns"].to_string();
    assert!(columns.contains("customer.c_name"), "{denied}");
    for region in ["eu-central", "ap-south"] {
        assert_eq!(world.edge(region).ledger()?, [] as [Value; 0], "{region} released something");
    }
    Ok(())
}

#[test]
fn only_regions_may_ask_for_fragments() -> Result<()> {
    let fragment = r#"{"query_id":"q1","sql":"SELECT count(*) AS a0 FROM customer","plugins":[],"timeout_ms":1000}"#;
    let edge = world().edge("eu-central");
    let before = edge.ledger()?.len();
    let response =
        edge.send("POST", "/v1/peer/fragments", &[("Content-Type", "application/json")], fragment.as_bytes())?;
    assert!([401, 403].contains(&response.status), "{} {}", response.status, response.text());
    assert_eq!(edge.ledger()?.len(), before);
    Ok(())
}
