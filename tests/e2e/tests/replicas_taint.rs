//! Rows that may be copied to one region reach no other one: no link, no file, no log, whatever a region claims.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use domicile_harness::{Cluster, Options, Response};
use domicile_tests::copies::{
    FORBIDDEN, HOME, KEEPER, SET, await_copies, files, holds, load, person, policies, start, status, until,
};
use domicile_tests::peer::{Way, signature_for};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const LOG_PATH: &str = "/v1/peer/log";

/// Texts that compress to nothing else, and stand nowhere by chance.
fn markers(kind: &str, count: usize) -> Vec<String> {
    let marker = |n: usize| Sha256::digest(format!("{kind} {n}")).iter().map(|byte| format!("{byte:02x}")).collect();
    (0..count).map(marker).collect()
}

fn persons(first_id: i64, markers: &[String]) -> Vec<Value> {
    (first_id..).zip(markers).map(|(id, marker)| person(id, 1, 20 + id % 60, marker)).collect()
}

/// A question for entries of the set, as a region signs it that says to be `from`.
fn pull(cluster: &Cluster, way: Way<'_>, change: impl Fn(&mut Value)) -> Result<Response> {
    let mut body = json!({"set": SET, "have": [], "regions": [], "ahead_ms": 0, "bytes_max": 8_000_000});
    change(&mut body);
    let body = body.to_string();
    let headers = signature_for(cluster, way, ("POST", LOG_PATH), body.as_bytes())?;
    send(cluster, way.to, &headers, body.as_bytes())
}

fn send(cluster: &Cluster, to: &str, headers: &[(&'static str, String)], body: &[u8]) -> Result<Response> {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    cluster.edge(to).send("POST", LOG_PATH, &headers, body)
}

/// What kind of an answer it is; what follows the head are entries.
fn kind(response: &Response) -> Result<String> {
    ensure!(response.status == 200, "{}", response.text());
    let length = response.body.first_chunk().context("no head")?;
    let head = response.body.get(4..4 + u32::from_le_bytes(*length) as usize).context("no head")?;
    let head: Value = serde_json::from_slice(head)?;
    Ok(head["kind"].as_str().context("no kind")?.to_owned())
}

/// Where a region keeps its files.
fn data_dir<'c>(cluster: &'c Cluster, region: &str) -> &'c Path {
    &cluster.file(region).data_dir
}

/// That none of the texts is in a region's files, its log, or what passed its links.
#[track_caller]
fn check_untouched(cluster: &Cluster, region: &str, texts: &[String]) -> Result<()> {
    for (path, bytes) in files(data_dir(cluster, region))? {
        assert!(!holds(&bytes, texts), "{} has rows of {HOME}", path.display());
    }
    assert!(!holds(cluster.log(region)?.as_bytes(), texts), "the log of {region} has rows of {HOME}");
    let exchanges = cluster.metered()?;
    let of_region = exchanges.iter().filter(|exchange| exchange.asking == region || exchange.asked == region);
    assert!(of_region.clone().count() > 0, "{region} exchanged nothing");
    for exchange in of_region {
        let is_clean = !holds(&exchange.question, texts) && !holds(&exchange.answer, texts);
        assert!(is_clean, "rows of {HOME} passed between {} and {}", exchange.asking, exchange.asked);
    }
    Ok(())
}

