//! A region that was taken over asks on behalf of clients: with their token, with another, or without.

use anyhow::Result;
use domicile_harness::Response;
use domicile_tests::check::problem;
use domicile_tests::jwt;
use domicile_tests::peer::{self, Way};
use serde_json::{Value, json};

use crate::{ledger_of, other_key, world};

const WAY: Way<'static> = Way { from: "us-east", to: "eu-central" };

/// What a region that was taken over asks with a client's token, or another, or none.
fn forged(id: &str, sql: &str, token: Option<&str>, purpose: Option<&str>) -> Result<Response> {
    let mut fragment = json!({"query_id": id, "sql": sql, "purpose": purpose, "plugins": [], "timeout_ms": 30_000});
    if let Some(token) = token {
        fragment["token"] = json!(token);
    }
    peer::ask(&world().cluster, WAY, &fragment)
}

#[track_caller]
fn check_forged(id: &str, token: Option<&str>, purpose: Option<&str>, status: u16, kind: &str) -> Result<()> {
    let refused = forged(id, "SELECT count(1) AS a0 FROM orders", token, purpose)?;
    problem(&refused, status, Some(kind), &[]);
    assert_eq!(ledger_of(WAY.to, id)?, [] as [Value; 0], "{} released something", WAY.to);
    Ok(())
}

#[test]
fn the_owning_region_believes_the_token_and_not_the_edge() -> Result<()> {
    let claims = |changes: Value| -> Result<String> {
        jwt::signed(&jwt::header(), &jwt::claims(&changes)?, world().cluster.client_key()?)
    };
    let good = claims(json!({"purposes": ["reporting"]}))?;
    let answered = forged("good", "SELECT count(1) AS a0 FROM orders", Some(&good), Some("reporting"))?;
    assert_eq!(answered.status, 200, "{}", answered.text());
    let record = &ledger_of(WAY.to, "good")?[0]["receipt"];
    assert_eq!(
        (&record["client"]["subject"], &record["client"]["tenant"]),
        (&json!("alice"), &json!("alice")),
        "{record}"
    );

    check_forged("stripped", None, None, 401, "token-missing")?;
    check_forged(
        "own",
        Some(&jwt::signed(&jwt::header(), &jwt::claims(&json!({}))?, &other_key()?)?),
        None,
        401,
        "token-refused",
    )?;
    check_forged(
        "none",
        Some(&jwt::unsigned(&json!({"alg": "none", "typ": "at+jwt"}), &jwt::claims(&json!({}))?)),
        None,
        401,
        "token-refused",
    )?;
    check_forged("empty", Some(""), None, 401, "token-refused")?;
    check_forged("expired", Some(&claims(json!({"iat": 1, "exp": 2}))?), None, 401, "token-refused")?;
    check_forged(
        "moved",
        Some(&jwt::with_claims(&good, &jwt::claims(&json!({"jurisdictions": ["EU"]}))?)?),
        None,
        401,
        "token-refused",
    )?;
    // With another client's token it is that client who asks.
    check_forged(
        "swapped",
        Some(&claims(json!({"sub": "ravi", "jurisdictions": ["IN"]}))?),
        None,
        403,
        "residency-denied",
    )?;
    check_forged("nowhere", Some(&claims(json!({"jurisdictions": ["BR"]}))?), None, 403, "residency-denied")?;
    check_forged("purpose", Some(&good), Some("marketing"), 403, "purpose-denied")?;
    check_forged("role", Some(&claims(json!({"roles": ["load", "operate"]}))?), None, 403, "role-missing")?;
    // Even where the client stands at home, the edge is a border.
    let european = claims(json!({"jurisdictions": ["EU"]}))?;
    let rows = forged("rows", "SELECT customer.c_name AS c0 FROM customer", Some(&european), None)?;
    problem(&rows, 403, Some("residency-denied"), &["us-east"]);
    assert!(!rows.text().contains("Customer#"), "{}", rows.text());
    Ok(())
}
