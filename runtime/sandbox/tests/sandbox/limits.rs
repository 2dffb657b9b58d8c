//! Limits on the component itself and on how many instances there are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use domicile_sandbox::{ErrorKind, Interface, Plugin, SandboxError, SandboxLimits};

use crate::guest::{VERSION, component, limited, load, sandbox};

fn negative() -> ArrayRef {
    Arc::new(Float64Array::from(vec![-1.0]))
}

fn call(pricing: &Arc<Plugin>) -> Result<ArrayRef, SandboxError> {
    pricing.functions()?.call(1, &[negative()], 1)
}

#[test]
fn a_component_that_is_too_large_is_refused() {
    let sandbox = limited(SandboxLimits { component_bytes_max: 100, ..SandboxLimits::default() });
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
fn more_instances_than_the_limit_are_refused() {
    let sandbox = limited(SandboxLimits { instances_max: 1, ..SandboxLimits::default() });
    let pricing = load(&sandbox, "pricing");
    let rfm = load(&sandbox, "rfm");
    let Interface::Mapper(interface) = rfm.interface() else { panic!("not a mapper") };
    let mapper = rfm.mapper(&interface.defaults()).unwrap();
    let error = call(&pricing).unwrap_err();
    let expect = "plugin `pricing` 1.2.3 cannot run: all 1 plugin instances of this region are in use; try again";
    assert_eq!(error.to_string(), expect);
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(mapper);
    assert_eq!(call(&pricing).unwrap().len(), 1);
}

#[test]
fn a_query_gives_its_instances_back() {
    let sandbox = limited(SandboxLimits { instances_max: 1, ..SandboxLimits::default() });
    let pricing = load(&sandbox, "pricing");
    let panics = load(&sandbox, "hostile_panics");
    for _ in 0..3 {
        assert_eq!(call(&pricing).unwrap().len(), 1);
        assert!(panics.functions().unwrap().call(0, &[negative()], 1).is_err());
    }
}

#[test]
fn plugins_outlive_their_sandbox() {
    let sandbox = sandbox();
    let pricing = load(&sandbox, "pricing");
    drop(sandbox);
    assert_eq!(call(&pricing).unwrap().len(), 1);
}
