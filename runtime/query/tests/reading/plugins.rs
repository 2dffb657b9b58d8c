//! Plugins over one region's rows: the engine's own ways of taking an aggregate apart, and what counts as memory.

use std::path::Path;
use std::process::Command;

use domicile_query::QueryError;
use domicile_sandbox::SandboxLimits;
use domicile_store::Sizes;
use domicile_types::ColumnType;
use domicile_types::limits::QUERY_MEMORY_BYTES_MAX;
use serde_json::json;

use crate::data::{Chance, dataset};
use crate::world::{World, Writing};

const ROWS: u64 = 240_000;

/// The component of a crate of `guest/`.
fn component(package: &str) -> Vec<u8> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("guest");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2", "-p", package, "--target-dir"])
        .arg(&target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest"))
        .status();
    assert!(status.unwrap().success(), "the plugin does not build");
    std::fs::read(target.join(format!("wasm32-wasip2/release/{}.wasm", package.replace('-', "_")))).unwrap()
}

/// A table of `ROWS` rows: `k` is unique, `g` is one of 7,000, `v` is any number.
fn world() -> World {
    let columns = [("k", ColumnType::BigInt, false), ("g", ColumnType::BigInt, false), ("v", ColumnType::Double, true)];
    let mut store = Writing::with_sizes(vec![dataset("numbers", &columns, &["k"])], Sizes::default());
    let mut chance = Chance::new(17);
    let mut number = move |end| i64::try_from(chance.below(end)).unwrap();
    for start in (0..ROWS).step_by(20_000) {
        let row = |k| json!({"k": k, "g": number(7_000), "v": (number(2_000_000) - 1_000_000) as f64 / 16.0});
        store.upsert("numbers", &(start..start + 20_000).map(row).collect::<Vec<_>>());
    }
    let world = store.read();
    world.deploy("quantiles", component("quantile-sketch"));
    world
}

/// The answer is one row of numbers.
#[track_caller]
fn check(world: &World, sql: &str, expect: [u64; 3]) {
    let expect: Vec<String> = expect.into_iter().map(|number| format!("{number}.0000")).collect();
    assert_eq!(world.rows(sql), [expect], "{sql}");
}

#[test]
fn groups_of_every_number_are_answered() {
    let world = world();
    let wrong = "count(*) FILTER (WHERE abs(q - exact) > 0.010001 * abs(exact) OR (q IS NULL) <> (exact IS NULL))";
    // So many groups of one row that the engine stops gathering before it exchanges states.
    check(
        &world,
        &format!(
            "SELECT count(*), {wrong}, count(q) FROM (SELECT k, approx_quantile(v, 0.5) AS q, max(v) AS exact FROM numbers GROUP BY k)"
        ),
        [ROWS, 0, ROWS],
    );
    let positive =
        world.rows("SELECT count(*) FROM numbers WHERE v > 0")[0][0].trim_end_matches(".0000").parse().unwrap();
    check(
        &world,
        &format!(
            "SELECT count(*), {wrong}, count(q) FROM (SELECT k, approx_quantile(v, 0.5) FILTER (WHERE v > 0) AS q, \
             max(v) FILTER (WHERE v > 0) AS exact FROM numbers GROUP BY k)"
        ),
        [ROWS, 0, positive],
    );
    let ends = "SELECT g, approx_quantile(v, 1.0) AS q, max(v) AS exact FROM numbers GROUP BY g \
                UNION ALL SELECT g, approx_quantile(v, 0.0) AS q, min(v) AS exact FROM numbers GROUP BY g";
    check(&world, &format!("SELECT count(*), {wrong}, count(q) FROM ({ends})"), [14_000, 0, 14_000]);
    check(
        &world,
        &format!(
            "SELECT count(*), {wrong}, count(q) FROM (SELECT approx_quantile(v, 1.0) AS q, max(v) AS exact FROM numbers)"
        ),
        [1, 0, 1],
    );
}

#[test]
fn the_memory_of_a_query_counts() {
    let customer = dataset("customer", &[("c_custkey", ColumnType::BigInt, false)], &["c_custkey"]);
    let mut store = Writing::with_sizes(vec![customer], Sizes::default());
    store.upsert("customer", &[json!({"c_custkey": 1}), json!({"c_custkey": 2})]);
    let gib = 1024 * 1024 * 1024;
    assert_eq!(QUERY_MEMORY_BYTES_MAX, 2 * gib);
    let world =
        store.read_with(SandboxLimits { memory_bytes_max: 3 * gib, instances_max: 8, ..SandboxLimits::default() });
    world.deploy("gorges", component("hostile-gorges"));
    for place in ["open", "input", "partial", "merge", "finish"] {
        let ask = |mib| world.ask_endpoint("gorges", &[("place", place), ("mib", mib)]);
        let error = ask("2112").expect_err("more memory than all queries may have");
        assert!(matches!(&error, QueryError::Execution(_)), "{place}: {error}");
        let expect = "the query failed while running: Resources exhausted: ";
        assert!(error.to_string().starts_with(expect) && error.to_string().contains("`gorges`"), "{place}: {error}");
        // What a query had is given back with it: two of these would be too much.
        for _ in 0..2 {
            assert_eq!(ask("1536").unwrap().batches[0].num_rows(), 1, "{place}");
        }
    }
}
