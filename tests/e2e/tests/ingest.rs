//! Rows over HTTP and the command line: every format, batches that come again, break off, or are large; deletions.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use domicile_harness::{Cluster, Edge, Options, Response, build};
use domicile_tests::check::problem;
use domicile_tests::world::shared;
use serde_json::{Value, json};

const HERE: &str = "us-east";
const CSV: (&str, &str) = ("Content-Type", "text/csv");
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");
/// Longest that an event may take that a test waits for.
const EVENT_TIMEOUT: Duration = Duration::from_secs(60);
const MIB: usize = 1024 * 1024;

const COLUMNS: [(&str, &str); 7] = [
    ("id", "bigint"),
    ("small", "integer"),
    ("ratio", "double"),
    ("money", "decimal(30,4)"),
    ("label", "text"),
    ("day", "date"),
    ("flag", "boolean"),
];

/// A reference dataset of every type: nobody's policy concerns it.
fn kinds(name: &str, key: &str) -> (String, String) {
    let column = |(name, kind): &(&str, &str)| {
        let nullable = *name != "id";
        format!("[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\nnullable = {nullable}\n")
    };
    let columns: String = COLUMNS.iter().map(column).collect();
    (name.to_owned(), format!("schema = 1\nname = \"{name}\"\nreference = true\nprimary_key = [{key}]\n{columns}"))
}

/// Datasets of the tests, each used by one of them: with a key and, where the name ends in `_log`, without.
fn start() -> Result<Cluster> {
    let keyed = ["formats", "deletions", "upserts", "command_line"].map(|name| kinds(name, "\"id\""));
    let logs = ["broken_log", "busy_log", "known_log", "large_log", "refused_log"].map(|name| kinds(name, ""));
    let datasets = [keyed.to_vec(), logs.to_vec()].concat();
    Cluster::for_test(&build::binary(build::Profile::Dev)?, &Options { datasets, ..Options::default() })
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    shared(&CLUSTER, start)
}

fn edge() -> Edge {
    cluster().edge(HERE)
}

/// The answer of a successful load or deletion.
#[track_caller]
fn stored(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    response.json().unwrap_or_else(|error| panic!("{error:#}"))
}

fn count(edge: &Edge, dataset: &str) -> Result<Value> {
    let answer = edge.query(&format!("SELECT count(*) AS n FROM {dataset}"))?.answer()?;
    Ok(answer.rows()[0]["n"].clone())
}

fn rows(dataset: &str) -> Result<Vec<Value>> {
    Ok(edge().query(&format!("SELECT * FROM {dataset} ORDER BY id"))?.answer()?.rows().to_vec())
}

fn header() -> String {
    COLUMNS.map(|(name, _)| name).join(",")
}

fn file(name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
    let path = cluster().dir().context("folder")?.join(name);
    fs::write(&path, content)?;
    Ok(path)
}

/// An answer in the format that `accept` names, as a body of rows.
fn answered(sql: &str, accept: &str) -> Result<Vec<u8>> {
    let response = edge().query_with(sql, &[("Accept", accept)])?;
    assert_eq!(response.status, 200, "{}", response.text());
    Ok(match accept {
        "application/json" => {
            // The rows are the last member; taken as they are, since a parser would round their numbers.
            let text = response.text();
            let (_, rows) = text.split_once("\"rows\":").context("no rows")?;
            rows.strip_suffix('}').context("no end")?.as_bytes().to_vec()
        }
        "application/x-ndjson" => {
            let text = response.text();
            let rows = text.lines().filter(|line| !line.starts_with("{\"end\""));
            rows.collect::<Vec<_>>().join("\n").into_bytes()
        }
        _ => response.body,
    })
}

