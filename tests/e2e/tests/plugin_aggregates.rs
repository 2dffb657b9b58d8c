//! Aggregates of plugins over several regions: what they compute, what policies let cross, and what stays apart.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Answer, Options};
use domicile_tests::check::problem;
use domicile_tests::quantiles::{check_quantiles, sorted};
use domicile_tests::world::{World, digest, shared};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || {
        let limits = vec![("plugin_timeout_ms".to_owned(), 2000)];
        let approved = vec![digest("quantile_sketch")?];
        let world = World::start(&Options { limits, approved, ..Options::permissive() })?;
        for (component, name) in [("quantile_sketch", "quantiles"), ("hostile_keeps", "keeps"), ("rfm", "rfm")] {
            let response = world.deploy("us-east", component, name, "1.0.0")?;
            anyhow::ensure!(response.status < 300, "{component}: {}", response.text());
        }
        Ok(world)
    })
}

#[test]
fn quantiles_over_all_regions_are_as_exact_as_promised() -> Result<()> {
    let exact = sorted("SELECT 'all', l_extendedprice FROM lineitem ORDER BY l_extendedprice")?;
    for region in REGIONS {
        for q in [0.0, 0.01, 0.5, 0.9, 0.999, 1.0] {
            let sql = format!("SELECT 'all' AS k, approx_quantile(l_extendedprice, {q}) AS q FROM lineitem");
            let answer = world().ask(region, &sql)?;
            check_quantiles(&answer, q, &exact)?;
            assert!((1..20_000).contains(&answer.border_bytes()), "{}", answer.border_bytes());
        }
    }
    Ok(())
}

#[test]
fn groups_filters_and_joins_go_with_them() -> Result<()> {
    let sql = "SELECT o_orderpriority, approx_quantile(l_extendedprice, 0.75) FILTER (WHERE l_quantity > 25) AS q \
               FROM lineitem JOIN orders ON l_orderkey = o_orderkey WHERE l_shipmode = 'AIR' GROUP BY 1 ORDER BY 1";
    let exact = sorted(
        "SELECT o_orderpriority, l_extendedprice FROM lineitem JOIN orders ON l_orderkey = o_orderkey \
         WHERE l_shipmode = 'AIR' AND l_quantity > 25 ORDER BY 1, 2",
    )?;
    for region in REGIONS {
        check_quantiles(&world().ask(region, sql)?, 0.75, &exact)?;
    }
    Ok(())
}

#[test]
fn many_groups_are_answered_beside_other_aggregates() -> Result<()> {
    let sql = "SELECT CAST(o_orderdate AS VARCHAR) AS day, approx_quantile(o_totalprice, 0.5) AS q FROM orders \
               GROUP BY o_orderdate ORDER BY o_orderdate";
    let exact = sorted("SELECT o_orderdate, o_totalprice FROM orders ORDER BY 1, 2")?;
    check_quantiles(&world().ask("eu-central", sql)?, 0.5, &exact)?;
    let sql = "SELECT o_orderstatus, approx_quantile(o_totalprice, 0.5) AS q, count(*) AS n, avg(o_totalprice) AS a \
               FROM orders GROUP BY 1 ORDER BY 1";
    let answer = world().ask("eu-central", sql)?;
    let counted = world().ask("eu-central", "SELECT o_orderstatus, count(*) FROM orders GROUP BY 1 ORDER BY 1")?;
    let counts = |answer: &Answer, column: usize| -> Vec<Option<String>> {
        answer.cells().iter().map(|row| row[column].clone()).collect()
    };
    assert_eq!(counts(&answer, 2), counts(&counted, 1));
    Ok(())
}

#[test]
fn a_group_without_rows_is_null() -> Result<()> {
    let sql = "SELECT approx_quantile(o_totalprice, 0.5) AS q FROM orders WHERE o_orderdate < DATE '1980-01-01'";
    assert_eq!(world().ask("us-east", sql)?.cells(), [[None]]);
    Ok(())
}

#[test]
fn a_home_answers_the_same_whether_asked_there_or_from_elsewhere() -> Result<()> {
    let sql = "SELECT o_orderpriority, approx_quantile(o_totalprice, 0.25) AS q FROM orders GROUP BY 1 ORDER BY 1";
    for home in REGIONS {
        let there = world().ask_homes(home, home, sql)?;
        assert_eq!(there.border_bytes(), 0);
        for region in REGIONS {
            assert_eq!(world().ask_homes(region, home, sql)?.cells(), there.cells(), "{region} {home}");
        }
    }
    Ok(())
}