#[test]
fn copied_rows_are_where_they_may_be_and_nowhere_else() -> Result<()> {
    let mut cluster = start(Options { meter: true, ..Options::default() })?;
    let (first, second) = (markers("first", 40), markers("second", 40));
    load(&cluster.edge(HOME), "person", &persons(1, &first))?;
    await_copies(&cluster)?;
    // What is asked and refused meanwhile leaves no trace either.
    let notes = "SELECT note FROM person";
    for sql in [notes, "SELECT age, count(*) FROM person GROUP BY age", "SELECT max(note) FROM person"] {
        let answer = cluster.edge(FORBIDDEN).query(sql)?;
        assert!(!holds(&answer.body, &first), "{sql}");
    }
    let shown = cluster.edge(FORBIDDEN).query(&format!("EXPLAIN RESIDENCY {notes}"))?;
    assert!(!holds(&shown.body, &first), "{}", shown.text());
    load(&cluster.edge(HOME), "person", &persons(1_001, &second))?;
    await_copies(&cluster)?;
    cluster.stop(HOME)?;
    let stood_in = cluster.edge(FORBIDDEN).query("SELECT count(*) AS n FROM person")?.answer()?;
    assert_eq!(stood_in.cells(), [[Some("80".to_owned())]]);
    let denied = cluster.edge(FORBIDDEN).query(notes)?;
    assert!(denied.status == 403 && !holds(&denied.body, &first), "{}", denied.text());
    cluster.resume(HOME)?;

    let all = [first, second].concat();
    check_untouched(&cluster, FORBIDDEN, &all)?;
    // The search finds what is there: on the way to the copies, and in their files alone.
    let passed = cluster.metered()?;
    let copied = passed.iter().filter(|exchange| exchange.asking == KEEPER && exchange.asked == HOME);
    assert!(copied.into_iter().any(|exchange| holds(&exchange.answer, &all)), "the link to the copies shows nothing");
    let copies = data_dir(&cluster, KEEPER).join("replicas").join(HOME);
    assert!(files(&copies)?.iter().any(|(_, bytes)| holds(bytes, &all)), "no file of the copies has their rows");
    for (path, bytes) in files(data_dir(&cluster, KEEPER))? {
        assert!(path.starts_with(&copies) || !holds(&bytes, &all), "{} has rows of {HOME}", path.display());
    }
    for region in [HOME, KEEPER] {
        assert!(!holds(cluster.log(region)?.as_bytes(), &all), "the log of {region} has rows");
    }
    // Its own question for its own rows does not see the copies.
    let own = cluster.edge(KEEPER).query_with("SELECT count(*) AS n FROM person", &[("Data-Region", KEEPER)])?;
    assert_eq!(own.answer()?.cells(), [[Some("0".to_owned())]]);
    Ok(())
}

#[test]
fn the_home_gives_copies_to_whom_it_may_whatever_they_claim() -> Result<()> {
    let mut cluster = start(Options { meter: true, ..Options::default() })?;
    let marked = markers("only", 20);
    // As long as the keeper has not fetched them, the home has entries to give.
    cluster.stop(KEEPER)?;
    load(&cluster.edge(HOME), "person", &persons(1, &marked))?;
    let way = |from, to| Way { from, to };
    let given = pull(&cluster, way(KEEPER, HOME), |_| {})?;
    assert_eq!(kind(&given)?, "entries");
    assert!(holds(&given.body, &marked), "what the keeper may have is there to be seen");
    let receipt = given.header("receipt").context("no receipt")?;
    assert!(!receipt.is_empty());

    let no_change: fn(&mut Value) = |_| {};
    let names_home: fn(&mut Value) = |body| body["regions"] = json!([HOME]);
    let names_keeper: fn(&mut Value) = |body| body["regions"] = json!([KEEPER, HOME]);
    let knows_all: fn(&mut Value) = |body| body["have"] = json!([[HOME, 0, 1]]);
    let other_set: fn(&mut Value) = |body| body["set"] = json!("persons");
    for change in [no_change, names_home, names_keeper, knows_all, other_set] {
        let refused = pull(&cluster, way(FORBIDDEN, HOME), change)?;
        assert_eq!(kind(&refused)?, "not-permitted");
        assert!(!holds(&refused.body, &marked));
    }
    // Numbers that no entry can have are refused, also from whom may ask.
    for numbers in [json!([[HOME, 0, u64::MAX]]), json!([[HOME, 0, 1_u64 << 49]])] {
        let refused = pull(&cluster, way(KEEPER, HOME), |body| body["have"] = numbers.clone())?;
        assert!(refused.status == 400 && refused.text().contains("a number of an entry"), "{}", refused.text());
    }
    // One that says to be the keeper has to sign as it.
    let body = json!({"set": SET, "have": [], "regions": [], "ahead_ms": 0, "bytes_max": 8_000_000}).to_string();
    let mut forged = signature_for(&cluster, way(FORBIDDEN, HOME), ("POST", LOG_PATH), body.as_bytes())?;
    forged.iter_mut().filter(|(name, _)| *name == "peer-region").for_each(|(_, value)| *value = KEEPER.to_owned());
    let refused = send(&cluster, HOME, &forged, body.as_bytes())?;
    assert!(refused.status == 401 && !holds(&refused.body, &marked), "{}", refused.text());
    let log = cluster.log(HOME)?;
    assert!(log.contains("let no copies of this set go there") && log.contains(FORBIDDEN), "{log}");

    cluster.resume(KEEPER)?;
    await_copies(&cluster)?;
    // Who has copies passes nothing on, not even to their home.
    for (from, change) in [(FORBIDDEN, no_change), (FORBIDDEN, names_home), (HOME, no_change)] {
        assert_eq!(kind(&pull(&cluster, way(from, KEEPER), change)?)?, "not-permitted", "{from}");
    }
    check_ledger(&cluster)?;
    check_untouched(&cluster, FORBIDDEN, &marked)
}