#[test]
fn what_is_answered_can_be_deleted_and_loaded_in_each_format() -> Result<()> {
    let csv = format!(
        "{}\n9007199254740993,-2147483648,0.1,12345678901234567890123456.7891,\"a \"\"b\"\",\nc é\",2024-02-29,true\n\
         1,,,,,,\n-1,0,-1e300,-0.0001,\\,1969-12-31,false\n",
        header()
    );
    assert_eq!(stored(&edge().rows("POST", "formats", &[CSV], csv.as_bytes())?)["rows"], 3);
    let shown =
        || Ok::<_, anyhow::Error>(String::from_utf8(answered("SELECT * FROM formats ORDER BY id", "text/csv")?)?);
    let before = shown()?;
    assert!(before.contains("\n9007199254740993,-2147483648,0.1,12345678901234567890123456.7891,"), "{before}");
    for kind in ["text/csv", "application/json", "application/x-ndjson", "application/vnd.apache.arrow.stream"] {
        let whole = answered("SELECT * FROM formats ORDER BY id", kind)?;
        let keys = answered("SELECT id FROM formats", kind)?;
        assert_eq!(stored(&edge().rows("DELETE", "formats", &[("Content-Type", kind)], &keys)?)["rows"], 3, "{kind}");
        assert_eq!(count(&edge(), "formats")?, 0, "{kind}");
        stored(&edge().rows("POST", "formats", &[("Content-Type", kind)], &whole)?);
        assert_eq!(shown()?, before, "{kind}");
    }
    for kind in ["application/jsonl", "application/ndjson", "Application/X-NDJSON; charset=utf-8"] {
        let again = answered("SELECT * FROM formats", "application/x-ndjson")?;
        stored(&edge().rows("POST", "formats", &[("Content-Type", kind)], &again)?);
        assert_eq!(shown()?, before, "{kind}");
    }
    Ok(())
}

#[test]
fn formats_that_are_not_taken() -> Result<()> {
    for headers in [vec![], vec![("Content-Type", "text/plain")], vec![CSV, ("Content-Encoding", "gzip")]] {
        let response = edge().rows("POST", "refused_log", &headers, b"id\n1\n")?;
        problem(&response, 415, Some("unsupported-media-type"), &[]);
    }
    Ok(())
}

#[test]
fn the_newest_row_of_a_key_counts() -> Result<()> {
    let load = |text: &str| edge().rows("POST", "upserts", &[NDJSON], text.as_bytes());
    stored(&load(
        "{\"id\": 1, \"label\": \"first\"}\n{\"id\": 2, \"label\": \"other\"}\n{\"id\": 1, \"label\": \"second\"}",
    )?);
    let labels = || -> Result<Vec<Value>> { Ok(rows("upserts")?.iter().map(|row| row["label"].clone()).collect()) };
    assert_eq!(labels()?, [json!("second"), json!("other")]);
    stored(&load("{\"id\": 1, \"label\": \"third\", \"small\": 7}")?);
    assert_eq!(labels()?, [json!("third"), json!("other")]);
    stored(&load("{\"id\": 1}")?);
    assert_eq!(labels()?, [json!(null), json!("other")], "a row is replaced as a whole");
    assert_eq!(count(&edge(), "upserts")?, 2);
    Ok(())
}

#[test]
fn deletions_name_keys_and_nothing_else() -> Result<()> {
    let csv = format!("{}\n1,,,,,,\n2,,,,,,\n3,,,,,,\n", header());
    stored(&edge().rows("POST", "deletions", &[CSV], csv.as_bytes())?);
    let delete = |dataset: &str, text: &str| edge().rows("DELETE", dataset, &[CSV], text.as_bytes());
    problem(&delete("deletions", "id,label\n1,a\n")?, 422, Some("file-invalid"), &["`label`", "primary key"]);
    problem(&delete("deletions", "id\n1\nx\n")?, 422, Some("rows-refused"), &["row 2", "bigint"]);
    problem(&delete("refused_log", "id\n1\n")?, 422, Some("no-primary-key"), &["refused_log"]);
    problem(&delete("deletion", "id\n1\n")?, 404, Some("unknown-dataset"), &["`deletions`"]);
    assert_eq!(count(&edge(), "deletions")?, 3);
    assert_eq!(stored(&delete("deletions", "id\n1\n3\n99\n")?)["rows"], 3, "a key that nothing has is deleted, too");
    assert_eq!(rows("deletions")?.iter().map(|row| row["id"].clone()).collect::<Vec<_>>(), [2]);
    stored(&edge().rows("POST", "deletions", &[CSV], csv.as_bytes())?);
    assert_eq!(count(&edge(), "deletions")?, 3, "a deleted key can come back");
    Ok(())
}

