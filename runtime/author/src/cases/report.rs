//! What became of the cases: for people and as JSON.

use std::fmt;

use arrow::array::RecordBatch;
use serde_json::{Value as Json, json};

use super::compare::{Comparison, Difference, shown};
use crate::AuthorError;

/// Something that has to hold of an answer, and where it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was tried.
    pub name: &'static str,
    /// The values that came out otherwise.
    pub differences: Vec<Difference>,
    /// The error that came out instead of an answer.
    pub error: Option<String>,
}

impl Check {
    /// Compares an answer with what the same question gave asked in another way.
    pub(crate) fn same(
        name: &'static str,
        answer: &RecordBatch,
        otherwise: Result<RecordBatch, AuthorError>,
        tolerance: f64,
    ) -> Result<Self, AuthorError> {
        let comparison = Comparison { tolerance, ..Comparison::default() };
        Ok(match otherwise {
            Ok(rows) => Self { name, differences: comparison.differences(answer, &rows)?, error: None },
            Err(error) => Self { name, differences: Vec::new(), error: Some(error.to_string()) },
        })
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.differences.is_empty() && self.error.is_none()
    }
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is the expected one.
    Passed,
    /// The answer was written as the expected one.
    Updated,
    /// The answer has other values, or does not hold in all ways of asking.
    Different(Vec<Check>),
    /// There was an error instead of an answer, or another error, or none.
    Error {
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// The case itself is wrong: its files cannot be read as it says.
    Invalid(String),
}

/// A case and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseReport {
    /// The case's name: its folder's.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// All cases of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestReport {
    /// The plugin and its version.
    pub plugin: String,
    /// The cases in the order of their names.
    pub cases: Vec<CaseReport>,
}

impl TestReport {
    /// Whether every case passed.
    pub fn passed(&self) -> bool {
        self.failures() == 0
    }

    /// How many cases did not pass.
    pub fn failures(&self) -> usize {
        let passed = |case: &&CaseReport| matches!(case.outcome, Outcome::Passed | Outcome::Updated);
        self.cases.len() - self.cases.iter().filter(passed).count()
    }

    /// The report as JSON.
    pub fn to_json(&self) -> Json {
        json!({
            "plugin": self.plugin,
            "passed": self.passed(),
            "cases": self.cases.iter().map(CaseReport::to_json).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for TestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cases.iter().try_for_each(|case| writeln!(f, "{case}"))?;
        let (cases, failures) = (self.cases.len(), self.failures());
        write!(f, "{}: {} of {cases} cases passed", self.plugin, cases - failures)
    }
}

impl CaseReport {
    fn to_json(&self) -> Json {
        let mut json = json!({ "name": self.name });
        let (outcome, more) = match &self.outcome {
            Outcome::Passed => ("passed", Json::Null),
            Outcome::Updated => ("updated", Json::Null),
            Outcome::Different(checks) => ("different", Json::Array(checks.iter().map(check_json).collect())),
            Outcome::Error { expected, got } => ("error", json!({ "expected": expected, "got": got })),
            Outcome::Invalid(problem) => ("invalid", json!(problem)),
        };
        json["outcome"] = json!(outcome);
        if !more.is_null() {
            json["details"] = more;
        }
        json
    }
}

fn check_json(check: &Check) -> Json {
    let difference = |difference: &Difference| {
        let Difference { row, column, expected, got } = difference;
        json!({ "row": row, "column": column, "expected": expected, "got": got })
    };
    let differences: Vec<Json> = check.differences.iter().map(difference).collect();
    json!({ "check": check.name, "differences": differences, "error": check.error })
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.outcome {
            Outcome::Passed => write!(f, "{name}: passed"),
            Outcome::Updated => write!(f, "{name}: expected rows written"),
            Outcome::Invalid(problem) => write!(f, "{name}: the case is wrong: {problem}"),
            Outcome::Error { expected, got } => write!(f, "{name}: FAILED\n  expected: {expected}\n  got: {got}"),
            Outcome::Different(checks) => {
                write!(f, "{name}: FAILED")?;
                for check in checks {
                    write!(f, "\n  {}:", check.name)?;
                    check.error.iter().try_for_each(|error| write!(f, "\n    {error}"))?;
                    let table = if check.differences.is_empty() { String::new() } else { shown(&check.differences) };
                    table.lines().try_for_each(|line| write!(f, "\n    {line}"))?;
                }
                Ok(())
            }
        }
    }
}