/// Everything that left for the copies has a receipt, and the chain of them holds.
fn check_ledger(cluster: &Cluster) -> Result<()> {
    let ledger = cluster.edge(HOME).ledger()?;
    let copied: Vec<&Value> = ledger.iter().filter(|record| record["receipt"]["form"] == "replicate").collect();
    ensure!(!copied.is_empty(), "no receipt in {ledger:?}");
    for record in &copied {
        let receipt = &record["receipt"];
        assert_eq!((&receipt["from"], &receipt["to"]), (&json!(HOME), &json!(KEEPER)), "{receipt}");
        assert_eq!(receipt["datasets"], json!(["person", "trip"]), "{receipt}");
        assert_eq!(receipt["clauses"][0]["clause"], "copies-under-our-law", "{receipt}");
        assert!(receipt["bytes"].as_u64() > Some(100) && receipt["rows_released"] == 20, "{receipt}");
        let question = record["question"].as_str().unwrap_or_default();
        assert!(question.starts_with("entries of replication set `persons_eu` after "), "{question}");
    }
    cluster.cli(HOME).run(&["audit", "verify"])?.success()?;
    Ok(())
}

#[test]
fn a_withdrawn_clause_stops_the_flow_at_once() -> Result<()> {
    let cluster = start(Options { meter: true, ..Options::default() })?;
    let (before, after) = (markers("before", 10), markers("after", 10));
    load(&cluster.edge(HOME), "person", &persons(1, &before))?;
    await_copies(&cluster)?;
    let folder = cluster.dir().context("a cluster for tests has a folder")?.join("policies");
    for (name, text) in policies(2, false) {
        std::fs::write(folder.join(format!("{name}.toml")), text)?;
    }
    cluster.cli(HOME).run(&["policy", "reload"])?.success()?;
    load(&cluster.edge(HOME), "person", &persons(101, &after))?;
    let refusal = |found: &Value| {
        let told = found["peers"][0]["refusal"].as_str().unwrap_or_default().to_owned();
        told == "it does not give this set to this region"
    };
    let stopped = until("the keeper is not refused", || status(&cluster.edge(KEEPER)), refusal)?;
    let home = status(&cluster.edge(HOME))?;
    assert_ne!(stopped["applied"], home["applied"], "{stopped}");
    for (path, bytes) in files(data_dir(&cluster, KEEPER))? {
        assert!(!holds(&bytes, &after), "{} has rows that were written after the withdrawal", path.display());
    }
    let passed = cluster.metered()?;
    assert!(!passed.iter().any(|exchange| holds(&exchange.answer, &after)), "rows passed after the withdrawal");
    assert!(passed.iter().any(|exchange| holds(&exchange.answer, &before)), "what passed before is there to be seen");

    // Where the keeper knows of it, its copies answer nothing any more.
    cluster.cli(KEEPER).run(&["policy", "reload"])?.success()?;
    let answer = cluster.edge(KEEPER).query_with("SELECT count(*) AS n FROM person", &[("Max-Staleness", "3600")])?;
    assert_eq!(answer.answer()?.document()["coverage"]["stood_in"], Value::Null);
    assert_eq!(answer.answer()?.cells(), [[Some("20".to_owned())]]);

    // Given back, it goes on where it was.
    for (name, text) in policies(3, true) {
        std::fs::write(folder.join(format!("{name}.toml")), text)?;
    }
    cluster.cli(HOME).run(&["policy", "reload"])?.success()?;
    await_copies(&cluster)
}
