//! Data and plugins in, through the verbs that a user has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use domicile_harness::data::DataFile;
use domicile_harness::workspace::{self, REGIONS};

use super::{Demo, prepare};
use crate::voice::grouped;

/// The plugins that the demo deploys.
const PLUGINS: [&str; 2] = ["rfm", "pricing"];

/// Refused rows that are shown.
const ROWS_SHOWN: usize = 3;

/// Generates the tables and loads each region's part at its edge.
pub(super) fn everything(demo: &mut Demo) -> Result<()> {
    let scale = demo.scale;
    demo.voice.heading(format_args!("Data: TPC-H at scale {scale}, each customer's rows where the customer lives"));
    let dir = prepare::work_dir()?.join("files");
    let files = demo.voice.step("generating CSV and Parquet files", || demo.generator.files(&dir))?;
    for region in REGIONS {
        for file in files.iter().filter(|file| file.region == region) {
            load(demo, file)?;
        }
    }
    let resident: u64 = files.iter().filter(|file| file.resident).map(|file| file.rows).sum();
    demo.report.figure("resident_rows", resident);
    Ok(())
}

fn load(demo: &Demo, file: &DataFile) -> Result<()> {
    let DataFile { region, dataset, rows, .. } = file;
    let (path, shown) = (utf8(&file.path)?, workspace::shown(&file.path));
    let what = format!("{region}: domicile data load {dataset} {shown} – {} rows", grouped(*rows));
    let cli = demo.cluster.cli(&file.region);
    demo.voice.step(what, || cli.json(&["data", "load", dataset, path])?.success()).map(drop)
}

/// Shows that a file of customers who live elsewhere is refused as a whole.
pub(super) fn refused(demo: &mut Demo) -> Result<()> {
    demo.voice.heading("American customers do not get into the European region");
    let elsewhere = prepare::work_dir()?.join("files/us-east/customer.csv");
    let ran = demo.cli("eu-central", &["data", "load", "customer", utf8(&elsewhere)?])?;
    demo.report.promise(ran.code == 1, "rows whose home is elsewhere are refused with exit code 1");
    let problem = ran.document()?;
    let refused = problem["refused_rows"].as_u64().unwrap_or_default();
    demo.voice.line(format_args!("  refused: {} rows; the first of them:", grouped(refused)));
    let rows: Vec<_> = problem["rows"].as_array().into_iter().flatten().take(ROWS_SHOWN).map(cells).collect();
    demo.voice.table(&["row", "column", "value", "reason"], &rows);
    demo.report.promise(refused > 0 && !rows.is_empty(), "a refused load says how many rows and which");
    demo.report.document("refused_load", problem);
    Ok(())
}

fn cells(row: &serde_json::Value) -> Vec<Option<String>> {
    ["row", "column", "value", "reason"].iter().map(|name| domicile_harness::answer::text(&row[*name])).collect()
}

/// Deploys each plugin once, at one edge.
pub(super) fn plugins(demo: &mut Demo, built: &BTreeMap<String, PathBuf>) -> Result<()> {
    demo.voice.heading("Plugins: deployed once at one edge, active in every region");
    for name in PLUGINS {
        let path = built.get(name).with_context(|| format!("guest/ has no plugin `{name}`"))?;
        let arguments = ["plugin", "deploy", utf8(path)?, "--name", name, "--version", "1.0.0"];
        let deployed = demo.cli("eu-central", &arguments)?.success()?.document()?;
        let active: Vec<_> =
            deployed["deployed_in"].as_array().into_iter().flatten().filter_map(|id| id.as_str()).collect();
        let sha256 = deployed["sha256"].as_str().and_then(|digest| digest.get(..12)).unwrap_or("?");
        demo.voice.line(format_args!("  {name} 1.0.0, sha256 {sha256}…, active in {}", active.join(", ")));
        demo.report.promise(active.len() == REGIONS.len(), "a plugin deployed at one edge is active in all regions");
        demo.report.document(&format!("deploy_{name}"), deployed);
    }
    Ok(())
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
