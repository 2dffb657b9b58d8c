//! `EXPLAIN`: what a region would do and ask, judged like the question itself, and nothing is done or asked.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use domicile_harness::Options;
use domicile_tests::check::problem;
use domicile_tests::world::{World, shared};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || World::start(&Options::default()))
}

/// Pairs of plan type and plan.
fn explain(region: &str, sql: &str) -> Result<Vec<(String, String)>> {
    let answer = world().ask(region, &format!("EXPLAIN {sql}"))?;
    assert_eq!(answer.columns(), ["plan_type", "plan"]);
    assert_eq!(answer.border_bytes(), 0, "something crossed a border");
    assert!(answer.is_full());
    let pair = |row: Vec<Option<String>>| Some((row.first()?.clone()?, row.get(1)?.clone()?));
    answer.cells().into_iter().map(|row| pair(row).context("a cell is empty")).collect()
}

#[test]
fn a_question_across_regions_shows_its_fragment_and_the_plan_here() -> Result<()> {
    let sql = "SELECT o_orderstatus, avg(o_totalprice) AS price FROM orders WHERE o_orderdate >= DATE '1995-01-01' \
               GROUP BY 1 ORDER BY 1";
    let ledger = world().edge("eu-central").ledger()?.len();
    let plans = explain("us-east", sql)?;
    let kinds: Vec<&str> = plans.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["fragment 1", "fragment 1 in us-east", "merge"]);
    assert!(
        plans[0].1.starts_with("asked of ap-south, eu-central, us-east: SELECT orders.o_orderstatus AS g0"),
        "{plans:?}"
    );
    assert!(plans[1].1.contains("SegmentsExec: dataset=orders, partitions=1 of 1, segments="), "{plans:?}");
    assert!(plans[1].1.contains("1995-01-01"), "{plans:?}");
    assert!(plans[2].1.contains("SortExec"), "{plans:?}");
    assert_eq!(world().edge("eu-central").ledger()?.len(), ledger, "another region was asked");
    Ok(())
}

#[test]
fn a_question_about_other_homes_has_no_plan_here() -> Result<()> {
    let plans = explain("us-east", "SELECT count(*) AS n FROM customer WHERE c_nationkey = 7")?;
    let kinds: Vec<&str> = plans.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["fragment 1", "merge"]);
    assert!(plans[0].1.starts_with("asked of eu-central: "), "{plans:?}");
    Ok(())
}

#[test]
fn reference_data_is_one_plan() -> Result<()> {
    let plans = explain("eu-central", "SELECT n_name FROM nation JOIN region ON n_regionkey = r_regionkey")?;
    assert_eq!(plans.len(), 1);
    assert_eq!(plans[0].0, "plan");
    assert!(plans[0].1.contains("SegmentsExec: dataset=nation") && plans[0].1.contains("HashJoinExec"), "{plans:?}");
    Ok(())
}

#[test]
fn what_is_denied_is_not_explained() -> Result<()> {
    for sql in ["SELECT c_name FROM customer", "SELECT c_phone, count(*) FROM customer GROUP BY 1"] {
        let asked = world().edge("us-east").query(sql)?;
        let denied = problem(&asked, 403, Some("residency-denied"), &[]);
        let explained =
            problem(&world().edge("us-east").query(&format!("EXPLAIN {sql}"))?, 403, Some("residency-denied"), &[]);
        assert_eq!(explained["columns"], denied["columns"]);
    }
    problem(&world().edge("us-east").query("EXPLAIN ANALYZE SELECT 1 AS x")?, 400, Some("sql-invalid"), &["EXPLAIN"]);
    Ok(())
}

#[test]
fn the_command_line_explains() -> Result<()> {
    let ran = world().cluster.cli("us-east").run(&["query", "EXPLAIN SELECT count(*) FROM nation"])?.success()?;
    assert!(ran.stdout.contains("SegmentsExec: dataset=nation"), "{}", ran.stdout);
    Ok(())
}
