//! Runs worlds: one for each seed, all the same whenever they run.

use crate::disk::Lies;
use crate::runner::{self, number};
use crate::world::{Report, Setup, World};

const SEEDS: u64 = 200;
const STEPS: usize = 80;

/// What two hundred worlds have to come across; a simulation that does not is worth less than it looks.
const ENCOUNTERS: [&str; 31] = [
    "acknowledged writes",
    "cards made up of several versions",
    "counts of several versions",
    "cuts",
    "dead regions given up",
    "deletions forgotten",
    "ended processes",
    "entries applied at once, or alone",
    "failed starts",
    "former logs frozen",
    "heartbeats",
    "logs fenced",
    "looks",
    "lost disks",
    "new regions",
    "offers put off",
    "offers that were gone",
    "parked entries",
    "parts of snapshots",
    "pauses",
    "power failures",
    "questions without an answer",
    "regions given up that are cut off",
    "regions given up that are well",
    "rows that are in no set",
    "rows with several versions",
    "shifts of clocks",
    "snapshots installed",
    "wider datasets",
    "writes set aside",
    "writes that failed",
];

fn run(seed: u64, setup: Setup, steps: usize) -> Result<Report, String> {
    let life = || {
        let mut world = World::new(seed, setup);
        world.live(steps)?;
        Ok(world.report)
    };
    runner::lived(life)
}

/// The fewest steps after which a seed fails, and how.
fn shrunk(seed: u64, setup: Setup) -> Option<(usize, String)> {
    (0..=STEPS).find_map(|steps| Some((steps, run(seed, setup, steps).err()?)))
}

/// `DOMICILE_SIM_SEEDS` says how many, `DOMICILE_SIM_SEED` one to run alone, `DOMICILE_SIM_STEPS` how far;
/// `DOMICILE_SIM_TRACE` shows what happens.
#[test]
fn every_seed_ends_with_the_same_rows_everywhere() {
    if let Some(seed) = number("DOMICILE_SIM_SEED") {
        let steps = number("DOMICILE_SIM_STEPS").map_or(STEPS, |steps| steps as usize);
        let report = run(seed, Setup::default(), steps).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
        println!("seed {seed}: {:#?}", report.counts);
        return;
    }
    let seeds = number("DOMICILE_SIM_SEEDS").unwrap_or(SEEDS);
    match runner::run_all(seeds, |seed| run(seed, Setup::default(), STEPS).map(|report| report.counts)) {
        Ok(counts) => {
            println!("{seeds} seeds: {counts:#?}");
            if seeds >= SEEDS {
                runner::check_seen(&counts, &ENCOUNTERS);
            }
        }
        Err(failures) => {
            let shortest = failures.iter().filter_map(|(seed, _)| Some((*seed, shrunk(*seed, Setup::default())?)));
            for (seed, (steps, text)) in shortest.take(3) {
                eprintln!(
                    "{text}\n  DOMICILE_SIM_SEED={seed} DOMICILE_SIM_STEPS={steps} DOMICILE_SIM_TRACE=1 \
                     cargo test -p domicile-sync --test simulation every_seed -- --nocapture"
                );
            }
            panic!("{} of {seeds} seeds failed", failures.len());
        }
    }
}

#[test]
fn one_seed_is_one_course_of_events() {
    for seed in [1, 2, 3] {
        let digest = || run(seed, Setup::default(), STEPS).map(|report| report.digest());
        assert_eq!(digest(), digest(), "seed {seed}");
    }
}

#[track_caller]
fn check_caught(bug: &str, setup: Setup) {
    runner::check_caught(bug, 1_000, |seed| run(seed, setup, STEPS).err());
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
    use domicile_sync::Planted;

    use super::{Setup, check_caught};

    #[track_caller]
    fn check(bug: &str, sync: Planted) {
        check_caught(bug, Setup { sync: Some(sync), ..Setup::default() });
    }

    #[test]
    fn acknowledging_before_the_sync_is_caught() {
        let planted = Some(domicile_store::Planted::AcknowledgeBeforeSync);
        check_caught("acknowledge before sync", Setup { planted, ..Setup::default() });
    }

    #[test]
    fn replaying_from_the_wrong_place_is_caught() {
        let planted = Some(domicile_store::Planted::ReplayBoundary);
        check_caught("replay boundary", Setup { planted, ..Setup::default() });
    }

    #[test]
    fn taking_stability_from_elsewhere_is_caught() {
        check("vectors out of band", Planted::HeardElsewhere);
    }

    #[test]
    fn forgetting_deletions_early_is_caught() {
        check("deletions forgotten before they are stable", Planted::ForgetsEarly);
    }

    #[test]
    fn ties_by_arrival_are_caught() {
        check("unstable ties", Planted::TiesByArrival);
    }

    #[test]
    fn silence_is_caught() {
        check("idle region without heartbeat", Planted::Silent);
    }

    #[test]
    fn taking_repetitions_for_poison_is_caught() {
        check("repetition taken for poison", Planted::RepetitionIsPoison);
    }

    #[test]
    fn counting_twice_is_caught() {
        check("a counter counts twice on conflict", Planted::CountsTwice);
    }

    #[test]
    fn effects_before_causes_are_caught() {
        check("effects before causes", Planted::EffectsBeforeCauses);
    }

    #[test]
    fn coming_back_under_the_same_epoch_is_caught() {
        check("epoch reuse", Planted::EpochReuse);
    }

    #[test]
    fn a_snapshot_from_before_the_join_is_caught() {
        check("snapshot before the join", Planted::SnapshotBeforeJoin);
    }

    #[test]
    fn fencing_without_freezing_is_caught() {
        check("fence without freeze", Planted::FenceAtOnce);
    }
}
