//! The data of the demo and the tests, as the `domicile-tpch` binary writes it and reckons about it.
//!
//! A process of its own, because its dependencies are heavy and `cargo xtask` is to be built in seconds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{Answer, answer};

/// A file with the rows of one dataset that one region loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// The region whose edge takes it.
    pub region: String,
    /// The dataset.
    pub dataset: String,
    /// Whether its rows have a home; otherwise they are the same for all regions.
    pub resident: bool,
    /// Where it is.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

impl DataFile {
    /// As JSON.
    pub fn to_json(&self) -> Value {
        let Self { region, dataset, resident, path, rows, bytes } = self;
        json!({ "region": region, "dataset": dataset, "resident": resident, "path": path, "rows": rows, "bytes": bytes })
    }

    fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            region: value["region"].as_str()?.to_owned(),
            dataset: value["dataset"].as_str()?.to_owned(),
            resident: value["resident"].as_bool()?,
            path: value["path"].as_str()?.into(),
            rows: value["rows"].as_u64()?,
            bytes: value["bytes"].as_u64()?,
        })
    }
}

/// Sizes in bytes of zstd-compressed Parquet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CentralBytes {
    /// Every column of every resident table.
    pub whole: u64,
    /// Only the columns that a question needs.
    pub needed: u64,
}

impl CentralBytes {
    /// As JSON.
    pub fn to_json(&self) -> Value {
        json!({ "whole": self.whole, "needed": self.needed })
    }
}

/// Revenue in ten-thousandths of the currency, by month (`1995-03`) and product group.
pub type Revenue = BTreeMap<(String, String), i128>;

/// The `domicile-tpch` binary at one scale factor.
#[derive(Debug, Clone)]
pub struct Generator {
    binary: PathBuf,
    scale: f64,
}

impl Generator {
    /// The binary at that path, at a scale factor.
    pub fn new(binary: &Path, scale: f64) -> Self {
        Self { binary: binary.to_path_buf(), scale }
    }

    /// Writes every file below `dir`; lists them in an order in which they can be loaded.
    ///
    /// # Errors
    /// Where the binary fails.
    pub fn files(&self, dir: &Path) -> Result<Vec<DataFile>> {
        let dir = dir.to_str().context("a path that is not UTF-8")?;
        let printed = self.run(&["files", "--out", dir])?;
        let files = printed.as_array().into_iter().flatten();
        files.map(|file| DataFile::from_json(file).with_context(|| format!("not a file: {file}"))).collect()
    }

    /// The exact revenue of orders before a day, from the rows.
    ///
    /// # Errors
    /// Where the binary fails.
    pub fn revenue(&self, before: &str) -> Result<Revenue> {
        let printed = self.run(&["revenue", "--before", before])?;
        let entry = |entry: &Value| {
            let text = |index: usize| entry[index].as_str();
            Some(((text(0)?.to_owned(), text(1)?.to_owned()), text(2)?.parse().ok()?))
        };
        let entries = printed.as_array().into_iter().flatten();
        entries.map(|value| entry(value).with_context(|| format!("not a figure: {value}"))).collect()
    }

    /// What bringing the resident rows of the other regions to `center` would move.
    ///
    /// # Errors
    /// Where the binary fails.
    pub fn central_bytes(&self, center: &str, needed: &[&str]) -> Result<CentralBytes> {
        let printed = self.run(&["central", "--center", center, "--needed", &needed.join(",")])?;
        let bytes = |name: &str| printed[name].as_u64().with_context(|| format!("no `{name}` in {printed}"));
        Ok(CentralBytes { whole: bytes("whole")?, needed: bytes("needed")? })
    }

    fn run(&self, arguments: &[&str]) -> Result<Value> {
        let output = Command::new(&self.binary)
            .args(arguments)
            .args(["--scale", &self.scale.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run {}", self.binary.display()))?;
        if !output.status.success() {
            bail!("{} failed", self.binary.display());
        }
        serde_json::from_slice(&output.stdout).context("the generator printed something that is not JSON")
    }
}

/// The figures of an answer with the columns `month`, `product_group` and `revenue`.
///
/// # Errors
/// Where a cell is missing or is not what its column says, or a group comes twice.
pub fn revenue_of_answer(answer: &Answer) -> Result<Revenue> {
    let mut revenue = Revenue::new();
    for row in answer.rows() {
        let month = row["month"].as_str().and_then(|month| month.get(..7)).context("`month` is not a date")?;
        let group = row["product_group"].as_str().context("`product_group` is not a text")?;
        let amount = ten_thousandths(&row["revenue"])?;
        if revenue.insert((month.to_owned(), group.to_owned()), amount).is_some() {
            bail!("{month} {group} comes twice");
        }
    }
    Ok(revenue)
}

/// A decimal with at most four digits after the point as an integer. Numbers may come as JSON numbers or strings.
fn ten_thousandths(value: &Value) -> Result<i128> {
    let text = answer::text(value).context("a figure is missing")?;
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.bytes().skip(4).any(|digit| digit != b'0') {
        bail!("`{text}` has more than four digits after the point");
    }
    let fraction = fraction.get(..4).unwrap_or(fraction);
    let unscaled: i128 = format!("{whole}{fraction:0<4}").parse().with_context(|| format!("`{text}` is no figure"))?;
    Ok(sign * unscaled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: Value, expect: Option<i128>) {
        assert_eq!(ten_thousandths(&value).ok(), expect);
    }

    #[test]
    fn decimals_are_read_exactly() {
        check(json!("1234567890123.4567"), Some(12_345_678_901_234_567));
        check(json!("-0.05"), Some(-500));
        check(json!(12.5), Some(125_000));
        check(json!(7), Some(70_000));
        check(json!("1.234560"), None);
        check(json!("x"), None);
    }
}
