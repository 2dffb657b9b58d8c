//! The global revenue query: its latency against the slowest region alone, its border bytes against centralizing.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use domicile_harness::data::{CentralBytes, Generator};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Edge, Options, build, questions};
use serde_json::json;

use super::{Times, load};
use crate::SpineArguments;
use crate::voice::{Voice, grouped};

/// The edge that asks.
const ASKING: &str = "us-east";
/// Times that each question is asked before the measured ones.
const WARM_UP_RUNS: u32 = 3;

/// Runs the benchmark.
///
/// # Errors
/// Where a region does not start, or an answer does not come.
pub(crate) fn run(arguments: &SpineArguments, voice: &Voice) -> Result<()> {
    voice.heading("Building");
    let binaries = build::binaries(arguments.profile.into())?;
    let generator = Generator::new(&binaries.tpch, arguments.scale);
    voice.heading(format_args!("Three regions, TPC-H at scale {}", arguments.scale));
    let cluster = Cluster::for_test(&binaries.domicile, &Options::default())?;
    load(&cluster, &generator, None, voice)?;

    voice.heading(format_args!("Measuring, {} runs", arguments.runs));
    let mut measured = voice.step("asking", || measure(&cluster, arguments.runs))?;
    let central = voice.step("compressing what centralizing would move", || {
        generator.central_bytes(ASKING, &questions::REVENUE_COLUMNS)
    })?;
    report(arguments, voice, &mut measured, central);
    Ok(())
}

struct Measured {
    global: Times,
    round_trip: Times,
    alone: Vec<(&'static str, Times)>,
    border_bytes: u64,
}

/// Asks in rounds, so that a change in the machine's load meets every kind of question alike.
fn measure(cluster: &Cluster, runs: u32) -> Result<Measured> {
    let mut measured = Measured {
        global: Times::default(),
        round_trip: Times::default(),
        alone: REGIONS.map(|region| (region, Times::default())).into(),
        border_bytes: 0,
    };
    let asking = cluster.edge(ASKING);
    for run in 0..WARM_UP_RUNS + runs {
        let counts = run >= WARM_UP_RUNS;
        let (time, bytes) = ask(&asking, &[])?;
        measured.border_bytes = bytes;
        let started = Instant::now();
        asking.get("/livez")?;
        let round_trip = started.elapsed();
        if counts {
            measured.global.0.push(time);
            measured.round_trip.0.push(round_trip);
        }
        for (region, times) in &mut measured.alone {
            let (time, bytes) = ask(&cluster.edge(region), &[("Data-Region", region)])?;
            ensure!(bytes == 0, "{region} asked of itself alone, yet {bytes} bytes crossed a border");
            if counts {
                times.0.push(time);
            }
        }
    }
    Ok(measured)
}

fn ask(edge: &Edge, headers: &[(&str, &str)]) -> Result<(Duration, u64)> {
    let started = Instant::now();
    let response = edge.query_with(questions::REVENUE, headers)?;
    let time = started.elapsed();
    Ok((time, response.answer()?.border_bytes()))
}

fn report(arguments: &SpineArguments, voice: &Voice, measured: &mut Measured, central: CentralBytes) {
    let (p50, p95) = (measured.global.percentile_ms(0.5), measured.global.percentile_ms(0.95));
    let round_trip = measured.round_trip.percentile_ms(0.5);
    voice.line(format_args!("  global revenue query at the {ASKING} edge: p50 {p50:.1} ms, p95 {p95:.1} ms"));
    voice.line(format_args!("  round trip to an edge (GET /livez): p50 {round_trip:.2} ms"));
    let mut slowest = ("", 0.0);
    for (region, times) in &mut measured.alone {
        let own = times.percentile_ms(0.95);
        voice.line(format_args!("  {region} alone, at its own edge: p95 {own:.1} ms"));
        if own > slowest.1 {
            slowest = (region, own);
        }
    }
    let bytes = measured.border_bytes;
    voice.line(format_args!("  border bytes of one answer: {}", grouped(bytes)));
    voice.line(format_args!(
        "  zstd Parquet of the rows of the other regions: {} bytes with every column of the three resident tables, \
         {} with only the columns that the query needs",
        grouped(central.whole),
        grouped(central.needed)
    ));
    let figures = json!({
        "bench": "spine",
        "latency_ratio": p95 / (round_trip + slowest.1),
        "border_byte_ratio": bytes as f64 / central.whole as f64,
        "border_byte_ratio_needed_columns": bytes as f64 / central.needed as f64,
        "scale": arguments.scale,
        "runs": arguments.runs,
        "global_p50_ms": p50,
        "global_p95_ms": p95,
        "round_trip_p50_ms": round_trip,
        "slowest_region": slowest.0,
        "slowest_region_p95_ms": slowest.1,
        "border_bytes": bytes,
        "central_bytes": central.whole,
        "central_bytes_needed_columns": central.needed,
    });
    println!("{figures}");
}
