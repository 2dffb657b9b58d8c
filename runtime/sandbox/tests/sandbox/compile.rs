//! Compiling in a process of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array};
use domicile_sandbox::{Compiler, ErrorKind, Sandbox, SandboxError, SandboxLimits};

use crate::guest::{VERSION, component, load, text_component};

fn process(program: &str, args: &[&str], compile_timeout: Duration) -> Sandbox {
    let args = args.iter().map(|arg| (*arg).into()).collect();
    let compiler = Compiler::Process { program: PathBuf::from(program), args, cache: None };
    Sandbox::new(SandboxLimits { compile_timeout, ..SandboxLimits::default() }, compiler).unwrap()
}

fn compiler() -> Sandbox {
    process(env!("CARGO_BIN_EXE_domicile-compile"), &[], Duration::from_secs(600))
}

fn load_error(sandbox: &Sandbox, wasm: &[u8]) -> SandboxError {
    sandbox.load("pricing".parse().unwrap(), VERSION, wasm).unwrap_err()
}

#[test]
fn a_plugin_compiles_in_a_process_of_its_own() {
    let sandbox = compiler();
    let pricing = load(&sandbox, "pricing");
    let prices: ArrayRef = Arc::new(Float64Array::from(vec![200.0]));
    let discounts: ArrayRef = Arc::new(Float64Array::from(vec![0.25]));
    let expect: ArrayRef = Arc::new(Float64Array::from(vec![150.0]));
    assert_eq!(&pricing.functions().unwrap().call(0, &[prices, discounts], 1).unwrap(), &expect);
    load(&sandbox, "latest").merge().unwrap();
}

#[test]
fn what_does_not_compile_is_refused_as_in_this_process() {
    let mut wasm = component("pricing");
    let code = wasm.len() / 2;
    wasm[code..code + 64].fill(0xff);
    for wasm in [wasm, text_component("crowds")] {
        let error = load_error(&compiler(), &wasm);
        assert_eq!(error.kind(), ErrorKind::Plugin);
        assert!(error.to_string().contains("is not a WebAssembly component that can run here: "), "{error}");
    }
}

#[test]
fn a_compiler_that_takes_too_long_is_killed() {
    let sandbox = process("/bin/sleep", &["600"], Duration::from_millis(200));
    let error = load_error(&sandbox, &component("pricing"));
    assert_eq!(error.to_string(), "compiling plugin `pricing` 1.2.3 exceeded its time limit of 200 ms");
    assert_eq!(error.kind(), ErrorKind::Plugin);
}

#[test]
fn a_compiler_that_makes_no_sense_is_the_hosts_fault() {
    for (program, args) in [("/bin/true", &[][..]), ("/bin/echo", &["hello"]), ("/nowhere/to/be/found", &[])] {
        let error = load_error(&process(program, args, Duration::from_secs(60)), &text_component("returns"));
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        assert!(error.to_string().starts_with("plugin `pricing` 1.2.3 could not be compiled: "), "{error}");
    }
}

#[test]
fn an_artefact_of_other_bytes_is_refused() {
    let sandbox = process("/usr/bin/printf", &[r"\0not compiled code"], Duration::from_secs(60));
    let error = load_error(&sandbox, &component("pricing"));
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
}
