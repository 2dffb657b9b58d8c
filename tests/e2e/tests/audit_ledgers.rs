//! Ledgers as files: shown, exported, checked away from their region, and found out where they were cut short.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use domicile_harness::{Cli, Options, questions};
use domicile_tests::world::World;
use serde_json::{Value, json};

const BY_SEGMENT: &str = "SELECT c_mktsegment, count(*) FROM customer GROUP BY 1";

/// Regions whose ledger in Europe has three receipts: two for `us-east`, then one for `ap-south`.
fn world() -> Result<World> {
    let world = World::start(&Options::default())?;
    world.ask("us-east", questions::REVENUE)?;
    world.ask("us-east", BY_SEGMENT)?;
    world.ask("ap-south", questions::REVENUE)?;
    Ok(world)
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

#[track_caller]
fn check_fails(cli: &Cli, arguments: &[&str], said: &str) -> Result<()> {
    let ran = cli.run(arguments)?;
    assert_eq!(ran.code, 4, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    Ok(())
}

#[track_caller]
fn check_verifies(cli: &Cli, arguments: &[&str], receipts: u64, compared_with: u64) -> Result<Value> {
    let result = cli.json(arguments)?.success()?.document()?;
    assert_eq!((&result["verified"], &result["region"]), (&json!(true), &json!("eu-central")), "{result}");
    assert_eq!((&result["receipts"], &result["compared_with"]), (&json!(receipts), &json!(compared_with)), "{result}");
    Ok(result)
}

#[test]
fn receipts_are_found_by_what_they_are_about() -> Result<()> {
    let world = world()?;
    let cli = world.cluster.cli("eu-central");
    let sequences = |filter: &[&str]| -> Result<Vec<u64>> {
        let shown = cli.json(&[&["audit", "show"], filter].concat())?.success()?.document()?;
        let receipts = shown["receipts"].as_array().context("no receipts")?;
        Ok(receipts.iter().filter_map(|record| record["receipt"]["sequence"].as_u64()).collect())
    };
    let last = world.edge("eu-central").ledger()?.pop().context("no receipt")?;
    let query = last["receipt"]["query_id"].as_str().context("no query")?;
    assert_eq!(sequences(&[])?, [1, 2, 3]);
    assert_eq!(sequences(&["--to", "us-east"])?, [1, 2]);
    assert_eq!(sequences(&["--dataset", "customer"])?, [2]);
    assert_eq!(sequences(&["--dataset", "orders", "--to", "us-east"])?, [1]);
    assert_eq!(sequences(&["--limit", "2"])?, [2, 3]);
    assert_eq!(sequences(&["--query", query])?, [3]);
    assert_eq!(sequences(&["--since", "2020-01-01"])?, [1, 2, 3]);
    assert_eq!(sequences(&["--since", "2900-01-01T00:00:00Z"])?, [] as [u64; 0]);

    let table = cli.run(&["audit", "show", "--to", "ap-south"])?.success()?.stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].contains("held back") && lines[2].starts_with("3 ") && lines[2].contains(query), "{table}");
    let details = cli.run(&["audit", "show", "--limit", "1", "--details"])?.success()?.stdout;
    assert!(details.contains("allowed by orders/world-reporting") && details.contains("SELECT"), "{details}");
    assert_eq!(cli.run(&["audit", "show", "--since", "yesterday"])?.code, 2);
    Ok(())
}