#[test]
fn rows_that_do_not_fit_are_named() -> Result<()> {
    let load = |content: (&str, &str), text: &str| edge().rows("POST", "refused_log", &[content], text.as_bytes());
    let text = "{\"id\": 1}\n{\"id\": \"2\", \"label\": \"a\"}\n{\"id\": 3, \"lable\": \"a\"}\n{\"label\": \"a\"}\n";
    let document = problem(&load(NDJSON, text)?, 422, Some("rows-refused"), &[]);
    assert_eq!(document["refused_rows"], 3, "{document}");
    for (at, row, column, reason) in
        [(0, 2, "id", "type bigint"), (1, 3, "lable", "`label`"), (2, 4, "id", "a value is required")]
    {
        let listed = &document["rows"][at];
        assert_eq!((&listed["row"], &listed["column"]), (&json!(row), &json!(column)), "{document}");
        assert!(listed["reason"].as_str().is_some_and(|text| text.contains(reason)), "{document}");
    }
    problem(&load(NDJSON, "{\"id\": 1}\n{\"id\": 2")?, 422, Some("file-invalid"), &["NDJSON after row 1"]);
    problem(
        &load(("Content-Type", "application/json"), "[{\"id\": 1}")?,
        422,
        Some("file-invalid"),
        &["JSON after row 1"],
    );
    let arrow = ("Content-Type", "application/vnd.apache.arrow.stream");
    problem(&load(arrow, "no arrow at all")?, 422, Some("file-invalid"), &["it is not an Arrow stream"]);
    let claimed = [u32::MAX.to_le_bytes(), (1_u32 << 30).to_le_bytes()].concat();
    let claimed = edge().rows("POST", "refused_log", &[arrow], &claimed)?;
    problem(&claimed, 413, Some("too-large"), &["message header"]);
    let long = format!("{{\"id\": 1, \"label\": \"{}\"}}", "x".repeat(16 * MIB));
    problem(&load(NDJSON, &long)?, 413, Some("too-large"), &["16777216 bytes"]);
    assert_eq!(count(&edge(), "refused_log")?, 0);
    Ok(())
}

#[test]
fn an_early_refusal_is_heard_by_who_still_sends() -> Result<()> {
    let mut text = b"id,lable\n".to_vec();
    text.resize(24 * MIB, b'x');
    problem(&edge().rows("POST", "refused_log", &[CSV], &text)?, 422, Some("file-invalid"), &["`lable`", "`label`"]);
    let chunks = text.chunks(MIB).map(<[u8]>::to_vec);
    let response = edge().rows_in_chunks("refused_log", "text/csv", chunks, true)?.context("no answer")?;
    problem(&response, 422, Some("file-invalid"), &["`lable`"]);
    Ok(())
}

