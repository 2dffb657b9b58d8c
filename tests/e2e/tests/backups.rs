//! A region's store goes to a backup and comes back, over HTTP and by command.

use std::fs;

use anyhow::{Context, Result};
use domicile_harness::{Options, questions};
use domicile_tests::check;
use domicile_tests::world::World;
use serde_json::{Value, json};

const REGION: &str = "eu-central";

fn backups_of(world: &World, region: &str) -> Result<String> {
    let dir = world.cluster.dir().context("a folder")?.join(format!("{region}.backups"));
    Ok(dir.to_str().context("a path that is UTF-8")?.to_owned())
}

fn post(world: &World, body: &Value) -> Result<domicile_harness::Response> {
    let headers = [("Content-Type", "application/json")];
    world.edge(REGION).send("POST", "/v1/backups", &headers, body.to_string().as_bytes())
}

#[test]
fn a_lost_store_comes_back_from_its_backup() -> Result<()> {
    let mut world = World::start(&Options::permissive())?;
    let before = world.ask(REGION, questions::REVENUE)?.cells();
    let place = backups_of(&world, REGION)?;
    let made = world.cluster.cli(REGION).json(&["backup", "--to", &place])?.success()?.document()?;
    assert!(made["row_versions"].as_u64() > Some(0) && made["copied_bytes"] == made["bytes"], "{made}");
    let again =
        world.cluster.cli(REGION).json(&["backup", "--to", &format!("file://{place}")])?.success()?.document()?;
    assert_eq!(again["copied_bytes"], 0, "{again}");

    let listed = world.edge(REGION).get(&format!("/v1/backups?at=file://{place}"))?.json()?;
    let names: Vec<&Value> = listed["backups"].as_array().into_iter().flatten().map(|backup| &backup["name"]).collect();
    assert_eq!(names, [&made["name"], &again["name"]], "{listed}");

    let file = world.cluster.file(REGION).clone();
    let config = file.config.to_str().context("a path that is UTF-8")?;
    let restore = ["restore", "--config", config, "--from", &place];
    let refused = world.cluster.cli(REGION).json(&restore)?;
    assert!(refused.code == 2 && refused.stdout.contains("in use by another process"), "{}", refused.stdout);

    world.cluster.kill(REGION)?;
    let full = world.cluster.cli(REGION).json(&restore)?;
    assert!(full.code == 2 && full.stdout.contains("into an empty `data_dir` only"), "{}", full.stdout);
    fs::remove_dir_all(file.data_dir.join("store"))?;
    let whole = world.cluster.cli(REGION).json(&[&restore[..], &["--verify-only"]].concat())?.success()?.document()?;
    assert_eq!((&whole["row_versions"], &whole["whole"]), (&made["row_versions"], &json!(true)));
    let ran = world.cluster.cli(REGION).json(&restore)?.success()?;
    let told = ran.stderr.lines().filter(|line| line.contains("a backup is being restored")).count();
    assert!((1..=10).contains(&told) && !ran.stderr.contains('{'), "{}", ran.stderr);
    let restored = ran.document()?;
    assert_eq!((&restored["row_versions"], &restored["epoch"]), (&made["row_versions"], &json!(1)), "{restored}");
    world.cluster.resume(REGION)?;
    assert_eq!(world.ask(REGION, questions::REVENUE)?.cells(), before);
    Ok(())
}

#[test]
fn one_dataset_comes_back_and_the_others_stay() -> Result<()> {
    let mut world = World::start(&Options::permissive())?;
    let place = backups_of(&world, REGION)?;
    let made =
        world.cluster.cli(REGION).json(&["backup", "--to", &place, "--dataset", "nation"])?.success()?.document()?;
    assert_eq!(made["row_versions"], 25, "{made}");
    let nations = "SELECT n_nationkey, n_name FROM nation ORDER BY n_nationkey";
    let before = world.ask(REGION, nations)?.cells();
    let headers = [("Content-Type", "text/csv")];
    let rows = "n_nationkey\n0\n1\n2\n";
    let deleted = world.edge(REGION).rows("DELETE", "nation", &headers, rows.as_bytes())?;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    assert_eq!(world.ask(REGION, nations)?.cells().len(), 22);
    let customers = world.ask(REGION, "SELECT count(*) FROM customer")?.cells();

    world.cluster.stop(REGION)?;
    let config = world.cluster.file(REGION).config.clone();
    let config = config.to_str().context("a path that is UTF-8")?;
    let restore = ["restore", "--config", config, "--from", &place, "--dataset", "nation"];
    world.cluster.cli(REGION).json(&restore)?.success()?;
    world.cluster.resume(REGION)?;
    assert_eq!(world.ask(REGION, nations)?.cells(), before);
    assert_eq!(world.ask(REGION, "SELECT count(*) FROM customer")?.cells(), customers);
    Ok(())
}

#[test]
fn backups_go_only_where_the_region_allows() -> Result<()> {
    let world = World::start(&Options::default())?;
    let place = format!("file://{}", backups_of(&world, REGION)?);
    let elsewhere = format!("file://{}", backups_of(&world, "us-east")?);
    for to in [elsewhere.as_str(), "s3://bucket/prefix", &format!("{place}-more")] {
        let refused = post(&world, &json!({"to": to}))?;
        check::problem(&refused, 403, Some("backup-place-denied"), &[]);
        check::problem(
            &world.edge(REGION).get(&format!("/v1/backups?at={to}"))?,
            403,
            Some("backup-place-denied"),
            &[],
        );
    }
    let around =
        [format!("{place}/../us-east.backups"), format!("{place}/.. "), format!("{place}/..\t/us-east.backups")];
    for to in around.into_iter().chain(["backups".to_owned(), "ftp://host/folder".to_owned()]) {
        check::problem(&post(&world, &json!({"to": to}))?, 400, Some("bad-request"), &[]);
    }
    check::problem(&post(&world, &json!({"to": place, "partition": "all"}))?, 400, Some("bad-request"), &[]);
    check::problem(&post(&world, &json!({"to": place, "dataset": "nations"}))?, 404, Some("unknown-dataset"), &[]);
    let missing = json!({"to": place, "dataset": "nation", "partition": "n_nationkey=1"});
    check::problem(&post(&world, &missing)?, 404, Some("unknown-partition"), &[]);
    assert_eq!(
        post(&world, &json!({"to": format!("{place}/nested"), "dataset": "nation", "partition": "all"}))?.status,
        200
    );
    Ok(())
}