#[test]
fn exports_are_checked_away_from_their_region() -> Result<()> {
    let world = world()?;
    let cli = world.cluster.cli("eu-central");
    let folder = tempfile::tempdir()?;
    let whole = folder.path().join("ledger.ndjson");
    let exported = cli.json(&["audit", "export", path(&whole)?])?.success()?.document()?;
    assert_eq!((&exported["receipts"], &exported["verifiable"]), (&json!(3), &json!(true)));
    let head = check_verifies(&cli, &["audit", "verify", path(&whole)?], 3, 0)?;
    let (head, key) = (head["head"].as_str().context("head")?, head["key"].as_str().context("key")?);
    let noted = ["--key", key, "--region", "eu-central", "--expect-receipts", "3", "--expect-head", head];
    check_verifies(&cli, &[&["audit", "verify", path(&whole)?], &noted[..]].concat(), 3, 1)?;
    assert_eq!(cli.run(&["audit", "export", path(&whole)?])?.code, 2, "a file was written over");

    let text = fs::read_to_string(&whole)?;
    let check_bent = |name: &str, bent: String, arguments: &[&str], said: &str| {
        let file = folder.path().join(name);
        fs::write(&file, bent)?;
        check_fails(&cli, &[&["audit", "verify", path(&file)?], arguments].concat(), said)
    };
    let lines: Vec<&str> = text.lines().collect();
    let second: Value = serde_json::from_str(lines[1])?;
    let bytes = second["receipt"]["bytes"].as_u64().context("bytes")?;
    let changed = lines[1].replace(&format!("\"bytes\":{bytes},"), &format!("\"bytes\":{},", bytes + 1));
    assert_ne!(changed, lines[1]);
    check_bent("changed", text.replace(lines[1], &changed), &[], "receipt 2 does not have the hash")?;
    let question = lines[1].replace("customer", "customes");
    check_bent("question", text.replace(lines[1], &question), &[], "receipt 2")?;
    check_bent("without", [lines[0], lines[2], r#"{"end":{"records":2}}"#].join("\n"), &[], "receipt 2 is missing")?;
    check_bent("no-end", lines[..3].join("\n"), &[], "broke off after 3 records")?;
    check_bent("more", format!("{text}{}\n", lines[2]), &[], "something follows the end")?;
    check_bent("other", text.clone(), &["--region", "us-east"], "is one of eu-central")?;
    let others = world.edge("us-east").get("/v1/audit/key")?.json()?;
    let others = others["key"].as_str().context("key")?;
    check_bent("key", text.clone(), &["--key", others], "not signed with this region's key")?;

    // A ledger that ends early holds by itself: only who has seen more of it knows.
    let short = [lines[0], r#"{"end":{"records":1}}"#].join("\n");
    let file = folder.path().join("short");
    fs::write(&file, &short)?;
    check_verifies(&cli, &["audit", "verify", path(&file)?], 1, 0)?;
    check_bent("noted", short.clone(), &["--expect-receipts", "3"], "you saw receipt 3 of it: it was cut short")?;
    check_bent("head", short.clone(), &["--expect-head", head], "it was cut short")?;
    let fake = "0".repeat(64);
    check_bent(
        "anew",
        text,
        &["--expect-receipts", "2", "--expect-head", &fake],
        "receipt 2 is another one than you saw",
    )?;
    let us_east = &world.cluster.file("us-east").url;
    check_bent("seen", short, &["--against", us_east], "saw receipt 2 of it: it was cut short")?;
    check_verifies(&cli, &["audit", "verify", path(&whole)?, "--against", us_east], 3, 1)?;

    let table = folder.path().join("ledger.csv");
    let arguments = ["audit", "export", path(&table)?, "--format", "csv", "--to", "us-east"];
    assert_eq!(cli.json(&arguments)?.success()?.document()?["verifiable"], json!(false));
    let table = fs::read_to_string(&table)?;
    assert_eq!(table.lines().filter(|line| line.contains(",eu-central,us-east,")).count(), 2, "{table}");
    assert!(table.starts_with("sequence,at,from,to,"), "{table}");
    Ok(())
}

#[test]
fn a_ledger_cut_short_is_known_to_those_who_received() -> Result<()> {
    let mut world = world()?;
    let urls = ["us-east", "ap-south"].map(|region| world.cluster.file(region).url.clone());
    let against = ["audit", "verify", "--against", &urls[0], "--against", &urls[1]];
    check_verifies(&world.cluster.cli("eu-central"), &against, 3, 2)?;

    let heads = world.cluster.cli("us-east").json(&["audit", "heads"])?.success()?.document()?;
    let ledger = world.edge("eu-central").ledger()?;
    let of_europe = heads["heads"].as_array().into_iter().flatten().find(|head| head["region"] == "eu-central");
    let of_europe = of_europe.context("us-east saw nothing of eu-central")?;
    assert_eq!((&of_europe["sequence"], &of_europe["hash"]), (&json!(2), &ledger[1]["hash"]));

    // What was seen outlives a restart; what is cut at the end of the ledger leaves a chain that holds.
    world.cluster.stop("us-east")?;
    world.cluster.resume("us-east")?;
    world.cluster.stop("eu-central")?;
    let file = world.cluster.file("eu-central").data_dir.join("ledger.jsonl");
    let text = fs::read_to_string(&file)?;
    let first = text.lines().next().context("an empty ledger")?;
    fs::write(&file, format!("{first}\n"))?;
    world.cluster.resume("eu-central")?;
    let cli = world.cluster.cli("eu-central");
    check_verifies(&cli, &["audit", "verify"], 1, 0)?;
    check_fails(&cli, &["audit", "verify", "--against", &urls[0]], "saw receipt 2 of it: it was cut short")?;
    check_fails(&cli, &["audit", "verify", "--against", &urls[1]], "saw receipt 3 of it: it was cut short")?;

    // Nor does it help to write new receipts in the place of those that are gone.
    world.ask("us-east", "SELECT o_orderpriority, count(*) FROM orders GROUP BY 1")?;
    check_fails(&cli, &["audit", "verify", "--against", &urls[0]], "receipt 2 is another one than")?;
    let log = world.cluster.log("us-east")?;
    assert!(log.contains("a ledger was made anew"), "{log}");
    Ok(())
}
