//! Backups and what is restored from them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use domicile_store::{
    BackupReport, BackupRequest, Format, Objects, Operation, RestoreReport, Selection, Source, Store, StoreError,
    StoreParts, list_backups, restore, verify_backup,
};
use domicile_types::Lifecycle;

use crate::disk::{Lies, SimDisk};
use crate::objects::MemoryObjects;
use crate::world::{Events, TODAY, World, events, name, notes, region};

pub(crate) type Outcome = Arc<Mutex<Option<Result<BackupReport, StoreError>>>>;

pub(crate) fn world() -> World {
    let mut world = World::new(3, Lifecycle::default());
    for month in 0..3 {
        world.upsert((0..20).map(|id| (TODAY - month * 31, id, i64::from(month))));
    }
    world.note(0..30);
    world.flush();
    world.delete((0..5).map(|id| (TODAY, id)));
    world.upsert((10..30).map(|id| (TODAY - 31, id, 9)));
    world
}

pub(crate) fn request(world: &mut World, to: &MemoryObjects, selection: Selection) -> Outcome {
    let outcome = Outcome::default();
    let told = Arc::clone(&outcome);
    let on_done = Box::new(move |done| *told.lock().unwrap() = Some(done));
    world.now_ms += 1;
    let now_ms = world.now_ms;
    let request = BackupRequest { objects: Arc::new(to.clone()), selection, on_done };
    world.store().request_backup(request, now_ms).unwrap();
    outcome
}

pub(crate) fn outcome(outcome: &Outcome) -> Result<BackupReport, StoreError> {
    outcome.lock().unwrap().take().unwrap()
}

#[track_caller]
pub(crate) fn back_up(world: &mut World, to: &MemoryObjects, selection: Selection) -> BackupReport {
    let done = request(world, to, selection);
    world.settle();
    outcome(&done).unwrap()
}

pub(crate) fn shared(objects: &MemoryObjects) -> Arc<dyn Objects> {
    Arc::new(objects.clone())
}

/// A directory without anything in it, for the same region.
pub(crate) fn elsewhere(world: &World) -> StoreParts {
    let disk = SimDisk::new(4, Lies::default());
    StoreParts { disk: Arc::new(disk), dir: PathBuf::from("/other"), ..world.parts.clone() }
}

pub(crate) fn restore_all(parts: &StoreParts, from: &MemoryObjects) -> Result<RestoreReport, StoreError> {
    restore(parts.clone(), &shared(from), None, &Selection::All, &|_| {})
}

#[track_caller]
pub(crate) fn check(store: &Store, expect: &Events, expect_notes: &[i64]) {
    let snapshot = store.reader().snapshot();
    assert_eq!(&events(&snapshot), expect);
    let mut stored = notes(&snapshot);
    stored.sort_unstable();
    assert_eq!(stored, expect_notes);
}

#[test]
fn everything_comes_back_one_epoch_later() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    let report = back_up(&mut world, &backups, Selection::All);
    let (events, notes) = (world.events.clone(), world.notes.clone());
    world.upsert([(TODAY, 1, 1000)]);
    assert_eq!(verify_backup(&shared(&backups), Some(&report.name), &region()).unwrap().rows, report.rows);

    let parts = elsewhere(&world);
    let restored = restore_all(&parts, &backups).unwrap();
    assert_eq!((restored.epoch, restored.rows, restored.segments), (1, report.rows, report.segments));
    assert!(restored.version > report.version);
    let mut store = Store::open(parts.clone()).unwrap();
    check(&store, &events, &notes);

    // What is written now is newer than all that was restored, and has numbers of its own.
    let rows = Source::Stream(Box::new("day,id,value\n2024-07-01,10,77\n".as_bytes()));
    let batch = domicile_store::Batch {
        dataset: name("events"),
        operation: Operation::Upsert,
        format: Format::Csv,
        idempotency_key: None,
    };
    let prepared = store.preparer().prepare(batch, rows, 0).unwrap();
    assert!(store.commit(vec![prepared], 0).remove(0).unwrap().version > restored.version);
    let mut changed = events;
    changed.insert((TODAY, 10), 77);
    check(&store, &changed, &notes);
    drop(store);
    check(&Store::open(parts).unwrap(), &changed, &notes);
}

#[test]
fn a_backup_has_what_was_committed_before_it_and_nothing_later() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    // A flush is on its way while the backup is asked for, and commits, large ones too, go on while it is made.
    world.store().freeze_recent();
    let flush = world.job().unwrap();
    world.upsert([(TODAY, 50, 1), (TODAY, 51, 1)]);
    let done = request(&mut world, &backups, Selection::All);
    let flushed = flush.run(&|_| {});
    world.store().finish(flushed).unwrap();
    let expect = world.events.clone();
    let flush = world.job().unwrap();
    world.upsert((0..400).map(|id| (TODAY, id, 3)));
    world.upsert([(TODAY, 50, 2)]);
    let flushed = flush.run(&|_| {});
    world.store().finish(flushed).unwrap();
    let copying = world.job().unwrap();
    assert!(format!("{copying:?}").contains("Backup"));
    world.upsert((0..60).map(|id| (TODAY, id, 4)));
    world.store().freeze_recent();
    world.now_ms += 3_600_000;
    world.settle();
    let copied = copying.run(&|_| {});
    world.store().finish(copied).unwrap();
    outcome(&done).unwrap();

    let parts = elsewhere(&world);
    restore_all(&parts, &backups).unwrap();
    check(&Store::open(parts).unwrap(), &expect, &(0..30).collect::<Vec<_>>());
    world.check();
    world.check_files();
}

