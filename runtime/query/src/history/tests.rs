//! What a history gives, before and after it is opened again.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::Float64Type;
use domicile_policy::{Budget, DifferentialPrivacy, Form, Verdict};
use tempfile::TempDir;

use super::{Asked, History};
use crate::QueryError;
use crate::guard::{GuardColumns, Judged, MarkKey, TraceColumn, judge};

const QUESTIONS_MAX: u64 = 40;

struct World {
    history: History,
    path: PathBuf,
    dir: TempDir,
}

/// A group of these entities, each with a place of its own, whose value is how many there are.
fn judged(entities: Range<u16>, verdict: &Verdict) -> Judged {
    let trace: Vec<u8> = entities.clone().flat_map(|at| [at.to_le_bytes(), [1, 0], [0, 0]].concat()).collect();
    let count = i64::try_from(entities.len()).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("x", Arc::new(Float64Array::from(vec![count as f64]))),
        ("entities", Arc::new(Int64Array::from(vec![count]))),
        ("trace", Arc::new(BinaryArray::from(vec![trace.as_slice()]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let traces = vec![TraceColumn { pool: "t".to_owned(), of: None, beside: None, column: 1, weighs: false }];
    let guards = GuardColumns { entities: 0, traces, values: Vec::new() };
    judge(&batch.schema(), std::slice::from_ref(&batch), &[true], &guards, None, verdict).unwrap()
}

fn asked(question: &str) -> Asked {
    let budget =
        Budget { dataset: "t".parse().unwrap(), clause: "reporting".to_owned(), questions: QUESTIONS_MAX, days: 30 };
    let verdict = Verdict {
        minimum_entities: 10,
        difference_checks: true,
        budgets: vec![budget],
        ..Verdict::unconditional(Form::Aggregate)
    };
    Asked { tenant: "them".to_owned(), question: question.to_owned(), verdict, today: 20_000 }
}

impl World {
    fn new(rewrite_bytes_min: u64) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("releases.jsonl");
        Self { history: History::open_rewritten(&path, MarkKey(7), rewrite_bytes_min).unwrap(), path, dir }
    }

    fn opened_again(self) -> Self {
        let Self { history, path, dir } = self;
        drop(history);
        Self { history: History::open(&path, MarkKey(8), 0).unwrap(), path, dir }
    }

    /// The value that is given, if any.
    fn ask(&mut self, question: &str, entities: Range<u16>) -> Result<Option<f64>, QueryError> {
        let asked = asked(question);
        let rows = self.history.release(&asked, &judged(entities, &asked.verdict))?;
        Ok((rows.num_rows() > 0).then(|| rows.column(0).as_primitive::<Float64Type>().value(0)))
    }
}

#[test]
fn a_question_that_is_held_back_once_keeps_its_answer() {
    let mut world = World::new(u64::MAX);
    assert_eq!(world.ask("all", 0..100).unwrap(), Some(100.0));
    assert_eq!(world.ask("other", 0..149).unwrap(), Some(149.0));
    assert_eq!(world.ask("all", 0..150).unwrap(), None, "too near to the other");
    assert_eq!(world.ask("all", 0..101).unwrap(), Some(100.0), "as before");
    assert_eq!(world.ask("new", 0..101).unwrap(), None, "only what was given before is given");
    assert_eq!(world.opened_again().ask("all", 0..101).unwrap(), Some(100.0));
}

/// Asks much, and gives how long the file is then, and what is given after another start.
fn long(rewrite_bytes_min: u64) -> (u64, Vec<Option<f64>>) {
    let mut world = World::new(rewrite_bytes_min);
    for number in 1..30 {
        let entities = 0..number * 20;
        assert_eq!(world.ask("often", entities.clone()).unwrap(), Some(f64::from(entities.end)));
    }
    assert_eq!(world.ask("once", 7..400).unwrap(), None);
    assert_eq!(world.ask("apart", 700..900).unwrap(), Some(200.0));
    let bytes = fs::metadata(&world.path).unwrap().len();
    let mut world = world.opened_again();
    assert_eq!(world.history.key(), MarkKey(7));
    let asked = [("often", 0..581), ("apart", 700..901), ("near", 3..580), ("nearer", 0..101), ("enough", 100..400)];
    let mut given: Vec<_> = asked.map(|(question, of)| world.ask(question, of).unwrap()).to_vec();
    let mut left = 0.0;
    while world.ask(&format!("more {left}"), 200..203).is_ok() {
        left += 1.0;
    }
    given.push(Some(left));
    (bytes, given)
}

#[test]
fn a_file_that_is_written_anew_says_the_same() {
    let ((long_bytes, of_long), (short_bytes, of_short)) = (long(u64::MAX), long(20_000));
    assert_eq!(of_long, of_short);
    // 29 + 2 questions, and three of the five after the restart are new.
    assert_eq!(of_short, [Some(580.0), Some(200.0), None, None, Some(300.0), Some(6.0)]);
    assert!(short_bytes < long_bytes * 3 / 4, "{short_bytes} of {long_bytes}");
}

/// What is given of a question with noise where `drawn` is what it would be now.
fn noised(history: &mut History, question: &str, minimum_entities: u64, drawn: f64) -> Result<f64, QueryError> {
    let mut asked = asked(question);
    asked.verdict.minimum_entities = minimum_entities;
    asked.verdict.difference_checks = minimum_entities > 1;
    asked.verdict.budgets[0].questions = 2;
    asked.verdict.differential_privacy =
        Some(DifferentialPrivacy { epsilon_millionths: 500_000, rows_per_entity_max: 20 });
    let drawn: ArrayRef = Arc::new(Float64Array::from(vec![drawn]));
    let drawn = RecordBatch::try_from_iter([("x", drawn)]).unwrap();
    let rows = if minimum_entities > 1 {
        let mut judged = judged(0..50, &asked.verdict);
        judged.rows = drawn;
        history.release(&asked, &judged)?
    } else {
        history.release_noised(&asked, drawn)?
    };
    Ok(rows.column(0).as_primitive::<Float64Type>().value(0))
}

#[test]
fn the_same_question_has_the_same_noise_and_spends_nothing() {
    for minimum_entities in [0, 10] {
        let mut world = World::new(u64::MAX);
        let mut ask = |question, drawn| noised(&mut world.history, question, minimum_entities, drawn);
        assert_eq!(ask("one", 1.5).unwrap(), 1.5);
        assert_eq!([2.5, 3.5, 4.5].map(|drawn| ask("one", drawn).unwrap()), [1.5; 3]);
        assert_eq!(ask("one, of another state", 5.5).unwrap(), 5.5);
        assert!(matches!(ask("another", 6.5), Err(QueryError::Budget(_))));
        assert_eq!(ask("one", 7.5).unwrap(), 1.5, "what was given stays where the budget is used up");
        let mut world = world.opened_again();
        assert_eq!(noised(&mut world.history, "one", minimum_entities, 8.5).unwrap(), 1.5);
        assert!(noised(&mut world.history, "another", minimum_entities, 9.5).is_err());
    }
}
