//! Questions over three regions answer what SQLite answers over the union of their data.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use domicile_harness::{Answer, Options, questions};
use domicile_tests::check::{problem, same_rows};
use domicile_tests::oracle::oracle;
use domicile_tests::world::{World, shared};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || World::start(&Options::permissive()))
}

#[track_caller]
fn check(edge: &str, sql: &str) -> Result<()> {
    let answer = check_rows(edge, sql)?;
    assert!(answer.border_bytes() > 0, "nothing crossed a border");
    Ok(())
}

#[track_caller]
fn check_rows(edge: &str, sql: &str) -> Result<Answer> {
    let expected = oracle().ask(sql)?;
    assert!(!expected.is_empty(), "the question has no rows to compare");
    let answer = world().ask(edge, sql).with_context(|| sql.to_owned())?;
    same_rows(&answer, &expected);
    assert!(answer.is_full());
    Ok(answer)
}

#[test]
fn revenue_by_month_and_product_group() -> Result<()> {
    check("us-east", questions::REVENUE)?;
    check("eu-central", questions::REVENUE)
}

#[test]
fn q01_pricing_summary() -> Result<()> {
    check("us-east", include_str!("../queries/q01.sql"))
}

#[test]
fn q03_shipping_priority() -> Result<()> {
    check("us-east", include_str!("../queries/q03.sql"))
}

#[test]
fn q05_local_supplier_volume() -> Result<()> {
    check("us-east", include_str!("../queries/q05.sql"))
}

#[test]
fn q06_forecast_of_revenue_change() -> Result<()> {
    check("us-east", include_str!("../queries/q06.sql"))
}

#[test]
fn q10_returned_items() -> Result<()> {
    check("us-east", include_str!("../queries/q10.sql"))
}

#[test]
fn q12_shipping_modes() -> Result<()> {
    check("us-east", include_str!("../queries/q12.sql"))
}

#[test]
fn q14_promotion_effect() -> Result<()> {
    check("us-east", include_str!("../queries/q14.sql"))
}

#[test]
fn one_home_alone() -> Result<()> {
    let sql = "SELECT c_mktsegment, count(*) AS customers, sum(c_acctbal) AS balance FROM customer \
               GROUP BY c_mktsegment ORDER BY c_mktsegment";
    let european = sql.replace("FROM customer", "FROM customer WHERE home = 'eu-central'");
    let answer = world().ask_homes("us-east", "eu-central", sql)?;
    same_rows(&answer, &oracle().ask(&european)?);
    Ok(())
}

#[test]
fn small_shapes() -> Result<()> {
    for sql in [
        "SELECT count(*) AS orders FROM orders",
        "SELECT count(*) AS none FROM orders WHERE o_orderdate > DATE '2020-01-01'",
        "SELECT sum(o_totalprice) AS none FROM orders WHERE o_orderdate > DATE '2020-01-01'",
        "SELECT DISTINCT o_orderstatus FROM orders ORDER BY 1",
        "SELECT avg(l_linenumber) AS mean, sum(l_linenumber) AS total, count(l_linenumber) AS lines FROM lineitem",
        "SELECT min(o_orderdate) AS first, max(o_orderdate) AS last FROM orders",
        "SELECT o_orderpriority, count(*) AS orders FROM orders GROUP BY 1 HAVING count(*) > 2990 ORDER BY 2 DESC",
        "SELECT c_mktsegment, avg(o_totalprice) AS mean FROM orders JOIN customer ON o_custkey = c_custkey \
         GROUP BY 1 ORDER BY 1",
        "WITH segments AS (SELECT c_mktsegment AS segment, count(*) AS customers FROM customer GROUP BY 1) \
         SELECT max(customers) AS most FROM segments",
        "SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM customer) AS customers",
        "SELECT 1 AS one WHERE (SELECT count(*) FROM orders) > 3",
        "WITH v(part) AS (VALUES ('a'), ('b')) SELECT part, orders FROM v CROSS JOIN (SELECT count(*) AS orders FROM orders) ORDER BY 1",
    ] {
        check("ap-south", sql)?;
    }
    Ok(())
}

/// A predicate on the residency column leaves these homes to be asked, and no row is lost.
#[track_caller]
fn check_homes(predicate: &str, homes: &[&str]) -> Result<()> {
    for from in ["customer", "orders JOIN customer ON o_custkey = c_custkey"] {
        let sql = format!("SELECT count(*) AS rows, sum(c_acctbal) AS balance FROM {from} WHERE {predicate}");
        let answer = check_rows("us-east", &sql)?;
        let answered = answer.document()["coverage"]["answered"].as_array().into_iter().flatten();
        assert_eq!(answered.filter_map(|home| home.as_str()).collect::<Vec<_>>(), homes, "{sql}");
    }
    Ok(())
}

#[test]
fn homes_that_a_predicate_rules_out_are_not_asked() -> Result<()> {
    check_homes("c_nationkey = 7", &["eu-central"])?;
    check_homes("7 = c_nationkey AND c_mktsegment = 'BUILDING'", &["eu-central"])?;
    check_homes("c_nationkey IN (7, 24)", &["eu-central", "us-east"])?;
    check_homes("c_nationkey = 7 OR c_mktsegment = 'BUILDING'", &["ap-south", "eu-central", "us-east"])?;
    check_homes("NOT (c_nationkey = 7)", &["ap-south", "eu-central", "us-east"])?;
    check_homes("c_nationkey <> 7 AND c_acctbal > 0", &["ap-south", "eu-central", "us-east"])
}

