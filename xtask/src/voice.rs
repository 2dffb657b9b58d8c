//! What people read: headings, steps with their elapsed time, tables.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use domicile_harness::{Answer, answer, workspace};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// Rows of a table that are shown.
const ROWS_SHOWN: usize = 6;
/// Widest that a column of a table gets, in characters.
const CELL_WIDTH_MAX: usize = 44;

/// Prints for people, on standard output or, where that is for a machine, on standard error.
#[derive(Debug)]
pub(crate) struct Voice {
    to_stderr: bool,
    started: Instant,
}

impl Voice {
    pub(crate) fn new(to_stderr: bool) -> Self {
        Self { to_stderr, started: Instant::now() }
    }

    /// Time since the program started.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn heading(&self, text: impl Display) {
        self.line(format_args!("\n━━ {text}  [{:.0} s]", self.elapsed().as_secs_f64()));
    }

    pub(crate) fn line(&self, text: impl Display) {
        // A reader that has gone away is no reason to stop.
        let _ = if self.to_stderr { writeln!(io::stderr(), "{text}") } else { writeln!(io::stdout(), "{text}") };
    }

    /// A command as a user would type it at the root of the workspace.
    pub(crate) fn command(&self, edge: &str, arguments: &[&str]) {
        let shown = |argument: &&str| shell_quote(&workspace::shown(Path::new(argument)));
        let arguments: Vec<_> = arguments.iter().map(shown).collect();
        self.line(format_args!("\n$ DOMICILE_EDGE={edge} domicile {}", arguments.join(" ")));
    }

    /// Runs something that takes a while, with a spinner where there is a terminal, and says how long it took.
    pub(crate) fn step<T>(&self, what: impl Display, action: impl FnOnce() -> Result<T>) -> Result<T> {
        let spinner = ProgressBar::new_spinner().with_message(what.to_string());
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} … {elapsed}") {
            spinner.set_style(style);
        }
        if io::stderr().is_terminal() {
            spinner.enable_steady_tick(Duration::from_millis(120));
        }
        let started = Instant::now();
        let outcome = action();
        spinner.finish_and_clear();
        let mark = if outcome.is_ok() { "✓" } else { "✗" };
        self.line(format_args!("  {mark} {what} ({:.1} s)", started.elapsed().as_secs_f64()));
        outcome
    }

    /// The first rows of an answer as a table.
    pub(crate) fn answer(&self, answer: &Answer) {
        let columns = answer.columns();
        let row = |row: &Value| columns.iter().map(|column| cell(&row[*column])).collect();
        self.table(&columns, &answer.rows().iter().map(row).collect::<Vec<_>>());
    }

    pub(crate) fn table(&self, columns: &[&str], rows: &[Vec<Option<String>>]) {
        let shown = &rows[..rows.len().min(ROWS_SHOWN)];
        let cell = |cell: &Option<String>| shorten(cell.as_deref().unwrap_or("–"));
        let cells: Vec<Vec<String>> = shown.iter().map(|row| row.iter().map(cell).collect()).collect();
        let width = |index: usize| {
            let widths = cells.iter().map(|row| row[index].chars().count());
            widths.chain([columns[index].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let print = |row: &[String]| {
            let padded = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width));
            self.line(format_args!("  {}", padded.collect::<Vec<_>>().join("  ").trim_end()));
        };
        print(&columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>());
        print(&widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>());
        cells.iter().for_each(|row| print(row));
        if rows.len() > shown.len() {
            self.line(format_args!("  … {} more rows", rows.len() - shown.len()));
        }
    }
}

/// A value as it stands in a table: a double with two digits after the point, anything else as it came.
fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) if number.is_f64() => number.as_f64().map(|double| format!("{double:.2}")),
        other => answer::text(other),
    }
}

/// A count with thousands separated.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn pad(cell: &str, width: usize) -> String {
    let is_number = cell.starts_with(|c: char| c.is_ascii_digit() || c == '-') && cell.parse::<f64>().is_ok();
    if is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
}

fn shorten(cell: &str) -> String {
    if cell.chars().count() <= CELL_WIDTH_MAX {
        return cell.to_owned();
    }
    cell.chars().take(CELL_WIDTH_MAX - 1).chain(['…']).collect()
}

fn shell_quote(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    let double_quotable = !argument.contains(['"', '$', '`', '\\', '!']);
    if argument.contains('\'') && double_quotable {
        return format!("\"{argument}\"");
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn only_doubles_are_rounded() {
        let values = [json!(674_493_824.649_999_9), json!(1500), json!("12.3456"), json!(null)];
        let expect = ["674493824.65", "1500", "12.3456"].map(|text| Some(text.to_owned()));
        assert_eq!(values.each_ref().map(cell)[..3], expect);
        assert_eq!(cell(&values[3]), None);
    }

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(shell_quote("as_of=1998-08-02"), "as_of=1998-08-02");
        assert_eq!(shell_quote("SELECT 'x'"), "\"SELECT 'x'\"");
        assert_eq!(shell_quote("count(*)"), "'count(*)'");
        assert_eq!(shell_quote("'$x'"), r"''\''$x'\'''");
    }
}
