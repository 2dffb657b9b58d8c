//! How results and failures are shown, and the exit codes.

use std::io::Write;
use std::process::ExitCode;

use domicile_wire::{Problem, WireError};
use serde_json::{Map, Value};

/// Prints a line like `println!`, ending quietly where nobody reads it.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

pub(crate) use say;

/// Why a verb failed. Each kind has its own exit code, which does not change between versions.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The edge said no: exit code 1.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// What was typed, or a file, is not right: exit code 2.
    #[error("{}", chain(.0))]
    Usage(#[from] anyhow::Error),
    /// The edge cannot be reached: exit code 3.
    #[error("{0}")]
    Unreachable(WireError),
    /// A check found something wrong: exit code 4.
    #[error("{0}")]
    Unverified(String),
    /// So did one whose result is printed already: exit code 4.
    #[error("shown")]
    Shown,
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Refused(problem) => Self::Refused(problem),
            other => Self::Unreachable(other),
        }
    }
}

impl Failure {
    /// A failure of what was typed or of a file.
    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self::Usage(anyhow::anyhow!("{message}"))
    }

    fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Unverified(_) | Self::Shown => 4,
        }
    }
}

/// Text for people, or one JSON object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// Prints a result: `value` as JSON, or what `text` prints.
    pub(crate) fn show(self, value: &Value, text: impl FnOnce()) {
        if self.json { say!("{value}") } else { text() }
    }

    /// Prints a failure: the problem document as JSON, or title, detail and hints as text on standard error.
    pub(crate) fn failed(self, failure: &Failure) -> ExitCode {
        if matches!(failure, Failure::Shown) {
            return ExitCode::from(failure.code());
        }
        if self.json {
            let problem = match failure {
                Failure::Refused(problem) => problem.as_ref().clone(),
                other => Problem::new(0, "command-failed", "The command failed", other.to_string()),
            };
            say!("{}", serde_json::to_string(&problem).unwrap_or_default());
        } else {
            eprintln!("error: {}", shown(&failure.to_string()));
            if let Failure::Refused(problem) = failure {
                hints(&problem.facts);
            }
        }
        ExitCode::from(failure.code())
    }
}

fn hints(facts: &Map<String, Value>) {
    for (name, value) in facts {
        match (name.as_str(), value) {
            ("rewrites", Value::Array(offers)) => offered(offers).iter().for_each(|line| eprintln!("  {line}")),
            ("columns", Value::Array(columns)) if !columns.is_empty() => eprintln!("  columns: {}", list(columns)),
            ("policy", Value::String(policy)) => eprintln!("  policy: {policy}"),
            ("line", line) => eprintln!("  at line {line}, column {}", facts.get("column").unwrap_or(&Value::Null)),
            ("rows", Value::Array(rows)) => refused(rows).iter().for_each(|line| eprintln!("  {line}")),
            _ => {}
        }
    }
}

/// What may be asked instead, a line each; advice that several have in common is said once.
pub(crate) fn offered(offers: &[Value]) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    let line = |offer: &Value| {
        let (mut advice, sql) = (text(&offer["advice"]), text(&offer["sql"]));
        if let Some(purpose) = offer["purpose"].as_str() {
            advice = format!("{advice} (--purpose {purpose})");
        }
        if said.contains(&advice) {
            return format!("or: {sql}");
        }
        let line = format!("you may {advice}: {sql}");
        said.push(advice);
        line
    };
    in_groups(offers, |offer| text(&offer["advice"])).into_iter().flatten().map(line).collect()
}

/// Refused rows, a line for each reason.
fn refused(rows: &[Value]) -> Vec<String> {
    let groups = in_groups(rows, |row| format!("{}: {}", text(&row["column"]), text(&row["reason"])));
    let line = |group: Vec<&Value>| {
        let numbers: Vec<String> = group.iter().map(|row| row["row"].to_string()).collect();
        let row = group.first().map(|row| format!("{}: {}", text(&row["column"]), text(&row["reason"])));
        let named = if numbers.len() == 1 { "row" } else { "rows" };
        format!("{named} {}, {}", numbers.join(", "), row.unwrap_or_default())
    };
    groups.into_iter().map(line).collect()
}

/// The values of each key together, in the order in which the keys come first.
fn in_groups(values: &[Value], key: impl Fn(&Value) -> String) -> Vec<Vec<&Value>> {
    let mut groups: Vec<(String, Vec<&Value>)> = Vec::new();
    for value in values {
        let key = key(value);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(value),
            None => groups.push((key, vec![value])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// So many of something: `1 row`, `2 rows`.
pub(crate) fn counted(number: impl std::fmt::Display, what: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn list(values: &[Value]) -> String {
    values.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Writes one line to standard output. Where its reader has gone (`… | head`), there is nothing left to do.
pub(crate) fn line(text: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if out.write_fmt(text).and_then(|()| out.write_all(b"\n")).is_err() {
        std::process::exit(0);
    }
}

/// The text without control characters, which could move a terminal's cursor or colours.
pub(crate) fn shown(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// The chain of causes, each said once: many messages already hold their cause.
fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        earlier if earlier.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}

/// A JSON value as people write it: texts without quotes.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Prints rows under their headings, each column as wide as it needs.
pub(crate) fn table(headings: &[String], rows: &[Vec<String>]) {
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain([headings[index].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        say!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(headings);
    line(&widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>());
    rows.iter().for_each(|row| line(row));
}
