//! Regions of which one asks for tokens and the others do not, under policies that let everything cross.

use std::sync::OnceLock;

use anyhow::{Result, ensure};
use domicile_harness::{Edge, Options, Response};
use domicile_tests::check::problem;
use domicile_tests::peer::{self, Way};
use domicile_tests::world::{World, shared};
use serde_json::json;

use crate::at_home;

const COUNT: &str = "SELECT count(*) AS n FROM customer";
const FAILS: &str = "SELECT sum(panics(-o_totalprice)) FROM orders";

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || {
        let world = World::start(&Options { tokens_only: vec!["eu-central"], ..Options::permissive() })?;
        for name in ["panics", "confides"] {
            let deployed = world.deploy("us-east", &format!("hostile_{name}"), name, "6.6.6")?;
            ensure!(deployed.status == 200, "{}", deployed.text());
        }
        Ok(world)
    })
}

fn anonymous(region: &str) -> Edge {
    world().edge(region).without_token()
}

#[test]
fn who_has_no_token_gets_what_regions_allow_that_need_none() -> Result<()> {
    let ask = |home: &str| anonymous("us-east").query_with(COUNT, &at_home(home));
    for home in ["us-east", "ap-south"] {
        assert_eq!(ask(home)?.status, 200, "{home}");
    }
    problem(&ask("eu-central")?, 401, Some("token-missing"), &["region `eu-central`"]);
    problem(&anonymous("us-east").query(COUNT)?, 401, Some("token-missing"), &["region `eu-central`"]);
    problem(&anonymous("eu-central").query_with(COUNT, &at_home("us-east"))?, 401, Some("token-missing"), &[]);
    assert_eq!(world().ask("us-east", COUNT)?.sum("n")?, 1500.0, "with a token, all regions answer");
    Ok(())
}

#[test]
fn fragments_without_a_client_are_answered_where_clients_need_no_token() -> Result<()> {
    for (to, status) in [("ap-south", 200), ("eu-central", 401)] {
        let fragment = json!({
            "query_id": "none", "sql": "SELECT count(1) AS a0 FROM customer", "purpose": null, "plugins": [],
            "timeout_ms": 30_000,
        });
        let answered = peer::ask(&world().cluster, Way { from: "us-east", to }, &fragment)?;
        assert_eq!(answered.status, status, "{to}: {}", answered.text());
    }
    Ok(())
}

#[test]
fn a_token_that_is_not_accepted_does_not_count_as_none() -> Result<()> {
    problem(&anonymous("us-east").with_token("x").query(COUNT)?, 401, Some("token-refused"), &["us-east"]);
    Ok(())
}

/// Nobody approved the code, whose answer is whatever it saw.
#[test]
fn what_a_query_plugin_makes_of_rows_is_theirs() -> Result<()> {
    let ask = |place: &str| -> Result<Response> {
        let token = world().cluster.token(&["--subject", "c", "--in", place])?;
        let edge = world().edge("eu-central").with_token(&token);
        edge.send("GET", "/v1/endpoints/confides", &at_home("eu-central"), b"")
    };
    let here = ask("DE")?;
    assert!(here.status == 200 && here.text().contains("Customer#"), "{}", here.text());
    let elsewhere = ask("US")?;
    problem(&elsewhere, 403, Some("residency-denied"), &["from eu-central to us-east"]);
    assert!(!elsewhere.text().contains("Customer#"), "{}", elsewhere.text());
    Ok(())
}

#[test]
fn a_client_elsewhere_is_not_told_that_a_plugin_failed() -> Result<()> {
    let ask = |place: &str| -> Result<Response> {
        let token = world().cluster.token(&["--subject", "c", "--in", place])?;
        world().edge("eu-central").with_token(&token).query_with(FAILS, &at_home("eu-central"))
    };
    let here = problem(&ask("DE")?, 422, Some("plugin-failed"), &[]);
    assert!(here["detail"].as_str().is_some_and(|detail| detail.contains("a price is negative")), "{here}");
    assert_eq!(here["plugin"], "panics");
    let elsewhere = ask("US")?;
    assert_eq!(elsewhere.answer()?.cells(), [[None]]);
    assert!(!elsewhere.text().contains("a price is negative"), "{}", elsewhere.text());
    Ok(())
}
