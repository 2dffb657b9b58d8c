//! Work over whole batches: on the machine itself, in a plugin, and in a plugin that leaves it to the host.

use std::hint::black_box;

use anyhow::{Result, ensure};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use domicile_sandbox::Value;
use kernels::{Groups, SEGMENTS};
use serde_json::{Map, json};

use crate::Bench;
use crate::data::{Orders, Random, line_items};
use crate::times::{Times, rounded};

const BATCHES: usize = 8;
const ROWS: usize = 8192;
/// As the plugins have them.
const BELOW: f64 = 24.0;
const AS_OF: i32 = 10_440;
/// Sums in another order differ by this share of themselves, at most.
const TOLERANCE: f64 = 1e-9;

/// Times of one kind of work, a batch each.
#[derive(Default)]
struct Sides {
    native: Times,
    plain: Times,
    by_host: Times,
    /// A plugin that reads the columns and does nothing with them; none of a mapper.
    only_read: Times,
}

/// The question's kinds of work, in the order of its parameter: plainly at three times the position, by the host after
/// it, and then only read.
const WORK: [(&str, fn(&[RecordBatch]) -> f64); 4] =
    [("numeric", numeric), ("numeric_by_vectors", numeric_by_vectors), ("string", string), ("group", group)];

pub(crate) fn run(bench: &Bench) -> Result<serde_json::Value> {
    let mut random = Random(11);
    let batches = (0..BATCHES).map(|_| line_items(&mut random, ROWS)).collect::<Result<Vec<_>>>()?;
    let orders = Orders::new(&mut random, ROWS);
    let mut sides: Vec<Sides> = (0..=WORK.len()).map(|_| Sides::default()).collect();
    for round in 0..=bench.rounds {
        // The first round only warms up, into times that are thrown away.
        for (at, (name, native)) in WORK.iter().enumerate() {
            let sides = &mut sides[at];
            // Every side finds the columns where the one before it left them: in the processor's cache.
            native(black_box(&batches));
            let expected = sides.native.note(BATCHES, || native(black_box(&batches)));
            let ask = |how, times| question(bench, at as i64 * 3 + how, &batches, times);
            let answers = [ask(0, &mut sides.plain)?, ask(1, &mut sides.by_host)?];
            ask(2, &mut sides.only_read)?;
            for found in answers {
                ensure!((found - expected).abs() <= expected.abs() * TOLERANCE, "{name}: {found}, not {expected}");
            }
        }
        let last = sides.len() - 1;
        mapper(bench, &orders, &mut sides[last])?;
        if round == 0 {
            sides.iter_mut().for_each(|sides| *sides = Sides::default());
        }
    }
    report(&mut sides)
}

fn report(sides: &mut [Sides]) -> Result<serde_json::Value> {
    let (mut ratios, mut host_ratios, mut read_ratios) = (Map::new(), Map::new(), Map::new());
    let names = WORK.iter().map(|(name, _)| *name).chain(["rfm"]);
    for (name, sides) in names.zip(sides) {
        let (native, plain, by_host) = (sides.native.median_us(), sides.plain.median_us(), sides.by_host.median_us());
        println!(
            "{name}, {ROWS} rows: {native:.1} µs natively, {plain:.1} in a plugin, {by_host:.1} with host kernels"
        );
        let only_read = sides.only_read.median_us();
        if only_read.is_finite() {
            println!("  of which to hand the columns over: {only_read:.1} µs");
            read_ratios.insert(name.to_owned(), json!(rounded(native / (plain - only_read))));
        }
        ratios.insert(name.to_owned(), json!(rounded(native / plain)));
        host_ratios.insert(name.to_owned(), json!(rounded(native / by_host)));
    }
    Ok(json!({ "kernel_ratio": ratios, "host_kernel_ratio": host_ratios, "kernel_ratio_once_read": read_ratios }))
}

/// The plugin's work over all batches. Its instance runs already.
fn question(bench: &Bench, work: i64, batches: &[RecordBatch], times: &mut Times) -> Result<f64> {
    let mut session = bench.question.query(&[Value::BigInt(work)])?;
    session.input(&batches[0].slice(0, 0))?;
    let answer = times.note(batches.len(), || {
        batches.iter().try_for_each(|batch| session.input(batch))?;
        session.partial()
    })?;
    Ok(answer.column(0).as_primitive::<Float64Type>().value(0))
}

fn doubles<'a>(batch: &'a RecordBatch, column: usize) -> &'a [f64] {
    batch.column(column).as_primitive::<Float64Type>().values()
}

fn numeric(batches: &[RecordBatch]) -> f64 {
    let sum = |batch| kernels::revenue(doubles(batch, 0), doubles(batch, 1), doubles(batch, 2), BELOW);
    batches.iter().map(sum).sum()
}

fn numeric_by_vectors(batches: &[RecordBatch]) -> f64 {
    let sum = |batch| kernels::revenue_by_vectors(doubles(batch, 0), doubles(batch, 1), doubles(batch, 2), BELOW);
    batches.iter().map(sum).sum()
}

fn string(batches: &[RecordBatch]) -> f64 {
    let sum = |batch: &RecordBatch| {
        let texts = batch.column(4).as_string::<i32>();
        kernels::parsed(texts.value_offsets(), texts.value_data())
    };
    batches.iter().map(sum).sum()
}

fn group(batches: &[RecordBatch]) -> f64 {
    let mut groups = Groups::default();
    for batch in batches {
        kernels::group(&mut groups, batch.column(3).as_primitive::<Int64Type>().values(), doubles(batch, 1));
    }
    kernels::digest(&groups)
}

fn mapper(bench: &Bench, orders: &Orders, sides: &mut Sides) -> Result<()> {
    let columns = orders.columns();
    let native = sides.native.note(1, || {
        let customers = kernels::customers(black_box(&orders.ends), &orders.dates, &orders.prices, AS_OF);
        let segments: Vec<usize> = customers.iter().map(|customer| customer.segment(AS_OF)).collect();
        (customers, segments)
    });
    for work in [0, 1] {
        let mut mapper = bench.mapper.mapper(&[Value::BigInt(work)])?;
        mapper.map(&columns.each_ref().map(|column| column.slice(0, 1)), &[1])?;
        let times = if work == 0 { &mut sides.plain } else { &mut sides.by_host };
        let outputs = times.note(1, || mapper.map(&columns, &orders.ends))?;
        let [segments, revenues] = outputs.as_slice() else { anyhow::bail!("the mapper has two outputs") };
        let (segments, revenues) = (segments.as_string::<i32>(), revenues.as_primitive::<Float64Type>());
        for (row, (customer, segment)) in native.0.iter().zip(&native.1).enumerate() {
            ensure!(segments.value(row) == SEGMENTS[*segment], "another segment for customer {row}");
            let (found, expected) = (revenues.value(row), customer.revenue);
            ensure!((found - expected).abs() <= expected * TOLERANCE, "{found}, not {expected}, for customer {row}");
        }
        ensure!(segments.len() == orders.ends.len(), "the mapper forgot customers");
    }
    Ok(())
}
