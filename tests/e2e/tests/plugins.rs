//! Plugins over HTTP: what they compute, and what becomes of those that misbehave.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::thread;

use anyhow::{Context, Result};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Options, Response, questions};
use domicile_tests::check::{problem, same_rows};
use domicile_tests::oracle::{Cell, oracle};
use domicile_tests::world::{World, plugin, shared};
use serde_json::Value;

/// Customer segments as SQLite computes them; `$as_of` is a day.
const SEGMENTS: &str = include_str!("../queries/rfm.sqlite.sql");

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || {
        let limits = vec![("plugin_timeout_ms".to_owned(), 500)];
        let world = World::with_plugins(&Options { limits, ..Options::permissive() })?;
        for (component, name) in HOSTILE_WHEN_CALLED {
            let response = world.deploy("eu-central", component, name, "6.6.6")?;
            anyhow::ensure!(response.status < 300, "{component}: {}", response.text());
        }
        Ok(world)
    })
}

/// Hostile components that only show what they are once they are called, and the names they are deployed under.
const HOSTILE_WHEN_CALLED: [(&str, &str); 6] = [
    ("hostile_garbles", "garbles"),
    ("hostile_hoard", "hoard"),
    ("hostile_lies", "lies"),
    ("hostile_panics", "panics"),
    ("hostile_piles", "piles"),
    ("hostile_spin", "spin"),
];

#[test]
fn segments_are_those_that_sqlite_computes() -> Result<()> {
    for (region, as_of) in [("us-east", "1998-08-02"), ("eu-central", "1997-01-01"), ("ap-south", "1992-06-30")] {
        let answer = world().edge(region).get(&format!("/v1/endpoints/rfm?as_of={as_of}"))?.answer()?;
        assert_eq!(answer.columns(), ["segment", "entities", "revenue"]);
        same_rows(&answer, &oracle().rows(&SEGMENTS.replace("$as_of", as_of))?);
    }
    Ok(())
}

#[test]
fn a_mapper_is_a_table_in_sql() -> Result<()> {
    let sql = "SELECT segment, count(*) AS entities, sum(revenue) AS revenue FROM rfm GROUP BY 1 ORDER BY 1";
    same_rows(&world().ask("us-east", sql)?, &oracle().rows(&SEGMENTS.replace("$as_of", "1998-08-02"))?);
    Ok(())
}

#[test]
fn functions_compute_inside_sql() -> Result<()> {
    let expected = oracle().rows(
        "SELECT CASE WHEN o_totalprice < 50000 THEN 'small' WHEN o_totalprice < 150000 THEN 'medium' \
                     WHEN o_totalprice < 300000 THEN 'large' ELSE 'very large' END AS band, \
                count(*), sum(l_extendedprice * (1 - l_discount)) \
         FROM lineitem JOIN orders ON l_orderkey = o_orderkey GROUP BY 1 ORDER BY 3 DESC",
    )?;
    for region in REGIONS {
        let answer = world().ask(region, questions::PRICE_BANDS)?;
        // Doubles are added in another order here than there.
        assert_eq!(answer.rows().len(), expected.len());
        for (row, expected) in answer.cells().iter().zip(&expected) {
            let [Cell::Text(band), Cell::Number(items), Cell::Number(revenue)] = expected.as_slice() else {
                anyhow::bail!("{expected:?}")
            };
            let [Some(got_band), Some(got_items), Some(got_revenue)] = row.as_slice() else { anyhow::bail!("{row:?}") };
            assert_eq!(got_band, band);
            assert_eq!(got_items, &items.to_string());
            assert!((got_revenue.parse::<f64>()? - revenue).abs() <= 1e-9 * revenue, "{got_revenue} {revenue}");
        }
    }
    Ok(())
}

#[test]
fn deployed_once_active_everywhere() -> Result<()> {
    let first = world().edge("us-east").get("/v1/plugins")?.json()?;
    for region in REGIONS {
        let listed = world().edge(region).get("/v1/plugins")?.json()?;
        let digests = |document: &Value| -> BTreeSet<String> {
            let plugins = document["plugins"].as_array().into_iter().flatten();
            plugins.map(|plugin| format!("{} {} {}", plugin["name"], plugin["version"], plugin["sha256"])).collect()
        };
        assert_eq!(digests(&listed), digests(&first));
        assert!(digests(&listed).len() >= 2 + HOSTILE_WHEN_CALLED.len(), "{listed}");
    }
    Ok(())
}

#[test]
fn a_version_never_changes() -> Result<()> {
    let again = world().deploy("ap-south", "rfm", "rfm", "1.0.0")?;
    assert!(again.status < 300, "{}", again.text());
    let other = world().deploy("ap-south", "pricing", "rfm", "1.0.0")?;
    assert_eq!(other.status, 409, "{}", other.text());
    assert!(other.text().contains("1.0.0"), "{}", other.text());
    Ok(())
}

/// A component is refused when it is deployed, and the refusal says why.
#[track_caller]
fn check_refused(component: &str, status: u16, texts: &[&str]) -> Result<()> {
    let response = world().deploy("us-east", component, "intruder", "0.0.1")?;
    let refused = problem(&response, status, None, texts);
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("intruder")), "{refused}");
    for region in REGIONS {
        let listed = world().edge(region).get("/v1/plugins")?.text();
        assert!(!listed.contains("intruder"), "{region} half-deployed it: {listed}");
    }
    Ok(())
}

