//! Questions over three regions answer what SQLite answers over the union of their data.

use std::sync::OnceLock;

use anyhow::Result;
use domicile_harness::{Options, questions};
use domicile_tests::check::same_rows;
use domicile_tests::oracle::oracle;
use domicile_tests::world::{World, shared};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || World::start(&Options::permissive()))
}

#[track_caller]
fn check(edge: &str, sql: &str) -> Result<()> {
    let expected = oracle().ask(sql)?;
    assert!(!expected.is_empty(), "the question has no rows to compare");
    let answer = world().ask(edge, sql)?;
    same_rows(&answer, &expected);
    assert!(answer.is_full());
    assert!(answer.border_bytes() > 0, "nothing crossed a border");
    Ok(())
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
        "SELECT min(o_orderdate) AS first, max(o_orderdate) AS last FROM orders",
        "SELECT o_orderpriority, count(*) AS orders FROM orders GROUP BY 1 HAVING count(*) > 2990 ORDER BY 2 DESC",
        "SELECT c_mktsegment, avg(o_totalprice) AS mean FROM orders JOIN customer ON o_custkey = c_custkey \
         GROUP BY 1 ORDER BY 1",
        "WITH segments AS (SELECT c_mktsegment AS segment, count(*) AS customers FROM customer GROUP BY 1) \
         SELECT max(customers) AS most FROM segments",
    ] {
        check("ap-south", sql)?;
    }
    Ok(())
}
