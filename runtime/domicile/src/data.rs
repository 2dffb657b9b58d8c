//! `domicile data`.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use domicile_wire::api::LoadAnswer;
use domicile_wire::client::RequestBody;
use futures::TryStreamExt;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::args::DataVerb;
use crate::edge::{Edge, header};
use crate::output::{Failure, Output, say, table, text};

const CHUNK_BYTES: usize = 256 * 1024;

pub(crate) async fn run(edge: &Edge, output: Output, verb: DataVerb) -> Result<(), Failure> {
    match verb {
        DataVerb::Load { dataset, files } => load(edge, output, &dataset, &files).await,
        DataVerb::List => list(edge, output).await,
    }
}

async fn load(edge: &Edge, output: Output, dataset: &str, files: &[std::path::PathBuf]) -> Result<(), Failure> {
    let mut loaded = Vec::new();
    for file in files {
        let answer = load_file(edge, dataset, file).await.inspect_err(|_| {
            for (file, _) in &loaded {
                eprintln!("{file} had been loaded before the failure");
            }
        })?;
        if !output.json {
            let what = if answer.already_loaded { "was loaded before, nothing to do" } else { "loaded" };
            say!("{}: {} rows into {dataset}, {what}", file.display(), answer.rows);
        }
        loaded.push((file.display().to_string(), answer));
    }
    if output.json {
        let files = loaded.iter().map(|(file, answer)| json!({"file": file, "answer": answer}));
        say!("{}", json!({"dataset": dataset, "files": files.collect::<Vec<_>>()}));
    }
    Ok(())
}

async fn load_file(edge: &Edge, dataset: &str, path: &Path) -> Result<LoadAnswer, Failure> {
    let shown = path.display();
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => "text/csv",
        Some("parquet") => "application/vnd.apache.parquet",
        _ => return Err(Failure::usage(format!("{shown}: only .csv and .parquet files can be loaded"))),
    };
    let file = tokio::fs::File::open(path).await.map_err(|e| Failure::usage(format!("{shown}: {e}")))?;
    let bytes = file.metadata().await.map_err(|e| Failure::usage(format!("{shown}: {e}")))?.len();
    let progress = ProgressBar::new(bytes).with_message(shown.to_string());
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}") {
        progress.set_style(style);
    }
    let mut headers = HeaderMap::new();
    header(&mut headers, "content-type", kind)?;
    header(&mut headers, "content-length", &bytes.to_string())?;
    let dataset: String = url::form_urlencoded::byte_serialize(dataset.as_bytes()).collect();
    let path = format!("/v1/datasets/{dataset}/rows");
    let body = streamed(file, progress.clone());
    let answer = edge.0.send(Method::POST, &path, headers, body, Duration::from_secs(24 * 3600)).await;
    progress.finish_and_clear();
    let answer = serde_json::from_slice(&answer?.body);
    answer.map_err(|e| Failure::usage(format!("the edge's answer cannot be read: {e}")))
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
            ["name", "rows", "bytes", "segments", "residency"].iter().map(|key| text(&dataset[*key])).collect()
        };
        let rows: Vec<Vec<String>> = answer["datasets"].as_array().into_iter().flatten().map(row).collect();
        table(&["dataset", "rows", "bytes", "segments", "residency"].map(str::to_owned), &rows);
    });
    Ok(())
}
