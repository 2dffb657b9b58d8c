//! Entries of replication sets: given to another region, taken in there once and in order, kept as long as needed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::Array;
use bytes::Bytes;
use domicile_store::{
    Batch, Entry, EntryProblem, Format, Operation, Prepared, Selection, Source, Store, StoreError, StoreParts, Verdict,
    restore,
};
use domicile_types::{Column, ColumnType, DatasetName, Lifecycle, Origin, SetName, Vector};

use crate::backup::{back_up, elsewhere, shared};
use crate::disk::{Lies, SimDisk};
use crate::objects::MemoryObjects;
use crate::world::{NOW_MS, TODAY, World, date, name};

const PULL_BYTES_MAX: u64 = 1 << 20;

pub(crate) fn set() -> SetName {
    "shared".parse().unwrap()
}

fn sets() -> BTreeMap<DatasetName, SetName> {
    ["events", "notes"].map(|dataset| (name(dataset), set())).into_iter().collect()
}

pub(crate) fn origin(region: &str, epoch: u32) -> Origin {
    Origin { region: region.parse().unwrap(), epoch }
}

/// A world whose datasets are replicated, with some rows.
pub(crate) fn filled() -> World {
    let mut world = World::new(5, Lifecycle::default());
    world.store = None;
    world.parts.sets = sets();
    world.store = Some(Store::open(world.parts.clone()).unwrap());
    for value in 0..4 {
        world.upsert((0..10).map(|id| (TODAY, id, value)));
    }
    world.note(0..5);
    world.delete((0..3).map(|id| (TODAY, id)));
    world
}

/// Another region, without rows.
fn other(world: &World) -> Store {
    Store::open(other_parts(world)).unwrap()
}

fn other_parts(world: &World) -> StoreParts {
    let disk = SimDisk::new(6, Lies::default());
    let parts = StoreParts { disk: Arc::new(disk), dir: PathBuf::from("/other"), ..world.parts.clone() };
    StoreParts { region: "us-east".parse().unwrap(), ..parts }
}

fn entries(store: &Store, have: &Vector) -> Vec<Entry> {
    let located = store.locate(&set(), have, &[], PULL_BYTES_MAX).unwrap();
    let mut bytes = Vec::new();
    located.read().unwrap().iter().for_each(|entry| entry.encode(&mut bytes).unwrap());
    let mut rest = Bytes::from(bytes);
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, behind) = Entry::decode(&rest).unwrap();
        entries.push(entry);
        rest = behind;
    }
    entries
}

fn prepared(store: &Store, entry: &Entry) -> Result<Prepared, StoreError> {
    let preparer = store.preparer();
    preparer.prepare_entry(preparer.open(entry.clone())?, Verdict::Unmet)
}

fn apply(store: &mut Store, entry: &Entry) -> Result<bool, StoreError> {
    let prepared = prepared(store, entry)?;
    store.commit(vec![prepared], NOW_MS).remove(0).map(|ack| ack.already_loaded)
}

