//! The formats of an answer, and what operators look at.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use domicile_harness::Options;
use domicile_harness::workspace::REGIONS;
use domicile_tests::world::{World, shared};
use serde_json::{Value, json};

const BY_STATUS: &str = "SELECT o_orderstatus AS status, count(*) AS orders FROM orders GROUP BY 1 ORDER BY 1";

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || World::start(&Options::default()))
}

fn ask_as(media_type: &str) -> Result<domicile_harness::Response> {
    let response = world().edge("us-east").query_with(BY_STATUS, &[("Accept", media_type)])?;
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(response.header("content-type").is_some_and(|kind| kind.starts_with(media_type)), "{media_type}");
    assert_eq!(response.header("served-by-region"), Some("us-east"));
    Ok(response)
}

#[test]
fn formats_agree() -> Result<()> {
    let json = ask_as("application/json")?.answer()?;
    assert_eq!(json.rows().len(), 3);

    let lines = ask_as("application/x-ndjson")?.text();
    let lines: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let (end, rows) = lines.split_last().context("no line")?;
    assert_eq!(rows, json.rows());
    assert_eq!((&end["end"]["row_count"], &end["end"]["coverage"]["full"]), (&json!(3), &json!(true)), "{end}");

    let csv = ask_as("text/csv")?.text();
    let rows = json.cells().into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(","));
    let expected: Vec<String> = ["status,orders".to_owned()].into_iter().chain(rows).collect();
    assert_eq!(csv.lines().collect::<Vec<_>>(), expected);

    let arrow = ask_as("application/vnd.apache.arrow.stream")?.body;
    assert_eq!(arrow.get(..4), Some(&[0xff; 4][..]), "an Arrow stream starts with a continuation marker");
    Ok(())
}

#[test]
fn json_bodies_carry_a_purpose() -> Result<()> {
    let body = format!(r#"{{"sql":"{BY_STATUS}","purpose":"reporting"}}"#);
    let headers = [("Content-Type", "application/json")];
    let answer = world().edge("us-east").send("POST", "/v1/query", &headers, body.as_bytes())?.answer()?;
    let receipts = world().edge("us-east").get(&format!("/v1/queries/{}/receipt", answer.query_id()))?.json()?;
    assert_eq!(receipts["receipts"][0]["receipt"]["purpose"], "reporting", "{receipts}");
    Ok(())
}

#[test]
fn operators_see_that_it_lives() -> Result<()> {
    world().ask("us-east", BY_STATUS)?;
    for region in REGIONS {
        let edge = world().edge(region);
        assert_eq!(edge.get("/livez")?.status, 200);
        assert_eq!(edge.get("/readyz")?.status, 200);
        let metrics = edge.get("/metrics")?.text();
        assert!(metrics.contains("# TYPE domicile_"), "{metrics}");
        let regions = edge.get("/v1/regions")?.text();
        assert!(REGIONS.iter().all(|id| regions.contains(id)), "{regions}");
    }
    let ran = world().cluster.cli("us-east").json(&["region", "status"])?;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(REGIONS.iter().all(|id| ran.stdout.contains(id)), "{}", ran.stdout);
    Ok(())
}

#[test]
fn region_files_are_checked() -> Result<()> {
    let cli = world().cluster.cli("us-east");
    let file = world().cluster.file("us-east").config.clone();
    let ran = cli.run(&["config", "check", &file.display().to_string()])?;
    assert_eq!(ran.code, 0, "{}", ran.stderr);

    let text = std::fs::read_to_string(&file)?.replace("http = ", "htpp = ");
    let dir = tempfile::tempdir()?;
    let wrong = dir.path().join("wrong.toml");
    std::fs::write(&wrong, &text)?;
    let line = text.lines().position(|line| line.starts_with("htpp")).map_or(0, |index| index + 1);
    let ran = cli.run(&["config", "check", &wrong.display().to_string()])?;
    assert_eq!(ran.code, 2);
    for wanted in ["wrong.toml", &line.to_string(), "htpp", "http"] {
        assert!(ran.stderr.contains(wanted), "{wanted} in {}", ran.stderr);
    }
    Ok(())
}
