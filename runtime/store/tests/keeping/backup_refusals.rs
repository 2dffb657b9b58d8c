//! Backups that are not made, and backups that are not restored.

use std::path::PathBuf;
use std::sync::Arc;

use domicile_store::{
    BackupProblem, BackupRequest, DatasetSpec, Format, Operation, Selection, Source, Store, StoreError, StoreParts,
    list_backups, restore, verify_backup,
};
use domicile_types::{ColumnType, Dataset, KeyValue, Lifecycle, Residency};

use crate::backup::{back_up, check, elsewhere, outcome, request, restore_all, shared, world};
use crate::disk::{Lies, SimDisk};
use crate::objects::MemoryObjects;
use crate::world::{Events, World, name, region};

/// Restores everything elsewhere, and expects that it is refused and leaves an empty store.
#[track_caller]
fn check_refused(world: &World, backups: &MemoryObjects, change: impl FnOnce(&mut StoreParts), expect: &str) {
    let parts = elsewhere(world);
    let mut changed = parts.clone();
    change(&mut changed);
    let error = restore_all(&changed, backups).unwrap_err();
    assert!(error.to_string().contains(expect), "{error}");
    check(&Store::open(parts).unwrap(), &Events::new(), &[]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    check_refused(&world, &backups, |_| {}, "there is no such backup");
    back_up(&mut world, &backups, Selection::All);
    let stranger = |parts: &mut StoreParts| parts.region = "us-east".parse().unwrap();
    check_refused(&world, &backups, stranger, "backup of us-east: there is no such backup");
    let parts = StoreParts { region: "us-east".parse().unwrap(), ..elsewhere(&world) };
    let name = list_backups(&backups).unwrap()[0].name.clone();
    let error = restore(parts, &shared(&backups), Some(&name), &Selection::All, &|_| {}).unwrap_err();
    assert!(error.to_string().contains("it is of region `eu-central`"), "{error}");
    check_refused(&world, &backups, |parts| drop(parts.specs.pop()), "`notes`, which is not configured");
    let wider = |parts: &mut StoreParts| parts.specs[1].dataset.columns[0].kind = ColumnType::Integer;
    check_refused(&world, &backups, wider, "dataset `notes` is described otherwise now");
    let resident = |parts: &mut StoreParts| {
        let homes = [(KeyValue::Integer(1), region())].into();
        let (column, entity) = ("note".to_owned(), "note".to_owned());
        parts.specs[1].residency = Residency::Column { column, entity, homes };
    };
    check_refused(&world, &backups, resident, "was stored under another residency rule");
    world.store = None;
    world.disk.kill();
    let error = restore_all(&world.parts, &backups).unwrap_err();
    assert!(matches!(error, StoreError::Backup { problem: BackupProblem::NotEmpty, .. }), "{error}");
}

#[test]
fn a_damaged_backup_is_refused() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    back_up(&mut world, &backups, Selection::All);
    for object in backups.names() {
        let length = backups.bytes();
        let at = |bytes: &[u8]| bytes.len() / 2;
        backups.change(&object, |bytes| {
            let at = at(bytes);
            bytes[at] ^= 1;
        });
        assert_eq!(backups.bytes(), length);
        let is_segment = object.starts_with("segments/");
        let expect = if is_segment { format!("its segment {object} cannot be used") } else { "the list".to_owned() };
        let error = verify_backup(&shared(&backups), None, &region()).unwrap_err();
        assert!(error.is_damaged_backup() && error.to_string().contains(&expect), "{error}");
        let error = restore_all(&elsewhere(&world), &backups).unwrap_err();
        assert!(error.is_damaged_backup() && error.to_string().contains("take another backup"), "{error}");
        check_refused(&world, &backups, |_| {}, &expect);
        backups.change(&object, |bytes| {
            let at = at(bytes);
            bytes[at] ^= 1;
        });
    }
    verify_backup(&shared(&backups), None, &region()).unwrap();
    let object = backups.names().into_iter().find(|name| name.starts_with("segments/")).unwrap();
    let mut whole = 0;
    backups.change(&object, |bytes| {
        whole = bytes.len();
        bytes.truncate(whole / 2);
    });
    let expect = format!("its segment {object} cannot be used: it has {} bytes instead of {whole}", whole / 2);
    check_refused(&world, &backups, |_| {}, &expect);
    let error = verify_backup(&shared(&backups), None, &region()).unwrap_err();
    assert!(error.is_damaged_backup() && error.to_string().contains(&expect), "{error}");
}

