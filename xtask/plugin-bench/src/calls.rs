//! What a call costs beside its work: one row, then batches, here and with `arrow-udf`; and a query's first call.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{Float64Type, Int64Type};
use arrow_udf_array as other;
use arrow_udf_runtime::wasm::FunctionHandle;
use arrow_udf_schema::{DataType, Field, Schema};
use serde_json::{Value, json};

use crate::Bench;
use crate::data::Random;
use crate::times::{Times, rounded};

/// The functions, by their index in the plugin.
const NET_REVENUE: usize = 0;
const GCD: usize = 1;
/// Calls of one row in a round: one takes about as long as reading the clock.
const CALLS: usize = 64;
/// Queries of a round, of one call each, from their instance's start to its end.
const QUERIES: usize = 8;

/// The same arguments for both sides.
struct Batch {
    function: usize,
    ours: Vec<ArrayRef>,
    theirs: other::RecordBatch,
    handle: FunctionHandle,
    rows: usize,
    our_times: Times,
    their_times: Times,
}

pub(crate) fn run(bench: &Bench) -> Result<Value> {
    let mut random = Random(7);
    let mut batches = Vec::new();
    for (function, rows) in [(NET_REVENUE, 1), (NET_REVENUE, 1024), (NET_REVENUE, 8192), (GCD, 1024), (GCD, 8192)] {
        batches.push(Batch::new(bench, &mut random, function, rows)?);
    }
    for batch in &batches {
        batch.compare(bench)?;
    }
    let mut queries = Times::default();
    for _ in 0..bench.rounds {
        for batch in &mut batches {
            batch.measure(bench)?;
        }
        for _ in 0..QUERIES {
            queries.note(1, || -> Result<()> {
                let functions = bench.functions.functions()?;
                functions.call(NET_REVENUE, &batches[0].ours, 1)?;
                Ok(())
            })?;
        }
    }
    for batch in &mut batches {
        let (ours, theirs) = (batch.our_times.median_us(), batch.their_times.median_us());
        println!(
            "{}, {} rows: {ours:.2} µs here, {theirs:.2} µs with arrow-udf, {:.1} times",
            ["net_revenue", "gcd"][batch.function],
            batch.rows,
            theirs / ours
        );
    }
    let mut ratio = |at: usize| rounded(batches[at].their_times.median_us() / batches[at].our_times.median_us());
    let ratios = [0, 1, 2, 3, 4].map(&mut ratio);
    Ok(json!({
        "batch_us": rounded(batches[0].our_times.median_us()),
        "query_us": rounded(queries.median_us()),
        "query_p99_us": rounded(queries.percentile_us(0.99)),
        "vs_arrow_udf_fixed": ratios[0],
        "vs_arrow_udf_1024": ratios[1],
        "vs_arrow_udf_8192": ratios[2],
        "vs_arrow_udf_gcd_1024": ratios[3],
        "vs_arrow_udf_gcd_8192": ratios[4],
    }))
}

impl Batch {
    fn new(bench: &Bench, random: &mut Random, function: usize, rows: usize) -> Result<Self> {
        let schema = |kind: DataType| {
            Arc::new(Schema::new(["a", "b"].map(|name| Field::new(name, kind.clone(), true)).to_vec()))
        };
        let (ours, theirs, kind, name): (Vec<ArrayRef>, Vec<other::ArrayRef>, DataType, &str) = match function {
            NET_REVENUE => {
                let price: Vec<f64> = (0..rows).map(|_| random.below(1_000_000) as f64 / 100.0).collect();
                let discount: Vec<f64> = (0..rows).map(|_| random.below(11) as f64 / 100.0).collect();
                let columns = [price, discount];
                let ours = columns.iter().map(|column| Arc::new(Float64Array::from(column.clone())) as ArrayRef);
                let theirs = columns.iter().map(|c| Arc::new(other::Float64Array::from(c.clone())) as other::ArrayRef);
                (ours.collect(), theirs.collect(), DataType::Float64, "net_revenue")
            }
            _ => {
                let columns = [(); 2].map(|()| (0..rows).map(|_| 1 + random.below(10_000) as i64).collect::<Vec<_>>());
                let ours = columns.iter().map(|column| Arc::new(Int64Array::from(column.clone())) as ArrayRef);
                let theirs = columns.iter().map(|c| Arc::new(other::Int64Array::from(c.clone())) as other::ArrayRef);
                (ours.collect(), theirs.collect(), DataType::Int64, "gcd")
            }
        };
        let handle = bench.other.find_function(name, vec![kind.clone(), kind.clone()], kind.clone())?;
        let theirs = other::RecordBatch::try_new(schema(kind), theirs)?;
        Ok(Self { function, ours, theirs, handle, rows, our_times: Times::default(), their_times: Times::default() })
    }

    /// Both answer the same, and what the machine itself computes.
    fn compare(&self, bench: &Bench) -> Result<()> {
        let ours = bench.functions.functions()?.call(self.function, &self.ours, self.rows)?;
        let theirs = bench.other.call(&self.handle, &self.theirs)?;
        let theirs = theirs.column(0).as_any();
        if self.function == NET_REVENUE {
            let [price, discount] = [0, 1].map(|at| self.ours[at].as_primitive::<Float64Type>().values());
            let native: Vec<f64> = price.iter().zip(discount).map(|(p, d)| kernels::net_revenue(*p, *d)).collect();
            let theirs = theirs.downcast_ref::<other::Float64Array>().context("not doubles")?;
            ensure!(ours.as_primitive::<Float64Type>().values()[..] == native[..], "the plugin computes otherwise");
            ensure!(theirs.values()[..] == native[..], "arrow-udf computes otherwise");
        } else {
            let [a, b] = [0, 1].map(|at| self.ours[at].as_primitive::<Int64Type>().values());
            let native: Vec<i64> = a.iter().zip(b).map(|(a, b)| kernels::gcd(*a, *b)).collect();
            let theirs = theirs.downcast_ref::<other::Int64Array>().context("not bigints")?;
            ensure!(ours.as_primitive::<Int64Type>().values()[..] == native[..], "the plugin computes otherwise");
            ensure!(theirs.values()[..] == native[..], "arrow-udf computes otherwise");
        }
        Ok(())
    }

    /// A round: warm calls on both sides.
    fn measure(&mut self, bench: &Bench) -> Result<()> {
        let calls = if self.rows == 1 { CALLS } else { 4 };
        let functions = bench.functions.functions()?;
        functions.call(self.function, &self.ours, self.rows)?;
        self.our_times.note(calls, || {
            (0..calls).try_for_each(|_| functions.call(self.function, &self.ours, self.rows).map(drop))
        })?;
        bench.other.call(&self.handle, &self.theirs)?;
        self.their_times
            .note(calls, || (0..calls).try_for_each(|_| bench.other.call(&self.handle, &self.theirs).map(drop)))
    }
}
