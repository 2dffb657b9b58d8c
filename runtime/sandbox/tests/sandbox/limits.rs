//! Limits on the component itself and on how many instances there are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use domicile_sandbox::{ErrorKind, Sandbox, SandboxLimits};

use crate::guest::{VERSION, component, load, sandbox};

fn one() -> ArrayRef {
    Arc::new(Float64Array::from(vec![1.0]))
}

#[test]
fn a_component_that_is_too_large_is_refused() {
    let sandbox = Sandbox::new(SandboxLimits { component_bytes_max: 100, ..SandboxLimits::default() }).unwrap();
    let error = sandbox.load("large".parse().unwrap(), VERSION, &[0; 101]).unwrap_err();
    assert_eq!(error.to_string(), "plugin `large` 1.2.3 has 101 bytes, at most 100 are accepted");
    assert_eq!(error.kind(), ErrorKind::Plugin);
}

#[test]
fn bytes_that_are_no_component_are_refused() {
    let wasm = component("pricing");
    let core_module = b"\0asm\x01\0\0\0";
    for bytes in [&[][..], b"no wasm at all", &wasm[..wasm.len() / 2], core_module] {
        let error = sandbox().load("broken".parse().unwrap(), VERSION, bytes).unwrap_err();
        let message = error.to_string();
        let expect = "plugin `broken` 1.2.3 is not a WebAssembly component that can run here: ";
        assert!(message.starts_with(expect), "{message}");
        assert_eq!(error.kind(), ErrorKind::Plugin);
    }
}

#[test]
fn a_version_is_checked() {
    for version in ["", "v1", "1/../2", &"1".repeat(65)] {
        let error = sandbox().load("pricing".parse().unwrap(), version, &[]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("`{version}` is not a plugin version")), "{error}");
        assert_eq!(error.kind(), ErrorKind::Request);
    }
}

#[test]
fn an_idle_instance_makes_room_for_another_plugin() {
    let sandbox = Sandbox::new(SandboxLimits { instances_max: 1, ..SandboxLimits::default() }).unwrap();
    let pricing = load(&sandbox, "pricing");
    let panics = load(&sandbox, "hostile_panics");
    for _ in 0..3 {
        assert_eq!(pricing.call_function(1, &[one()], 1).unwrap().len(), 1);
        assert_eq!(panics.call_function(0, &[one()], 1).unwrap().len(), 1);
    }
}

#[test]
fn more_instances_than_the_limit_are_refused() {
    let sandbox = Sandbox::new(SandboxLimits { instances_max: 1, ..SandboxLimits::default() }).unwrap();
    let pricing = load(&sandbox, "pricing");
    let rfm = load(&sandbox, "rfm");
    let domicile_sandbox::Interface::Mapper(interface) = rfm.interface() else { panic!("not a mapper") };
    let mapper = rfm.mapper(&interface.defaults()).unwrap();
    let error = pricing.call_function(1, &[one()], 1).unwrap_err();
    let expect = "plugin `pricing` 1.2.3 cannot run: all 1 plugin instances of this region are in use; try again";
    assert_eq!(error.to_string(), expect);
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(mapper);
    assert_eq!(pricing.call_function(1, &[one()], 1).unwrap().len(), 1);
}

#[test]
fn plugins_outlive_their_sandbox() {
    let sandbox = sandbox();
    let pricing = load(&sandbox, "pricing");
    drop(sandbox);
    assert_eq!(pricing.call_function(1, &[one()], 1).unwrap().len(), 1);
}
