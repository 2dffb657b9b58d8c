//! How long an instance takes to start, with one thread and with two, and to end.

use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use domicile_sandbox::{Plugin, Value};
use serde_json::json;

use crate::Bench;
use crate::times::{Times, rounded};

/// Instances of a round.
const STARTS: usize = 50;

pub(crate) fn run(bench: &Bench) -> Result<serde_json::Value> {
    let (mut alone, mut ends, mut beside) = (Times::default(), Times::default(), Times::default());
    for round in 0..=bench.rounds {
        let (started, ended) = starts(&bench.question)?;
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let plugin = Arc::clone(&bench.question);
                thread::spawn(move || starts(&plugin))
            })
            .collect();
        for other in threads {
            let (started, _) = other.join().ok().context("a thread panicked")??;
            if round > 0 {
                beside.append(started);
            }
        }
        if round > 0 {
            alone.append(started);
            ends.append(ended);
        }
    }
    println!("an instance: {:.1} µs to start, {:.1} to end (medians)", alone.median_us(), ends.median_us());
    Ok(json!({
        "instance_p50_us": rounded(alone.percentile_us(0.5)),
        "instance_p99_us": rounded(alone.percentile_us(0.99)),
        "instance_p50_us_2_threads": rounded(beside.percentile_us(0.5)),
        "instance_p99_us_2_threads": rounded(beside.percentile_us(0.99)),
        "instance_end_p50_us": rounded(ends.percentile_us(0.5)),
    }))
}

/// From nothing to a session that has its parameters, and back.
fn starts(plugin: &Arc<Plugin>) -> Result<(Times, Times)> {
    let (mut started, mut ended) = (Times::default(), Times::default());
    for _ in 0..STARTS {
        let session = started.note(1, || plugin.query(&[Value::BigInt(0)]))?;
        ended.note(1, || drop(session));
    }
    Ok((started, ended))
}
