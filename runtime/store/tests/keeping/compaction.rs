//! Compaction changes nothing but how many segments there are.

use domicile_store::{Operation, Sizes, StoreError};
use domicile_types::Lifecycle;
use proptest::prelude::*;

use crate::world::{TODAY, World, csv, events, name, tiny};

fn world() -> World {
    World::new(1, Lifecycle::default())
}

/// Four overlapping segments of events and of notes.
fn overlapping() -> World {
    let mut world = world();
    for round in 0..4 {
        world.upsert((0..60).map(|id| (TODAY, id * (round + 1), round)));
        world.note(round * 10..round * 10 + 5);
        world.store().freeze_recent();
        while world.snapshot().partitions(&name("events")).unwrap()[0].segments.len() <= round as usize {
            let done = world.step().unwrap();
            done.unwrap();
        }
    }
    world
}

#[test]
fn overlapping_runs_become_one_that_is_read_plainly() {
    let mut world = overlapping();
    assert!(world.settle() > 0);
    let snapshot = world.snapshot();
    let partition = &snapshot.partitions(&name("events")).unwrap()[0];
    assert!(partition.groups().iter().all(|group| !group.merge));
    assert_eq!(partition.rows(), world.events.len() as u64, "nothing is there twice");
    let run = partition.segments[0].run;
    assert!(partition.segments.len() > 1 && partition.segments.iter().all(|segment| segment.run == run));
    assert!(partition.segments.iter().all(|segment| segment.rows <= 100));
    assert_eq!(snapshot.segments_len(&name("notes")), 1);
    drop(snapshot);
    world.check();
    world.check_files();
    assert_eq!(world.settle(), 0, "one run is not written again");
    world.reopen().unwrap();
    world.check();
    world.now_ms += 365 * 24 * 60 * 60 * 1000;
    assert_eq!(world.settle(), 0, "one run is not written again");
}

#[test]
fn rows_whose_keys_rise_are_written_once() {
    let mut world = world();
    for round in 0..8 {
        world.upsert((0..30).map(|id| (TODAY + round, id, 1)));
        world.flush();
    }
    assert_eq!(world.settle(), 0);
    let snapshot = world.snapshot();
    let partition = &snapshot.partitions(&name("events")).unwrap()[0];
    assert_eq!(partition.segments.len(), 8);
    assert!(partition.groups().iter().all(|group| !group.merge), "they are read plainly");
    world.check();
}

#[test]
fn a_snapshot_that_is_held_stays_readable() {
    let mut world = overlapping();
    let held = world.snapshot();
    let before = events(&held);
    world.settle();
    world.upsert([(TODAY, 1, 99)]);
    assert_eq!(events(&held), before);
    drop(held);
    world.check();
    world.check_files();
}

#[test]
fn reads_and_writes_go_on_while_runs_are_merged() {
    let mut world = overlapping();
    let job = loop {
        let job = world.job().unwrap();
        if format!("{job:?}").contains("Compact") {
            break job;
        }
        let done = job.run(&|_| {});
        world.store().finish(done).unwrap();
    };
    world.upsert((0..30).map(|id| (TODAY, id, 77)));
    world.delete((30..40).map(|id| (TODAY, id)));
    world.flush();
    world.check();
    let done = job.run(&|_| {});
    world.store().finish(done).unwrap();
    world.check();
    world.settle();
    world.check();
    world.check_files();
}

