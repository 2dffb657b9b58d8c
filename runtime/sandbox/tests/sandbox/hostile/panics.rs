//! Plugins that trap, in each of the exports of each world.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch};
use domicile_sandbox::{Accumulator, ErrorKind, QuerySession, SandboxError, Value};

use super::usage::versions;
use super::{call, check, double};
use crate::guest::{VERSION, component_with_lines, load, sandbox, sources};

const FAINTS: usize = 4;

/// Whether an error says what the plugin said, and where in its source.
#[track_caller]
fn check_panic(got: Result<impl Sized, SandboxError>, function: &str, plugin: &str, message: &str) {
    let error = got.err().unwrap();
    let text = error.to_string();
    let prefix = format!("`{function}` of plugin `{plugin}` 1.2.3 trapped: {message}, at hostile/{plugin}/src/lib.rs:");
    let line = text.strip_prefix(&prefix).unwrap_or_else(|| panic!("{text}, not {prefix}"));
    assert!(line.parse::<u32>().is_ok(), "{text}");
    assert_eq!(error.kind(), ErrorKind::Plugin);
    let crossing = error.without_guest_text().to_string();
    let expect =
        format!("`{function}` of plugin `{plugin}` 1.2.3 trapped: wasm trap: wasm `unreachable` instruction executed");
    assert_eq!(crossing, expect);
}

pub(super) fn panics() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "hostile_panics");
    let calls = plugin.functions().unwrap();
    let call = |function, price| calls.call(function, &[double(price)], 1);
    assert_eq!(call(0, 1.0).unwrap().len(), 1);
    check_panic(call(0, -1.0), "panics", "panics", "a price is negative");
    assert_eq!(call(0, 2.0).unwrap().len(), 1, "the next call gets a fresh instance");
    let failed = call(1, -1.0);
    check(failed.clone(), ErrorKind::Plugin, "`fails` of plugin `panics` 1.2.3 failed: a price is negative");
    check(
        failed.map_err(SandboxError::without_guest_text),
        ErrorKind::Plugin,
        "`fails` of plugin `panics` 1.2.3 failed: (the details are in the plugin's own log)",
    );
    let printed = call(2, 1.0).unwrap_err().to_string();
    assert!(printed.starts_with("`prints` of plugin `panics` 1.2.3 trapped: it called `wasi:"), "{printed}");
    assert!(printed.contains("which plugins are not given; use the log of `domicile:plugin/host`"), "{printed}");
    let aborted = call(3, -1.0).unwrap_err();
    let SandboxError::Trapped { message, place, .. } = &aborted else { panic!("{aborted}") };
    assert_eq!(message, &None);
    assert!(place.function.is_some(), "without a message, the function is what there is: {aborted}");
    faints(&|| plugin.accumulator(FAINTS).unwrap());
}

/// Where a component tells source lines, the error has that of the trap.
#[test]
fn a_trap_names_its_source_line() {
    let source = std::fs::read_to_string(sources().join("hostile/panics/src/lib.rs")).unwrap();
    let line = source.lines().position(|line| line.contains("wasm32::unreachable()")).unwrap() + 1;
    let sandbox = sandbox();
    let plugin = sandbox.load("panics".parse().unwrap(), VERSION, &component_with_lines("hostile_panics")).unwrap();
    let error = call(&plugin, 3, double(-1.0)).unwrap_err();
    assert!(error.to_string().ends_with(&format!("hostile/panics/src/lib.rs:{line}")), "{error}");
    assert!(!error.without_guest_text().to_string().contains("lib.rs"));
}

fn faints(accumulator: &dyn Fn() -> Accumulator) {
    let updated = |price| {
        let mut accumulator = accumulator();
        accumulator.update(&[double(price)], 1, &[], 1).map(|()| accumulator)
    };
    check_panic(updated(1.0), "faints", "panics", "update");
    let state = BinaryArray::from(vec![2.0_f64.to_le_bytes().as_slice()]);
    check_panic(accumulator().merge(&state, &[], 1), "faints", "panics", "merge");
    check_panic(updated(3.0).unwrap().finish(1), "faints", "panics", "finish");
    let mut failed = updated(4.0).unwrap();
    check_panic(failed.state(1), "faints", "panics", "state");
    let again = failed.update(&[double(9.0)], 1, &[], 1).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Internal);
    assert!(again.to_string().ends_with("an earlier call into this instance failed"), "{again}");
}

pub(super) fn trips() {
    let sandbox = sandbox();
    let trips = load(&sandbox, "hostile_trips");
    let map = |place: &str| {
        let prices: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
        trips.mapper(&[Value::Text(place.to_owned())])?.map(&[prices], &[2])
    };
    assert_eq!(Value::at(&map("nowhere").unwrap()[0], 0), Some(Value::Double(3.0)));
    for place in ["configure", "map"] {
        check_panic(map(place), place, "trips", &format!("in {place}"));
    }
}

pub(super) fn stumbles() {
    let sandbox = sandbox();
    let stumbles = load(&sandbox, "hostile_stumbles");
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let rows = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    let session = |place: &str| stumbles.query(&[Value::Text(place.to_owned())]);
    type Step = fn(&mut QuerySession, &RecordBatch) -> Result<(), SandboxError>;
    let steps: [(&str, Step); 4] = [
        ("input", |session, rows| session.input(rows)),
        ("partial", |session, _| session.partial().map(drop)),
        ("merge", |session, rows| session.merge(rows)),
        ("finish", |session, _| session.finish().map(drop)),
    ];
    check_panic(session("open"), "open", "stumbles", "in open");
    for (place, step) in steps {
        step(&mut session("nowhere").unwrap(), &rows).unwrap();
        check_panic(step(&mut session(place).unwrap(), &rows), place, "stumbles", &format!("in {place}"));
    }
}

pub(super) fn collapses() {
    let sandbox = sandbox();
    let collapses = load(&sandbox, "hostile_collapses");
    let resolve = |value| collapses.merge().unwrap().resolve(&versions(value));
    let prefix = "`resolve` of plugin `collapses` 1.2.3";
    let unreachable = "trapped: wasm trap: wasm `unreachable` instruction executed";
    check(resolve(1), ErrorKind::Plugin, &format!("{prefix} {unreachable}"));
    check(resolve(2), ErrorKind::Plugin, &format!("{prefix} failed: no"));
    let invalid = "returned something invalid:";
    check(resolve(3), ErrorKind::Plugin, &format!("{prefix} {invalid} 0 values where 1 columns are declared"));
    check(resolve(4), ErrorKind::Plugin, &format!("{prefix} {invalid} a text for column `n`, which is a bigint"));
    assert_eq!(resolve(5).unwrap(), [Value::Null]);
    let exited = resolve(6).unwrap_err().to_string();
    assert!(exited.starts_with(&format!("{prefix} trapped: it called `wasi:cli/exit@")), "{exited}");
    assert!(call(&collapses, 0, double(1.0)).is_err(), "it has no functions");
}
