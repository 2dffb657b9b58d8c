//! `domicile data`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use domicile_wire::api::LoadAnswer;
use domicile_wire::api::header::IDEMPOTENCY_KEY;
use domicile_wire::client::RequestBody;
use futures::TryStreamExt;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use crate::args::DataVerb;
use crate::edge::{Edge, header};
use crate::output::{Failure, Output, counted, say, table, text};

const CHUNK_BYTES: usize = 256 * 1024;

/// Longest that moving many rows may take.
pub(crate) const LONG: Duration = Duration::from_secs(24 * 3600);

/// What is done with the rows of a file.
#[derive(Debug, Clone, Copy)]
enum Way {
    Load,
    Delete,
}

impl Way {
    fn method(self) -> Method {
        match self {
            Self::Load => Method::POST,
            Self::Delete => Method::DELETE,
        }
    }

    /// What the idempotency key is made of beside the dataset and the content, so that the ways do not share one.
    fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Delete => "delete",
        }
    }

    fn done(self, file: &Path, dataset: &str, answer: &LoadAnswer) -> String {
        let (file, rows, keys) = (file.display(), counted(answer.rows, "row"), counted(answer.rows, "key"));
        match (self, answer.already_loaded) {
            (Self::Load, false) => format!("{file}: {rows} into {dataset}, loaded"),
            (Self::Load, true) => format!("{file}: {rows} into {dataset}, was loaded before, nothing to do"),
            (Self::Delete, false) => format!("{file}: {keys} deleted from {dataset}"),
            (Self::Delete, true) => format!("{file}: {keys} in {dataset}, was deleted before, nothing to do"),
        }
    }
}

pub(crate) async fn run(edge: &Edge, output: Output, verb: DataVerb) -> Result<(), Failure> {
    match verb {
        DataVerb::Load { dataset, files } => send_all(edge, output, Way::Load, &dataset, &files).await,
        DataVerb::Delete { dataset, file } => send_all(edge, output, Way::Delete, &dataset, &[file]).await,
        DataVerb::List => list(edge, output).await,
        DataVerb::Partitions { dataset } => partitions(edge, output, &dataset).await,
    }
}

async fn send_all(edge: &Edge, output: Output, way: Way, dataset: &str, files: &[PathBuf]) -> Result<(), Failure> {
    let mut done = Vec::new();
    for file in files {
        let answer = send(edge, way, dataset, file).await.inspect_err(|_| {
            for (file, _) in &done {
                eprintln!("{file} had been loaded before the failure");
            }
        })?;
        if !output.json {
            say!("{}", way.done(file, dataset, &answer));
        }
        done.push((file.display().to_string(), answer));
    }
    if output.json {
        let files = done.iter().map(|(file, answer)| json!({"file": file, "answer": answer}));
        say!("{}", json!({"dataset": dataset, "files": files.collect::<Vec<_>>()}));
    }
    Ok(())
}

async fn send(edge: &Edge, way: Way, dataset: &str, path: &Path) -> Result<LoadAnswer, Failure> {
    let shown = path.display();
    let unreadable = |e: std::io::Error| Failure::usage(format!("{shown}: {e}"));
    let kind = media_type(path)?;
    let key = key(way, dataset, path).await.map_err(unreadable)?;
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let bytes = file.metadata().await.map_err(unreadable)?.len();
    let progress = ProgressBar::new(bytes).with_message(shown.to_string());
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}") {
        progress.set_style(style);
    }
    let mut headers = HeaderMap::new();
    header(&mut headers, "content-type", kind)?;
    header(&mut headers, "content-length", &bytes.to_string())?;
    header(&mut headers, IDEMPOTENCY_KEY, &format!("\"{key}\""))?;
    let path = format!("/v1/datasets/{}/rows", in_path(dataset));
    let body = streamed(file, progress.clone());
    let answer = edge.0.send(way.method(), &path, headers, body, LONG).await;
    progress.finish_and_clear();
    let answer = serde_json::from_slice(&answer?.body);
    answer.map_err(|e| Failure::usage(format!("the edge's answer cannot be read: {e}")))
}

/// A name as one part of a path.
fn in_path(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect()
}

fn media_type(path: &Path) -> Result<&'static str, Failure> {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("csv") => Ok("text/csv"),
        Some("json") => Ok("application/json"),
        Some("ndjson" | "jsonl") => Ok("application/x-ndjson"),
        Some("arrow" | "arrows") => Ok("application/vnd.apache.arrow.stream"),
        Some("parquet") => Ok("application/vnd.apache.parquet"),
        _ => {
            let known = ".csv, .json, .ndjson, .jsonl, .arrow, .arrows and .parquet";
            Err(Failure::usage(format!("{}: only {known} files can be sent", path.display())))
        }
    }
}

/// The same for the same content, so that sending a file twice does nothing the second time.
async fn key(way: Way, dataset: &str, path: &Path) -> std::io::Result<String> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut hasher = Sha256::new();
    hasher.update(format!("{} {dataset}\n", way.name()));
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk).await? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hasher.update(&chunk[..read]),
        }
    }
}

fn streamed(file: tokio::fs::File, progress: ProgressBar) -> RequestBody {
    let chunks = futures::stream::try_unfold(file, move |mut file| {
        let progress = progress.clone();
        async move {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = file.read(&mut chunk).await?;
            chunk.truncate(read);
            progress.inc(read as u64);
            Ok(if read == 0 { None } else { Some((Bytes::from(chunk), file)) })
        }
    });
    BodyExt::boxed(StreamBody::new(chunks.map_ok(Frame::data)))
}

async fn list(edge: &Edge, output: Output) -> Result<(), Failure> {
    let answer = edge.get("/v1/datasets").await?;
    output.show(&answer, || {
        let row = |dataset: &Value| {
            ["name", "row_versions", "bytes", "segments", "residency"].iter().map(|key| text(&dataset[*key])).collect()
        };
        let rows: Vec<Vec<String>> = answer["datasets"].as_array().into_iter().flatten().map(row).collect();
        table(&["dataset", "row versions", "bytes", "segments", "residency"].map(str::to_owned), &rows);
    });
    Ok(())
}

async fn partitions(edge: &Edge, output: Output, dataset: &str) -> Result<(), Failure> {
    let answer = edge.get(&format!("/v1/datasets/{}/partitions", in_path(dataset))).await?;
    output.show(&answer, || {
        let row = |partition: &Value| {
            let cold = if partition["cold"] == true { "yes" } else { "no" };
            let cells = ["name", "row_versions", "bytes", "segments"].map(|key| text(&partition[key]));
            cells.into_iter().chain([cold.to_owned()]).collect()
        };
        let rows: Vec<Vec<String>> = answer["partitions"].as_array().into_iter().flatten().map(row).collect();
        table(&["partition", "row versions", "bytes", "segments", "in cold storage"].map(str::to_owned), &rows);
    });
    Ok(())
}
