//! One region stopped: an error that names it, or an answer that says what is missing.

use anyhow::Result;
use domicile_harness::questions;
use serde_json::json;

use super::{Demo, audit};

const STOPPED: &str = "ap-south";

/// Stops one region, asks, and starts it again where the regions are to stay.
pub(super) fn one_region_stopped(demo: &mut Demo, resume: bool) -> Result<()> {
    demo.voice.heading(format_args!("{STOPPED} is stopped"));
    let before = audit::ledger_bytes(demo, &[STOPPED])?;
    let Demo { voice, cluster, .. } = demo;
    voice.step(format_args!("SIGTERM to {STOPPED}; it drains"), || cluster.stop(STOPPED))?;

    let ran = demo.cli("us-east", &["query", questions::REVENUE])?;
    let problem = ran.document()?;
    let detail = problem["detail"].as_str().unwrap_or_default();
    demo.voice.line(format_args!("  {} {}\n  {detail}", problem["status"], problem["title"].as_str().unwrap_or("–")));
    demo.report.promise(ran.code != 0 && detail.contains(STOPPED), "a question fails naming the stopped region");
    demo.report.document("outage", problem.clone());

    let answer = demo.ask("partial", "us-east", &["query", "--coverage", "partial", questions::REVENUE])?;
    let says_so = answer.missing() == [STOPPED] && !answer.is_full();
    demo.report.promise(says_so, "partial coverage answers and says what is missing");
    demo.report.figure("partial_coverage_missing", json!(answer.missing()));

    let after = audit::ledger_bytes(demo, &["eu-central", "us-east"])?;
    audit::record_bytes(demo, before + after);
    if resume {
        let Demo { voice, cluster, .. } = demo;
        voice.step(format_args!("starting {STOPPED} again"), || cluster.resume(STOPPED))?;
    }
    Ok(())
}
