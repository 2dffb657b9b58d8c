//! Plugins that try to get out of the call that they are in.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use domicile_sandbox::ErrorKind;

use super::integer;
use super::usage::versions;
use crate::guest::{VERSION, load, sandbox, text_component};

fn ones() -> ArrayRef {
    Arc::new(Int64Array::from(vec![1, 1]))
}

pub(super) fn remembers() {
    let sandbox = sandbox();
    let remembers = load(&sandbox, "hostile_remembers");
    for query in 0..3 {
        let calls = remembers.functions().unwrap();
        let counted = calls.call(0, &[ones()], 2).unwrap();
        assert_eq!(counted.as_primitive::<Int64Type>().values(), &[1, 2], "query {query} begins at one");
        let mut accumulator = remembers.accumulator(1).unwrap();
        accumulator.update(&[integer()], 1, &[], 1).unwrap();
        let recalled = accumulator.finish(1).unwrap();
        assert_eq!(recalled.as_primitive::<Int64Type>().value(0), 1, "an accumulator has an instance of its own");
    }
}

/// The allocator that the host calls, while it passes arguments, calls the host.
pub(super) fn reenters() {
    let sandbox = sandbox();
    let reenters = sandbox.load("reenters".parse().unwrap(), VERSION, &text_component("reenters")).unwrap();
    let error = reenters.merge().unwrap().resolve(&versions(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plugin);
    assert!(error.to_string().contains("cannot leave component instance"), "{error}");
}

/// What the host calls once it has taken an answer calls the host.
pub(super) fn returns() {
    let sandbox = sandbox();
    let error = sandbox.load("returns".parse().unwrap(), VERSION, &text_component("returns")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plugin);
    assert!(error.to_string().contains("cannot leave component instance"), "{error}");
}
