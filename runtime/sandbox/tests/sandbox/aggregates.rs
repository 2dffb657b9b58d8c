//! Aggregate functions: groups, and states that go on elsewhere.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, Float64Array};
use domicile_sandbox::{Accumulator, ErrorKind, SandboxLimits};

use crate::guest::{limited, load, sandbox};

/// `faints` answers with the last price of a group; it panics at small ones only.
const FAINTS: usize = 4;

fn prices(prices: &[f64]) -> [ArrayRef; 1] {
    [Arc::new(Float64Array::from(prices.to_vec()))]
}

fn accumulator(sandbox: &domicile_sandbox::Sandbox) -> Accumulator {
    load(sandbox, "hostile_panics").accumulator(FAINTS).unwrap()
}

fn finish(accumulator: &mut Accumulator, groups: u32) -> Vec<f64> {
    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;
    accumulator.finish(groups).unwrap().as_primitive::<Float64Type>().values().to_vec()
}

#[test]
fn groups_have_answers_of_their_own() {
    let sandbox = sandbox();
    let mut accumulator = accumulator(&sandbox);
    accumulator.update(&prices(&[10.0, 20.0, 30.0]), 3, &[0, 1, 0], 2).unwrap();
    accumulator.update(&prices(&[40.0]), 1, &[2], 4).unwrap();
    assert_eq!(finish(&mut accumulator, 2), [30.0, 20.0]);
    accumulator.update(&prices(&[50.0]), 1, &[1], 3).unwrap();
    assert_eq!(finish(&mut accumulator, 3), [40.0, 50.0, 0.0], "the groups that were left have moved down");
    accumulator.update(&prices(&[60.0, 70.0]), 2, &[], 1).unwrap();
    assert_eq!(finish(&mut accumulator, 1), [70.0], "without groups, all rows are one");
}

#[test]
fn states_go_on_elsewhere() {
    let sandbox = sandbox();
    let (mut here, mut there) = (accumulator(&sandbox), accumulator(&sandbox));
    here.update(&prices(&[10.0, 20.0]), 2, &[0, 1], 2).unwrap();
    let states = here.state(2).unwrap();
    assert_eq!(states.len(), 2);
    there.merge(&states, &[1, 0], 2).unwrap();
    assert_eq!(finish(&mut there, 2), [20.0, 10.0]);
    let missing = BinaryArray::from(vec![None, Some(states.value(0))]);
    there.merge(&missing, &[0, 1], 2).unwrap();
    assert_eq!(finish(&mut there, 2), [0.0, 10.0], "a row without a value is an empty state");
    assert!(there.memory_bytes() > 0);
}

#[test]
fn more_groups_than_one_call_answers_come_in_parts() {
    let sandbox = limited(SandboxLimits { output_rows_max: 10, ..SandboxLimits::default() });
    let mut accumulator = accumulator(&sandbox);
    let all: Vec<f64> = (0..34).map(|price| f64::from(price) + 100.0).collect();
    accumulator.update(&prices(&all), 34, &(0..34).collect::<Vec<_>>(), 34).unwrap();
    assert_eq!(finish(&mut accumulator, 34), all);
    assert_eq!(accumulator.finish(0).unwrap().len(), 0);
}

#[test]
fn groups_that_do_not_fit_are_refused() {
    let sandbox = sandbox();
    let mut accumulator = accumulator(&sandbox);
    for (groups_of_rows, groups) in [(&[0][..], 1), (&[0, 1], 1), (&[0, 1, 2], 3), (&[], 0)] {
        let error = accumulator.update(&prices(&[10.0, 20.0]), 2, groups_of_rows, groups).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    }
    accumulator.update(&prices(&[10.0, 20.0]), 2, &[0, 1], 2).unwrap();
}

#[test]
fn a_state_of_another_function_is_refused_by_the_plugin() {
    let sandbox = sandbox();
    let error = accumulator(&sandbox).merge(&BinaryArray::from(vec![b"short".as_slice()]), &[], 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plugin);
    assert!(error.to_string().starts_with("`faints` of plugin `panics` 1.2.3 failed: "), "{error}");
}