#[test]
fn only_one_backup_is_made_at_a_time_and_failures_are_told() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    let first = request(&mut world, &backups, Selection::All);
    let request_again = |world: &mut World, selection| {
        let request = BackupRequest { objects: shared(&backups), selection, on_done: Box::new(|_| {}) };
        world.store().request_backup(request, 0).unwrap_err()
    };
    let error = request_again(&mut world, Selection::All);
    assert!(matches!(error, StoreError::Backup { problem: BackupProblem::Busy, .. }), "{error}");
    backups.fail_after(Some(1));
    world.settle();
    let error = outcome(&first).unwrap_err();
    assert!(error.to_string().contains("object segments/"), "{error}");
    backups.fail_after(None);
    let error = request_again(&mut world, Selection::Partition(name("events"), "day=1999-01-01".to_owned()));
    assert!(error.to_string().contains("there is no partition `day=1999-01-01` of dataset `events`"), "{error}");
    back_up(&mut world, &backups, Selection::All);
}

#[test]
fn rows_whose_home_moved_are_not_restored() {
    let specs = |home: &str| {
        let key = vec!["id".to_owned()];
        let columns = ["id", "nation"].map(|name| domicile_types::Column {
            name: name.to_owned(),
            kind: ColumnType::BigInt,
            nullable: false,
        });
        let dataset = Dataset::new(name("customers"), columns.to_vec(), key).unwrap();
        let homes = [(KeyValue::Integer(6), region()), (KeyValue::Integer(7), home.parse().unwrap())].into();
        let residency = Residency::Column { column: "nation".to_owned(), entity: "id".to_owned(), homes };
        vec![DatasetSpec { dataset, residency }]
    };
    let mut world = World::new(6, Lifecycle::default());
    world.parts.specs = specs("eu-central");
    world.parts.dir = PathBuf::from("/third");
    world.reopen().unwrap();
    let prepared = world.prepare("customers", Operation::Upsert, "id,nation\n1,6\n2,7\n").unwrap();
    world.commit(prepared).unwrap();
    let backups = MemoryObjects::default();
    back_up(&mut world, &backups, Selection::All);
    let mut parts = elsewhere(&world);
    parts.specs = specs("us-east");
    let error = restore_all(&parts, &backups).unwrap_err();
    assert!(matches!(&error, StoreError::RowsOutsideHome { value, .. } if value == "7"), "{error}");
    parts.specs = specs("eu-central");
    assert_eq!(restore_all(&parts, &backups).unwrap().rows, 2);
}

/// Rows of `things` lie in the partition of their kind, and move when they get another.
fn movable() -> (StoreParts, Store) {
    let column = |name: &str, kind| domicile_types::Column { name: name.to_owned(), kind, nullable: false };
    let columns = vec![column("id", ColumnType::BigInt), column("kind", ColumnType::Text)];
    let by = domicile_types::ValuePartition { column: "kind".to_owned(), buckets: None };
    let by = domicile_types::Partitioning { time: None, by: vec![by] };
    let things = Dataset::new(name("things"), columns, vec!["id".to_owned()]).unwrap();
    let dataset = things.divided(by, Lifecycle::default()).unwrap();
    let specs = vec![DatasetSpec { dataset, residency: Residency::Reference }];
    let disk = SimDisk::new(5, Lies::default());
    let parts = StoreParts { disk: Arc::new(disk), ..StoreParts::local(PathBuf::from("/store"), region(), specs) };
    let store = Store::open(parts.clone()).unwrap();
    (parts, store)
}

#[test]
fn a_partition_that_could_not_be_restored_is_not_backed_up() {
    let (parts, mut store) = movable();
    let rows = Source::Stream(Box::new("id,kind\n1,a\n2,b\n".as_bytes()));
    let batch = domicile_store::Batch {
        dataset: name("things"),
        operation: Operation::Upsert,
        format: Format::Csv,
        idempotency_key: None,
    };
    let prepared = store.preparer().prepare(batch, rows, 0).unwrap();
    store.commit(vec![prepared], 0).remove(0).unwrap();
    let backups = MemoryObjects::default();
    let mut ask = |selection: &Selection| {
        let (selection, on_done) = (selection.clone(), Box::new(|done: Result<_, _>| drop(done.unwrap())));
        store.request_backup(BackupRequest { objects: shared(&backups), selection, on_done }, 0)?;
        while let Some(job) = store.next_job(0) {
            store.finish(job.run(&|_| {}))?;
        }
        Ok::<_, StoreError>(())
    };
    let refused = ask(&Selection::Partition(name("things"), "kind=\"a\"".to_owned())).unwrap_err();
    assert!(matches!(refused, StoreError::Backup { problem: BackupProblem::RowsMove { .. }, .. }), "{refused}");
    assert!(backups.names().is_empty());
    // All of it can be made, and restored.
    let whole = Selection::Dataset(name("things"));
    ask(&whole).unwrap();
    drop(store);
    assert_eq!(restore(parts, &shared(&backups), None, &whole, &|_| {}).unwrap().rows, 2);
}
