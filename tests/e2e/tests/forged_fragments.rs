//! A region that was taken over asks another for a query plugin's contribution, properly signed, and changes what it
//! asks. The owning region has the last word: it takes the question from the code that its policies approve, or answers
//! nothing.

use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use domicile_harness::{Options, Response};
use domicile_tests::check::problem;
use domicile_tests::peer::{self, Way};
use domicile_tests::wasm::with_text;
use domicile_tests::world::{World, digest, plugin, sha256, shared};
use serde_json::{Value, json};

const INPUT: &str = "SELECT c_name AS name, c_acctbal AS balance FROM customer \
                     WHERE c_mktsegment = $segment AND c_acctbal >= $least";
/// What another version asks, whose code nobody approved.
const WIDER: &str = "SELECT c_name AS name, c_acctbal AS balance FROM customer \
                     WHERE c_mktsegment = $segment AND c_acctbal <> $least";
const WAY: Way<'static> = Way { from: "us-east", to: "eu-central" };

fn wider() -> Result<Vec<u8>> {
    with_text(&std::fs::read(plugin("hostile_confides")?)?, "c_acctbal >= $least", "c_acctbal <> $least")
}

/// Every region has two versions of the plugin; policies admit everything, and approve the first version's code.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || {
        let approved = vec![digest("hostile_confides")?];
        let world = World::start(&Options { approved, ..Options::permissive() })?;
        let first = world.deploy("us-east", "hostile_confides", "confides", "1.0.0")?;
        let second = world.edge("us-east").deploy("confides", "2.0.0", &wider()?)?;
        ensure!(first.status == 200 && second.status == 200, "{} {}", first.text(), second.text());
        Ok(world)
    })
}

fn pin(sha256: &str) -> Value {
    json!({"name": "confides", "sha256": sha256})
}

/// The question that the plugin's code asks itself, with some members changed.
fn fragment(id: &str, changes: Value) -> Result<Value> {
    let mut fragment = json!({
        "query_id": id,
        "sql": INPUT,
        "purpose": null,
        "plugins": [pin(&digest("hostile_confides")?)],
        "partial_of": "confides",
        "timeout_ms": 30_000,
    });
    let members = fragment.as_object_mut().context("an object")?;
    members.extend(changes.as_object().context("an object")?.clone());
    Ok(fragment)
}

fn receipts(id: &str) -> Result<Vec<Value>> {
    let ledger = world().edge(WAY.to).ledger()?;
    Ok(ledger.into_iter().filter(|record| record["receipt"]["query_id"] == id).collect())
}

/// The fragment is refused in this way: a problem, without a row in it, and nothing in the ledger.
#[track_caller]
fn check_refused(id: &str, changes: Value, status: u16, kind: &str) -> Result<()> {
    let fragment = fragment(id, changes)?;
    let response = peer::ask(&world().cluster, WAY, &fragment)?;
    assert_eq!(response.status, status, "{fragment}: {}", response.text());
    check_nothing_crossed(id, &response, kind)
}

#[track_caller]
fn check_nothing_crossed(id: &str, response: &Response, kind: &str) -> Result<()> {
    problem(response, response.status, Some(kind), &[]);
    assert!(!response.text().contains("Customer#"), "{}", response.text());
    assert_eq!(response.header("receipt").unwrap_or_default(), "");
    assert_eq!(receipts(id)?, [] as [Value; 0], "{} released something", WAY.to);
    Ok(())
}

/// The same, for SQL that is not the code's own.
#[track_caller]
fn check_altered(id: &str, sql: &str) -> Result<()> {
    assert_ne!(sql, INPUT);
    check_refused(id, json!({"sql": sql}), 400, "sql-invalid")
}

#[test]
fn the_question_of_the_code_itself_is_answered() -> Result<()> {
    let answered = peer::ask(&world().cluster, WAY, &fragment("asked", json!({}))?)?;
    assert_eq!(answered.status, 200, "{}", answered.text());
    assert!(answered.header("receipt").is_some_and(|receipt| !receipt.is_empty()));
    let receipts = receipts("asked")?;
    assert_eq!(receipts.len(), 1);
    assert_eq!((&receipts[0]["question"], &receipts[0]["receipt"]["to"]), (&json!(INPUT), &json!(WAY.from)));
    assert_eq!(receipts[0]["receipt"]["bytes"], answered.body.len());
    assert!(receipts[0]["receipt"]["rows_released"].as_u64() > Some(0), "{}", receipts[0]);
    Ok(())
}

