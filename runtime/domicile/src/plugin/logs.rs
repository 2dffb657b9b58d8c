//! `domicile plugin logs`.

use std::time::Duration;

use serde_json::Value;

use super::{part, path};
use crate::edge::Edge;
use crate::output::{Failure, Output, say, text};

/// How often an edge is asked for what came since.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// Prints the last lines of a version; with `follow`, those that come as well, each as an object of its own with
/// `--json`.
///
/// # Errors
/// Where there is no such plugin or version, or the edge is out of reach.
pub(super) async fn run(
    edge: &Edge,
    output: Output,
    name: &str,
    version: Option<String>,
    follow: bool,
) -> Result<(), Failure> {
    let version = version.map(|version| format!("version={}&", part(&version))).unwrap_or_default();
    let mut after: Option<u64> = None;
    loop {
        let since = after.map(|after| format!("after={after}")).unwrap_or_default();
        let answer = edge.get(&path(name, &format!("/logs?{version}{since}"))).await?;
        if !follow {
            output.show(&answer, || lines(&answer).for_each(print));
            return Ok(());
        }
        for line in lines(&answer) {
            output.show(line, || print(line));
            after = line["sequence"].as_u64().or(after);
        }
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
}

fn lines(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["lines"].as_array().into_iter().flatten()
}

fn print(line: &Value) {
    say!("{} {:<8} {}", line["sequence"], text(&line["level"]), text(&line["text"]));
}
