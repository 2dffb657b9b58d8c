//! What operators and clients get wrong: it is refused with what to do, and nothing is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use domicile_harness::regions::RegionFile;
use domicile_harness::{Cli, Cluster, Options, build, workspace};
use domicile_tests::check::problem;
use domicile_tests::world::shared;
use serde_json::{Value, json};

const REGION: &str = "eu-central";
const CSV: (&str, &str) = ("Content-Type", "text/csv");

/// A dataset of which rows cannot move from part to part.
const EVENTS: &str = "schema = 1\nname = \"events\"\nreference = true\nprimary_key = [\"at\", \"kind\", \"id\"]\n\
    column = [{ name = \"at\", type = \"date\" }, { name = \"kind\", type = \"text\" }, { name = \"id\", type = \"bigint\" }]\n\
    [partition]\ntime = { column = \"at\", every = \"month\" }\nby = [{ column = \"kind\" }]\n";

fn start() -> Result<Cluster> {
    let datasets = vec![("events".to_owned(), EVENTS.to_owned())];
    let cluster = Cluster::for_test(&build::binary(build::Profile::Dev)?, &Options { datasets, ..Options::default() })?;
    let loaded =
        cluster.edge(REGION).rows("POST", "events", &[CSV], b"at,kind,id\n2024-03-05,click,1\n2024-04-05,view,2\n")?;
    assert_eq!(loaded.status, 200, "{}", loaded.text());
    Ok(cluster)
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    shared(&CLUSTER, start)
}

fn folder() -> Result<&'static Path> {
    cluster().dir().context("a cluster for tests has a folder")
}

fn cli() -> Cli {
    cluster().cli(REGION)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is UTF-8")
}

/// Asks for a backup with a body.
fn backup(body: &Value) -> Result<domicile_harness::Response> {
    let headers = [("Content-Type", "application/json")];
    cluster().edge(REGION).send("POST", "/v1/backups", &headers, body.to_string().as_bytes())
}

#[test]
fn a_place_that_is_none() -> Result<()> {
    let form = "write the address of a place, file:///folder or s3://bucket/prefix";
    let bad = Some("bad-request");
    problem(&backup(&json!({}))?, 400, bad, &["`to` is missing", form]);
    problem(&backup(&json!({"to": "/etc"}))?, 400, bad, &["`to` is `/etc`, which is no address", form]);
    let edge = cluster().edge(REGION);
    problem(&edge.get("/v1/backups")?, 400, bad, &["`at` is missing", form]);
    problem(&edge.get("/v1/backups?at=/etc")?, 400, bad, &["`at` is `/etc`, which is no address", form]);
    let unknown = problem(&edge.get("/v1/backups?to=x")?, 400, bad, &["unknown field `to`"]);
    assert!(!unknown.to_string().contains("deserialize"), "{unknown}");
    Ok(())
}