#[test]
fn entries_are_taken_in_once_and_in_order() {
    let world = filled();
    let mut other = other(&world);
    let entries = entries(world.store.as_ref().unwrap(), &Vector::default());
    assert_eq!(entries.len(), 6);
    let ahead = apply(&mut other, &entries[1]).unwrap_err();
    assert_eq!(
        ahead.to_string(),
        "entry eu-central.0:2 came before others that it follows; these have to be applied first"
    );
    for entry in &entries {
        assert!(!apply(&mut other, entry).unwrap());
        assert!(apply(&mut other, entry).unwrap(), "a second time it does nothing");
    }
    assert_eq!(other.set_state(&set()).applied.to_string(), "eu-central.0:6");
    let (here, there) = (world.store.as_ref().unwrap().reader(), other.reader());
    for dataset in ["events", "notes"] {
        let rows = |reader: &domicile_store::StoreReader| {
            let rows = reader.rows(&name(dataset), PULL_BYTES_MAX).unwrap();
            let declared = reader.schema(&name(dataset)).unwrap().fields().len();
            rows.project(&(0..declared).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(rows(&here), rows(&there), "{dataset}");
    }
    assert_eq!(self::entries(&other, &Vector::default()), entries, "word for word");
}

#[test]
fn entries_from_before_a_dataset_got_a_column_lack_its_values() {
    let world = filled();
    let entries = entries(world.store.as_ref().unwrap(), &Vector::default());
    let mut parts = other_parts(&world);
    let events = parts.specs.iter_mut().find(|spec| spec.dataset.name == name("events")).unwrap();
    events.dataset.columns.push(Column { name: "more".to_owned(), kind: ColumnType::Text, nullable: true });
    let mut other = Store::open(parts.clone()).unwrap();
    for entry in &entries {
        assert!(!apply(&mut other, entry).unwrap());
    }
    let rows = |store: &Store| store.reader().rows(&name("events"), PULL_BYTES_MAX).unwrap();
    let before = rows(&other);
    assert_eq!(before.num_rows(), 7);
    assert_eq!(before.column_by_name("more").unwrap().null_count(), 7);
    drop(other);
    let mut other = Store::open(parts).unwrap();
    assert_eq!(rows(&other), before, "after a start");
    assert_eq!(self::entries(&other, &Vector::default()), entries, "word for word");
    // The other way round, nothing is lost without a word.
    let batch =
        Batch { dataset: name("events"), operation: Operation::Upsert, format: Format::Csv, idempotency_key: None };
    let line = format!("day,id,value,more\n{},77,1,new\n", date(TODAY));
    let source = Source::Stream(Box::new(std::io::Cursor::new(line.into_bytes())));
    let prepared = other.preparer().prepare(batch, source, NOW_MS).unwrap();
    other.commit(vec![prepared], NOW_MS).remove(0).unwrap();
    let have = world.store.as_ref().unwrap().set_state(&set()).applied.clone();
    let newer = self::entries(&other, &have).remove(0);
    let refused = world.store.as_ref().unwrap().preparer().open(newer).unwrap_err();
    assert!(matches!(refused, StoreError::Entry { problem: EntryProblem::Columns, .. }), "{refused}");
}

#[test]
fn entries_survive_flushes_and_starts_until_they_are_let_go() {
    let mut world = filled();
    let before = entries(world.store(), &Vector::default());
    world.flush();
    world.note(5..9);
    world.flush();
    world.store = None;
    world.store = Some(Store::open(world.parts.clone()).unwrap());
    let after = entries(world.store(), &Vector::default());
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), before.len() + 1);

    let all = world.store().set_state(&set()).applied.clone();
    let mut some = Vector::default();
    some.advance(&origin("eu-central", 0), 4);
    world.store().release(&set(), &all, &some, u64::MAX);
    let gone = world.store().locate(&set(), &Vector::default(), &[], PULL_BYTES_MAX).unwrap_err();
    let text = "entries of eu-central.0 in replication set `shared` are not kept any more; start from a snapshot";
    assert_eq!(gone.to_string(), text);
    assert_eq!(entries(world.store(), &some).len(), 3);
    let logs = |world: &World| {
        world.disk.paths().iter().filter(|path| path.extension().is_some_and(|end| end == "wal")).count()
    };
    let kept = logs(&world);
    world.store().release(&set(), &all, &all, u64::MAX);
    world.note(9..10);
    world.flush();
    assert!(logs(&world) < kept, "the files go");
}

#[test]
fn a_backup_knows_what_counted() {
    let mut world = filled();
    let place = MemoryObjects::default();
    back_up(&mut world, &place, Selection::All);
    world.note(5..9);
    let parts = elsewhere(&world);
    restore(parts.clone(), &shared(&place), None, &Selection::All, &|_| {}).unwrap();
    let mut restored = Store::open(parts).unwrap();
    assert_eq!(restored.set_state(&set()).applied.to_string(), "eu-central.0:6");
    assert_eq!(restored.origin(), origin("eu-central", 1), "no number is given out twice");
    // What was written after the backup comes back from whoever has it.
    let later = entries(world.store(), &restored.set_state(&set()).applied.clone());
    assert_eq!(later.len(), 1);
    apply(&mut restored, &later[0]).unwrap();

    world.store = None;
    let refused = restore(world.parts.clone(), &shared(&place), None, &Selection::Dataset(name("notes")), &|_| {});
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("dataset `notes` is in replication set `shared`"), "{text}");
}

#[test]
fn what_cannot_be_replicated_is_told() {
    let mut world = World::new(5, Lifecycle::default());
    world.note(0..5);
    world.store = None;
    let refused = Store::open(StoreParts { sets: sets(), ..world.parts.clone() }).unwrap_err().to_string();
    assert!(
        refused.starts_with("dataset `notes` has rows that were stored before it was in replication set"),
        "{refused}"
    );

    let world = filled();
    let other = other(&world);
    let whole = entries(world.store.as_ref().unwrap(), &Vector::default());
    let mut bytes = Vec::new();
    whole[0].encode(&mut bytes).unwrap();
    for cut in [0, 4, 19, 20, 60, bytes.len() - 1] {
        assert!(matches!(Entry::decode(&Bytes::copy_from_slice(&bytes[..cut])), Err(StoreError::NoEntry)), "{cut}");
    }
    for at in (0..bytes.len()).step_by(7) {
        let mut spoiled = bytes.clone();
        spoiled[at] ^= 0x55;
        // Whatever it is taken for, nothing panics.
        if let Ok((entry, _)) = Entry::decode(&Bytes::from(spoiled)) {
            let _ = prepared(&other, &entry);
        }
    }
}
