//! What a region knows of itself, asked in SQL.

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Mode, Options};
use domicile_tests::check::problem;
use domicile_tests::replicated::{self, ITEMS};
use serde_json::{Value, json};

const CONFLICTS: &str = "SELECT * FROM system.conflicts ORDER BY key";

/// Regions that wrote these items without knowing of each other.
fn with_conflicts(ids: &[i64]) -> Result<Cluster> {
    let cluster = replicated::start(Options::default())?;
    let [one, other, _] = REGIONS;
    for (region, peer) in [(one, other), (one, REGIONS[2]), (other, REGIONS[2])] {
        cluster.network().set(region, peer, Mode::Cut)?;
    }
    for (region, id) in [one, other].into_iter().flat_map(|region| ids.iter().map(move |id| (region, *id))) {
        let answer = replicated::put(&cluster.edge(region), ITEMS, id, region, &[])?;
        ensure!(answer.status == 200, "{}", answer.text());
    }
    cluster.network().heal()?;
    replicated::await_together(&cluster)?;
    Ok(cluster)
}

/// The conflicts that a region lists, as rows of the table.
fn listed(cluster: &Cluster, region: &str) -> Result<Vec<Value>> {
    let listed = cluster.edge(region).get("/v1/sync/conflicts")?.json()?;
    let mut listed = listed["conflicts"].as_array().context("no list of conflicts")?.clone();
    for conflict in &mut listed {
        conflict["versions"] = conflict["versions"].to_string().into();
    }
    listed.sort_by_key(|conflict| conflict["key"].to_string());
    Ok(listed)
}

#[test]
fn conflicts_are_rows_of_a_table() -> Result<()> {
    let cluster = with_conflicts(&[1, 2])?;
    for region in REGIONS {
        let answer = cluster.edge(region).query(CONFLICTS)?.answer()?;
        let rows = answer.rows();
        assert_eq!(json!(rows), json!(listed(&cluster, region)?), "{region}");
        assert_eq!(rows.len(), 2, "{region}");
        let winner = rows[0]["winner"].as_str().context("no winner")?;
        assert!(rows[0]["versions"].as_str().is_some_and(|versions| versions.contains(winner)), "{}", rows[0]);
        assert_eq!((&rows[0]["key"], &rows[0]["policy"]), (&json!("[\"1\"]"), &json!("lww")));
    }
    let counted = "SELECT dataset, count(*) AS n FROM system.conflicts WHERE key <> '[\"1\"]' GROUP BY 1";
    let counted = cluster.edge(REGIONS[0]).query(counted)?.answer()?;
    assert_eq!(json!(counted.rows()), json!([{"dataset": ITEMS, "n": 1}]));
    let told = cluster.cli(REGIONS[2]).run(&["query", "SELECT reason FROM system.conflicts LIMIT 1"])?.success()?;
    assert!(told.stdout.contains("written last"), "{}", told.stdout);
    Ok(())
}

#[test]
fn they_are_asked_alone_and_by_their_names() -> Result<()> {
    let cluster = replicated::start(Options::default())?;
    let edge = cluster.edge(REGIONS[0]);
    assert!(edge.query(CONFLICTS)?.answer()?.rows().is_empty());
    let both = format!("SELECT count(*) FROM {ITEMS} WHERE id IN (SELECT detected_ms FROM system.conflicts)");
    problem(&edge.query(&both)?, 400, Some("sql-invalid"), &["system.conflicts", "ask two questions"]);
    problem(&edge.query("SELECT * FROM system.conflict")?, 404, Some("unknown-dataset"), &["conflict"]);
    let shown = edge.query(&format!("EXPLAIN RESIDENCY {CONFLICTS}"))?;
    problem(&shown, 422, Some("across-regions"), &["system.conflicts"]);
    Ok(())
}

#[test]
fn they_are_for_operators_who_stand_there() -> Result<()> {
    let options = Options { tokens_only: REGIONS.into(), ..Options::default() };
    let binary = domicile_harness::build::binary(domicile_harness::build::Profile::Dev)?;
    let cluster = Cluster::for_test(&binary, &domicile_harness::replicated::options(options))?;
    let asked = |place: &str, roles: &[&str]| {
        let token = cluster.token(&[&["--subject", "r", "--in", place], roles].concat())?;
        cluster.edge("us-east").with_token(&token).query(CONFLICTS)
    };
    let (asks, operates) = (["--role", "query"], ["--role", "query", "--role", "operate"]);
    assert_eq!(asked("US", &operates)?.status, 200);
    problem(&asked("US", &asks)?, 403, Some("role-missing"), &["operate"]);
    problem(&asked("EU", &operates)?, 403, Some("client-elsewhere"), &["us-east"]);
    Ok(())
}
