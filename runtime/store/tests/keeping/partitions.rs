//! How many partitions a dataset may have, and which there are.

use domicile_store::{BackupRequest, Operation, Prepared, Selection, StoreError, restore};
use domicile_types::Lifecycle;

use crate::backup::{back_up, shared};
use crate::objects::MemoryObjects;
use crate::world::{TODAY, World, csv, name};

/// A store of which no dataset may have more than three partitions, with one month of events.
fn world() -> World {
    let mut world = World::new(5, Lifecycle::default());
    world.parts.sizes.partitions_max = 3;
    world.reopen().unwrap();
    world.upsert((0..5).map(|id| (TODAY, id, 0)));
    world
}

/// Events of the months that begin so many months before now.
fn events(world: &World, months: std::ops::Range<i32>, each: i64) -> Prepared {
    let rows: Vec<_> = months.flat_map(|month| (0..each).map(move |id| (TODAY - month * 31, id, 7))).collect();
    world.prepare("events", Operation::Upsert, &csv(&rows)).unwrap()
}

#[track_caller]
fn expect_refusal(answer: Result<domicile_store::Ack, StoreError>, would_be: usize) {
    match answer.unwrap_err() {
        StoreError::TooManyPartitions { actual, max: 3, .. } => assert_eq!(actual, would_be),
        other => panic!("{other}"),
    }
}

#[test]
fn what_would_be_too_many_is_refused_as_a_whole() {
    let mut world = world();
    let batch = events(&world, 0..4, 5);
    expect_refusal(world.commit(batch), 4);
    world.check();
    world.upsert((0..5).flat_map(|id| [(TODAY - 31, id, 1), (TODAY - 62, id, 2)]));
    let batch = events(&world, 3..4, 5);
    expect_refusal(world.commit(batch), 4);
    world.upsert((0..5).map(|id| (TODAY - 31, id, 3)));
    world.check();
    world.reopen().unwrap();
    world.check();
    let batch = events(&world, 3..4, 5);
    expect_refusal(world.commit(batch), 4);
}

#[test]
fn a_large_batch_that_is_refused_leaves_no_file() {
    let mut world = world();
    let batch = events(&world, 0..4, 200);
    expect_refusal(world.commit(batch), 4);
    world.settle();
    world.check();
    world.check_files();
}

#[test]
fn batches_of_one_commit_count_together() {
    let mut world = world();
    let batches = vec![events(&world, 1..2, 1), events(&world, 2..4, 1), events(&world, 2..3, 1)];
    let now_ms = world.now_ms;
    let mut answers = world.store().commit(batches, now_ms).into_iter();
    answers.next().unwrap().unwrap();
    expect_refusal(answers.next().unwrap(), 4);
    answers.next().unwrap().unwrap();
    world.events.extend([((TODAY - 31, 0), 7), ((TODAY - 62, 0), 7)]);
    world.check();
}

#[test]
fn partitions_can_be_looked_at() {
    let mut world = World::new(5, Lifecycle { keep_days: None, tier_after_days: Some(40) });
    world.upsert((0..20).map(|id| (TODAY - 93, id, 5)));
    world.flush();
    world.settle();
    world.upsert((0..5).map(|id| (TODAY, id, 0)));
    world.upsert((0..5).map(|id| (TODAY, id, 1)));
    let reader = world.store().reader();
    let partitions = reader.partitions(&name("events")).unwrap();
    let seen: Vec<_> = partitions.iter().map(|one| (one.name.as_str(), one.row_versions, one.cold)).collect();
    assert_eq!(seen, [("day=2024-03-01", 20, true), ("day=2024-07-01", 10, false)]);
    assert_eq!(partitions.iter().map(|one| one.bytes).sum::<u64>(), world.snapshot().bytes(&name("events")));
    world.note([1]);
    assert_eq!(reader.partitions(&name("notes")).unwrap()[0].name, "all");
    let error = reader.partitions(&name("event")).unwrap_err();
    assert!(error.to_string().contains("did you mean `events`?"), "{error}");
}

#[test]
fn a_partition_that_is_not_there_is_refused_with_some_that_are() {
    let (mut world, backups) = (World::new(5, Lifecycle::default()), MemoryObjects::default());
    let refusal = |world: &mut World, partition: &str| {
        let selection = Selection::Partition(name("events"), partition.to_owned());
        let request = BackupRequest { objects: shared(&backups), selection, on_done: Box::new(|_| {}) };
        let error = world.store().request_backup(request, 0).unwrap_err().to_string();
        error.split_once(": ").map(|(_, said)| said.to_owned()).unwrap()
    };
    assert_eq!(refusal(&mut world, "all"), "there is no partition `all` of dataset `events`; it has no rows");
    world.upsert((0..5).map(|month| (TODAY - month * 31, 1, 0)));
    assert_eq!(
        refusal(&mut world, "day=2024-07-17"),
        "there is no partition `day=2024-07-17` of dataset `events`; did you mean `day=2024-07-01`? \
         It has `day=2024-02-01`, `day=2024-03-01`, `day=2024-04-01` and 2 more"
    );
    assert!(backups.names().is_empty());
    let july = Selection::Partition(name("events"), "day=2024-07-01".to_owned());
    back_up(&mut world, &backups, july);
    world.store = None;
    world.disk.kill();
    let may = Selection::Partition(name("events"), "day=2024-05-01".to_owned());
    let error = restore(world.parts.clone(), &shared(&backups), None, &may, &|_| {}).unwrap_err();
    assert!(error.to_string().ends_with(
        "it does not have partition `day=2024-05-01` of dataset `events`, it has partition `day=2024-07-01` of dataset `events`"
    ), "{error}");
}
