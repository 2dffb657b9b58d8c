//! A world in which one region has copies of what lives in another one, and a third may have none.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domicile_harness::{Cluster, Edge, Options, Response, build};
use rusqlite::Connection;
use serde_json::{Value, json};

/// Where the rows live that are copied.
pub const HOME: &str = "eu-central";
/// Who has copies of them, under the same law.
pub const KEEPER: &str = "us-east";
/// Who may have none.
pub const FORBIDDEN: &str = "ap-south";
/// The replication set.
pub const SET: &str = "persons_eu";

/// Longest that anything may take to come about.
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

const PERSON: &str = "schema = 1\nname = \"person\"\nprimary_key = [\"id\"]\n\
    [[column]]\nname = \"id\"\ntype = \"bigint\"\n[[column]]\nname = \"country\"\ntype = \"bigint\"\n\
    [[column]]\nname = \"age\"\ntype = \"bigint\"\n[[column]]\nname = \"note\"\ntype = \"text\"\n";
const TRIP: &str = "schema = 1\nname = \"trip\"\nprimary_key = [\"id\"]\n\
    [[column]]\nname = \"id\"\ntype = \"bigint\"\n[[column]]\nname = \"person\"\ntype = \"bigint\"\n\
    [[column]]\nname = \"miles\"\ntype = \"bigint\"\n";

/// The clause by which rows may be copied.
const REPLICATE: &str = r#"
[[allow]]
id = "copies-under-our-law"
from = ["eu-central"]
to = ["us-east"]
form = "replicate"
identifiers = true
legal_basis = "synthetic data, for tests"
"#;

/// The policies of both datasets; copies are made only where `replicate` says so.
pub fn policies(version: u32, replicate: bool) -> [(String, String); 2] {
    let head = |dataset: &str| format!("schema = 1\ndataset = \"{dataset}\"\nversion = {version}\n");
    let home = |region: &str, value: u8| format!("[[residency.home]]\nregion = \"{region}\"\nvalues = [{value}]\n");
    let homes = home(HOME, 1) + &home(KEEPER, 2) + &home(FORBIDDEN, 3);
    let reports = |columns: &str, more: &str| {
        let all = "[\"eu-central\", \"us-east\", \"ap-south\"]";
        format!(
            "\n[[allow]]\nid = \"reports\"\nfrom = {all}\nto = {all}\nform = \"aggregate\"\n\
             functions = [\"count\", \"sum\"]\ngroup_by = {columns}\nfilter_by = {columns}\nmeasures = {columns}\n\
             {more}\nlegal_basis = \"synthetic data, for tests\"\n"
        )
    };
    let copies = if replicate { REPLICATE } else { "" };
    let person = head("person")
        + "[residency]\nentity = \"id\"\ncolumn = \"country\"\n"
        + &homes
        + "[classes]\nidentifier = [\"id\", \"note\"]\nquasi = [\"country\"]\nmeasure = [\"age\"]\npublic = []\n"
        + &reports("[\"age\", \"country\"]", "minimum_entities = 2\ndifference_checks = false")
        + copies;
    let trip = head("trip")
        + "[residency]\nfollows = \"person\"\non = \"person\"\n"
        + "[classes]\nidentifier = [\"id\", \"person\"]\nquasi = []\nmeasure = [\"miles\"]\npublic = []\n"
        // Compared with earlier answers, which the home alone keeps.
        + &reports("[\"miles\"]", "minimum_entities = 2")
        + copies;
    [("person".to_owned(), person), ("trip".to_owned(), trip)]
}

/// What such regions are started with.
pub fn options(options: Options) -> Options {
    let set = format!(
        "schema = 1\nname = \"{SET}\"\nregions = [\"{HOME}\", \"{KEEPER}\"]\ndatasets = [\"person\", \"trip\"]\n\
         home = \"{HOME}\"\n"
    );
    Options {
        datasets: vec![("person".to_owned(), PERSON.to_owned()), ("trip".to_owned(), TRIP.to_owned())],
        policies: policies(1, true).into(),
        replication: vec![(SET.to_owned(), set)],
        jurisdictions: vec![(KEEPER, vec!["US", "EU"])],
        ..options
    }
}

