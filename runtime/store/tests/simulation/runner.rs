//! Runs seeds of a simulation, several at once, and tells which failed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How often things happened.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// What a life comes to; a panic is a failure like others.
pub(crate) fn lived<T>(life: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(life)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} has to be a number")))
}

/// What all seeds came across, or every seed that failed.
pub(crate) fn run_all(
    seeds: u64,
    run: impl Fn(u64) -> Result<Counts, String> + Sync,
) -> Result<Counts, Vec<(u64, String)>> {
    let next = AtomicU64::new(0);
    let (total, failures) = (Mutex::new(Counts::new()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            match run(seed) {
                Ok(counts) => {
                    let mut total = total.lock().unwrap();
                    counts.iter().for_each(|(what, times)| *total.entry(what).or_default() += times);
                }
                Err(text) => failures.lock().unwrap().push((seed, text)),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    if failures.is_empty() { Ok(total.into_inner().unwrap()) } else { Err(failures) }
}

/// A bug on purpose: a simulation is worth something if it finds it.
#[track_caller]
pub(crate) fn check_caught(bug: &str, seeds: u64, run: impl Fn(u64) -> Option<String>) {
    let caught = (0..seeds).find_map(|seed| Some((seed, run(seed)?)));
    let (seed, text) = caught.unwrap_or_else(|| panic!("{bug}: {seeds} seeds do not notice"));
    println!("{bug}: caught by seed {seed}: {text}");
}

/// Refuses a run of many seeds that never came across something.
#[track_caller]
pub(crate) fn check_seen(counts: &Counts, encounters: &[&str]) {
    let seen = |what: &str| counts.get(what).is_some_and(|times| *times > 0);
    let missed: Vec<_> = encounters.iter().filter(|what| !seen(what)).collect();
    assert!(missed.is_empty(), "never seen: {missed:?}");
}
