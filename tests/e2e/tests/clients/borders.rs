//! Clients elsewhere: what may go to them, and by which receipts.

use anyhow::{Context, Result};
use domicile_tests::check::{problem, same_rows};
use domicile_tests::oracle::oracle;
use serde_json::json;

use crate::{NAMES, ORDERS, SEGMENTS, at_home, edge, ledger_of, token, world};

#[test]
fn rows_of_the_edge_itself_do_not_go_to_a_client_elsewhere() -> Result<()> {
    let ask = |place: &str, sql: &str| edge("us-east", &token("c", place, &[])?).query_with(sql, &at_home("us-east"));
    assert_eq!(ask("US", NAMES)?.answer()?.rows().len(), 5);
    assert_eq!(ask("CA,US", NAMES)?.answer()?.rows().len(), 5, "one jurisdiction is enough");
    for place in ["IN", "EU,DE", "EU,IN"] {
        let refused = ask(place, NAMES)?;
        let told = problem(&refused, 403, Some("residency-denied"), &["customer.c_name", "us-east"]);
        assert!(!told.to_string().contains("Customer#"), "{told}");
    }
    let nowhere = ask("BR", SEGMENTS)?;
    problem(&nowhere, 403, Some("residency-denied"), &["`BR`", "no region"]);
    // Reference data is nobody's.
    assert_eq!(ask("BR", "SELECT count(*) AS n FROM nation")?.answer()?.sum("n")?, 25.0);
    Ok(())
}

#[test]
fn what_goes_to_a_client_elsewhere_is_guarded_and_receipted() -> Result<()> {
    let client = token("ravi", "IN", &["--tenant", "acme"])?;
    let ask = |token: &str, sql: &str| edge("us-east", token).query_with(sql, &at_home("us-east"))?.answer();
    let answer = ask(&client, SEGMENTS)?;
    let segments = "SELECT c_mktsegment, count(*) AS n FROM customer WHERE home = 'us-east' GROUP BY 1 ORDER BY 1";
    same_rows(&answer, &oracle().rows(segments)?);
    let [record] = ledger_of("us-east", answer.query_id())?.try_into().map_err(|all| anyhow::anyhow!("{all:?}"))?;
    let receipt = &record["receipt"];
    assert_eq!((&receipt["from"], &receipt["to"]), (&json!("us-east"), &json!("client:ap-south")), "{record}");
    let named = json!({"issuer": "domicile", "subject": "ravi", "tenant": "acme", "regions": ["ap-south"]});
    assert_eq!(receipt["client"], named, "{record}");
    assert_eq!(receipt["minimum_entities"], 40, "{record}");
    assert_eq!(receipt["clauses"][0]["clause"], "to-india", "{record}");
    assert_eq!(receipt["bytes"], answer.border_bytes(), "{record}");
    assert!(answer.border_bytes() > 0);
    world().cluster.cli("us-east").with_token(&operator()?).run(&["audit", "verify"])?.success()?;

    // Groups that are large enough here, and too small there.
    let finer = "SELECT c_nationkey, c_mktsegment, count(*) AS n FROM customer GROUP BY 1, 2";
    let here = ask(&token("ann", "US", &[])?, finer)?;
    assert_eq!(here.rows().len(), 25);
    assert!(ledger_of("us-east", here.query_id())?.is_empty(), "nothing crossed");
    let there = ask(&client, finer)?;
    assert!(there.rows().is_empty(), "{:?}", there.rows());
    assert!(there.suppressed_groups().contains_key("us-east"));
    Ok(())
}

fn operator() -> Result<String> {
    token("auditor", "US", &["--role", "operate"])
}

#[test]
fn every_region_on_the_way_to_the_client_has_to_be_admitted() -> Result<()> {
    let (here, there) = (token("ann", "US", &[])?, token("ravi", "IN", &[])?);
    // Orders may go to the edge, and not to the client.
    assert!(edge("us-east", &here).query_with(ORDERS, &at_home("eu-central"))?.answer()?.border_bytes() > 0);
    let denied = edge("us-east", &there).query_with(ORDERS, &at_home("eu-central"))?;
    let told = problem(&denied, 403, Some("residency-denied"), &["ap-south"]);
    assert_eq!((&told["from"], &told["to"]), (&json!("eu-central"), &json!("ap-south")), "{told}");
    // Customers may go to both, by the stricter of two clauses.
    let answer = edge("us-east", &there).query_with(SEGMENTS, &at_home("eu-central"))?.answer()?;
    let record = &ledger_of("eu-central", answer.query_id())?[0]["receipt"];
    assert_eq!((&record["to"], &record["minimum_entities"]), (&json!("us-east"), &json!(40)), "{record}");
    let clauses: Vec<&str> =
        record["clauses"].as_array().context("clauses")?.iter().filter_map(|c| c["clause"].as_str()).collect();
    assert_eq!(clauses, ["to-india", "world-reporting"], "{record}");
    // Standing at two regions is no more than standing at each of them.
    let both = token("eve", "US,IN", &[])?;
    problem(
        &edge("us-east", &both).query_with(ORDERS, &at_home("eu-central"))?,
        403,
        Some("residency-denied"),
        &["ap-south"],
    );
    // Indian rows go to an Indian client over an American edge: only the edge has to be admitted.
    let own = edge("us-east", &there).query_with(ORDERS, &at_home("ap-south"))?.answer()?;
    let record = &ledger_of("ap-south", own.query_id())?[0]["receipt"];
    assert_eq!((&record["to"], &record["minimum_entities"]), (&json!("us-east"), &json!(10)), "{record}");
    Ok(())
}

#[test]
fn a_purpose_is_one_of_the_token() -> Result<()> {
    let bound = token("ann", "US", &["--purpose", "reporting", "--purpose", "planning"])?;
    let ask = |token: &str, purpose: &str| edge("us-east", token).query_with(SEGMENTS, &[("Purpose", purpose)]);
    for purpose in ["reporting", "planning"] {
        assert_eq!(ask(&bound, purpose)?.answer()?.rows().len(), 5);
    }
    problem(&ask(&bound, "marketing")?, 403, Some("purpose-denied"), &["`marketing`", "`reporting`, `planning`"]);
    assert_eq!(ask(&token("ann", "US", &[])?, "marketing")?.status, 200, "any purpose");
    Ok(())
}

#[test]
fn plans_are_for_who_stands_here() -> Result<()> {
    let kinds = |place: &str| -> Result<Vec<String>> {
        let answer = edge("us-east", &token("c", place, &[])?).query(&format!("EXPLAIN {SEGMENTS}"))?.answer()?;
        Ok(answer.cells().into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    };
    assert_eq!(kinds("US")?, ["fragment 1", "fragment 1 in us-east", "merge"]);
    assert_eq!(kinds("IN")?, ["fragment 1"]);
    Ok(())
}