#[test]
fn a_mapper_answers_the_same_in_batches_as_with_each_entity_apart() -> Result<()> {
    let sql = "SELECT segment, count(*) AS n, sum(revenue) AS revenue FROM rfm GROUP BY 1 ORDER BY 1";
    for home in REGIONS {
        let batches = world().ask_homes(home, home, sql)?;
        assert!(batches.rows().len() > 1 && batches.border_bytes() == 0, "{}", batches.document());
        for region in REGIONS.into_iter().filter(|region| *region != home) {
            let apart = world().ask_homes(region, home, sql)?;
            for (row, expected) in apart.cells().iter().zip(batches.cells()) {
                assert_eq!(row[..2], expected[..2], "{region} {home}");
                let number = |cell: &Option<String>| cell.as_deref().context("null")?.parse::<f64>().context("text");
                // Doubles are added in another order.
                let (got, expected) = (number(&row[2])?, number(&expected[2])?);
                assert!((got - expected).abs() <= 1e-9 * expected, "{region} {home}: {got} {expected}");
            }
            assert_eq!(apart.rows().len(), batches.rows().len());
        }
    }
    Ok(())
}

#[test]
fn states_cross_only_if_the_code_is_approved() -> Result<()> {
    let sql = "SELECT endless(o_custkey) AS e FROM orders WHERE o_orderdate < DATE '1980-01-01'";
    let denied = world().edge("us-east").query(sql)?;
    let digest = digest("hostile_keeps")?;
    problem(&denied, 403, Some("residency-denied"), &["orders", "everything", &digest, "`plugins`"]);
    // At home nothing crosses, so nobody is asked.
    assert_eq!(world().ask_homes("us-east", "us-east", sql)?.cells(), [[None]]);
    Ok(())
}

#[test]
fn what_an_aggregate_of_a_plugin_does_not_take_is_refused() -> Result<()> {
    for (call, clause) in [
        ("approx_quantile(DISTINCT o_totalprice, 0.5)", "DISTINCT"),
        ("approx_quantile(o_totalprice, 0.5 ORDER BY o_orderdate)", "ORDER BY"),
        ("approx_quantile(o_totalprice, 0.5) OVER (PARTITION BY o_orderstatus)", "OVER"),
    ] {
        for homes in ["us-east", "us-east,eu-central"] {
            let sql = format!("SELECT {call} AS q FROM orders");
            let refused = world().edge("us-east").query_with(&sql, &[("Data-Region", homes)])?;
            problem(&refused, 400, None, &["approx_quantile", clause]);
        }
    }
    for part in ["approx_quantile__state(o_totalprice, 0.5)", "approx_quantile__merge(o_comment)"] {
        let refused = world().edge("us-east").query(&format!("SELECT {part} AS q FROM orders"))?;
        problem(&refused, 400, None, &["approx_quantile__"]);
    }
    let sql = "SELECT approx_quantile(o_totalprice, 1.5) AS q FROM orders";
    let wrong = |home| world().edge("us-east").query_with(sql, &[("Data-Region", home)]);
    problem(&wrong("us-east")?, 422, Some("plugin-failed"), &["approx_quantile"]);
    // Elsewhere it failed at rows, and nobody here learns that.
    assert_eq!(wrong("eu-central")?.answer()?.cells(), [[None]]);
    Ok(())
}

#[test]
fn what_one_query_leaves_behind_no_other_finds() -> Result<()> {
    for _ in 0..3 {
        let sql = "SELECT min(seen(o_orderkey)) AS first, max(seen(o_orderkey)) AS last FROM orders";
        let answer = world().ask_homes("us-east", "us-east", sql)?;
        let cells = answer.cells();
        let [Some(first), Some(last)] = cells[0].as_slice() else { anyhow::bail!("{cells:?}") };
        let rows = world().ask_homes("us-east", "us-east", "SELECT count(*) FROM orders")?;
        let rows: u64 = rows.cells()[0][0].as_deref().context("no count")?.parse()?;
        assert_eq!(first, "0");
        // Two calls for each row, and no value seen by any query before.
        assert!(last.parse::<u64>()? < 2 * rows, "{last} of {rows}");
    }
    Ok(())
}

#[test]
fn an_aggregate_that_never_ends_is_ended() -> Result<()> {
    let sql = "SELECT o_orderstatus, endless(o_custkey) AS e FROM orders GROUP BY 1";
    for _ in 0..2 {
        let ended = world().edge("us-east").query_with(sql, &[("Data-Region", "us-east")])?;
        problem(&ended, 504, None, &["keeps", "2000 ms"]);
        let answer = world().ask("us-east", "SELECT approx_quantile(o_totalprice, 0.5) AS q FROM orders")?;
        assert!(answer.is_full());
    }
    Ok(())
}
