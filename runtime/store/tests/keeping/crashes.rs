//! A crash at every operation of background work: the rows are as before, and the work is done in the end.

use domicile_types::Lifecycle;

use crate::disk::Fault;
use crate::world::{DAY_MS, TODAY, World};

/// Makes a world, lets it work with a fault at each operation of the disk in turn, and checks what is left.
#[track_caller]
fn check(make: impl Fn(u64) -> World, fault: Fault) -> u64 {
    for at in 0..5000 {
        let mut world = make(at);
        world.disk.schedule(at, fault);
        let before = world.disk.failures();
        while let Some(done) = world.step() {
            if done.is_err() {
                break;
            }
        }
        let went_wrong = world.disk.failures() > before || world.disk.is_stopped();
        world.disk.heal();
        if fault == Fault::Crash {
            world.store = None;
            world.disk.crash();
        }
        world.reopen().unwrap();
        world.check();
        world.now_ms += 10_000;
        world.settle();
        world.check();
        world.check_files();
        if !went_wrong {
            return at;
        }
    }
    panic!("the work does not end");
}

fn compacting(seed: u64) -> World {
    let mut world = World::new(seed, Lifecycle::default());
    for round in 0..4 {
        world.upsert((0..40).map(|id| (TODAY, id * (round + 1), round)));
        world.delete((0..5).map(|id| (TODAY, id * 7)));
        world.flush();
    }
    world
}

#[test]
fn compaction() {
    for fault in [Fault::Crash, Fault::Io, Fault::Sync] {
        let operations = check(compacting, fault);
        assert!(operations > 5, "{operations}");
    }
}

/// What is to be done is to move partitions to cold storage, or to drop them: either way with recent rows.
fn aging(lifecycle: Lifecycle) -> impl Fn(u64) -> World {
    move |seed| {
        let mut world = World::new(seed, Lifecycle { ..lifecycle });
        for month in 0..3 {
            world.upsert((0..20).map(|id| (TODAY - month * 31, id, i64::from(month))));
        }
        world.flush();
        world.upsert((10..30).map(|id| (TODAY - 62, id, 7)));
        world
    }
}

#[test]
fn tiering() {
    let make = aging(Lifecycle { keep_days: None, tier_after_days: Some(10) });
    for fault in [Fault::Crash, Fault::Io, Fault::Sync] {
        let operations = check(&make, fault);
        assert!(operations > 5, "{operations}");
    }
}

#[test]
fn expiry() {
    let aged = aging(Lifecycle { keep_days: Some(100), tier_after_days: Some(10) });
    let make = |seed| {
        let mut world = aged(seed);
        world.settle();
        world.upsert((10..30).map(|id| (TODAY - 62, id, 8)));
        world.now_ms += 100 * DAY_MS;
        world.disk.heal();
        world
    };
    for fault in [Fault::Crash, Fault::Io, Fault::Sync] {
        for at in 0..5000 {
            let mut world = make(at);
            world.disk.schedule(at, fault);
            let before = world.disk.failures();
            while let Some(Ok(_)) = world.step() {}
            let went_wrong = world.disk.failures() > before || world.disk.is_stopped();
            world.disk.heal();
            world.store = None;
            world.disk.crash();
            world.reopen().unwrap();
            world.now_ms += 10_000;
            world.settle();
            world.events.retain(|(day, _), _| *day > TODAY - 30);
            world.check();
            world.check_files();
            let cold = world.cold.names();
            assert!(cold.iter().all(|object| world.is_segment(object)), "{cold:?}");
            if !went_wrong {
                assert!(at > 5, "{at}");
                break;
            }
        }
    }
}

#[test]
fn a_disk_that_fails_once_is_no_damage() {
    for at in 0..5000 {
        let mut world = compacting(at);
        world.disk.schedule(at, Fault::Io);
        let before = world.disk.failures();
        while let Some(Ok(_)) = world.step() {}
        let went_wrong = world.disk.failures() > before;
        world.disk.heal();
        if world.store().health().is_writable() {
            let health = world.store().health();
            assert!(health.damage().is_empty(), "operation {at}: {health:?}");
            world.now_ms += 10_000;
            world.settle();
            world.now_ms += 10_000;
            world.settle();
            assert_eq!(world.snapshot().segments_len(&crate::world::name("events")), 1, "operation {at}");
        }
        world.check();
        if !went_wrong {
            return;
        }
    }
}
