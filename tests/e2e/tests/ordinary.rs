//! Ordinary analytics over three regions: figures of entities, conditions, cohorts, spreads. Each answer is what SQLite
//! answers over the union of the data, and what singles somebody out stays where it is.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use domicile_harness::Options;
use domicile_tests::check::{problem, same_rows};
use domicile_tests::oracle::oracle;
use domicile_tests::world::{World, shared};

/// Policies that hold nothing back.
fn permissive() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || World::start(&Options::permissive()))
}

/// The project's own policies.
fn shipped() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || World::start(&Options::default()))
}

#[track_caller]
fn check(world: &World, questions: &[&str]) -> Result<()> {
    for sql in questions {
        let expected = oracle().ask(sql)?;
        assert!(!expected.is_empty(), "the question has no rows to compare");
        let answer = world.ask("us-east", sql).with_context(|| (*sql).to_owned())?;
        same_rows(&answer, &expected);
        assert!(answer.is_full() && answer.border_bytes() > 0, "nothing crossed a border: {sql}");
    }
    Ok(())
}

#[test]
fn conditions_inside_aggregates() -> Result<()> {
    check(
        permissive(),
        &[
            "SELECT o_orderstatus, sum(CASE WHEN o_orderpriority = '1-URGENT' THEN o_totalprice ELSE 0 END) AS urgent, \
             sum(o_totalprice) AS whole, count(*) FILTER (WHERE o_orderpriority = '1-URGENT') AS orders \
             FROM orders GROUP BY 1 ORDER BY 1",
            "SELECT avg(CASE WHEN o_orderstatus = 'F' THEN o_totalprice END) AS done, \
             avg(CASE WHEN o_orderstatus = 'F' THEN 1.0 ELSE 0.0 END) AS rate, \
             min(CASE WHEN o_orderstatus = 'O' THEN o_totalprice ELSE 1000000 END) AS least, \
             sum(CASE WHEN o_orderstatus = 'X' THEN 1 END) AS none, \
             count(CASE WHEN o_orderstatus = 'X' THEN 1 END) AS zero FROM orders",
            "SELECT sum(CASE o_orderstatus WHEN 'F' THEN 1 WHEN 'O' THEN 2 ELSE 3 END) AS weights, \
             sum(o_totalprice * CASE WHEN o_orderstatus = 'F' THEN 2 ELSE 1 END) AS doubled FROM orders",
            "SELECT c_mktsegment, count(*) AS rows, sum(CASE WHEN o_orderstatus = 'F' THEN 1 ELSE 0 END) AS done \
             FROM customer LEFT JOIN orders ON c_custkey = o_custkey GROUP BY 1 ORDER BY 1",
        ],
    )
}

#[test]
fn entities_are_counted_once_whatever_groups_they_are_in() -> Result<()> {
    check(
        permissive(),
        &[
            "SELECT o_orderstatus, count(DISTINCT o_custkey) AS customers FROM orders GROUP BY 1 ORDER BY 1",
            "SELECT count(DISTINCT o_custkey) AS active, sum(CASE WHEN o_orderstatus = 'F' THEN 1 ELSE 0 END) AS done, \
             count(DISTINCT CASE WHEN o_orderstatus = 'F' THEN o_custkey END) AS served FROM orders",
            "SELECT l_shipmode, count(DISTINCT l_orderkey) AS orders, count(*) AS items FROM lineitem GROUP BY 1 ORDER BY 1",
            "SELECT c_mktsegment, count(DISTINCT c_custkey) AS registered, count(DISTINCT o_custkey) AS ordered, \
             count(DISTINCT CASE WHEN o_orderstatus = 'F' THEN o_custkey END) AS delivered \
             FROM customer LEFT JOIN orders ON c_custkey = o_custkey GROUP BY 1 ORDER BY 1",
        ],
    )
}

#[test]
fn figures_of_each_entity_are_grouped() -> Result<()> {
    check(
        permissive(),
        &[
            "SELECT n, count(*) AS customers FROM (SELECT o_custkey, count(*) AS n FROM orders GROUP BY o_custkey) AS own \
             GROUP BY n ORDER BY n",
            "SELECT c_mktsegment, avg(spent) AS value FROM (SELECT c_custkey, c_mktsegment, sum(o_totalprice) AS spent \
             FROM customer JOIN orders ON c_custkey = o_custkey GROUP BY 1, 2) AS own GROUP BY 1 ORDER BY 1",
            "SELECT count(*) AS customers, sum(CASE WHEN n > 10 THEN 1 ELSE 0 END) AS loyal FROM \
             (SELECT o_custkey, count(*) AS n FROM orders GROUP BY o_custkey HAVING count(*) > 1) AS own",
        ],
    )
}

