//! Nothing leaves that may not: denials, thresholds, what is recorded on the wire, and whom a region trusts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use domicile_harness::{Options, questions};
use domicile_tests::check::{problem, same_rows};
use domicile_tests::oracle::{Cell, oracle};
use domicile_tests::world::{World, shared};
use serde_json::Value;

/// The threshold of the project's policies.
const MINIMUM_ENTITIES: u64 = 10;
/// As in `regions/policies`: the most that one customer may make up.
const DOMINANCE_PERCENT: f64 = 80.0;

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

/// Orders of each customer, by nation and month.
type Orders = BTreeMap<(String, String), BTreeMap<String, f64>>;

/// The orders of one home, as the oracle knows them.
fn orders_of(home: &str) -> Result<Orders> {
    let rows = oracle().rows(&format!(
        "SELECT n_name, strftime('%Y-%m', o_orderdate), 'c' || c_custkey, count(*) \
         FROM orders JOIN customer ON o_custkey = c_custkey JOIN nation ON c_nationkey = n_nationkey \
         WHERE home = '{home}' GROUP BY 1, 2, 3"
    ))?;
    let mut orders = Orders::new();
    for row in rows {
        let [Cell::Text(nation), Cell::Text(month), Cell::Text(customer), Cell::Number(count)] = row.as_slice() else {
            anyhow::bail!("{row:?}");
        };
        orders.entry((nation.clone(), month.clone())).or_default().insert(customer.clone(), *count);
    }
    Ok(orders)
}

/// Whether enough customers stand behind these groups as one, and none of them for too much.
fn is_sound<'g>(groups: impl Iterator<Item = &'g BTreeMap<String, f64>>) -> bool {
    let mut all: BTreeMap<&str, f64> = BTreeMap::new();
    groups.flatten().for_each(|(customer, orders)| *all.entry(customer).or_default() += orders);
    let most = all.values().copied().fold(0.0, f64::max);
    all.len() as u64 >= MINIMUM_ENTITIES && most <= all.values().sum::<f64>() * DOMINANCE_PERCENT / 100.0
}

/// The names of all totals that a group by nation and month is part of.
fn totals((nation, month): &(String, String)) -> Vec<String> {
    let (year, month_of_year) = month.split_once('-').unwrap_or_default();
    let quarter = month_of_year.parse::<u32>().map_or(0, |month| (month - 1) / 3);
    let times =
        ["all".to_owned(), format!("year {year}"), format!("quarter {year} {quarter}"), format!("month {month}")];
    times.iter().flat_map(|time| [time.clone(), format!("{nation} {time}")]).collect()
}

/// What was seen of a home's groups is right, nothing of it is too small, and nothing that was not seen comes of
/// subtracting what was from a total. Returns how many groups were seen.
fn check_seen(orders: &Orders, seen: &BTreeMap<(String, String), f64>) -> usize {
    let mut held: BTreeMap<String, Vec<&BTreeMap<String, f64>>> = BTreeMap::new();
    let mut open: BTreeSet<String> = BTreeSet::new();
    for (group, customers) in orders {
        match seen.get(group) {
            Some(count) => {
                assert!(is_sound([customers].into_iter()), "{group:?} is too small");
                assert_eq!(*count, customers.values().sum::<f64>(), "{group:?}");
                open.extend(totals(group));
            }
            None => totals(group).into_iter().for_each(|total| held.entry(total).or_default().push(customers)),
        }
    }
    for (total, held) in held.iter().filter(|(total, _)| open.contains(*total)) {
        assert!(is_sound(held.iter().copied()), "{total} less what was seen is too small");
    }
    seen.len()
}

#[test]
fn small_groups_stay_at_their_source_and_do_not_come_of_totals() -> Result<()> {
    let edge = "us-east";
    let answer = world().edge(edge).query(BY_NATION_AND_MONTH)?.answer()?;
    let mut seen: BTreeMap<(String, String), f64> = BTreeMap::new();
    for row in answer.rows() {
        let text = |column: &str| row[column].as_str().map(str::to_owned).context("a column is missing");
        let month = text("month")?[..7].to_owned();
        seen.insert((text("n_name")?, month), row["orders"].as_f64().context("no number")?);
    }
    let mut shown = BTreeMap::new();
    for home in ["ap-south", "eu-central", "us-east"] {
        let orders = orders_of(home)?;
        let of_home = seen.iter().filter(|(group, _)| orders.contains_key(*group));
        let of_home = of_home.map(|(group, count)| (group.clone(), *count)).collect();
        if home == edge {
            assert_eq!(seen.iter().filter(|(group, _)| orders.contains_key(*group)).count(), orders.len());
        } else {
            let sound = orders.values().filter(|group| is_sound([*group].into_iter())).count();
            shown.insert(home, (check_seen(&orders, &of_home), sound, orders.len()));
        }
    }
    eprintln!("{shown:?}");
    assert!(shown.values().all(|(seen, sound, all)| seen * 2 >= *sound && sound < all && *seen > 0), "{shown:?}");
    assert_eq!(answer.suppressed_groups().into_keys().collect::<Vec<_>>(), ["ap-south", "eu-central"]);
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
