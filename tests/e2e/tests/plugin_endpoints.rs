//! Query plugins over several regions: input where the rows live, contributions across borders, one answer.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use domicile_harness::{Answer, Options};
use domicile_tests::check::{by_first_column, problem, same_rows};
use domicile_tests::oracle::oracle;
use domicile_tests::world::{World, digest, shared};
use serde_json::{Value, json};

const INPUT: &str = "SELECT c_name AS name, c_acctbal AS balance FROM customer \
                     WHERE c_mktsegment = $segment AND c_acctbal >= $least";
/// Regions that approve the plugin that is told of customers. The third one keeps the project's own policies.
const APPROVING: &str = "eu-central,us-east";

/// A world in which every region approves the project's own query plugins.
fn approving() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || {
        let approved = vec![digest("cohort")?, digest("basket")?];
        let world = World::start(&Options { approved, ..Options::permissive() })?;
        for name in ["cohort", "basket"] {
            let response = world.deploy("us-east", name, name, "1.0.0")?;
            anyhow::ensure!(response.status < 300, "{name}: {}", response.text());
        }
        Ok(world)
    })
}

#[test]
fn cohorts_are_those_that_sqlite_counts() -> Result<()> {
    let cohorts = include_str!("../queries/cohort.sqlite.sql");
    for (region, from, until) in [("us-east", "1996-01-15", "1997-04-01"), ("ap-south", "1995-12-01", "1996-02-02")] {
        let answer =
            approving().edge(region).get(&format!("/v1/endpoints/cohort?from={from}&until={until}"))?.answer()?;
        assert_eq!(answer.columns(), ["cohort", "month_offset", "customers", "retention"]);
        same_rows(&answer, &oracle().rows(&cohorts.replace("$from", from).replace("$until", until))?);
    }
    Ok(())
}

#[test]
fn baskets_are_those_that_sqlite_counts() -> Result<()> {
    let baskets = include_str!("../queries/basket.sqlite.sql");
    for (region, minimum, top) in [("eu-central", "2", "500"), ("us-east", "3", "7")] {
        let path = format!("/v1/endpoints/basket?minimum_orders={minimum}&top={top}");
        let answer = approving().edge(region).get(&path)?.answer()?;
        let expected = oracle().rows(&baskets.replace("$minimum", minimum).replace("$top", top))?;
        assert!(!expected.is_empty());
        same_rows(&answer, &expected);
    }
    Ok(())
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || {
        let options = Options {
            permissive: vec!["eu-central", "us-east"],
            approved: vec![digest("hostile_confides")?],
            ..Options::default()
        };
        let world = World::start(&options)?;
        let response = world.deploy("us-east", "hostile_confides", "confides", "1.0.0")?;
        anyhow::ensure!(response.status < 300, "{}", response.text());
        Ok(world)
    })
}

fn ask(region: &str, homes: &str, parameters: &str) -> Result<Answer> {
    let path = format!("/v1/endpoints/confides?{parameters}");
    world().edge(region).send("GET", &path, &[("Data-Region", homes)], &[])?.answer()
}

/// The customers of some homes as SQLite finds them, in the order of their names.
#[track_caller]
fn check(answer: &Answer, homes: &str, segment: &str, least: f64) -> Result<()> {
    let homes = homes.split(',').map(|home| format!("'{home}'")).collect::<Vec<_>>().join(", ");
    let expected = oracle().rows(&format!(
        "SELECT c_name, c_acctbal FROM customer WHERE c_mktsegment = '{segment}' AND c_acctbal >= {least} \
         AND home IN ({homes}) ORDER BY c_name"
    ))?;
    assert!(!expected.is_empty());
    same_rows(&by_first_column(answer)?, &expected);
    Ok(())
}

