//! `domicile backup` and `domicile restore`.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use domicile_config::{RegionFiles, StorageUrl, load_region};
use domicile_query::{ObjectFiles, ObjectThreads};
use domicile_store::{
    BackupReport, Objects, RestoreReport, Selection, StoreError, restore as restore_store, verify_backup,
};
use domicile_wire::api::{BackupAnswer, BackupBody};
use domicile_wire::client::full;
use http::{HeaderMap, Method};
use serde_json::json;

use crate::args::{BackupOf, Part, RestoreOf};
use crate::edge::{Edge, header};
use crate::output::{Failure, Output, say};
use crate::serve;

/// Asks the edge for a backup and waits for it.
pub(crate) async fn backup(edge: &Edge, output: Output, of: BackupOf) -> Result<(), Failure> {
    let BackupOf { to, part } = of;
    let to = place(&to)?.to_string();
    let body = BackupBody { to, dataset: part.dataset, partition: part.partition };
    let body = serde_json::to_vec(&body).map_err(anyhow::Error::from)?;
    let mut headers = HeaderMap::new();
    header(&mut headers, "content-type", "application/json")?;
    let answer = edge.0.send(Method::POST, "/v1/backups", headers, full(body), crate::data::LONG).await?;
    let answer: BackupAnswer = serde_json::from_slice(&answer.body)
        .map_err(|e| Failure::usage(format!("the edge's answer cannot be read: {e}")))?;
    output.show(&json!(answer), || {
        let BackupAnswer { at, name, row_versions, bytes, copied_bytes, .. } = &answer;
        say!("{at}: backup {name}, {row_versions} row versions in {bytes} bytes, {copied_bytes} of them new");
    });
    Ok(())
}

/// Restores a backup into the region's data folder, or only reads it.
pub(crate) async fn restore(output: Output, of: RestoreOf) -> Result<(), Failure> {
    let restoring = tokio::task::spawn_blocking(move || restore_here(output, &of));
    restoring.await.map_err(anyhow::Error::from)?
}

fn restore_here(output: Output, of: &RestoreOf) -> Result<(), Failure> {
    serve::log_plainly();
    let files = load_region(&of.config).map_err(anyhow::Error::from)?;
    let url = place(&of.from)?;
    let threads = ObjectThreads::start().context("threads for requests")?;
    let objects = ObjectFiles::open(url.as_str(), std::env::vars(), threads.clone()).context("the backups")?;
    let objects: Arc<dyn Objects> = Arc::new(objects);
    refuse_nowhere(&url)?;
    if of.verify_only {
        let report = verify_backup(&objects, of.name.as_deref(), &files.config.id).map_err(|e| failure(e, &files))?;
        let BackupReport { name, version, rows, bytes, segments, .. } = report;
        let shown = json!({"at": url.as_str(), "name": name, "version": version, "row_versions": rows,
            "bytes": bytes, "segments": segments, "whole": true});
        output.show(&shown, || say!("{url}: backup {name} is whole, {rows} row versions"));
        return Ok(());
    }
    let selection = selection(&of.part)?;
    let (parts, _) = serve::store_parts(&files, threads)?;
    let report =
        restore_store(parts, &objects, of.name.as_deref(), &selection, &|_| {}).map_err(|e| failure(e, &files))?;
    let RestoreReport { backup, backup_version, selection, version, epoch, segments, rows, bytes } = report;
    let shown = json!({"at": url.as_str(), "backup": backup, "backup_version": backup_version,
        "selection": selection.to_string(), "version": version, "epoch": epoch, "segments": segments,
        "row_versions": rows, "bytes": bytes});
    output.show(&shown, || {
        say!("{backup}: {selection} restored, {rows} row versions; the store is at version {version}");
    });
    Ok(())
}

/// A backup that is not what was written fails its verification, whatever it was read for.
fn failure(error: StoreError, files: &RegionFiles) -> Failure {
    match error.is_damaged_backup() {
        true => Failure::Unverified(error.to_string()),
        false => Failure::Usage(serve::described(error, files)),
    }
}

fn selection(part: &Part) -> Result<Selection, Failure> {
    let dataset = part.dataset.as_ref().map(|dataset| dataset.parse().map_err(|e| Failure::usage(format!("{e}"))));
    Ok(match (dataset.transpose()?, part.partition.clone()) {
        (None, _) => Selection::All,
        (Some(dataset), None) => Selection::Dataset(dataset),
        (Some(dataset), Some(partition)) => Selection::Partition(dataset, partition),
    })
}

/// A folder that is not there has no backups, which is worth another word than that the one asked for is missing.
fn refuse_nowhere(place: &StorageUrl) -> Result<(), Failure> {
    let folder = url::Url::parse(place.as_str()).ok().and_then(|url| url.to_file_path().ok());
    match folder {
        Some(folder) if !folder.is_dir() => Err(Failure::usage(format!(
            "there is no folder {}; name the place that was backed up to",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// An address, or a folder of this machine.
fn place(text: &str) -> Result<StorageUrl, Failure> {
    let here = std::env::current_dir().context("the current folder")?;
    StorageUrl::parse(text, Path::new(&here)).map_err(Failure::usage)
}
