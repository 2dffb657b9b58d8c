//! What came back, and what of it has to be the same in both worlds.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use domicile_harness::Response;
use domicile_harness::answer::text;
use serde_json::{Map, Value, json};

/// Everything that the steps of one run gave, in order.
#[derive(Debug, Default)]
pub struct Transcript {
    /// The name of the dataset, which differs between the worlds.
    pub dataset: String,
    /// Steps by name.
    pub steps: Vec<(String, Back)>,
}

/// What one step gave.
#[derive(Debug)]
pub struct Back {
    /// The response as it came.
    pub response: Response,
    /// Its body, or the receipt of a fragment's.
    pub document: Value,
}

impl Back {
    /// Reads a response.
    pub fn new(response: Response) -> Self {
        let receipt = || serde_json::from_slice(&BASE64.decode(response.header("receipt")?).ok()?).ok();
        let document = response.json().ok().or_else(receipt).unwrap_or(Value::Null);
        Self { response, document }
    }

    /// The rows of an answer; none of anything else.
    pub fn rows(&self) -> &[Value] {
        self.document["rows"].as_array().filter(|_| self.response.status == 200).map_or(&[], Vec::as_slice)
    }

    /// The first column of a row, as text.
    pub fn first_cell(&self, row: &Value) -> Option<String> {
        text(&row[self.document["columns"][0]["name"].as_str()?])
    }

    /// How many groups were held back, as the answer says, over all regions.
    pub fn held(&self) -> Option<f64> {
        let regions = self.document["suppressed_groups"].as_object()?;
        Some(regions.values().filter_map(Value::as_f64).sum())
    }
}

/// Members and headers that differ from question to question, whatever the rows are.
const VOLATILE: [&str; 22] = [
    "as-of",
    "as_of",
    "at_unix_ms",
    "body_sha256",
    "content-length",
    "date",
    "elapsed_ms",
    "hash",
    "instance",
    "peer-mac",
    "policy",
    "policy_sha256",
    "previous",
    "query-id",
    "query_id",
    "question_sha256",
    "receipt",
    "record",
    "region_ms",
    "sequence",
    "signature",
    "timings_ms",
];

impl Transcript {
    /// What a step gave.
    ///
    /// # Errors
    /// Where there is no such step.
    pub fn step(&self, name: &str) -> Result<&Back> {
        let step = self.steps.iter().find(|(step, _)| step == name);
        Ok(&step.with_context(|| format!("there is no step `{name}`"))?.1)
    }

    /// All of it, without what differs anyway.
    pub fn normalized(&self) -> Value {
        self.steps.iter().map(|(name, back)| json!({"step": name, "gave": self.normalized_step(back)})).collect()
    }

    fn normalized_step(&self, back: &Back) -> Value {
        let Back { response, .. } = back;
        let headers = response.headers().iter().map(|(name, value)| (name.to_lowercase(), value));
        let headers = headers.filter(|(name, _)| !VOLATILE.contains(&name.as_str()));
        let headers: Map<String, Value> =
            headers.map(|(name, value)| (name, self.without_name(value).into())).collect();
        let body =
            response.json().map_or_else(|_| self.without_name(&response.text()).into(), |body| self.scrubbed(body));
        json!({"status": response.status, "headers": headers, "body": body})
    }

    fn scrubbed(&self, value: Value) -> Value {
        match value {
            Value::Object(members) => {
                let kept = members.into_iter().filter(|(name, _)| !VOLATILE.contains(&name.as_str()));
                kept.map(|(name, value)| (self.without_name(&name), self.scrubbed(value))).collect::<Map<_, _>>().into()
            }
            // Rows come in any order, unless a question asks for one.
            Value::Array(items) => {
                let mut items: Vec<Value> = items.into_iter().map(|item| self.scrubbed(item)).collect();
                items.sort_by_cached_key(Value::to_string);
                items.into()
            }
            Value::String(text) => self.without_name(&text).into(),
            other => other,
        }
    }

    fn without_name(&self, text: &str) -> String {
        let text = text.replace(&self.dataset, "{t}");
        // Digests of policies, which name their dataset.
        let mut parts = text.split("sha256");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |kept, part| {
            kept + "sha256" + part.trim_start_matches([':', ' ']).trim_start_matches(|c: char| c.is_ascii_hexdigit())
        })
    }
}