#[test]
fn every_home_runs_the_input_over_its_own_rows() -> Result<()> {
    let answer = ask("us-east", APPROVING, "segment=MACHINERY&least=9000.5")?;
    assert_eq!(answer.columns(), ["name", "balance"]);
    assert!(answer.is_full() && answer.border_bytes() > 0, "{}", answer.document());
    check(&answer, APPROVING, "MACHINERY", 9000.5)?;
    check(&ask("eu-central", APPROVING, "")?, APPROVING, "BUILDING", 9000.0)
}

#[test]
fn parameters_come_in_the_address_or_the_body() -> Result<()> {
    let body = json!({"segment": "FURNITURE", "least": 8000}).to_string();
    let posted = world().edge("us-east").send(
        "POST",
        "/v1/endpoints/confides",
        &[("Data-Region", "us-east"), ("Content-Type", "application/json")],
        body.as_bytes(),
    )?;
    check(&posted.answer()?, "us-east", "FURNITURE", 8000.0)?;
    let ran = world().cluster.cli("us-east").json(&[
        "endpoint",
        "confides",
        "segment=FURNITURE",
        "least=8000",
        "--homes",
        "us-east",
    ])?;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    check(&Answer::new(serde_json::from_str(&ran.stdout)?)?, "us-east", "FURNITURE", 8000.0)?;
    for (parameters, texts) in [
        ("leats=1", ["leats", "least"]),
        ("least=much", ["least", "much"]),
        ("segment=A&segment=B", ["segment", "twice"]),
    ] {
        let refused = world().edge("us-east").get(&format!("/v1/endpoints/confides?{parameters}"))?;
        assert_eq!(refused.status / 100, 4, "{}", refused.text());
        assert!(texts.iter().all(|text| refused.text().contains(text)), "{}", refused.text());
    }
    Ok(())
}

#[test]
fn contributions_cross_only_if_the_code_is_approved() -> Result<()> {
    let digest = digest("hostile_confides")?;
    // The region that holds the rows refuses what the asking one would admit…
    let asked = world().edge("us-east").get("/v1/endpoints/confides")?;
    problem(&asked, 403, Some("residency-denied"), &["ap-south", &digest, "`plugins`"]);
    // …the asking one does not even ask for what it would refuse…
    let asked = world().edge("ap-south").get("/v1/endpoints/confides")?;
    problem(&asked, 403, Some("residency-denied"), &["to ap-south", &digest]);
    // …and at home nothing crosses.
    let answer = ask("ap-south", "ap-south", "segment=MACHINERY")?;
    assert_eq!(answer.border_bytes(), 0);
    check(&answer, "ap-south", "MACHINERY", 9000.0)
}

#[test]
fn the_receipt_names_the_code_its_parameters_and_its_question() -> Result<()> {
    let answer = ask("us-east", APPROVING, "least=9500")?;
    let ledger = world().edge("eu-central").ledger()?;
    let record =
        ledger.iter().find(|record| record["receipt"]["query_id"] == answer.query_id()).context("no receipt")?;
    let receipt = &record["receipt"];
    let code = json!([{"name": "confides", "sha256": digest("hostile_confides")?, "parameters": {"least": "9500"}}]);
    assert_eq!(receipt["plugins"], code);
    assert_eq!(record["question"], INPUT);
    assert_eq!(receipt["columns"], json!(["customer.c_acctbal", "customer.c_mktsegment", "customer.c_name"]));
    assert_eq!((&receipt["bytes"], &receipt["minimum_entities"]), (&json!(answer.border_bytes()), &Value::from(0)));
    let shown = world().cluster.cli("eu-central").run(&["audit", "show", "--query", answer.query_id()])?;
    assert!(shown.stdout.contains("plugin confides least=9500"), "{}", shown.stdout);
    Ok(())
}

#[test]
fn an_input_that_does_not_plan_is_refused_at_deployment() -> Result<()> {
    let refused = world().deploy("us-east", "hostile_strays", "strays", "1.0.0")?;
    problem(&refused, 400, None, &["c_custkei"]);
    assert!(!world().edge("us-east").get("/v1/plugins")?.text().contains("strays"));
    Ok(())
}
