//! Policies that change while a question is answered in another region.

use std::fs;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result, ensure};
use domicile_harness::{Options, Response};
use domicile_tests::check::problem;
use domicile_tests::world::World;
use serde_json::Value;

const OWNER: &str = "eu-central";
/// Some seconds of work in the region that has the rows, which tells when it begins.
const QUESTION: &str =
    "SELECT c_mktsegment, count(ponders(c_custkey)) AS n FROM customer GROUP BY c_mktsegment ORDER BY 1";

/// The lines that the plugin has logged where the rows are.
fn logged(world: &World) -> Result<usize> {
    let answer = world.edge(OWNER).get("/v1/plugins/dawdles/logs")?.json()?;
    Ok(answer["lines"].as_array().with_context(|| answer.to_string())?.len())
}

/// The answer to a question that was under way when customers' policy became this text.
fn ask_while(world: &World, policy: &str) -> Result<Response> {
    let before = logged(world)?;
    let headers = [("Data-Region", OWNER), ("Query-Timeout", "120000")];
    thread::scope(|scope| {
        let asked = scope.spawn(|| world.edge("us-east").query_with(QUESTION, &headers));
        while logged(world)? == before && !asked.is_finished() {
            thread::yield_now();
        }
        fs::write(file(world)?, policy)?;
        let reloaded = world.edge(OWNER).send("POST", "/v1/policies/reload", &[], b"")?;
        let meanwhile = !asked.is_finished();
        ensure!(reloaded.status == 200, "{}", reloaded.text());
        ensure!(
            reloaded.json()?["changed"].as_array().is_some_and(|changed| changed.len() == 1),
            "{}",
            reloaded.text()
        );
        let answer = asked.join().expect("it does not panic")?;
        ensure!(meanwhile, "the question was over before: {}", answer.text());
        Ok(answer)
    })
}

fn file(world: &World) -> Result<PathBuf> {
    Ok(world.cluster.dir().context("a cluster for tests has a folder")?.join("permissive/customer.toml"))
}

/// The policy's text as another version.
fn version(text: &str, number: u32) -> Result<String> {
    let line = text.lines().find(|line| line.starts_with("version = ")).context("no version")?;
    Ok(text.replace(line, &format!("version = {number}")))
}

#[test]
fn a_result_leaves_only_as_the_policies_of_its_last_moment_let_it() -> Result<()> {
    let limits = vec![("plugin_timeout_ms".to_owned(), 60_000)];
    let world = World::start(&Options { limits, ..Options::permissive() })?;
    let deployed = world.deploy("us-east", "hostile_dawdles", "dawdles", "1.0.0")?;
    ensure!(deployed.status == 200, "{}", deployed.text());
    let first = fs::read_to_string(file(&world)?)?;
    let receipts = || -> Result<usize> { Ok(world.edge(OWNER).get("/v1/audit/receipts")?.text().lines().count()) };

    // Still allowed: the answer is the one that it would have been, under the version in force.
    let answer = ask_while(&world, &version(&first, 2)?)?.answer()?;
    assert_eq!(answer.rows().len(), 5, "{}", answer.document());
    let receipt = world.edge("us-east").get(&format!("/v1/queries/{}/receipt", answer.query_id()))?.json()?;
    let clause = receipt.pointer("/receipts/0/receipt/clauses/0").context("no clause")?;
    assert_eq!(clause["policy_version"], Value::from(2), "{receipt}");

    // Allowed no more: nothing leaves, and nothing says that it did.
    let before = receipts()?;
    let forbidding = version(&first, 3)?.replace("\"ponders\"", "\"wonders\"");
    let refused = ask_while(&world, &forbidding)?;
    problem(
        &refused,
        409,
        Some("policy-changed"),
        &["`eu-central`", "changed while the question was answered", "ask again"],
    );
    assert_eq!(receipts()?, before);
    let denied = world.edge("us-east").query_with(QUESTION, &[("Data-Region", OWNER)])?;
    problem(&denied, 403, Some("residency-denied"), &["customer v3", "`ponders`"]);
    Ok(())
}
