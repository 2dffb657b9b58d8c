//! Every plugin of `guest/hostile`: what it tries, and what its author is told.

mod answers;
mod columns;
mod load;
mod panics;
mod state;
mod usage;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use domicile_sandbox::{ErrorKind, Place, Plugin, Sandbox, SandboxError, SandboxLimits};

use crate::guest::{limited, sources};

/// Makes a test of each function, and fails where a folder of `guest/hostile` has none.
macro_rules! hostile {
    ($($module:ident: $($name:ident),*;)*) => {
        mod plugin {
            $($(#[test] fn $name() { super::$module::$name(); })*)*
        }

        #[test]
        fn every_hostile_plugin_has_a_test() {
            let tested = BTreeSet::from([$($(stringify!($name).to_owned()),*),*]);
            let folders: BTreeSet<_> = names(&sources().join("hostile")).into_iter().collect();
            let untested = folders.symmetric_difference(&tested).filter(|name| !is_met_in_queries(name));
            assert_eq!(untested.collect::<Vec<_>>(), [""; 0]);
        }
    };
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Whether a test of queries over real regions deploys the plugin: what it tries takes more than a sandbox.
fn is_met_in_queries(name: &str) -> bool {
    let tests = sources().join("../tests/e2e/tests");
    let component = format!("\"hostile_{name}\"");
    let files = names(&tests).into_iter().filter(|file| file.ends_with(".rs"));
    files.map(|file| std::fs::read_to_string(tests.join(file)).unwrap()).any(|text| text.contains(&component))
}

hostile! {
    answers: fabricates, lies, misstates;
    columns: clings, garbles, misuses;
    load: crowds, doubles, gambles, hurries, impostor, lingers, mutes, reaches, stalls, stranger, swells, whispers;
    panics: collapses, panics, stumbles, trips;
    state: reenters, remembers, returns;
    usage: chatters, dawdles, fills, gorges, grasps, hoard, labours, nags, piles, recurses, spin, tables;
}

/// Limits of time that a test can wait for. The processor's is the shorter one.
fn hasty() -> Sandbox {
    limited(SandboxLimits {
        call_timeout: Duration::from_secs(60),
        cpu_time_max: Duration::from_millis(300),
        start_timeout: Duration::from_millis(300),
        ..SandboxLimits::default()
    })
}

fn integer() -> ArrayRef {
    Arc::new(Int64Array::from(vec![1]))
}

fn double(value: f64) -> ArrayRef {
    Arc::new(Float64Array::from(vec![value]))
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

/// Calls a scalar function with one row, in a query of its own.
fn call(plugin: &Arc<Plugin>, index: usize, argument: ArrayRef) -> Result<ArrayRef, SandboxError> {
    plugin.functions()?.call(index, &[argument], 1)
}

/// Compares an error. Where the plugin was, which depends on how it was optimized, is left out.
#[track_caller]
fn check(got: Result<impl Sized, SandboxError>, kind: ErrorKind, expect: &str) {
    let error = got.err().unwrap();
    let whole = error.to_string();
    assert_eq!(without_place(error.clone()).to_string(), expect, "{whole}");
    assert_eq!(error.kind(), kind);
    assert_eq!(error.plugin().map(|plugin| plugin.version.as_str()), Some("1.2.3"));
}

fn without_place(mut error: SandboxError) -> SandboxError {
    match &mut error {
        SandboxError::LimitReached { place, .. }
        | SandboxError::Trapped { place, .. }
        | SandboxError::Misused { place, .. } => **place = Place::default(),
        _ => (),
    }
    error
}
