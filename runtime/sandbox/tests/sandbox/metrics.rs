//! What plugins cost, and what they log.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use domicile_sandbox::LogLevel;

use crate::guest::{load, sandbox};

fn prices(rows: usize) -> ArrayRef {
    Arc::new(Float64Array::from(vec![1.0; rows]))
}

#[test]
fn calls_are_counted() {
    const ROWS: usize = 1000;
    let sandbox = sandbox();
    let plugin = load(&sandbox, "pricing");
    let before = plugin.metrics();
    let calls = plugin.functions().unwrap();
    for _ in 0..100 {
        calls.call(0, &[prices(ROWS), prices(ROWS)], ROWS).unwrap();
    }
    drop(calls);
    let after = plugin.metrics();
    assert_eq!(after.calls - before.calls, 100);
    assert_eq!(after.time_ns.len() - before.time_ns.len(), 100);
    assert_eq!(after.bytes_in - before.bytes_in, 100 * 2 * 8 * ROWS as u64);
    assert_eq!(after.bytes_out - before.bytes_out, 100 * 8 * ROWS as u64);
    assert!(after.host_calls - before.host_calls >= 300, "two columns are read and one is written");
    assert!(after.cpu_time > before.cpu_time);
    assert!(after.memory_bytes_peak >= 64 * 1024);
    assert_eq!((after.traps, after.limit_hits, after.failures), (0, 0, 0));
}

#[test]
fn ends_of_calls_are_told_apart() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "hostile_panics");
    let calls = plugin.functions().unwrap();
    let negative: ArrayRef = Arc::new(Float64Array::from(vec![-1.0]));
    for index in [0, 0, 1] {
        calls.call(index, &[Arc::clone(&negative)], 1).unwrap_err();
    }
    drop(calls);
    let recurses = load(&sandbox, "hostile_recurses");
    let one: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1]));
    recurses.functions().unwrap().call(0, &[one], 1).unwrap_err();
    assert_eq!((plugin.metrics().traps, plugin.metrics().failures, plugin.metrics().limit_hits), (2, 1, 0));
    assert_eq!((recurses.metrics().traps, recurses.metrics().limit_hits), (0, 1));
    let lines = plugin.log_lines();
    // What it says itself, where it does, and then how the call ended.
    let levels: Vec<LogLevel> = lines.iter().map(|line| line.level).collect();
    let (critical, error) = (LogLevel::Critical, LogLevel::Error);
    assert_eq!(levels, [critical, error, critical, error, error]);
    assert!(lines[0].text.starts_with("a price is negative, at "), "{}", lines[0].text);
    assert!(lines[1].text.starts_with("`panics` of plugin `panics` "), "{}", lines[1].text);
    assert!(lines[4].text.ends_with("failed: a price is negative"), "{}", lines[4].text);
    assert_eq!(recurses.log_lines().len(), 1);
}