#[test]
fn the_pace_is_told_of_what_is_read_and_written() {
    let mut world = overlapping();
    let mut moved = Vec::new();
    loop {
        let before = world.snapshot();
        let Some(done) = world.step() else { break };
        let bytes = |snapshot: &domicile_store::Snapshot| {
            ["events", "notes"]
                .map(|dataset| snapshot.partitions(&name(dataset)).unwrap())
                .into_iter()
                .flatten()
                .flat_map(|partition| partition.segments.clone())
                .map(|segment| (segment.id, segment.bytes))
                .collect::<std::collections::BTreeMap<_, _>>()
        };
        let (before, after) = (bytes(&before), bytes(&world.snapshot()));
        let gone: u64 = before.iter().filter(|(id, _)| !after.contains_key(id)).map(|(_, bytes)| bytes).sum();
        let new: u64 = after.iter().filter(|(id, _)| !before.contains_key(id)).map(|(_, bytes)| bytes).sum();
        moved.push((done.unwrap(), gone + new));
    }
    assert!(!moved.is_empty());
    for (told, actual) in moved {
        assert!(told * 10 >= actual * 8 && told * 8 <= actual * 10, "told of {told} of {actual} bytes");
    }
}

/// Each run is a little larger than all before it.
#[test]
fn runs_of_about_one_size_are_merged_while_rows_keep_coming() {
    let mut world = world();
    world.parts.sizes = Sizes { small_run_bytes: 1, batch_bytes_max: 1 << 20, ..tiny() };
    world.reopen().unwrap();
    let mut most = 0;
    for round in 0..64 {
        world.upsert((0..20 + 5 * round).map(|id| (TODAY, id * 64 + round, id * id * 7919)));
        world.store().freeze_recent();
        world.now_ms += 1_000;
        world.settle();
        let runs: std::collections::BTreeSet<u64> = world.snapshot().partitions(&name("events")).unwrap()[0]
            .segments
            .iter()
            .map(|segment| segment.run)
            .collect();
        most = most.max(runs.len());
    }
    // Up to three of one size, and of each size that three or more of those make.
    assert!(most < 16, "{most} runs at once");
    world.check();
    world.check_files();
}

#[test]
fn a_few_runs_are_merged_once_nothing_new_comes() {
    let mut world = world();
    world.upsert((0..60).map(|id| (TODAY, id, 1)));
    world.flush();
    world.upsert((30..90).map(|id| (TODAY, id, 2)));
    world.flush();
    assert_eq!(world.settle(), 0);
    world.now_ms += 60 * 60 * 1000;
    assert_eq!(world.settle(), 1);
    assert_eq!(world.snapshot().segments_len(&name("events")), 1);
    world.check();
}

#[test]
fn tombstones_go_where_nothing_older_is_left() {
    let mut world = world();
    world.upsert((0..60).map(|id| (TODAY, id, 1)));
    world.flush();
    world.delete((0..30).map(|id| (TODAY, id)));
    world.flush();
    world.settle();
    let snapshot = world.snapshot();
    assert_eq!(snapshot.rows(&name("events")), 30);
    world.check();
    world.delete((30..60).map(|id| (TODAY, id)));
    world.flush();
    world.settle();
    assert_eq!(world.snapshot().rows(&name("events")), 0);
    assert!(world.snapshot().partitions(&name("events")).unwrap().is_empty());
    drop(snapshot);
    world.check_files();
    world.reopen().unwrap();
    world.check();
}

/// A delete as large as this becomes segments at once.
fn large_delete(world: &World) -> domicile_store::Prepared {
    let keys = (0..400).fold("day,id\n".to_owned(), |text, id| format!("{text}2024-07-01,{id}\n"));
    world.prepare("events", Operation::Delete, &keys).unwrap()
}

#[test]
fn a_tombstone_waits_for_older_rows_that_are_still_in_the_log() {
    let mut world = world();
    world.upsert((0..10).map(|id| (TODAY, id, 1)));
    let deletion = large_delete(&world);
    world.commit(deletion).unwrap();
    world.events.clear();
    assert!(world.snapshot().segments_len(&name("events")) > 0 && world.snapshot().rows(&name("events")) > 400);
    world.settle();
    world.check();
    world.flush();
    world.settle();
    world.check();
    assert_eq!(world.snapshot().rows(&name("events")), 0);
}