#[test]
fn altered_sql_is_refused() -> Result<()> {
    // A wider WHERE…
    check_altered("wider", &INPUT.replace(" AND c_acctbal >= $least", ""))?;
    check_altered("everything", "SELECT c_name AS name, c_acctbal AS balance FROM customer")?;
    check_altered("or", &format!("{INPUT} OR TRUE"))?;
    check_altered("union", &format!("{INPUT} UNION ALL SELECT c_name, c_acctbal FROM customer"))?;
    check_altered("operator", WIDER)?;
    // …other columns and rows…
    check_altered("phone", &INPUT.replace("c_name AS name", "c_phone AS name"))?;
    check_altered("both", &INPUT.replace("c_name AS name", "concat(c_name, c_phone) AS name"))?;
    check_altered("orders", "SELECT o_comment AS name, o_totalprice AS balance FROM orders")?;
    // …a literal in the place of a parameter…
    check_altered("least", &INPUT.replace("$least", "-10000"))?;
    check_altered("segment", &INPUT.replace("$segment", "'MACHINERY'"))?;
    check_altered("itself", &INPUT.replace("$segment", "c_mktsegment"))?;
    // …and what means the same, or nothing.
    check_altered("space", &format!("{INPUT} "))?;
    check_altered("comment", &format!("{INPUT} -- the same"))?;
    check_altered("case", &INPUT.to_lowercase())?;
    check_altered("two", &format!("{INPUT}; {INPUT}"))?;
    check_altered("none", "")
}

#[test]
fn code_and_question_belong_together() -> Result<()> {
    let (approved, other) = (digest("hostile_confides")?, sha256(&wider()?));
    // The other version's question, with the approved code, and the other way round.
    check_refused("mixed", json!({"sql": WIDER, "plugins": [pin(&approved)]}), 400, "sql-invalid")?;
    check_refused("crossed", json!({"sql": INPUT, "plugins": [pin(&other)]}), 400, "sql-invalid")?;
    // The other version is there, and nobody approved it.
    check_refused("other", json!({"sql": WIDER, "plugins": [pin(&other)]}), 403, "residency-denied")?;
    for (id, [one, another]) in [("first", [&approved, &other]), ("last", [&other, &approved])] {
        check_refused(id, json!({"plugins": [pin(one), pin(another)]}), 400, "sql-invalid")?;
    }
    check_refused("unpinned", json!({"plugins": []}), 404, "unknown-endpoint")?;
    check_refused("unknown", json!({"plugins": [pin(&"0".repeat(64))]}), 503, "plugin-pending")?;
    let renamed = json!({"partial_of": "cohort", "plugins": [{"name": "cohort", "sha256": approved}]});
    check_refused("renamed", renamed, 503, "plugin-pending")
}

#[test]
fn without_the_code_the_rows_do_not_cross() -> Result<()> {
    check_refused("bare", json!({"partial_of": null}), 422, "across-regions")?;
    let bound = INPUT.replace("$segment", "'MACHINERY'").replace("$least", "9000.0");
    check_refused("rows", json!({"sql": bound, "partial_of": null}), 403, "residency-denied")
}

#[test]
fn a_parameter_is_a_value_and_never_sql() -> Result<()> {
    let with = |parameters: Value| -> Result<Value> {
        Ok(json!([{"name": "confides", "sha256": digest("hostile_confides")?, "parameters": parameters}]))
    };
    for (id, parameters) in [
        ("quoted", json!({"least": "0 OR TRUE"})),
        ("column", json!({"least": "c_acctbal"})),
        ("many", json!({"most": "0"})),
    ] {
        let kind = if id == "many" { "unknown-parameter" } else { "parameter-invalid" };
        check_refused(id, json!({"plugins": with(parameters)?}), 400, kind)?;
    }
    // It is a segment that no customer has.
    let asked = fragment("injected", json!({"plugins": with(json!({"segment": "x' OR '1' = '1"}))?}))?;
    let answered = peer::ask(&world().cluster, WAY, &asked)?;
    assert_eq!(answered.status, 200, "{}", answered.text());
    assert_eq!(receipts("injected")?[0]["receipt"]["rows_released"], 0);
    Ok(())
}

#[test]
fn what_was_changed_after_it_was_signed_is_refused() -> Result<()> {
    let signed = fragment("changed", json!({}))?.to_string();
    let sent = fragment("changed", json!({"sql": WIDER}))?.to_string();
    let response = peer::send(&world().cluster, WAY, signed.as_bytes(), sent.as_bytes())?;
    assert_eq!(response.status, 401, "{}", response.text());
    check_nothing_crossed("changed", &response, "unauthenticated")
}
