//! What regions remember of plugins: over restarts, absences and deletions.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Edge, Options, build};
use domicile_tests::check::problem;
use domicile_tests::wasm::same_again;
use domicile_tests::world::plugin;
use serde_json::{Value, json};

/// Longest that a region may take to learn what it missed: a few of its comparisons.
const LEARN_TIMEOUT: Duration = Duration::from_secs(60);

fn cluster() -> Result<Cluster> {
    Cluster::for_test(&build::binary(build::Profile::Dev)?, &Options::default())
}

fn deploy(edge: &Edge, version: &str) -> Result<Value> {
    let wasm = same_again(&std::fs::read(plugin("rfm")?)?, version);
    let response = edge.deploy("rfm", version, &wasm)?;
    ensure!(response.status == 200, "{}", response.text());
    response.json()
}

fn change(edge: &Edge, what: &str, body: &Value) -> Result<Value> {
    let path = format!("/v1/plugins/rfm/{what}");
    let response = edge.send("POST", &path, &[("Content-Type", "application/json")], body.to_string().as_bytes())?;
    ensure!(response.status == 200, "{what}: {}", response.text());
    response.json()
}

fn delete(edge: &Edge, version: &str) -> Result<domicile_harness::Response> {
    edge.send("DELETE", &format!("/v1/plugins/rfm/versions/{version}"), &[], b"")
}

/// What a region knows of the plugin, but for its own name.
fn known(edge: &Edge) -> Result<Value> {
    let shown = edge.get("/v1/plugins/rfm")?.json()?;
    let mut versions: Vec<String> = shown["versions"].as_array().into_iter().flatten().map(Value::to_string).collect();
    versions.sort();
    Ok(json!({"release": shown["release"], "versions": versions}))
}

fn wait_until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + LEARN_TIMEOUT;
    while !holds()? {
        ensure!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn a_release_survives_a_kill_and_reaches_who_was_away() -> Result<()> {
    let mut cluster = cluster()?;
    let edge = cluster.edge("us-east");
    for version in ["1.0.0", "1.1.0"] {
        deploy(&edge, version)?;
    }
    cluster.stop("ap-south")?;
    let pending = deploy(&edge, "2.0.0")?;
    assert_eq!(pending["pending_in"][0]["region"], "ap-south", "{pending}");
    change(&edge, "promote", &json!({"version": "2.0.0"}))?;
    change(&edge, "canary", &json!({"version": "1.1.0", "percent": 7}))?;
    let changed = change(&edge, "shadow", &json!({"version": "1.0.0"}))?;
    assert_eq!(changed["known_in"], json!(["us-east", "eu-central"]), "{changed}");
    let expected = known(&edge)?;
    assert_eq!((&expected["release"]["revision"], &expected["release"]["origin"]), (&json!(4), &json!("us-east")));

    cluster.resume("ap-south")?;
    let away = cluster.edge("ap-south");
    wait_until("ap-south did not learn of the release", || Ok(known(&away)? == expected))?;

    for region in REGIONS {
        cluster.kill(region)?;
    }
    for region in REGIONS {
        cluster.resume(region)?;
    }
    for region in REGIONS {
        assert_eq!(known(&cluster.edge(region))?, expected, "{region}");
    }
    let back = change(&cluster.edge("ap-south"), "rollback", &json!({}))?;
    assert_eq!(back["release"]["active"]["version"], "1.0.0", "{back}");
    Ok(())
}

#[test]
fn of_two_changes_apart_the_later_one_counts_everywhere() -> Result<()> {
    let mut cluster = cluster()?;
    let edge = cluster.edge("us-east");
    for version in ["1.0.0", "1.1.0", "2.0.0"] {
        deploy(&edge, version)?;
    }
    cluster.stop("ap-south")?;
    change(&edge, "promote", &json!({"version": "1.1.0"}))?;
    for region in ["us-east", "eu-central"] {
        cluster.stop(region)?;
    }
    cluster.resume("ap-south")?;
    change(&cluster.edge("ap-south"), "promote", &json!({"version": "2.0.0"}))?;
    for region in ["us-east", "eu-central"] {
        cluster.resume(region)?;
    }
    for region in REGIONS {
        let edge = cluster.edge(region);
        wait_until(region, || Ok(known(&edge)?["release"]["active"]["version"] == "2.0.0"))?;
    }
    Ok(())
}

#[test]
fn what_was_deleted_stays_away() -> Result<()> {
    let mut cluster = cluster()?;
    let edge = cluster.edge("us-east");
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        deploy(&edge, version)?;
    }
    problem(&delete(&edge, "1.0.0")?, 409, Some("version-in-use"), &["1.0.0", "active"]);
    problem(&delete(&edge, "1.0.1")?, 404, Some("unknown-version"), &["1.0.1"]);
    let components = |cluster: &Cluster, region: &str| -> Result<usize> {
        let folder = cluster.file(region).data_dir.join("plugins/components");
        Ok(std::fs::read_dir(folder)?.count())
    };
    assert_eq!(components(&cluster, "ap-south")?, 3);

    cluster.stop("ap-south")?;
    let deleted = delete(&edge, "1.1.0")?.json()?;
    assert_eq!(deleted["known_in"], json!(["us-east", "eu-central"]), "{deleted}");
    assert_eq!(components(&cluster, "eu-central")?, 2, "the component goes with its last version");
    cluster.resume("ap-south")?;
    let away = cluster.edge("ap-south");
    // The region that was away offers the version, and nobody takes it.
    wait_until("ap-south did not learn of the deletion", || Ok(!known(&away)?.to_string().contains("1.1.0")))?;
    let expected = known(&away)?;
    for region in REGIONS {
        assert_eq!(known(&cluster.edge(region))?, expected, "{region}");
    }

    let pricing = std::fs::read(plugin("pricing")?)?;
    problem(&edge.deploy("rfm", "1.1.0", &pricing)?, 409, Some("version-conflict"), &["1.1.0"]);
    let again = deploy(&away, "1.1.0")?;
    assert_eq!(again["deployed_in"].as_array().map(Vec::len), Some(3), "{again}");
    for region in REGIONS {
        cluster.kill(region)?;
        cluster.resume(region)?;
    }
    for region in REGIONS {
        assert!(known(&cluster.edge(region))?.to_string().contains("1.1.0"), "{region}");
    }
    Ok(())
}