/// Starts the regions.
///
/// # Errors
/// Where one does not get ready.
pub fn start(more: Options) -> Result<Cluster> {
    Cluster::for_test(&build::binary(build::Profile::Dev)?, &options(more))
}

/// Loads rows.
///
/// # Errors
/// Where they are refused.
pub fn load(edge: &Edge, dataset: &str, rows: &[Value]) -> Result<()> {
    let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let answer = edge.rows("POST", dataset, &[("Content-Type", "application/x-ndjson")], body.as_bytes())?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

/// A person of the region whose country this is.
pub fn person(id: i64, country: u8, age: i64, note: &str) -> Value {
    json!({"id": id, "country": country, "age": age, "note": note})
}

/// What a region says of the set.
///
/// # Errors
/// Where it says nothing.
pub fn status(edge: &Edge) -> Result<Value> {
    let status = edge.get("/v1/sync/status")?.json()?;
    Ok(status["sets"].get(0).context("no replication set")?.clone())
}

/// Waits until something is so, and gives what it came to.
///
/// # Errors
/// Where it is not in time, with what was so instead.
pub fn until<T: std::fmt::Debug>(
    what: &str,
    mut look: impl FnMut() -> Result<T>,
    is_so: impl Fn(&T) -> bool,
) -> Result<T> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let found = look()?;
        if is_so(&found) {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "{what}: {found:?}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Waits until the copies have all that their home has written by now.
///
/// # Errors
/// Where they do not in time.
pub fn await_copies(cluster: &Cluster) -> Result<()> {
    let wanted = status(&cluster.edge(HOME))?["applied"].clone();
    let began = Instant::now();
    let is_there = |found: &Value| {
        let age_ms = found["behind_ms"].as_u64().map(u128::from);
        found["applied"] == wanted && age_ms.is_some_and(|age_ms| age_ms < began.elapsed().as_millis())
    };
    until("the copies do not catch up", || status(&cluster.edge(KEEPER)), is_there).map(drop)
}

/// A moment of RFC 3339 in seconds since 1970.
///
/// # Errors
/// Where it is none.
pub fn seconds(moment: &str) -> Result<f64> {
    let database = Connection::open_in_memory()?;
    let seconds: Option<f64> = database.query_row("SELECT unixepoch(?1, 'subsec')", [moment], |row| row.get(0))?;
    seconds.with_context(|| format!("`{moment}` is no moment"))
}

/// The state of the home's rows that an answer comes from, as its header says.
///
/// # Errors
/// Where it does not say.
pub fn as_of(response: &Response) -> Result<String> {
    let header = response.header("as-of").context("no As-Of")?;
    let state = header.split(", ").find_map(|part| part.strip_prefix(&format!("{HOME}=")));
    Ok(state.with_context(|| format!("{header} says nothing of {HOME}"))?.to_owned())
}

/// All files below a folder, with their bytes.
///
/// # Errors
/// Where one cannot be read.
pub fn files(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                // Files come and go while regions run.
                false => found.extend(std::fs::read(&path).ok().map(|bytes| (path, bytes))),
            }
        }
    }
    Ok(found)
}

/// Whether bytes hold any of these texts.
pub fn holds(bytes: &[u8], texts: &[String]) -> bool {
    // Logs have room set aside, so most of what is looked at is zeros.
    let begins: Vec<[u8; 2]> = texts.iter().filter_map(|text| text.as_bytes().first_chunk().copied()).collect();
    let mut may_begin = vec![false; 1 << 16];
    begins.iter().for_each(|begin| may_begin[usize::from(u16::from_le_bytes(*begin))] = true);
    let pairs = bytes.iter().zip(bytes.iter().skip(1)).enumerate();
    let mut places = pairs.filter(|(_, (one, two))| may_begin[usize::from(u16::from_le_bytes([**one, **two]))]);
    places.any(|(at, _)| texts.iter().any(|text| bytes[at..].starts_with(text.as_bytes())))
}