#[test]
fn rows_elsewhere_are_conditions() -> Result<()> {
    check(
        permissive(),
        &[
            "SELECT c_mktsegment, count(*) AS idle FROM customer WHERE NOT EXISTS \
             (SELECT 1 FROM orders WHERE o_custkey = c_custkey) GROUP BY 1 ORDER BY 1",
            "SELECT c_mktsegment, count(*) AS customers FROM customer WHERE c_custkey IN (SELECT o_custkey FROM orders \
             WHERE o_orderdate < DATE '1993-01-01') AND c_custkey NOT IN (SELECT o_custkey FROM orders \
             WHERE o_orderdate >= DATE '1998-01-01') GROUP BY 1 ORDER BY 1",
            "SELECT o_orderstatus, 100.0 * sum(o_totalprice) / (SELECT sum(o_totalprice) FROM orders) AS share \
             FROM orders GROUP BY 1 ORDER BY 1",
        ],
    )
}

#[test]
fn spreads_come_of_sums() -> Result<()> {
    let answer = permissive().ask(
        "us-east",
        "SELECT var_pop(o_totalprice) AS variance, stddev_pop(o_totalprice) AS deviation, \
         stddev(o_totalprice) / stddev_pop(o_totalprice) AS of_sample, corr(o_totalprice, o_totalprice) AS same FROM orders",
    )?;
    let row = answer.rows()[0].clone();
    let number = |name: &str| row[name].as_f64().context("no number");
    let expected = oracle().rows(
        "SELECT avg((o_totalprice - m) * (o_totalprice - m)), count(*) FROM orders, \
         (SELECT avg(o_totalprice) AS m FROM orders)",
    )?;
    let [domicile_tests::oracle::Cell::Number(variance), domicile_tests::oracle::Cell::Number(count)] = expected[0][..]
    else {
        anyhow::bail!("{expected:?}")
    };
    let near = |got: f64, expect: f64| assert!((got - expect).abs() <= expect.abs() * 1e-9, "{got} for {expect}");
    near(number("variance")?, variance);
    near(number("deviation")?, variance.sqrt());
    near(number("of_sample")?, (count / (count - 1.0)).sqrt());
    near(number("same")?, 1.0);
    Ok(())
}

#[test]
fn totals_are_rolled_up() -> Result<()> {
    let sql = "SELECT o_orderstatus, count(*) AS orders FROM orders GROUP BY ROLLUP (o_orderstatus) ORDER BY 2";
    let plain = "SELECT o_orderstatus, count(*) AS orders FROM orders GROUP BY 1 UNION ALL \
                 SELECT NULL, count(*) FROM orders ORDER BY 2";
    same_rows(&permissive().ask("us-east", sql)?, &oracle().ask(plain)?);
    Ok(())
}

/// Whatever a condition is put into, the group that it makes is too small to leave, and with it what would give it back.
#[test]
fn a_condition_that_singles_somebody_out_tells_nothing() -> Result<()> {
    let of_europe = "FROM orders JOIN customer ON o_custkey = c_custkey WHERE home = 'eu-central'";
    let whole = oracle().ask(&format!("SELECT count(*) AS orders {of_europe}"))?;
    let all = shipped().ask_homes("us-east", "eu-central", "SELECT count(*) AS orders FROM orders")?;
    same_rows(&all, &whole);
    let european = oracle()
        .rows(&format!("SELECT o_orderdate, count(DISTINCT o_custkey) {of_europe} GROUP BY 1 ORDER BY 2, 1"))?;
    let domicile_tests::oracle::Cell::Text(day) = &european[0][0] else { anyhow::bail!("no day") };
    let condition = format!("o_orderdate = DATE '{day}'");
    for aggregate in [
        format!("sum(CASE WHEN {condition} THEN o_totalprice ELSE 0 END)"),
        format!("count(*) FILTER (WHERE {condition})"),
        format!("count(DISTINCT CASE WHEN {condition} THEN o_custkey END)"),
        format!("sum(CASE WHEN {condition} THEN 1 END)"),
    ] {
        let sql = format!("SELECT {aggregate} AS told FROM orders");
        let answer = shipped().ask_homes("us-east", "eu-central", &sql)?;
        let told = answer.rows().first().map(|row| row["told"].clone()).unwrap_or_default();
        assert!(told.is_null() || told.as_f64() == Some(0.0), "{sql}: {told}");
    }
    Ok(())
}

#[test]
fn what_is_about_no_entity_or_names_one_is_refused() -> Result<()> {
    for sql in [
        "SELECT count(DISTINCT o_clerk) FROM orders",
        "SELECT count(DISTINCT l_partkey) FROM lineitem",
        "SELECT count(*) FROM (SELECT DISTINCT o_custkey, o_clerk FROM orders) AS own",
        "SELECT sum(CASE WHEN c_custkey = 7 THEN c_acctbal ELSE 0 END) FROM customer",
        "SELECT n, count(*) FROM (SELECT o_clerk, count(*) AS n FROM orders GROUP BY 1) AS own GROUP BY n",
        "SELECT most, count(*) FROM (SELECT o_custkey, max(o_clerk) AS most FROM orders GROUP BY 1) AS own GROUP BY most",
        "SELECT count(*) FROM customer WHERE EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey AND o_clerk = 'x')",
        "SELECT stddev(c_custkey) FROM customer",
    ] {
        let response = shipped().edge("us-east").query(sql)?;
        assert!([403, 422].contains(&response.status), "{sql}: {} {}", response.status, response.text());
        problem(&response, response.status, None, &[]);
    }
    Ok(())
}
