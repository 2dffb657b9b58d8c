//! Which tokens are accepted, and what the others are told.

use anyhow::Result;
use domicile_harness::workspace::REGIONS;
use domicile_tests::check::problem;
use domicile_tests::jwt;
use serde_json::json;

use crate::{SEGMENTS, edge, other_key, token, world};

#[track_caller]
fn check_refused(name: &str, token: &str) -> Result<()> {
    let refused = edge("us-east", token).query(SEGMENTS)?;
    let told = problem(&refused, 401, Some("token-refused"), &["us-east"]);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{name}");
    let detail = told["detail"].as_str().unwrap_or_default();
    assert!(
        detail.starts_with("region `us-east` does not accept the token: it may have expired, be none"),
        "{name}: {detail}"
    );
    Ok(())
}

#[test]
fn only_good_tokens_are_accepted_and_nobody_is_told_what_is_wrong_with_others() -> Result<()> {
    let key = world().cluster.client_key()?;
    let good = jwt::signed(&jwt::header(), &jwt::claims(&json!({}))?, key)?;
    assert_eq!(edge("us-east", &good).query(SEGMENTS)?.status, 200);
    let several = jwt::claims(&json!({"aud": ["other", "domicile"], "jti": "1", "nbf": 1}))?;
    assert_eq!(edge("us-east", &jwt::signed(&jwt::header(), &several, key)?).query(SEGMENTS)?.status, 200);

    let changed = [
        ("expired", json!({"iat": 1, "exp": 2})),
        ("endless", json!({"exp": null})),
        ("not yet", json!({"nbf": 32_503_680_000_u64})),
        ("made tomorrow", json!({"iat": 32_503_680_000_u64, "exp": 32_503_680_001_u64})),
        ("for another", json!({"aud": "other"})),
        ("for nobody", json!({"aud": null})),
        ("from nowhere", json!({"jurisdictions": []})),
        ("jurisdictions are one text", json!({"jurisdictions": "US"})),
        ("an empty jurisdiction", json!({"jurisdictions": ["US", ""]})),
        ("a misspelt claim", json!({"purpose": ["reporting"]})),
        ("an unknown role", json!({"roles": ["query", "root"]})),
        ("of nobody", json!({"sub": ""})),
    ];
    for (name, changes) in changed {
        check_refused(name, &jwt::signed(&jwt::header(), &jwt::claims(&changes)?, key)?)?;
    }
    let claims = jwt::claims(&json!({}))?;
    let headers = [
        ("another type", json!({"alg": "EdDSA", "typ": "JWT"})),
        ("no type", json!({"alg": "EdDSA"})),
        ("another algorithm", json!({"alg": "HS256", "typ": "at+jwt"})),
        ("no algorithm", json!({"alg": "none", "typ": "at+jwt"})),
        ("critical", json!({"alg": "EdDSA", "typ": "at+jwt", "crit": ["b64"], "b64": false})),
        ("a key of its own", json!({"alg": "EdDSA", "typ": "at+jwt", "jwk": {"kty": "OKP"}})),
    ];
    for (name, header) in &headers {
        check_refused(name, &jwt::signed(header, &claims, key)?)?;
        check_refused(name, &jwt::unsigned(header, &claims))?;
        check_refused(name, &jwt::with_mac(header, &claims, &std::fs::read(key)?)?)?;
    }
    check_refused("unsigned", &jwt::unsigned(&jwt::header(), &claims))?;
    check_refused("with other claims", &jwt::with_claims(&good, &jwt::claims(&json!({"jurisdictions": ["IN"]}))?)?)?;
    check_refused("of another key", &jwt::signed(&jwt::header(), &claims, &other_key()?)?)?;
    for (name, token) in [("cut", &good[..good.len() - 2]), ("longer", &format!("{good}AA")), ("text", "x"), ("", "")] {
        check_refused(name, token)?;
    }
    check_refused("huge", &"a.".repeat(5_000))
}

#[test]
fn without_a_token_there_is_nothing_but_health() -> Result<()> {
    let anonymous = world().edge("us-east").without_token();
    for path in ["/v1/datasets", "/v1/plugins", "/v1/audit/receipts", "/v1/audit/key", "/v1/regions", "/metrics"] {
        let refused = anonymous.get(path)?;
        problem(&refused, 401, Some("token-missing"), &["`Authorization: Bearer`"]);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    }
    problem(&anonymous.query(SEGMENTS)?, 401, Some("token-missing"), &[]);
    let good = token("alice", "US", &[])?;
    let headers = |scheme: &str| format!("{scheme}{good}");
    for scheme in ["Basic ", "", "Bearer\t"] {
        let asked = anonymous.query_with(SEGMENTS, &[("Authorization", &headers(scheme))])?;
        problem(&asked, 401, Some("token-refused"), &[]);
    }
    let (bearer, other) = (headers("Bearer "), format!("Bearer {}", token("bob", "IN", &[])?));
    let twice = anonymous.query_with(SEGMENTS, &[("Authorization", &bearer), ("Authorization", &other)])?;
    problem(&twice, 401, Some("token-refused"), &[]);
    assert_eq!(anonymous.query_with(SEGMENTS, &[("authorization", &headers("bearer "))])?.status, 200);
    for path in ["/livez", "/readyz"] {
        assert_eq!(anonymous.get(path)?.status, 200, "{path}");
    }
    Ok(())
}

#[test]
fn a_token_is_in_no_log() -> Result<()> {
    let secret = token("quiet", "US", &[])?;
    assert_eq!(edge("us-east", &secret).query(SEGMENTS)?.status, 200);
    problem(&edge("us-east", &format!("{secret}x")).query(SEGMENTS)?, 401, Some("token-refused"), &[]);
    let literal = "SELECT count(*) AS n FROM customer WHERE c_mktsegment = 'SECRETSEGMENT'";
    assert_eq!(edge("us-east", &secret).query(literal)?.status, 200);
    for region in REGIONS {
        let log = world().cluster.log(region)?;
        assert!(log.contains("\"query_id\":\"q"), "{region} logs no questions");
        assert!(!log.contains(&secret[secret.len() - 40..]), "{region}");
        assert!(!log.contains("SECRETSEGMENT"), "{region}");
    }
    Ok(())
}