#[test]
fn a_second_backup_copies_only_what_is_new() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    let first = back_up(&mut world, &backups, Selection::All);
    assert_eq!(first.copied_bytes, first.bytes);
    let again = back_up(&mut world, &backups, Selection::All);
    assert_eq!((again.copied_bytes, again.segments), (0, first.segments));
    world.note([77]);
    let third = back_up(&mut world, &backups, Selection::All);
    assert_eq!(third.segments, first.segments + 1);
    assert!(third.copied_bytes > 0 && third.copied_bytes < first.bytes);

    let listed = list_backups(&backups).unwrap();
    let names: Vec<&str> = listed.iter().map(|backup| backup.name.as_str()).collect();
    assert_eq!(names, [&first.name, &again.name, &third.name]);
    assert_eq!((listed[2].rows, listed[2].bytes, listed[2].version), (third.rows, third.bytes, third.version));
    assert_eq!((listed[2].region.as_str(), &listed[2].selection), ("eu-central", &Selection::All));
    assert!(backups.names().iter().all(|name| !name.contains("2024-0")), "names tell no values");
}

#[test]
fn what_an_earlier_backup_left_behind_stays_too() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    back_up(&mut world, &backups, Selection::All);
    backups.loosen("segments/");
    let report = back_up(&mut world, &backups, Selection::All);
    assert_eq!(report.copied_bytes, 0);
    backups.lose_power();
    let parts = elsewhere(&world);
    assert_eq!(restore_all(&parts, &backups).unwrap().rows, report.rows);
    check(&Store::open(parts).unwrap(), &world.events, &world.notes);
}

#[test]
fn cold_partitions_are_in_it_and_come_back_to_the_disk() {
    let mut world = World::new(5, Lifecycle { keep_days: None, tier_after_days: Some(10) });
    world.upsert((0..20).map(|id| (TODAY - 93, id, 5)));
    world.flush();
    world.settle();
    assert_eq!(world.cold.names().len(), 1);
    let backups = MemoryObjects::default();
    back_up(&mut world, &backups, Selection::All);
    let mut parts = elsewhere(&world);
    parts.cold = None;
    restore_all(&parts, &backups).unwrap();
    check(&Store::open(parts).unwrap(), &world.events, &[]);
}

#[test]
fn one_dataset_is_replaced_and_no_other() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    back_up(&mut world, &backups, Selection::All);
    let expect = world.events.clone();
    world.upsert((0..50).map(|id| (TODAY, id, 6)));
    world.delete((0..50).map(|id| (TODAY - 31, id)));
    world.note(100..110);
    world.store = None;
    world.disk.kill();
    let selection = Selection::Dataset(name("events"));
    let report = restore(world.parts.clone(), &shared(&backups), None, &selection, &|_| {}).unwrap();
    assert_eq!(report.epoch, 0);
    world.events = expect;
    world.reopen().unwrap();
    world.check();
    world.check_files();
    world.upsert([(TODAY, 1, 1)]);
    world.settle();
    world.check();
}

#[test]
fn one_partition_is_replaced_and_no_other() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    let may = Selection::Partition(name("events"), "day=2024-05-01".to_owned());
    let report = back_up(&mut world, &backups, may.clone());
    assert_eq!(report.rows, 40);
    let kept: Events = world.events.iter().filter(|((day, _), _)| *day == TODAY - 31).map(|(a, b)| (*a, *b)).collect();
    world.upsert((0..50).map(|id| (TODAY, id, 6)));
    world.upsert((0..50).map(|id| (TODAY - 31, id, 6)));
    world.store = None;
    world.disk.kill();
    let april = Selection::Partition(name("events"), "day=2024-04-01".to_owned());
    let error = restore(world.parts.clone(), &shared(&backups), None, &april, &|_| {}).unwrap_err();
    assert!(error.to_string().contains("it does not have partition `day=2024-04-01` of dataset `events`"), "{error}");
    restore(world.parts.clone(), &shared(&backups), None, &may, &|_| {}).unwrap();
    world.events.retain(|(day, _), _| *day != TODAY - 31);
    world.events.extend(kept);
    world.reopen().unwrap();
    world.check();
    world.check_files();
}

#[test]
fn batches_that_are_gone_are_not_known_any_more() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    let load = |world: &mut World, key: &str| {
        let batch = domicile_store::Batch {
            dataset: name("notes"),
            operation: Operation::Upsert,
            format: Format::Csv,
            idempotency_key: Some(key.to_owned()),
        };
        let source = Source::Stream(Box::new("note\n500\n".as_bytes()));
        let prepared = world.store().preparer().prepare(batch, source, 0).unwrap();
        world.commit(prepared).unwrap().already_loaded
    };
    assert!(!load(&mut world, "before"));
    back_up(&mut world, &backups, Selection::Dataset(name("notes")));
    assert!(!load(&mut world, "after"));
    world.store = None;
    world.disk.kill();
    restore(world.parts.clone(), &shared(&backups), None, &Selection::All, &|_| {}).unwrap();
    world.reopen().unwrap();
    assert!(load(&mut world, "before"));
    assert!(!load(&mut world, "after"));
    world.notes.extend([500, 500]);
    world.check();
}
