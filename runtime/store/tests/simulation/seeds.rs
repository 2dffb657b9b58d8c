//! Runs worlds: one for each seed, all the same whenever they run.

use crate::disk::Lies;
use crate::runner::{self, number};
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
    runner::lived(life)
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
    match runner::run_all(seeds, |seed| run(seed, Setup::default()).map(|report| report.counts)) {
        Ok(counts) => {
            println!("{seeds} seeds: {counts:#?}");
            if seeds >= SEEDS {
                runner::check_seen(&counts, &ENCOUNTERS);
            }
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

#[track_caller]
fn check_caught(bug: &str, setup: Setup) {
    runner::check_caught(bug, SEEDS, |seed| run(seed, setup).err());
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
