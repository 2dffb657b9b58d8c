//! What each role is for, and what is for those who stand in a region or asked themselves.

use anyhow::{Context, Result};
use domicile_tests::check::problem;
use serde_json::json;

use crate::{SEGMENTS, edge, token};

/// What each role is for. All requests but those of `query` are refused for some other reason, or harmless.
const PATHS: [(&str, &str, &str, bool); 22] = [
    ("query", "POST", "/v1/query", false),
    ("query", "GET", "/v1/queries/none/receipt", false),
    ("query", "GET", "/v1/endpoints/none", false),
    ("load", "POST", "/v1/datasets/none/rows", true),
    ("load", "DELETE", "/v1/datasets/none/rows", true),
    ("operate", "GET", "/v1/plugins", false),
    ("operate", "GET", "/v1/plugins/none", false),
    ("operate", "PUT", "/v1/plugins/none/versions/1.0.0", false),
    ("operate", "DELETE", "/v1/plugins/none/versions/1.0.0", false),
    ("operate", "POST", "/v1/plugins/none/promote", false),
    ("operate", "POST", "/v1/plugins/none/shadow", false),
    ("operate", "GET", "/v1/regions", false),
    ("operate", "GET", "/v1/plugins/none/shadow", true),
    ("operate", "GET", "/v1/plugins/none/logs", true),
    ("operate", "GET", "/v1/datasets/orders/partitions", true),
    ("operate", "GET", "/v1/backups", true),
    ("operate", "POST", "/v1/backups", true),
    ("operate", "GET", "/v1/audit/receipts", true),
    ("operate", "GET", "/v1/sync/status", true),
    ("operate", "GET", "/v1/sync/conflicts", true),
    ("operate", "POST", "/v1/sync/conflicts/resolve", true),
    ("operate", "GET", "/metrics", true),
];

#[test]
fn each_role_is_for_its_own_paths() -> Result<()> {
    let asked = |place: &str, role: &str, method: &str, path: &str| -> Result<Option<String>> {
        let asked = edge("us-east", &token("r", place, &["--role", role])?).send(method, path, &[], b"")?;
        assert_ne!(asked.status, 401, "{path}: {}", asked.text());
        let kind =
            asked.json().ok().and_then(|told| Some(told["type"].as_str()?.trim_start_matches("/problems/").to_owned()));
        Ok(kind.filter(|kind| ["role-missing", "client-elsewhere"].contains(&kind.as_str())))
    };
    for (needed, method, path, here) in PATHS {
        for role in ["query", "load", "operate"] {
            let expected = (role != needed).then_some("role-missing");
            assert_eq!(asked("US", role, method, path)?.as_deref(), expected, "{method} {path} as {role}");
        }
        let elsewhere = here.then_some("client-elsewhere");
        assert_eq!(asked("EU,DE", needed, method, path)?.as_deref(), elsewhere, "{method} {path} from elsewhere");
    }
    Ok(())
}

#[test]
fn counts_of_what_is_stored_are_for_operators_who_stand_there() -> Result<()> {
    let described =
        |place: &str, role: &str| edge("us-east", &token("r", place, &["--role", role])?).get("/v1/datasets")?.json();
    for (place, role, shown) in [("US", "operate", true), ("US", "query", false), ("IN", "operate", false)] {
        let described = described(place, role)?;
        let first = &described["datasets"][0];
        assert!(first["columns"].as_array().is_some_and(|columns| !columns.is_empty()), "{described}");
        assert_eq!(first.get("row_versions").is_some(), shown, "{place} {role}: {described}");
        assert_eq!(first.get("bytes").is_some(), shown, "{place} {role}: {described}");
    }
    Ok(())
}

#[test]
fn receipts_are_for_whoever_asked() -> Result<()> {
    let alice = token("alice", "US", &["--tenant", "acme"])?;
    let answer = edge("us-east", &alice).query(SEGMENTS)?.answer()?;
    let path = format!("/v1/queries/{}/receipt", answer.query_id());
    let own = edge("us-east", &alice).get(&path)?.json()?;
    let receipts = own["receipts"].as_array().context("receipts")?;
    assert_eq!(receipts.len(), 2, "{own}");
    for receipt in receipts {
        let client = json!({"issuer": "domicile", "subject": "alice", "tenant": "acme", "regions": ["us-east"]});
        assert_eq!(receipt["receipt"]["client"], client, "{own}");
    }
    let later = token("alice", "US", &["--tenant", "acme", "--expires", "2h"])?;
    assert_eq!(edge("us-east", &later).get(&path)?.status, 200, "another token of the same subject");
    for other in [
        token("bob", "US", &["--tenant", "acme"])?,
        token("acme", "US", &[])?,
        token("alice", "US", &["--issuer", "another"])?,
    ] {
        problem(&edge("us-east", &other).get(&path)?, 404, Some("unknown-query"), &[]);
    }
    Ok(())
}
