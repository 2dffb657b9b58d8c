//! `domicile policy check`: what policies say is told without a server, and what is wrong with them as well.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use domicile_harness::{Cli, Ran, build, policies, workspace};
use serde_json::{Value, json};

/// Nobody listens on it.
const NOWHERE: &str = "http://127.0.0.1:1";

fn check(file: &Path, json: bool) -> Result<Ran> {
    let cli = Cli::new(&build::binary(build::Profile::Dev)?, NOWHERE);
    let arguments = ["policy", "check", file.to_str().context("a path that is UTF-8")?];
    if json { cli.json(&arguments) } else { cli.run(&arguments) }
}

/// The shipped files of a region in a folder of their own, with `from` replaced by `to` in customers' policy.
fn changed(folder: &Path, from: &str, to: &str) -> Result<Ran> {
    let shipped = workspace::regions_dir();
    for name in ["datasets", "policies"] {
        policies::copy(&shipped.join(name), &folder.join(name))?;
    }
    let (region, policy) = (folder.join("eu-central.toml"), folder.join("policies/customer.toml"));
    fs::copy(shipped.join("eu-central.toml"), &region)?;
    let text = fs::read_to_string(&policy)?;
    assert_eq!(text.matches(from).count(), 1, "{from}");
    fs::write(&policy, text.replace(from, to))?;
    check(&region, false)
}

#[test]
fn the_shipped_policies_are_explained_without_a_server() -> Result<()> {
    let region = workspace::regions_dir().join("eu-central.toml");
    let said = check(&region, false)?.success()?.stdout;
    for sentence in [
        "customer v1 sha256:",
        "\n\norders v1 sha256:",
        "  Clause `world-reporting`:\n",
        "    A group that fewer than 10 entities stand behind is held back.\n",
        "  No clause mentions `c_address`, `c_comment`, `c_custkey`, `c_name` and `c_phone`: they never leave.\n",
    ] {
        assert!(said.contains(sentence), "{sentence} in {said}");
    }
    let told = check(&region, true)?.success()?.document()?;
    assert_eq!((&told["ok"], &told["region"]), (&json!(true), &json!("eu-central")));
    let named: Vec<&Value> = told["policies"].as_array().into_iter().flatten().map(|one| &one["dataset"]).collect();
    assert_eq!(named, ["customer", "lineitem", "orders"]);
    let (customer, lineitem) = (&told["policies"][0], &told["policies"][1]);
    assert_eq!(customer["homes"]["us-east"], json!([1, 2, 3, 17, 24]));
    assert_eq!(customer["stays"], json!(["c_address", "c_comment", "c_custkey", "c_name", "c_phone"]));
    let clause = &customer["clauses"][0];
    assert_eq!(clause["bounds"], json!({"c_acctbal": [-1000.0, 10000.0]}));
    let limits = ["minimum_entities", "dominance_percent", "round_to", "expires"].map(|key| &clause[key]);
    assert_eq!(limits, [&json!(10), &json!(80), &json!(null), &json!(null)]);
    assert_eq!(lineitem["entity"], json!({"dataset": "customer", "column": "c_custkey"}));
    assert_eq!(lineitem["follows"], "orders");
    Ok(())
}

#[test]
fn what_is_wrong_is_named_with_its_place() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let good = changed(folder.path(), "dominance_percent = 80", "dominance_percent = 70")?.success()?.stdout;
    assert!(good.contains("makes up more than 70 percent"), "{good}");
    assert!(!good.contains("Is this meant?"), "{good}");
    let old = changed(folder.path(), "legal_basis = ", "expires = \"2020-01-31\"\nlegal_basis = ")?.success()?.stdout;
    assert!(old.contains("Is this meant? ") && old.contains("since its last day, 2020-01-31"), "{old}");
    for (from, to, said) in [
        ("dominance_percent = 80", "dominance_percent = 100", ["customer.toml:", "and must have 1 to 99"]),
        ("\"count\", \"sum\"", "\"count\", \"max\"", ["customer.toml:", "it shows the value of a single row"]),
        ("from = [\"eu-central\", \"us-east\"", "from = [\"eu-west\", \"us-east\"", ["eu-central.toml", "`eu-west`"]),
    ] {
        let ran = changed(folder.path(), from, to)?;
        assert!(ran.code == 2 && ran.stdout.is_empty(), "{}{}", ran.stdout, ran.stderr);
        assert!(said.iter().all(|part| ran.stderr.contains(part)), "{said:?} in {}", ran.stderr);
    }
    let missing = check(&folder.path().join("nowhere.toml"), true)?;
    assert_eq!((missing.code, &missing.document()?["title"]), (2, &json!("The command failed")));
    Ok(())
}
