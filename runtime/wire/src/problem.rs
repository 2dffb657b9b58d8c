//! Problem documents after RFC 9457: the one form in which an edge says no.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `application/problem+json`.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// One problem document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// A path that names the kind of problem, for example `/problems/residency-denied`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words, the same for every occurrence.
    pub title: String,
    /// HTTP status code.
    pub status: u16,
    /// What happened this time, why, and what to do next.
    pub detail: String,
    /// The request, where it has a path of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Facts of the kind: `line` and `column`, `columns`, `policy`, `rewrite`, `nearest`, …
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

impl Problem {
    /// A problem without further facts. `kind` is the last part of its type path.
    pub fn new(status: u16, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/problems/{kind}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            instance: None,
            facts: Map::new(),
        }
    }

    /// The same problem with one more fact; a null fact is left out.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.facts.insert(name.to_owned(), value);
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}
