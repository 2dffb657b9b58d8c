//! Partitions that grow old.

use domicile_store::{Operation, RefusalReason, StoreError};
use domicile_types::Lifecycle;

use crate::world::{DAY_MS, TODAY, World, csv, events, name};

/// Events of the months from `first` months ago to now.
fn world(keep_days: Option<u32>, tier_after_days: Option<u32>) -> World {
    let mut world = World::new(2, Lifecycle { keep_days, tier_after_days });
    for month in 0..4 {
        world.upsert((0..20).map(|id| (TODAY - month * 31, id, i64::from(month))));
    }
    world
}

fn forget(world: &mut World, before: i32) {
    world.events.retain(|(day, _), _| *day >= before);
}

#[test]
fn partitions_past_their_time_go_for_good() {
    let mut world = world(Some(120), None);
    world.settle();
    world.check();
    // The month of TODAY - 93, March, ended on the 31st of March: TODAY - 92.
    world.now_ms += 28 * DAY_MS;
    world.settle();
    world.check();
    world.now_ms += DAY_MS;
    let held = world.snapshot();
    let before = events(&held);
    world.settle();
    forget(&mut world, TODAY - 92);
    assert!(world.events.len() < before.len());
    world.check();
    assert_eq!(events(&held), before);
    drop(held);
    world.check_files();
    world.reopen().unwrap();
    world.check();
    world.check_files();
}

#[test]
fn recent_rows_past_their_time_do_not_come_back_with_the_log() {
    let mut world = world(Some(120), None);
    assert!(world.snapshot().segments_len(&name("events")) == 0, "all rows are recent");
    world.now_ms += 29 * DAY_MS;
    world.settle();
    forget(&mut world, TODAY - 92);
    world.check();
    world.reopen().unwrap();
    world.check();
}

#[test]
fn late_rows_are_refused() {
    let mut world = world(Some(120), None);
    world.now_ms += 29 * DAY_MS;
    let rows = csv(&[(TODAY, 1, 1), (TODAY - 93, 1, 1), (TODAY - 91, 1, 1)]);
    let error = world.prepare("events", Operation::Upsert, &rows).unwrap_err();
    let StoreError::RowsRefused { refused: 1, first } = error else { panic!("{error}") };
    assert_eq!((first[0].row, first[0].value.as_deref()), (2, Some("2024-03-30")));
    assert_eq!(first[0].reason, RefusalReason::Expired { keep_days: 120 });
}

#[test]
fn old_partitions_move_to_cold_storage_and_are_read_there() {
    let mut world = world(None, Some(40));
    world.flush();
    let held = world.snapshot();
    world.settle();
    assert_eq!(world.cold.names().len(), 2, "those of March and April");
    assert!(world.cold.names().iter().all(|name| name.starts_with("events/events-")));
    world.check();
    assert_eq!(events(&held), world.events);
    drop(held);
    world.check_files();
    world.reopen().unwrap();
    world.check();

    // Late rows merge on read with those that are cold, and follow them.
    world.upsert((10..30).map(|id| (TODAY - 93, id, 50)));
    world.delete((0..5).map(|id| (TODAY - 93, id)));
    world.check();
    world.flush();
    world.check();
    world.settle();
    world.check();
    assert_eq!(world.cold.names().len(), 3);
    assert_eq!(world.settle(), 0);
}

#[test]
fn cold_partitions_past_their_time_are_removed_once_nobody_reads_them() {
    let mut world = world(Some(120), Some(40));
    world.flush();
    world.settle();
    let held = world.snapshot();
    let before = events(&held);
    world.now_ms += 29 * DAY_MS;
    world.settle();
    forget(&mut world, TODAY - 92);
    world.check();
    assert_eq!(events(&held), before);
    drop(held);
    world.now_ms += DAY_MS;
    world.settle();
    world.check();
    let segments = world.snapshot().partitions(&name("events")).unwrap();
    let cold = segments.iter().flat_map(|partition| &partition.segments).map(|segment| segment.location());
    let cold: Vec<_> = cold.filter(|path| !path.is_absolute()).map(|path| path.display().to_string()).collect();
    assert_eq!(world.cold.names(), cold);
}

#[test]
fn cold_storage_that_is_away_delays_only_what_needs_it() {
    let mut world = world(None, Some(40));
    world.flush();
    world.cold.fail_after(Some(0));
    let error = world.step().unwrap().unwrap_err();
    assert!(error.to_string().contains("object events/events-"), "{error}");
    world.check();
    world.cold.fail_after(None);
    assert!(world.step().is_none(), "it rests");
    world.now_ms += 10_000;
    world.settle();
    world.check();
    assert_eq!(world.cold.names().len(), 2);
}

#[test]
fn a_store_without_its_cold_storage_does_not_open() {
    let mut world = world(None, Some(40));
    world.flush();
    world.settle();
    world.parts.cold = None;
    let error = world.reopen().unwrap_err();
    assert!(error.to_string().contains("cold_url"), "{error}");
}

/// A world in which March is past its time, and May is to move to cold storage.
fn expiring() -> (World, Vec<String>) {
    let mut world = world(Some(120), Some(40));
    world.flush();
    world.settle();
    let cold = world.cold.names();
    assert_eq!(cold.len(), 2, "March and April");
    world.now_ms += 40 * DAY_MS;
    forget(&mut world, TODAY - 92);
    (world, cold)
}

/// Many attempts, all of which may fail.
fn try_often(world: &mut World) {
    for _ in 0..20 {
        while world.step().is_some() {}
        world.now_ms += 10_000;
    }
}

#[test]
fn what_makes_room_in_cold_storage_does_not_wait_for_what_needs_room() {
    let (mut world, cold) = expiring();
    world.cold.set_full(true);
    try_often(&mut world);
    let left = world.cold.names();
    assert_eq!((left.len(), left.iter().all(|object| world.is_segment(object))), (1, true), "{left:?} of {cold:?}");
    world.check();
    world.cold.set_full(false);
    try_often(&mut world);
    assert_eq!(world.cold.names().len(), 2, "April and May");
    world.check();
    world.check_files();
}

#[test]
fn partitions_move_to_cold_storage_though_nothing_can_be_removed_there() {
    let (mut world, cold) = expiring();
    world.cold.set_kept(true);
    try_often(&mut world);
    let moved = world.cold.names().into_iter().filter(|object| !cold.contains(object));
    assert_eq!(moved.filter(|object| world.is_segment(object)).count(), 1, "May");
    world.check();
    world.cold.set_kept(false);
    try_often(&mut world);
    assert_eq!(world.cold.names().len(), 2, "April and May");
    world.check();
}
