//! Explanations for clients: where they stand is a border there too, and nobody is told what others were.

use anyhow::{Context, Result};
use domicile_tests::check::problem;
use serde_json::{Value, json};

use crate::{ORDERS, SEGMENTS, edge, ledger_of, token};

fn explain(token: &str, sql: &str, headers: &[(&str, &str)]) -> Result<Value> {
    let explained = edge("us-east", token).send("POST", "/v1/query/explain?mode=residency", headers, sql.as_bytes())?;
    assert_eq!(explained.status, 200, "{}", explained.text());
    explained.json()
}

fn only_crossing(explained: &Value) -> Result<&Value> {
    let crossings = explained["crossings"].as_array().context("no crossings")?;
    assert_eq!(crossings.len(), 1, "{explained}");
    Ok(&crossings[0])
}

#[test]
fn what_would_go_to_a_client_elsewhere_is_explained_as_it_is_receipted() -> Result<()> {
    let client = token("ravi", "IN", &[])?;
    let home = [("Data-Region", "us-east")];
    let explained = explain(&client, SEGMENTS, &home)?;
    let crossing = only_crossing(&explained)?;
    let answer = edge("us-east", &client).query_with(SEGMENTS, &home)?.answer()?;
    let receipt = &ledger_of("us-east", answer.query_id())?[0]["receipt"];
    assert_eq!((&crossing["from"], &crossing["to"]), (&json!("us-east"), &json!("client:ap-south")), "{crossing}");
    for (told, done) in [("clauses", "clauses"), ("minimum_entities", "minimum_entities"), ("form", "form")] {
        assert_eq!(crossing["terms"][told], receipt[done], "{crossing}");
    }
    let predicted = crossing["terms"]["predicted_bytes"].as_u64().context("no prediction")?;
    assert!(predicted >= answer.border_bytes() && answer.border_bytes() > 0, "{predicted}");
    // Who stands here is told that nothing crosses.
    let here = explain(&token("ann", "US", &[])?, SEGMENTS, &home)?;
    assert!(here["nothing_crosses"].is_string(), "{here}");
    Ok(())
}

#[test]
fn a_client_elsewhere_is_denied_as_the_question_would_be() -> Result<()> {
    let client = token("ravi", "IN", &[])?;
    let home = [("Data-Region", "eu-central")];
    let mut denied =
        problem(&edge("us-east", &client).query_with(ORDERS, &home)?, 403, Some("residency-denied"), &["ap-south"]);
    denied.as_object_mut().context("no object")?.remove("instance");
    let explained = explain(&client, ORDERS, &home)?;
    assert_eq!((&explained["admitted"], &explained["denied"]), (&Value::Bool(false), &denied));
    for rewrite in denied["rewrites"].as_array().into_iter().flatten() {
        let sql = rewrite["sql"].as_str().context("no sql")?;
        let at = rewrite["edge"].as_str().unwrap_or("us-east");
        let answered = edge(at, &client).query_with(sql, &home)?;
        assert_eq!(answered.status, 200, "{rewrite}\n{}", answered.text());
    }
    Ok(())
}

#[test]
fn nobody_is_told_how_much_others_were_told() -> Result<()> {
    let headers = [("Data-Region", "eu-central"), ("Purpose", "sizes")];
    let (ann, bob) = (token("ann", "US", &["--tenant", "one"])?, token("bob", "US", &["--tenant", "two"])?);
    let prediction = |token: &str| -> Result<Value> {
        Ok(only_crossing(&explain(token, SEGMENTS, &headers)?)?["terms"]["prediction"].clone())
    };
    assert_eq!((prediction(&ann)?, prediction(&bob)?), (json!("bound"), json!("bound")));
    edge("us-east", &ann).query_with(SEGMENTS, &headers)?.answer()?;
    assert_eq!((prediction(&ann)?, prediction(&bob)?), (json!("remembered"), json!("bound")));
    Ok(())
}