#[test]
fn a_tombstone_waits_for_an_older_batch_that_is_not_committed() {
    let mut world = world();
    world.upsert((0..10).map(|id| (TODAY, id, 1)));
    let rows: Vec<_> = (0..400).map(|id| (TODAY, id, 2)).collect();
    let late = world.prepare("events", Operation::Upsert, &csv(&rows)).unwrap();
    world.now_ms += 1;
    world.delete((0..400).map(|id| (TODAY, id)));
    world.flush();
    world.settle();
    world.commit(late).unwrap();
    world.check();
    world.settle();
    world.check();
    assert_eq!(world.snapshot().rows(&name("events")), 0, "now they can go");
}

#[test]
fn a_damaged_segment_rests_and_the_others_do_not() {
    let mut world = overlapping();
    let segment = world.snapshot().partitions(&name("events")).unwrap()[0].segments[1].location();
    let bytes = world.disk.files()[&segment].clone();
    let file = domicile_store::Disk::open(&world.disk, &segment).unwrap();
    file.write_at(8, &[!bytes[8]]).unwrap();
    let mut failures = 0;
    for _ in 0..20 {
        world.now_ms += 10_000;
        match world.step() {
            None => {}
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                assert!(matches!(error, StoreError::Segment { .. }), "{error}");
                failures += 1;
            }
        }
    }
    assert_eq!(failures, 1);
    assert_eq!(world.snapshot().segments_len(&name("notes")), 1, "another partition is merged");
    assert_eq!(world.snapshot().segments_len(&name("events")), 4, "nothing is lost");
    let health = world.store().health();
    assert!(health.damage().iter().any(|error| error.to_string().contains("offset 0")), "{health:?}");
    file.write_at(8, &bytes[8..9]).unwrap();
    world.reopen().unwrap();
    world.check();
}

#[derive(Debug, Clone)]
enum Step {
    Upsert(Vec<(i32, i64, i64)>),
    Delete(Vec<(i32, i64)>),
    Notes(Vec<i64>),
    Flush,
    /// One job.
    Job,
    /// A job whose result comes two steps later.
    SlowJob,
    Quiet,
    Reopen,
}

fn key() -> impl Strategy<Value = (i32, i64)> {
    (prop_oneof![Just(TODAY), Just(TODAY - 31)], 0..40i64)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec((key(), 0..1000i64), 1..120).prop_map(|rows| {
            let rows: std::collections::BTreeMap<_, _> = rows.into_iter().collect();
            Step::Upsert(rows.into_iter().map(|((day, id), value)| (day, id, value)).collect())
        }),
        2 => prop::collection::btree_set(key(), 1..60).prop_map(|keys| Step::Delete(keys.into_iter().collect())),
        1 => prop::collection::vec(0..1000i64, 1..50).prop_map(Step::Notes),
        3 => Just(Step::Flush),
        3 => Just(Step::Job),
        2 => Just(Step::SlowJob),
        1 => Just(Step::Quiet),
        1 => Just(Step::Reopen),
    ]
}

fn run(steps: Vec<Step>) {
    let mut world = world();
    let mut slow = Vec::new();
    for (at, step) in steps.into_iter().enumerate() {
        world.now_ms += 1;
        match step {
            Step::Upsert(rows) => world.upsert(rows),
            Step::Delete(keys) => world.delete(keys),
            Step::Notes(notes) => world.note(notes),
            Step::Flush => world.store().freeze_recent(),
            Step::Job => drop(world.step().transpose().unwrap()),
            Step::SlowJob => slow.extend(world.job().map(|job| (at + 2, job))),
            Step::Quiet => world.now_ms += 3_600_000,
            Step::Reopen => {
                slow.clear();
                world.reopen().unwrap();
            }
        }
        if slow.first().is_some_and(|(due, _)| *due <= at) {
            let done = slow.remove(0).1.run(&|_| {});
            world.store().finish(done).unwrap();
        }
        world.check();
    }
    for (_, job) in slow {
        let done = job.run(&|_| {});
        world.store().finish(done).unwrap();
    }
    world.settle();
    world.check();
    world.check_files();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compaction_is_not_seen(steps in prop::collection::vec(step(), 1..40)) {
        run(steps);
    }
}
