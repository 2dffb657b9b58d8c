//! `plugin test`: cases of input and expected output, under the limits of production.

mod case;
mod compare;
mod report;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use domicile_sandbox::Plugin;

pub use compare::Difference;
pub use report::{CaseReport, Check, Outcome, TestReport};

use crate::apply::{Input, Strictness, prepare};
use crate::component;
use crate::files::{Format, write};
use crate::project::Progress;
use crate::{AuthorError, InputSql};
use case::{Case, Given, expected_rows, folders};
use compare::Comparison;

const EXPECTED: &str = "expected rows";

/// What is to be tested.
#[derive(Debug, Clone)]
pub struct TestOptions {
    /// The plugin's folder, which is built first, or a component.
    pub plugin: PathBuf,
    /// The folder of the cases; `tests` in the plugin's folder, or where one stands, by default.
    pub cases: Option<PathBuf>,
    /// Writes what comes out as what is expected, where all ways of asking agree.
    pub update: bool,
}

/// Runs all cases. What they find wrong is in the report.
///
/// # Errors
/// Where the plugin cannot be built or loaded, or there are no cases.
pub fn test(options: &TestOptions, sql: &dyn InputSql, progress: Progress) -> Result<TestReport, AuthorError> {
    let plugin = component::open(&options.plugin, progress)?.load()?;
    let beside = || if options.plugin.is_dir() { options.plugin.join("tests") } else { PathBuf::from("tests") };
    let folders = folders(&options.cases.clone().unwrap_or_else(beside))?;
    let cases = folders.iter().map(|folder| run(&plugin, folder, options.update, sql)).collect();
    Ok(TestReport { plugin: format!("{} {}", plugin.id().name, plugin.id().version), cases })
}

fn run(plugin: &Arc<Plugin>, folder: &Path, update: bool, sql: &dyn InputSql) -> CaseReport {
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let invalid = |error: AuthorError| Outcome::Invalid(error.to_string());
    let outcome = Case::read(folder).and_then(|case| outcome(plugin, &case, update, sql)).unwrap_or_else(invalid);
    CaseReport { name, outcome }
}

fn outcome(plugin: &Arc<Plugin>, case: &Case, update: bool, sql: &dyn InputSql) -> Result<Outcome, AuthorError> {
    let input = match &case.given {
        Given::Rows(rows) => Input::Rows(rows),
        Given::Tables(tables) => Input::Tables(tables, sql),
    };
    let question = prepare(plugin, &case.settings.request(), &input)?;
    let answer = match (question.answer(), &case.settings.error) {
        (Ok(answer), None) => answer,
        (Ok(_), Some(error)) => return Ok(surprise(&format!("an error with `{error}`"), "an answer")),
        (Err(error), expected) => return failed(error, expected.as_deref()),
    };
    let strictness = Strictness { tolerance: case.settings.tolerance, any_order: case.settings.any_order };
    let mut wrong = question.checks(&answer, strictness)?;
    wrong.retain(|check| !check.holds());
    if update && wrong.is_empty() {
        let path = case.expected_or_new()?;
        let file = File::create(&path).map_err(AuthorError::io(&path))?;
        write(&answer, Format::of(&path)?, file).map_err(AuthorError::io(&path))?;
        return Ok(Outcome::Updated);
    }
    if !update {
        wrong.splice(0..0, Some(compared(case, &answer)?).filter(|check| !check.holds()));
    }
    Ok(if wrong.is_empty() { Outcome::Passed } else { Outcome::Different(wrong) })
}

fn surprise(expected: &str, got: &str) -> Outcome {
    Outcome::Error { expected: expected.to_owned(), got: got.to_owned() }
}

/// An error that the plugin's code caused may be the expected one; any other means that the case cannot be run.
fn failed(error: AuthorError, expected: Option<&str>) -> Result<Outcome, AuthorError> {
    let AuthorError::Sandbox(error) = error else { return Err(error) };
    let got = error.to_string();
    Ok(match expected {
        Some(part) if got.contains(part) => Outcome::Passed,
        Some(part) => surprise(&format!("an error with `{part}`"), &got),
        None => surprise("an answer", &got),
    })
}

/// The answer beside the expected rows.
fn compared(case: &Case, answer: &RecordBatch) -> Result<Check, AuthorError> {
    let Some(path) = case.expected()? else {
        let problem = "there is no `expected.csv` (or .json, .ndjson, .parquet); `--update` writes it".to_owned();
        return Err(AuthorError::CaseFiles { folder: case.folder.clone(), problem });
    };
    let comparison = Comparison {
        tolerance: case.settings.tolerance,
        any_row_order: case.settings.any_row_order,
        empty_is_null: Format::of(&path)? == Format::Csv,
    };
    let differences = comparison.differences(&expected_rows(&path, answer)?, answer)?;
    Ok(Check { name: EXPECTED, differences, error: None })
}
