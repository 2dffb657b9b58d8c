//! What residency costs: judging a question, guarding what leaves, comparing it with all that left before.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domicile_harness::data::Generator;
use domicile_harness::{Cluster, Edge, Options, build, policies, questions, workspace};
use serde_json::{Value, json};

use super::{Times, load};
use crate::SpineArguments;
use crate::voice::Voice;

/// The region whose rows leave, and the one that they leave for.
const SOURCE: &str = "us-east";
const ASKING: &str = "eu-central";
/// Times that each question is asked before the measured ones.
const WARM_UP_RUNS: u32 = 3;

/// Questions over one table, over three, and over small groups.
const QUESTIONS: [(&str, &str); 3] = [
    (
        "pricing summary",
        "SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), sum(l_extendedprice * (1 - l_discount)), \
         avg(l_quantity), count(*) FROM lineitem WHERE l_shipdate <= DATE '1998-09-02' GROUP BY 1, 2",
    ),
    ("revenue by month and product group", questions::REVENUE),
    (
        "orders by month and priority",
        "SELECT date_trunc('month', o_orderdate) AS month, o_orderpriority, count(*), sum(o_totalprice) FROM orders GROUP BY 1, 2",
    ),
];

/// Runs the benchmark.
///
/// # Errors
/// Where a region does not start, or an answer does not come.
pub(crate) fn run(arguments: &SpineArguments, voice: &Voice) -> Result<()> {
    voice.heading("Judging and comparing, without any rows");
    let admission = example("admission")?;
    let differences = example("differences")?;
    voice.heading("Building");
    let binaries = build::binaries(arguments.profile.into())?;
    let generator = Generator::new(&binaries.tpch, arguments.scale);
    voice.heading(format_args!("The rows of {SOURCE}, TPC-H at scale {}", arguments.scale));
    let policies = policies::by_purpose(&workspace::regions_dir().join("policies"))?;
    let cluster = Cluster::for_test(&binaries.domicile, &Options { policies, ..Options::default() })?;
    load(&cluster, &generator, Some(SOURCE), voice)?;

    voice.heading(format_args!("Measuring, {} runs", arguments.runs));
    let mut shares = Vec::new();
    for (name, question) in QUESTIONS {
        let [guarded, unguarded] = voice.step(name, || measure(&cluster.edge(ASKING), question, arguments.runs))?;
        voice.line(format_args!("  {name}: p50 {guarded:.1} ms guarded, {unguarded:.1} ms not"));
        shares.push(json!({ "question": name, "guarded_ms": guarded, "unguarded_ms": unguarded, "share": 1.0 - unguarded / guarded }));
    }
    let worst = shares.iter().filter_map(|one| one["share"].as_f64()).fold(f64::MIN, f64::max);
    let figures = json!({
        "bench": "residency",
        "admission_p99_ms": number(&admission, "judge_p99_us")? / 1e3,
        "guard_share": worst,
        "difference_check_ms": number(&differences, "check_p99_ms")?,
        "guard_shares": shares,
        "admission": admission,
        "differences": differences,
        "scale": arguments.scale,
        "runs": arguments.runs,
    });
    println!("{figures}");
    Ok(())
}

/// The median times of a question in milliseconds, guarded and not, asked in turns, so that a change in the machine's
/// load meets both alike.
fn measure(edge: &Edge, question: &str, runs: u32) -> Result<[f64; 2]> {
    let mut times = [Times::default(), Times::default()];
    for run in 0..WARM_UP_RUNS + runs {
        for (purpose, times) in policies::PURPOSES.iter().zip(&mut times) {
            let time = ask(edge, question, purpose)?;
            if run >= WARM_UP_RUNS {
                times.0.push(time);
            }
        }
    }
    Ok(times.map(|mut times| times.percentile_ms(0.5)))
}

fn ask(edge: &Edge, question: &str, purpose: &str) -> Result<Duration> {
    let started = Instant::now();
    let response = edge.query_with(question, &[("Purpose", purpose), ("Data-Region", SOURCE)])?;
    let time = started.elapsed();
    ensure!(response.answer()?.border_bytes() > 0, "nothing crossed a border, so that nothing was guarded");
    Ok(time)
}

/// The last line of an example of the policies' crate.
fn example(name: &str) -> Result<Value> {
    let mut cargo = workspace::cargo();
    cargo.args(["run", "--locked", "--release", "--package", "domicile-policy", "--example", name]);
    let output = cargo.stderr(std::process::Stdio::inherit()).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "the example `{name}` failed; its messages are above");
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .with_context(|| format!("`{name}` printed no figures"))
}

fn number(figures: &Value, name: &str) -> Result<f64> {
    figures[name].as_f64().with_context(|| format!("there is no figure `{name}`"))
}
