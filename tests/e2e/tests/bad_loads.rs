//! Files that may not be loaded: each is refused as a whole, with the rows and the reasons.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use domicile_harness::{Options, Response};
use domicile_tests::check::problem;
use domicile_tests::world::{World, shared};
use serde_json::Value;

const HEADER: &str = "c_custkey,c_name,c_address,c_nationkey,c_phone,c_acctbal,c_mktsegment,c_comment";

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    let limits = vec![("load_bytes_max".to_owned(), 2 * 1024 * 1024)];
    shared(&WORLD, || World::start(&Options { limits, ..Options::default() }))
}

/// Row versions of each dataset in the US region.
fn row_counts() -> Result<Vec<(String, u64)>> {
    let document = world().edge("us-east").get("/v1/datasets")?.json()?;
    let datasets = document["datasets"].as_array().context("no datasets")?;
    let count = |entry: &Value| Some((entry["name"].as_str()?.to_owned(), entry["row_versions"].as_u64()?));
    datasets.iter().map(|entry| count(entry).with_context(|| entry.to_string())).collect()
}

fn write(name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
    let path = world().cluster.dir().context("folder")?.join(name);
    fs::write(&path, content)?;
    Ok(path)
}

/// Loads a file at the US edge; nothing of it may be there afterwards.
#[track_caller]
fn load(name: &str, dataset: &str, content: impl AsRef<[u8]>) -> Result<Response> {
    let before = row_counts()?;
    let response = world().edge("us-east").load(dataset, &write(name, content)?)?;
    assert_eq!(row_counts()?, before, "something was loaded");
    Ok(response)
}

fn customer(key: i64, nation: &str, balance: &str) -> String {
    format!("{key},Customer#{key:09},Some Street,{nation},11-111-111-1111,{balance},BUILDING,no comment")
}

/// Customers are refused, and the refusal lists the first row of them like this.
#[track_caller]
fn check_refused(name: &str, rows: &[String], refused: u64, first: (u64, &str, &str)) -> Result<()> {
    let response = load(name, "customer", format!("{HEADER}\n{}\n", rows.join("\n")))?;
    let document = problem(&response, 422, Some("rows-refused"), &[]);
    assert_eq!(document["refused_rows"], refused, "{document}");
    let (row, column, reason) = first;
    let listed = &document["rows"][0];
    assert_eq!(listed["row"], row, "{document}");
    assert_eq!(listed["column"], column, "{document}");
    assert!(listed["reason"].as_str().is_some_and(|text| text.contains(reason)), "{reason} in {document}");
    Ok(())
}

#[test]
fn rows_that_live_elsewhere_or_nowhere() -> Result<()> {
    let here = customer(9_000_001, "24", "1.00");
    let german = customer(9_000_002, "7", "1.00");
    check_refused("elsewhere.csv", &[here.clone(), german], 1, (2, "c_nationkey", "eu-central"))?;
    let nowhere = customer(9_000_003, "99", "1.00");
    check_refused("nowhere.csv", &[nowhere], 1, (1, "c_nationkey", "99"))?;
    let unsaid = customer(9_000_004, "", "1.00");
    check_refused("unsaid.csv", &[here, unsaid], 1, (2, "c_nationkey", ""))?;
    Ok(())
}

#[test]
fn orders_of_customers_who_live_elsewhere() -> Result<()> {
    let european = fs::read(world().file("eu-central", "orders")?)?;
    let document = problem(&load("european.parquet", "orders", european)?, 422, Some("rows-refused"), &[]);
    assert!(document["refused_rows"].as_u64() > Some(1000), "{document}");
    assert_eq!(document["rows"].as_array().map(Vec::len), Some(10), "{document}");
    Ok(())
}

#[test]
fn values_that_do_not_fit_have_a_row_and_a_column() -> Result<()> {
    for (name, row, column) in [
        ("money.csv", customer(9_000_006, "24", "a lot"), "c_acctbal"),
        ("digits.csv", customer(9_000_007, "24", "1.234"), "c_acctbal"),
        ("nation.csv", customer(9_000_008, "USA", "1.00"), "c_nationkey"),
    ] {
        let content = format!("{HEADER}\n{}\n{row}\n", customer(9_000_009, "24", "1.00"));
        let response = load(name, "customer", content)?;
        assert!([400, 422].contains(&response.status), "{}", response.text());
        let text = response.text();
        assert!(text.contains(column) && text.contains('2'), "{text}");
    }
    Ok(())
}

#[test]
fn headers_that_do_not_fit() -> Result<()> {
    let row = customer(9_000_010, "24", "1.00");
    for (name, header, texts) in [
        ("unknown.csv", HEADER.replace("c_phone", "c_phon"), ["c_phon", "c_phone"]),
        ("missing.csv", HEADER.replace(",c_comment", ""), ["c_comment", ""]),
        ("double.csv", HEADER.replace("c_address", "c_name"), ["c_name", ""]),
        ("none.csv", row.clone(), ["", ""]),
    ] {
        let response = load(name, "customer", format!("{header}\n{row}\n"))?;
        assert!([400, 422].contains(&response.status), "{name}: {} {}", response.status, response.text());
        problem(&response, response.status, None, &texts);
    }
    Ok(())
}

#[test]
fn files_that_are_broken() -> Result<()> {
    let orders = fs::read(world().file("us-east", "orders")?)?;
    let mut garbled = orders.clone();
    let middle = garbled.len() / 2;
    garbled[middle..middle + 64].fill(0xa5);
    for (name, content) in [
        ("empty.csv", Vec::new()),
        ("empty.parquet", Vec::new()),
        ("cut.parquet", orders[..orders.len() - 1000].to_vec()),
        ("garbled.parquet", garbled),
        ("text.parquet", HEADER.as_bytes().to_vec()),
        ("parquet.csv", orders[..orders.len() / 2].to_vec()),
        ("open-quote.csv", format!("{HEADER}\n1,\"never closed").into_bytes()),
        ("ragged.csv", format!("{HEADER}\n1,2,3\n").into_bytes()),
    ] {
        let response = load(name, if name.ends_with("csv") { "customer" } else { "orders" }, content)?;
        assert!([400, 422].contains(&response.status), "{name}: {} {}", response.status, response.text());
        problem(&response, response.status, None, &[]);
    }
    Ok(())
}

#[test]
fn a_file_over_the_limit() -> Result<()> {
    let rows: Vec<_> = (0..40_000).map(|row| customer(9_100_000 + row, "24", "1.00")).collect();
    let response = load("large.csv", "customer", format!("{HEADER}\n{}\n", rows.join("\n")))?;
    problem(&response, 413, None, &["2097152"]);
    Ok(())
}

#[test]
fn the_command_line_shows_the_refused_rows() -> Result<()> {
    let path = world().file("eu-central", "customer")?.to_str().context("path")?;
    let ran = world().cluster.cli("us-east").run(&["data", "load", "customer", path])?;
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    for text in ["c_nationkey", "eu-central"] {
        assert!(ran.stderr.contains(text), "{text} in {}", ran.stderr);
    }
    Ok(())
}
