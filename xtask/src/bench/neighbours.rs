//! How an ordinary question fares beside plugins that never return: its latency with them, against its latency alone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use domicile_harness::data::Generator;
use domicile_harness::{Cluster, Edge, Options, build, questions};
use serde_json::json;

use super::{Times, load};
use crate::NeighboursArguments;
use crate::voice::Voice;

/// The region that is asked, of its own rows only.
const REGION: &str = "us-east";
/// A function that never returns, and a question that calls it in each of the region's batches.
const HOSTILE: [&str; 2] = ["hostile_spin", "SELECT count(spin(o_orderkey)) FROM orders"];
/// Time that a call of a plugin may take, in milliseconds, so that the hostile ones end within the benchmark.
const CALL_TIMEOUT_MS: i64 = 1_000;
/// Questions asked before the measured ones.
const WARM_UP_RUNS: u32 = 5;

/// Runs the benchmark.
///
/// # Errors
/// Where the regions do not start, or an ordinary question is not answered.
pub(crate) fn run(arguments: &NeighboursArguments, voice: &Voice) -> Result<()> {
    voice.heading("Building");
    let binaries = build::binaries(arguments.profile.into())?;
    let components = build::plugins()?;
    let generator = Generator::new(&binaries.tpch, arguments.scale);
    let limits = vec![("plugin_timeout_ms".to_owned(), CALL_TIMEOUT_MS)];
    let cluster = Cluster::for_test(&binaries.domicile, &Options { limits, ..Options::permissive() })?;
    load(&cluster, &generator, Some(REGION), voice)?;
    let edge = cluster.edge(REGION);
    let component = components.get(HOSTILE[0]).with_context(|| format!("guest/ builds no {}", HOSTILE[0]))?;
    let deployed = edge.deploy("spin", "1.0.0", &std::fs::read(component)?)?;
    ensure!(deployed.status < 300, "{}", deployed.text());

    voice.heading(format_args!("Measuring, {} rounds of {} questions", arguments.rounds, arguments.runs));
    let (mut alone, mut beside, mut ended) = (Times::default(), Times::default(), 0);
    ask(&edge, WARM_UP_RUNS, &mut Times::default())?;
    for _ in 0..arguments.rounds {
        voice.step("alone", || ask(&edge, arguments.runs, &mut alone))?;
        ended += voice.step("beside plugins that never return", || {
            beside_hostile(&edge, arguments.hostile, || ask(&edge, arguments.runs, &mut beside))
        })?;
    }
    ensure!(ended > 0, "no hostile question was ended meanwhile: ask for more runs");
    report(arguments, voice, &mut alone, &mut beside, ended);
    Ok(())
}

fn ask(edge: &Edge, runs: u32, times: &mut Times) -> Result<()> {
    for _ in 0..runs {
        let started = Instant::now();
        edge.query_with(questions::REVENUE, &[("Data-Region", REGION)])?.answer()?;
        times.0.push(started.elapsed());
    }
    Ok(())
}

/// Does `work` while others keep asking hostile questions, and says how many of those were ended at a limit meanwhile.
fn beside_hostile(edge: &Edge, askers: u32, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let (stop, ended) = (AtomicBool::new(false), AtomicU64::new(0));
    let (sender, underway) = mpsc::channel();
    let hostile = |underway: Sender<()>| -> Result<()> {
        let mut underway = Some(underway);
        while !stop.load(Ordering::Relaxed) {
            let response = edge.query_with(HOSTILE[1], &[("Data-Region", REGION)])?;
            ensure!(response.status == 504, "a question that never ends was answered: {}", response.text());
            ended.fetch_add(1, Ordering::Relaxed);
            if let Some(underway) = underway.take() {
                underway.send(()).context("nobody waits for the hostile questions")?;
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let hostile = &hostile;
        let askers: Vec<_> = (0..askers).map(|_| sender.clone()).map(|s| scope.spawn(move || hostile(s))).collect();
        drop(sender);
        // Whoever was ended once keeps asking. Fewer come where one failed, which is said below.
        let started = underway.iter().count();
        let before = ended.load(Ordering::Relaxed);
        let worked = if started == askers.len() { work() } else { Ok(()) };
        let meanwhile = ended.load(Ordering::Relaxed) - before;
        stop.store(true, Ordering::Relaxed);
        askers.into_iter().try_for_each(|asker| asker.join().expect("an asker does not panic"))?;
        worked.map(|()| meanwhile)
    })
}

fn report(arguments: &NeighboursArguments, voice: &Voice, alone: &mut Times, beside: &mut Times, ended: u64) {
    let figures = [0.5, 0.95].map(|share| (alone.percentile_ms(share), beside.percentile_ms(share)));
    for (name, (alone, beside)) in ["p50", "p95"].iter().zip(figures) {
        voice.line(format_args!("  {name}: {alone:.1} ms alone, {beside:.1} ms beside hostile plugins"));
    }
    voice.line(format_args!("  hostile questions ended at their limit meanwhile: {ended}"));
    let [(alone_p50, beside_p50), (alone_p95, beside_p95)] = figures;
    let figures = json!({
        "bench": "neighbours",
        "p50_ratio": beside_p50 / alone_p50,
        "p95_ratio": beside_p95 / alone_p95,
        "alone_p50_ms": alone_p50,
        "alone_p95_ms": alone_p95,
        "beside_p50_ms": beside_p50,
        "beside_p95_ms": beside_p95,
        "hostile_askers": arguments.hostile,
        "hostile_ended": ended,
        "scale": arguments.scale,
    });
    println!("{figures}");
}