#[test]
fn a_body_that_breaks_off_loads_nothing() -> Result<()> {
    const EVENT: &str = "a body broke off";
    let row = |id: usize| format!("{{\"id\": {id}, \"label\": \"a\"}}\n").into_bytes();
    for (seen, kind) in ["application/x-ndjson", "text/csv"].into_iter().enumerate() {
        let csv = [format!("{}\n1,,,,,,\n", header()).into_bytes(), b"2,,,,,,\n".to_vec()].to_vec();
        let chunks: Vec<Vec<u8>> = if kind == "text/csv" { csv } else { (0..100).map(row).collect() };
        assert!(edge().rows_in_chunks("broken_log", kind, chunks, false)?.is_none());
        let deadline = Instant::now() + EVENT_TIMEOUT;
        while cluster().log(HERE)?.matches(EVENT).count() <= seen {
            assert!(Instant::now() < deadline, "the edge did not notice");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(count(&edge(), "broken_log")?, 0, "{kind}");
    }
    let whole = edge().rows_in_chunks("broken_log", "application/x-ndjson", (0..100).map(row), true)?;
    assert_eq!(stored(&whole.context("no answer")?)["rows"], 100);
    assert_eq!(count(&edge(), "broken_log")?, 100);
    Ok(())
}

#[test]
fn a_batch_is_known_by_its_key_even_after_a_crash() -> Result<()> {
    let mut cluster = start()?;
    let load = |edge: &Edge, key: &str, text: &str| {
        edge.rows("POST", "known_log", &[NDJSON, ("Idempotency-Key", key)], text.as_bytes())
    };
    let edge = cluster.edge(HERE);
    let first = stored(&load(&edge, "\"monday\"", "{\"id\": 1}\n")?);
    assert_eq!(first["already_loaded"], false);
    let known = |edge: &Edge| -> Result<()> {
        let again = stored(&load(edge, "monday", "{\"id\": 1}\n")?);
        assert_eq!(again["already_loaded"], true, "{again}");
        assert_eq!((&again["rows"], &again["version"]), (&first["rows"], &first["version"]));
        let other = load(edge, "monday", "{\"id\": 2}\n")?;
        problem(&other, 422, Some("idempotency-key-reused"), &["`monday`"]);
        assert_eq!(count(edge, "known_log")?, 1);
        Ok(())
    };
    known(&edge)?;
    cluster.kill(HERE)?;
    cluster.resume(HERE)?;
    let edge = cluster.edge(HERE);
    known(&edge)?;
    stored(&load(&edge, "tuesday", "{\"id\": 1}\n")?);
    stored(&edge.rows("POST", "known_log", &[NDJSON], b"{\"id\": 1}\n")?);
    assert_eq!(count(&edge, "known_log")?, 3, "without the same key, the same content is another batch");
    for (key, text) in [("\"\"", "empty"), ("x".repeat(256).as_str(), "256 bytes")] {
        problem(&load(&edge, key, "{\"id\": 1}\n")?, 400, Some("bad-request"), &[text]);
    }
    stored(&load(&edge, &"x".repeat(255), "{\"id\": 1}\n")?);
    Ok(())
}

#[test]
fn a_dataset_with_too_many_batches_says_when_to_come_again() -> Result<()> {
    const UNDER_WAY_MAX: usize = 256;
    let begin = |_| edge().begin("/v1/datasets/busy_log/rows", CSV.1, 100);
    let mut begun: Vec<_> = (0..=UNDER_WAY_MAX).map(begin).collect::<Result<_>>()?;
    let deadline = Instant::now() + EVENT_TIMEOUT;
    let refused = loop {
        assert!(Instant::now() < deadline, "none is refused");
        let answered =
            begun.iter().position(|sending| matches!(sending.is_answered(Duration::from_millis(1)), Ok(true)));
        if let Some(answered) = answered {
            break begun.swap_remove(answered).answer()?;
        }
    };
    problem(&refused, 503, Some("loads-busy"), &["`busy_log`", "256"]);
    assert_eq!(refused.header("Retry-After"), Some("5"));
    let text = format!("{}\n1,,,,,,\n", header());
    drop(begun);
    while edge().rows("POST", "busy_log", &[CSV], text.as_bytes())?.status != 200 {
        assert!(Instant::now() < deadline, "there is no room again");
    }
    Ok(())
}

#[test]
fn a_large_body_passes_through_little_memory() -> Result<()> {
    const ROWS: usize = 384 * 1024;
    let before = cluster().peak_memory_bytes(HERE)?;
    let label = "x".repeat(1000);
    let rows_of = |chunk: usize| {
        let rows = (0..1024).map(|row| format!("{{\"id\": {}, \"label\": \"{label}\"}}\n", chunk * 1024 + row));
        rows.collect::<String>().into_bytes()
    };
    let chunks = (0..ROWS / 1024).map(rows_of);
    let response = edge().rows_in_chunks("large_log", "application/x-ndjson", chunks, true)?.context("no answer")?;
    assert_eq!(stored(&response)["rows"], ROWS);
    assert_eq!(count(&edge(), "large_log")?, ROWS);
    let grown = cluster().peak_memory_bytes(HERE)?.saturating_sub(before);
    assert!(grown < (ROWS / 1024 * MIB / 4 * 3) as u64, "a body of {} MiB took {} MiB", ROWS / 1024, grown >> 20);
    Ok(())
}

#[test]
fn the_command_line_knows_files_by_their_content() -> Result<()> {
    let cli = cluster().cli(HERE);
    let run = |verb: &str, file: &PathBuf| cli.run(&["data", verb, "command_line", file.to_str().context("path")?]);
    let lines = "{\"id\": 1, \"label\": \"a\"}\n{\"id\": 2, \"label\": \"b\"}\n";
    let csv = file("rows.csv", format!("{}\n3,,,,,,\n", header()))?;
    for (path, rows) in [
        (file("rows.ndjson", lines)?, 2),
        (file("rows.jsonl", format!("{lines}\n"))?, 2),
        (file("rows.json", "[{\"id\": 4, \"money\": 1.5}]")?, 1),
        (csv, 1),
        (file("rows.arrows", answered("SELECT * FROM upserts", "application/vnd.apache.arrow.stream")?)?, 0),
    ] {
        let loaded = run("load", &path)?.success()?.stdout;
        if rows > 0 {
            let counted = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
            assert!(loaded.contains(&format!("{counted} into command_line, loaded")), "{loaded}");
        }
        let again = run("load", &path)?.success()?.stdout;
        assert!(again.contains("was loaded before"), "{again}");
    }
    let keys = file("keys.csv", "id\n1\n2\n3\n4\n")?;
    let deleted = run("delete", &keys)?.success()?.stdout;
    assert!(deleted.contains("4 keys deleted from command_line"), "{deleted}");
    let again = run("delete", &keys)?.success()?.stdout;
    assert!(again.contains("was deleted before"), "{again}");
    let other = run("load", &file("rows.txt", lines)?)?;
    assert_eq!(other.code, 2, "{}", other.stderr);
    assert!(other.stderr.contains(".ndjson"), "{}", other.stderr);
    Ok(())
}
