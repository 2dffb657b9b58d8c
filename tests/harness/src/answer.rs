//! The JSON answer of a query, read by name.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// An answer in the default format of `POST /v1/query` and `GET /v1/endpoints/…`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    document: Value,
}

impl Answer {
    /// The answer in a JSON document.
    ///
    /// # Errors
    /// Where a member that every answer has is missing.
    pub fn new(document: Value) -> Result<Self> {
        for member in ["query_id", "columns", "rows", "coverage", "border_bytes"] {
            if document.get(member).is_none() {
                bail!("the answer has no `{member}`: {document}");
            }
        }
        Ok(Self { document })
    }

    /// The whole document.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The id of the query.
    pub fn query_id(&self) -> &str {
        self.document["query_id"].as_str().unwrap_or_default()
    }

    /// The names of the columns, in order.
    pub fn columns(&self) -> Vec<&str> {
        let columns = self.document["columns"].as_array().into_iter().flatten();
        columns.filter_map(|column| column["name"].as_str()).collect()
    }

    /// The rows, each an object by column name.
    pub fn rows(&self) -> &[Value] {
        self.document["rows"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The rows as cells in column order, as text. A missing value is `None`.
    pub fn cells(&self) -> Vec<Vec<Option<String>>> {
        let columns = self.columns();
        self.rows().iter().map(|row| columns.iter().map(|column| text(&row[*column])).collect()).collect()
    }

    /// Bytes that crossed borders for this answer, as the asking edge counted them.
    pub fn border_bytes(&self) -> u64 {
        self.document["border_bytes"].as_u64().unwrap_or_default()
    }

    /// Groups suppressed for being too small, by region.
    pub fn suppressed_groups(&self) -> BTreeMap<String, u64> {
        let regions = self.document["suppressed_groups"].as_object().into_iter().flatten();
        regions.filter_map(|(region, count)| Some((region.clone(), count.as_u64()?))).collect()
    }

    /// Regions that are missing from the answer.
    pub fn missing(&self) -> Vec<String> {
        let missing = self.document["coverage"]["missing"].as_array().into_iter().flatten();
        missing.filter_map(|entry| Some(entry["region"].as_str()?.to_owned())).collect()
    }

    /// Whether every home answered.
    pub fn is_full(&self) -> bool {
        self.document["coverage"]["full"] == Value::Bool(true)
    }

    /// The sum of a numeric column over all rows.
    ///
    /// # Errors
    /// Where a value is not a number.
    pub fn sum(&self, column: &str) -> Result<f64> {
        self.rows().iter().map(|row| number(&row[column])).sum()
    }
}

/// A value as text, as it would stand in a table; `None` where it is missing.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A number, whether it came as a JSON number or, an exact decimal, as a string.
///
/// # Errors
/// Where it is neither.
pub fn number(value: &Value) -> Result<f64> {
    match value {
        Value::Number(number) => number.as_f64().context("a number that does not fit a double"),
        Value::String(text) => text.parse().with_context(|| format!("`{text}` is not a number")),
        other => bail!("{other} is not a number"),
    }
}