#[test]
fn predicates_that_look_like_homes_lose_no_rows() -> Result<()> {
    for sql in [
        "SELECT count(*) AS customers FROM customer WHERE c_nationkey = 7 OR c_nationkey = 8",
        "SELECT count(*) AS customers FROM customer WHERE c_nationkey = 7 AND c_nationkey = 24",
        "SELECT count(*) AS customers FROM customer WHERE c_nationkey + 1 = 8",
        "SELECT count(*) AS customers FROM customer WHERE c_nationkey BETWEEN 6 AND 8",
        "SELECT count(*) AS orders FROM orders JOIN customer ON o_custkey = c_custkey \
         JOIN nation ON c_nationkey = n_nationkey WHERE n_nationkey = 7",
        "SELECT sum(CASE WHEN c_nationkey = 7 THEN 1 ELSE 0 END) AS german, count(*) AS all_customers FROM customer",
        "SELECT c_nationkey, count(*) AS customers FROM customer GROUP BY 1 HAVING c_nationkey = 7",
        "SELECT 'd' AS part, count(*) AS customers FROM customer WHERE c_nationkey = 7 \
         UNION ALL SELECT 'u', count(*) FROM customer WHERE c_nationkey = 24 ORDER BY 1",
        "SELECT count(*) AS lines FROM lineitem JOIN orders ON l_orderkey = o_orderkey \
         JOIN customer ON o_custkey = c_custkey WHERE c_nationkey = 24 AND l_quantity < 10",
        "SELECT a.customers AS german, b.customers AS american FROM \
         (SELECT count(*) AS customers FROM customer WHERE c_nationkey = 7) AS a, \
         (SELECT count(*) AS customers FROM customer WHERE c_nationkey = 24) AS b",
    ] {
        check_rows("us-east", sql)?;
    }
    Ok(())
}

#[test]
fn joins_groups_and_limits() -> Result<()> {
    for sql in [
        "SELECT c_mktsegment, count(o_orderkey) AS orders FROM customer LEFT JOIN orders ON c_custkey = o_custkey \
         AND o_orderdate < DATE '1993-01-01' GROUP BY 1 ORDER BY 1",
        "SELECT count(*) AS idle FROM customer LEFT JOIN orders ON c_custkey = o_custkey WHERE o_orderkey IS NULL",
        "SELECT p_brand, count(*) AS parts FROM part GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3 OFFSET 2",
        "SELECT o_orderpriority, o_orderstatus, count(*) AS orders FROM orders GROUP BY 1, 2 \
         ORDER BY 3 DESC, 1, 2 LIMIT 4 OFFSET 3",
        "SELECT n_name, r_name FROM nation JOIN region ON n_regionkey = r_regionkey ORDER BY 1",
    ] {
        check_rows("us-east", sql)?;
    }
    Ok(())
}

#[test]
fn what_the_regions_parts_do_not_give_is_refused_or_right() -> Result<()> {
    for sql in [
        "SELECT count(DISTINCT c_nationkey) AS nations FROM customer",
        "SELECT c_mktsegment, count(DISTINCT o_orderpriority) AS priorities FROM customer \
         JOIN orders ON c_custkey = o_custkey GROUP BY 1 ORDER BY 1",
        "SELECT n_name, count(c_custkey) AS customers FROM nation LEFT JOIN customer \
         ON n_nationkey = c_nationkey AND c_nationkey = 7 GROUP BY 1 ORDER BY 1",
        "SELECT c_mktsegment, count(*) AS customers FROM customer WHERE c_custkey IN \
         (SELECT o_custkey FROM orders WHERE o_orderdate < DATE '1992-06-01') GROUP BY 1 ORDER BY 1",
        "SELECT count(*) AS idle FROM customer WHERE NOT EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey)",
        "SELECT count(*) AS above FROM customer WHERE c_acctbal > (SELECT avg(c_acctbal) FROM customer)",
        "SELECT 100 * sum(o_totalprice) / (SELECT sum(o_totalprice) FROM orders) AS share FROM orders \
         WHERE o_orderpriority = '1-URGENT'",
        "SELECT count(*) AS pairs FROM customer AS a JOIN customer AS b ON a.c_nationkey = b.c_nationkey \
         AND a.c_custkey < b.c_custkey",
        "SELECT count(*) AS pairs FROM customer AS a JOIN customer AS b ON a.c_mktsegment = b.c_mktsegment",
        "SELECT o_orderpriority, sum(count(*)) OVER () AS orders FROM orders GROUP BY 1 ORDER BY 1",
        "SELECT count(*) AS kinds FROM (SELECT DISTINCT c_mktsegment FROM customer) AS s",
        "SELECT count(*) AS kinds FROM (SELECT c_mktsegment FROM customer INTERSECT SELECT c_mktsegment FROM customer \
         WHERE c_nationkey = 7) AS s",
        "SELECT max(orders) AS most FROM (SELECT o_custkey, count(*) AS orders FROM orders GROUP BY 1) AS s",
        "SELECT count(*) AS customers FROM (SELECT c_custkey FROM customer ORDER BY c_acctbal DESC LIMIT 10) AS s \
         JOIN orders ON o_custkey = c_custkey",
    ] {
        let response = world().edge("us-east").query(sql)?;
        match response.status {
            403 => drop(problem(&response, 403, Some("residency-denied"), &["no rows"])),
            422 => drop(problem(&response, 422, Some("across-regions"), &[])),
            _ => same_rows(&response.answer().with_context(|| sql.to_owned())?, &oracle().ask(sql)?),
        }
    }
    Ok(())
}