#[test]
fn a_damaged_registry_is_named_and_not_served() -> Result<()> {
    let mut cluster = cluster()?;
    let edge = cluster.edge("us-east");
    deploy(&edge, "1.0.0")?;
    deploy(&edge, "1.1.0")?;
    cluster.stop("us-east")?;
    let file = cluster.file("us-east").data_dir.join("plugins/registry.json");
    let whole = std::fs::read_to_string(&file)?;
    let active = whole.find("\"active\"").context("no release is kept")?;
    let place = active + whole[active..].find("1.0.0").context("no active version is kept")?;
    let changed = format!("{}1.1.0{}", &whole[..place], &whole[place + 5..]);
    for damaged in [&whole[..whole.len() / 2], &changed, "{}", ""] {
        std::fs::write(&file, damaged)?;
        let refused = format!("{:#}", cluster.resume("us-east").expect_err("it started"));
        assert!(refused.contains("registry.json is damaged"), "{refused}");
        cluster.kill("us-east")?;
    }
    std::fs::write(&file, &whole)?;
    cluster.resume("us-east")?;
    assert!(known(&edge)?.to_string().contains("1.1.0"));
    Ok(())
}

#[test]
fn a_damaged_component_keeps_nobody_from_serving() -> Result<()> {
    let mut cluster = cluster()?;
    let edge = cluster.edge("us-east");
    deploy(&edge, "1.0.0")?;
    deploy(&edge, "1.1.0")?;
    cluster.stop("us-east")?;
    let components = cluster.file("us-east").data_dir.join("plugins/components");
    let mut files = std::fs::read_dir(&components)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let damaged = files.first().context("nothing is kept")?;
    let mut bytes = std::fs::read(damaged)?;
    bytes.truncate(bytes.len() / 2);
    std::fs::write(damaged, bytes)?;
    cluster.resume("us-east")?;
    assert_eq!(edge.query("SELECT count(*) FROM region")?.status, 200);
    // The peers have what was damaged.
    wait_until("both versions are there again", || {
        let known = known(&edge)?.to_string();
        Ok(["1.0.0", "1.1.0"].iter().all(|version| known.contains(version)))
    })
}
