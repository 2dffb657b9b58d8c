//! What the demo found: figures, answers, and promises that did not hold.

use std::collections::BTreeSet;

use domicile_harness::Answer;
use serde_json::{Map, Value, json};

use crate::voice::Voice;

pub(super) struct Report {
    figures: Map<String, Value>,
    answers: Map<String, Value>,
    queries: BTreeSet<String>,
    border_bytes_wire: u64,
    suppressed_groups: u64,
    kept: usize,
    broken: Vec<String>,
}

impl Report {
    pub(super) fn new(scale: f64) -> Self {
        let mut figures = Map::new();
        figures.insert("scale".to_owned(), json!(scale));
        Self {
            figures,
            answers: Map::new(),
            queries: BTreeSet::new(),
            border_bytes_wire: 0,
            suppressed_groups: 0,
            kept: 0,
            broken: Vec::new(),
        }
    }

    pub(super) fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// Keeps an answer and counts its bytes; says whether it is the first one.
    pub(super) fn answer(&mut self, name: &str, answer: &Answer) -> bool {
        self.queries.insert(answer.query_id().to_owned());
        self.border_bytes_wire += answer.border_bytes();
        self.suppressed_groups += answer.suppressed_groups().values().sum::<u64>();
        self.document(name, answer.document().clone());
        self.queries.len() == 1
    }

    /// Keeps something else that was answered: a refusal, for example.
    pub(super) fn document(&mut self, name: &str, document: Value) {
        self.answers.insert(name.to_owned(), document);
    }

    /// Whether a query is one that an answer came to.
    pub(super) fn was_answered(&self, query_id: &str) -> bool {
        self.queries.contains(query_id)
    }

    pub(super) fn border_bytes_wire(&self) -> u64 {
        self.border_bytes_wire
    }

    pub(super) fn suppressed_groups(&self) -> u64 {
        self.suppressed_groups
    }

    /// Notes whether something is as promised.
    pub(super) fn promise(&mut self, holds: bool, what: &str) {
        if holds {
            self.kept += 1;
        } else {
            self.broken.push(what.to_owned());
        }
    }

    pub(super) fn broken(&self) -> usize {
        self.broken.len()
    }

    pub(super) fn show(&self, voice: &Voice) {
        voice.heading(format_args!("{} of {} promises kept", self.kept, self.kept + self.broken.len()));
        for (name, value) in &self.figures {
            voice.line(format_args!("  {name}: {value}"));
        }
        for what in &self.broken {
            voice.line(format_args!("  ✗ not as promised: {what}"));
        }
    }

    pub(super) fn into_json(self) -> Value {
        let mut object = self.figures;
        object.insert("broken_promises".to_owned(), json!(self.broken));
        object.insert("answers".to_owned(), Value::Object(self.answers));
        Value::Object(object)
    }
}
