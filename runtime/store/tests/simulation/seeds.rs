//! Runs worlds: one for each seed, all the same whenever they run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::disk::Lies;
use crate::world::{Report, Setup, World};

const SEEDS: u64 = 1_000;
const STEPS: usize = 60;

/// What a thousand worlds have to come across; a simulation that does not is worth less than it looks.
const ENCOUNTERS: [&str; 19] = [
    "acknowledged batches",
    "checks",
    "damages that prevent a start",
    "damages that refuse rows",
    "ended processes",
    "failed jobs",
    "failed starts",
    "finished jobs",
    "full disks",
    "groups to be merged",
    "known batches",
    "large batches",
    "power failures",
    "refused batches",
    "reused keys",
    "stale batches",
    "times full",
    "unknown batches",
    "uses of cold storage",
];

fn run(seed: u64, setup: Setup) -> Result<Report, String> {
    let life = || {
        let mut world = World::new(seed, setup);
        world.live(STEPS)?;
        if world.rng.chance(50) {
            world.rot()?;
        }
        world.close();
        world.report.digest = world.disk.digest();
        world.report.count("operations of the disk", world.disk.operations());
        world.report.count("uses of cold storage", world.cloud.uses());
        Ok(world.report)
    };
    catch_unwind(AssertUnwindSafe(life)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} has to be a number")))
}

/// The reports of all seeds, or every seed that failed.
fn run_all(seeds: u64) -> Result<Report, Vec<(u64, String)>> {
    let next = AtomicU64::new(0);
    let (total, failures) = (Mutex::new(Report::default()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            match run(seed, Setup::default()) {
                Ok(report) => {
                    let mut total = total.lock().unwrap();
                    report.counts.iter().for_each(|(what, times)| total.count(what, *times));
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

/// `DOMICILE_SIM_SEEDS` says how many, `DOMICILE_SIM_SEED` one to run alone; `DOMICILE_SIM_TRACE` shows what the disk
/// is asked for.
#[test]
fn every_seed_keeps_what_was_acknowledged() {
    if let Some(seed) = number("DOMICILE_SIM_SEED") {
        let report = run(seed, Setup::default()).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
        println!("seed {seed}: {report:#?}");
        return;
    }
    let seeds = number("DOMICILE_SIM_SEEDS").unwrap_or(SEEDS);
    match run_all(seeds) {
        Ok(report) => {
            println!("{seeds} seeds: {:#?}", report.counts);
            let seen = |what: &str| report.counts.get(what).is_some_and(|times| *times > 0);
            let missed: Vec<_> = ENCOUNTERS.iter().filter(|what| !seen(what)).collect();
            assert!(seeds < SEEDS || missed.is_empty(), "never seen: {missed:?}");
        }
        Err(failures) => {
            for (seed, text) in &failures {
                eprintln!(
                    "{text}\n  DOMICILE_SIM_SEED={seed} cargo test -p domicile-store --test simulation every_seed"
                );
            }
            panic!("{} of {seeds} seeds failed", failures.len());
        }
    }
}

#[test]
fn one_seed_is_one_course_of_events() {
    for seed in [1, 2, 3] {
        let digest = || run(seed, Setup::default()).map(|report| report.digest);
        assert_eq!(digest(), digest(), "seed {seed}");
    }
}

/// A bug on purpose: the simulation is worth something if it finds it.
#[track_caller]
fn check_caught(bug: &str, setup: Setup) {
    let caught = (0..SEEDS).find_map(|seed| Some((seed, run(seed, setup).err()?)));
    let (seed, text) = caught.unwrap_or_else(|| panic!("{bug}: {SEEDS} seeds do not notice"));
    println!("{bug}: caught by seed {seed}: {text}");
}

#[test]
fn a_disk_that_only_pretends_to_sync_is_caught() {
    check_caught("skip fsync", Setup::lying(Lies { sync: true, sync_dir: false }));
}

#[test]
fn a_disk_that_only_pretends_to_sync_directories_is_caught() {
    check_caught("skip directory fsync", Setup::lying(Lies { sync: false, sync_dir: true }));
}

#[cfg(feature = "planted-bugs")]
mod planted {
    use domicile_store::Planted;

    use super::{Setup, check_caught};

    #[test]
    fn acknowledging_before_the_sync_is_caught() {
        let planted = Some(Planted::AcknowledgeBeforeSync);
        check_caught("acknowledge before sync", Setup { planted, ..Setup::default() });
    }

    #[test]
    fn replaying_from_the_wrong_place_is_caught() {
        let planted = Some(Planted::ReplayBoundary);
        check_caught("replay boundary", Setup { planted, ..Setup::default() });
    }
}