#[test]
fn partitions_have_names_to_look_up() -> Result<()> {
    let listed = cluster().edge(REGION).get("/v1/datasets/events/partitions")?.json()?;
    let names = ["at=2024-03-01,kind=\"click\"", "at=2024-04-01,kind=\"view\""];
    let seen: Vec<&Value> = listed["partitions"].as_array().into_iter().flatten().map(|one| &one["name"]).collect();
    assert_eq!(seen, names, "{listed}");
    assert_eq!(
        (&listed["partitions"][0]["row_versions"], &listed["partitions"][0]["cold"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(cli().json(&["data", "partitions", "events"])?.success()?.document()?, listed);
    let shown = cli().run(&["data", "partitions", "events"])?.success()?.stdout;
    assert!(shown.starts_with("partition ") && names.iter().all(|name| shown.contains(name)), "{shown}");
    problem(&cluster().edge(REGION).get("/v1/datasets/event/partitions")?, 404, Some("unknown-dataset"), &["`events`"]);

    let place = folder()?.join(format!("{REGION}.backups/by-hand"));
    let to = text(&place)?;
    let unquoted = ["backup", "--to", to, "--dataset", "events", "--partition", "at=2024-03-01,kind=click"];
    let refused = cli().json(&unquoted)?;
    let document = refused.document()?;
    assert_eq!((refused.code, &document["nearest"]), (1, &json!(names[0])), "{document}");
    assert!(
        document["detail"].as_str().is_some_and(|detail| names.iter().all(|name| detail.contains(name))),
        "{document}"
    );
    assert!(!place.exists(), "a refused backup leaves no folder");
    let quoted = ["backup", "--to", to, "--dataset", "events", "--partition", names[0]];
    assert_eq!(cli().json(&quoted)?.success()?.document()?["row_versions"], 1);
    Ok(())
}

#[test]
fn lists_count_row_versions() -> Result<()> {
    let listed = cluster().edge(REGION).get("/v1/datasets")?.json()?;
    let events = listed["datasets"].as_array().into_iter().flatten().find(|one| one["name"] == "events");
    let events = events.context("no events")?;
    assert!(events["row_versions"].is_u64() && events["rows"].is_null(), "{events}");
    let shown = cli().run(&["data", "list"])?.success()?.stdout;
    assert!(
        shown.starts_with("dataset ") && shown.lines().next().is_some_and(|line| line.contains("row versions")),
        "{shown}"
    );
    Ok(())
}

#[test]
fn backups_that_are_elsewhere_or_damaged() -> Result<()> {
    let config = text(&cluster().file(REGION).config)?;
    let typo = folder()?.join("tpyo");
    let ran = cli().run(&["restore", "--config", config, "--from", text(&typo)?, "--verify-only"])?;
    assert!(ran.code == 2 && ran.stderr.contains(&format!("there is no folder {}", typo.display())), "{}", ran.stderr);
    assert!(!typo.exists(), "reading makes no folder");

    let place = folder()?.join(format!("{REGION}.backups/damaged"));
    cli().run(&["backup", "--to", text(&place)?, "--dataset", "events"])?.success()?;
    let restore = ["restore", "--config", config, "--from", text(&place)?];
    let verify = [&restore[..], &["--verify-only"]].concat();
    let told = cli().run(&verify)?.success()?.stderr;
    assert!((1..=10).contains(&told.lines().count()) && !told.contains('{'), "{told}");
    let segment = fs::read_dir(place.join("segments"))?.next().context("no segment")??.path();
    let mut bytes = fs::read(&segment)?;
    bytes[100] ^= 1;
    fs::write(&segment, &bytes)?;
    // The region is at work, so the whole store is restored beside it.
    let beside = folder()?.join("beside.toml");
    let data = format!("{REGION}.data");
    fs::write(&beside, fs::read_to_string(config)?.replace(&data, &format!("{data}-beside")))?;
    let restore = ["restore", "--config", text(&beside)?, "--from", text(&place)?];
    for command in [verify.as_slice(), &restore] {
        let ran = cli().run(command)?;
        let said = format!(
            "file://{} cannot be used: its content is damaged between offset 0 and {}",
            segment.display(),
            bytes.len() - 1
        );
        assert!(
            ran.code == 4 && ran.stderr.contains(&said) && ran.stderr.contains("take another backup"),
            "{}",
            ran.stderr
        );
    }
    Ok(())
}

#[test]
fn headers_that_contradict() -> Result<()> {
    let load = |headers: &[(&str, &str)]| cluster().edge(REGION).rows("POST", "events", headers, b"at,kind,id\n");
    let latin = load(&[("Content-Type", "text/csv; charset=latin1")])?;
    problem(&latin, 415, Some("unsupported-media-type"), &["latin1", "charset=utf-8"]);
    assert_eq!(load(&[("Content-Type", "text/csv; charset=\"UTF-8\"")])?.status, 200);
    let two = load(&[CSV, ("Idempotency-Key", "\"a\""), ("Idempotency-Key", "\"b\"")])?;
    problem(&two, 400, Some("bad-request"), &["header `idempotency-key` comes twice"]);
    let arrow = load(&[("Content-Type", "application/vnd.apache.arrow.stream")])?;
    problem(&arrow, 422, Some("file-invalid"), &["it is not an Arrow stream"]);
    Ok(())
}

#[test]
fn secrets_are_not_overwritten() -> Result<()> {
    let file = folder()?.join("once.secret");
    cli().run(&["secret", "new", text(&file)?])?.success()?;
    let kept = fs::read(&file)?;
    let ran = cli().run(&["secret", "new", text(&file)?])?;
    assert!(
        ran.code == 2 && ran.stderr.contains("is there already and was left as it is; name another file"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read(&file)?, kept);
    Ok(())
}

/// A region of its own in a folder: no peers, one dataset, no policies.
fn alone(folder: &Path, dataset: &str) -> Result<RegionFile> {
    for name in ["datasets", "policies"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::write(folder.join("datasets/events.toml"), dataset)?;
    let shipped = fs::read_to_string(workspace::regions_dir().join(format!("{REGION}.toml")))?;
    let (own, _) = shipped.split_once("# The other regions").context("peers come last")?;
    let own = own.replace("\"../", "\"").replace("127.0.0.1:7401", "127.0.0.1:0");
    fs::write(folder.join("alone.toml"), own)?;
    RegionFile::read(&folder.join("alone.toml"))
}

#[test]
fn one_region_alone_is_checked_and_makes_nothing_before_it_can_start() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let region = alone(dir.path(), EVENTS)?;
    let config = text(&region.config)?;
    let ran = cli().run(&["serve", "--config", config])?;
    assert!(ran.code == 2 && ran.stderr.contains("eu-central.secret"), "{}", ran.stderr);
    assert!(!region.data_dir.exists(), "nothing is made for a region that cannot start");

    let policies = format!("policies_dir = \"{}\"", workspace::regions_dir().join("policies").display());
    let datasets = format!("datasets_dir = \"{}\"", workspace::regions_dir().join("datasets").display());
    let shared = fs::read_to_string(&region.config)?.replace("policies_dir = \"policies\"", &policies);
    fs::write(&region.config, shared.replace("datasets_dir = \"datasets\"", &datasets))?;
    let ran = cli().run(&["config", "check", config])?;
    assert!(
        ran.code == 2 && ran.stderr.contains("add a [[peer]] section") && ran.stderr.contains("policies_dir"),
        "{}",
        ran.stderr
    );
    Ok(())
}

/// `config check` ends with exit code 4, and says this of the region's files.
#[track_caller]
fn check_not_ready(config: &str, said: &[&str]) -> Result<()> {
    let ran = cli().run(&["config", "check", config])?;
    assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
    for said in said {
        assert!(ran.stdout.contains(said), "{said} in {}", ran.stdout);
    }
    let told = cli().json(&["config", "check", config])?;
    let document = told.document()?;
    assert_eq!((told.code, &document["ok"]), (4, &json!(false)), "{document}");
    assert_eq!(document["files"][0]["problems"].as_array().map(Vec::len), Some(1), "{document}");
    Ok(())
}

#[test]
fn a_check_reads_the_secrets_and_keys_that_a_start_reads() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let region = alone(dir.path(), EVENTS)?;
    let (config, secret) = (text(&region.config)?, text(&region.secret_file)?);
    check_not_ready(config, &[secret, "there is no", "domicile secret new"])?;
    fs::create_dir_all(region.secret_file.parent().context("a folder")?)?;
    fs::write(secret, "")?;
    fs::set_permissions(secret, fs::Permissions::from_mode(0o600))?;
    check_not_ready(config, &[secret, "has 0 bytes, at least 32 are needed"])?;
    fs::remove_file(secret)?;
    cli().run(&["secret", "new", secret])?.success()?;
    fs::set_permissions(secret, fs::Permissions::from_mode(0o644))?;
    check_not_ready(config, &[secret, "is open to other users", "chmod 600"])?;
    fs::set_permissions(secret, fs::Permissions::from_mode(0o600))?;
    cli().run(&["config", "check", config])?.success()?;
    assert!(!region.data_dir.exists(), "a check makes nothing");
    fs::create_dir_all(&region.data_dir)?;
    fs::write(region.data_dir.join("receipts.ed25519"), b"short")?;
    check_not_ready(config, &["receipts.ed25519", "is damaged"])
}

#[test]
fn a_changed_description_is_named_with_its_file() -> Result<()> {
    let mut cluster = start()?;
    let place = cluster.dir().context("a folder")?.join(format!("{REGION}.backups"));
    // A backup makes segments of the rows: rows that are still in the log are divided anew.
    cluster.cli(REGION).run(&["backup", "--to", text(&place)?])?.success()?;
    cluster.stop(REGION)?;
    let file = cluster.dir().context("a folder")?.join("datasets/events.toml");
    fs::write(&file, EVENTS.replace("month", "day"))?;
    let config = cluster.file(REGION).config.clone();
    let ran = cluster.cli(REGION).run(&["serve", "--config", text(&config)?])?;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    for said in [text(&file)?, "dataset `events`", "another division", "put its dataset file back", "a new dataset"] {
        assert!(ran.stderr.contains(said), "{said} in {}", ran.stderr);
    }
    fs::write(&file, EVENTS)?;
    cluster.resume(REGION)
}