#[test]
fn components_that_do_not_fit_are_refused() -> Result<()> {
    check_refused("hostile_stranger", 422, &["export"])?;
    check_refused("hostile_impostor", 422, &["describe"])?;
    check_refused("hostile_reaches", 422, &["wasi:"])?;
    check_refused("hostile_gambles", 422, &["wasi:random"])?;
    check_refused("hostile_stalls", 504, &["time limit"])
}

#[test]
fn what_is_no_component_is_refused() -> Result<()> {
    let rfm = std::fs::read(plugin("rfm")?)?;
    for body in [&b"not wasm"[..], b"", b"\0asm\x01\0\0\0", &rfm[..rfm.len() / 2]] {
        let response = world().edge("us-east").deploy("intruder", "0.0.1", body)?;
        assert!([400, 422].contains(&response.status), "{} {}", response.status, response.text());
    }
    for (name, version) in [("No-Name", "1.0.0"), ("fine", "not a version!"), ("..", "1.0.0")] {
        let response = world().edge("us-east").deploy(name, version, &rfm)?;
        assert!((400..500).contains(&response.status), "{name} {version}: {} {}", response.status, response.text());
    }
    Ok(())
}

/// A question calls something hostile. In its own region it fails with this status, naming the plugin, its version and
/// what it ran into; from elsewhere, nobody learns that it did.
#[track_caller]
fn check_stopped(sql: &str, status: u16, texts: &[&str]) -> Result<()> {
    let ask = |home: &str| world().edge("us-east").query_with(sql, &[("Data-Region", home)]);
    let stopped = problem(&ask("us-east")?, status, None, texts);
    assert!(stopped["detail"].as_str().is_some_and(|detail| detail.contains("6.6.6")), "{stopped}");
    check_nothing(&ask("eu-central")?)?;
    check_serving()
}

/// A function failed at every row of another region, and its answer looks like one of no rows.
#[track_caller]
fn check_nothing(response: &Response) -> Result<()> {
    let cells = response.answer()?.cells();
    assert!(cells == [[None]] || cells == [[Some("0".to_owned())]], "{cells:?}");
    Ok(())
}

#[track_caller]
fn check_serving() -> Result<()> {
    let answer = world().ask("us-east", "SELECT count(*) AS orders FROM orders")?;
    assert_eq!(answer.cells(), [[Some("15000".to_owned())]]);
    Ok(())
}

#[test]
fn a_loop_is_ended_while_others_are_served() -> Result<()> {
    let looping = thread::spawn(|| check_stopped("SELECT sum(spin(o_custkey)) FROM orders", 504, &["spin", "500 ms"]));
    for region in REGIONS {
        let answer = world().ask(region, questions::REVENUE)?;
        assert!(answer.is_full());
    }
    looping.join().map_err(|_| anyhow::anyhow!("the looping question did not end as it should"))?
}

/// A question makes a plugin say something. Its words reach those who ask in its region; across a border they could
/// carry rows, so they stay in the plugin's log there.
#[track_caller]
fn check_said(function: &str, words: &str) -> Result<()> {
    let sql = format!("SELECT sum({function}(-o_totalprice)) FROM orders");
    let ask = |home: &str| world().edge("us-east").query_with(&sql, &[("Data-Region", home)]);
    problem(&ask("us-east")?, 422, Some("plugin-failed"), &[function, "6.6.6", words]);
    check_nothing(&ask("eu-central")?)?;
    let own = world().edge("eu-central").get("/v1/plugins/panics/logs")?.json()?;
    let lines = own["lines"].as_array().context("no lines")?;
    assert!(lines.iter().any(|line| line["text"].as_str().is_some_and(|text| text.contains(words))), "{own}");
    check_serving()
}

#[test]
fn a_panic_is_a_trap_that_says_where() -> Result<()> {
    check_said("panics", "a price is negative, at hostile/panics/src/lib.rs:")?;
    check_said("fails", "a price is negative")
}

#[test]
fn memory_and_output_have_limits() -> Result<()> {
    check_stopped("SELECT sum(hoard(o_custkey)) FROM orders", 422, &["hoard", "memory limit"])?;
    check_stopped("SELECT sum(passes(o_custkey)) FROM orders", 422, &["passes", "piles", "limit"])
}

#[test]
fn what_is_garbled_or_undeclared_is_refused() -> Result<()> {
    for case in ["negative offsets", "offsets beyond bytes", "not UTF-8", "short validity", "index beyond texts"] {
        check_stopped(&format!("SELECT count(garbles('{case}')) FROM orders"), 422, &["garbles"])?;
    }
    for lie in ["category", "type", "too few", "too many"] {
        let lie = domicile_harness::http::percent_encode(lie);
        let path = format!("/v1/endpoints/lies?lie={lie}");
        let ask = |home: &str| world().edge("us-east").send("GET", &path, &[("Data-Region", home)], b"");
        problem(&ask("us-east")?, 422, None, &["lies", "6.6.6"]);
        assert!(ask("ap-south")?.answer()?.rows().is_empty());
    }
    Ok(())
}
