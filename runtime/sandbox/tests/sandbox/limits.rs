//! Limits on the component itself and on how many instances there are.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array};
use domicile_sandbox::{ErrorKind, Interface, Limit, Plugin, SandboxError, SandboxLimits};

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
fn debug_information_that_takes_long_to_read_is_refused() {
    let name = b".debug_line";
    let of = |bytes: usize| {
        let content = [&[name.len() as u8][..], name, &vec![0; bytes]].concat();
        let length = u32::try_from(content.len()).unwrap();
        // The length as LEB128, in five bytes whatever it is.
        let length: Vec<u8> =
            (0..5).map(|at| ((length >> (7 * at)) & 0x7f) as u8 | if at < 4 { 0x80 } else { 0 }).collect();
        [&component("pricing")[..], &[0], &length, &content].concat()
    };
    assert!(sandbox().load("debug".parse().unwrap(), VERSION, &of(4 << 20)).is_ok());
    let error = sandbox().load("debug".parse().unwrap(), VERSION, &of((4 << 20) + 1)).unwrap_err();
    let expect =
        "the code of plugin `debug` 1.2.3 has 4194305 bytes of debug information, at most 4194304 are accepted";
    assert_eq!(error.to_string(), expect);
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
fn long_calls_give_their_turns_back() {
    let limits = SandboxLimits {
        call_timeout: Duration::from_millis(600),
        cpu_time_max: Duration::from_millis(100),
        ..SandboxLimits::default()
    };
    let spin = load(&limited(limits), "hostile_spin");
    let spins = || spin.functions()?.call(0, &[Arc::new(Int64Array::from(vec![1])) as ArrayRef], 1);
    // More than there are turns, twice: the second ones need the turns that the first had.
    for _ in 0..2 {
        thread::scope(|scope| {
            let calls: Vec<_> = (0..8).map(|_| scope.spawn(spins)).collect();
            for call in calls {
                let error = call.join().expect("no panic").expect_err("it never returns");
                assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
            }
        });
    }
    let processor_time =
        |error: SandboxError| matches!(error, SandboxError::LimitReached { limit: Limit::CpuTime(_), .. });
    assert!(spins().is_err_and(processor_time), "alone, it computes until it may not");
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
