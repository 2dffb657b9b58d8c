//! What rows say of their changes: said when they are committed, over what counts then, and kept wherever they go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Date32Type, Int64Type};
use domicile_store::{
    Entry, EntryProblem, Noting, OP_COLUMN, Operation, Prepared, Selection, Store, StoreError, StoreParts,
    VERSION_COLUMNS, Verdict, restore,
};
use domicile_types::{Lifecycle, MERGE_COLUMN, Mark, SetName, Vector, limits};

use crate::backup::{back_up, elsewhere, shared};
use crate::disk::{Lies, SimDisk};
use crate::objects::MemoryObjects;
use crate::world::{TODAY, World, csv, date, name};

const ROWS_BYTES_MAX: u64 = 1 << 24;

/// Says which entry added how much, after what the replaced row says; values are added up.
#[derive(Debug)]
struct Added;

impl Noting for Added {
    fn notes(
        &self,
        mark: &Mark,
        written: &RecordBatch,
        before: Option<&RecordBatch>,
        at: &[Option<u32>],
    ) -> StringArray {
        let value = |rows: &RecordBatch, row: usize| column(rows, "value").as_primitive::<Int64Type>().value(row);
        let note = |(row, at): (usize, &Option<u32>)| {
            let before = before.zip(*at).map(|(rows, at)| (value(rows, at as usize), said(rows, at as usize)));
            let (old, text) = before.unwrap_or_default();
            let text = text.map_or_else(String::new, |text| format!("{text} "));
            format!("{text}{}.{}+{}", mark.dot.origin.epoch, mark.dot.seq, value(written, row) - old)
        };
        StringArray::from_iter_values(at.iter().enumerate().map(note))
    }

    fn are_noted(&self, _: &Mark, rows: &RecordBatch) -> bool {
        let ops = column(rows, OP_COLUMN).as_primitive::<arrow::datatypes::UInt8Type>();
        (0..rows.num_rows()).all(|row| ops.value(row) == 1 || said(rows, row).is_some())
    }
}

fn column<'r>(rows: &'r RecordBatch, name: &str) -> &'r dyn Array {
    rows.column_by_name(name).unwrap().as_ref()
}

fn said(rows: &RecordBatch, row: usize) -> Option<String> {
    let notes = column(rows, MERGE_COLUMN).as_string::<i32>();
    notes.is_valid(row).then(|| notes.value(row).to_owned())
}

fn set() -> SetName {
    "shared".parse().unwrap()
}

/// A world whose events are replicated and say what they change.
fn noted() -> World {
    let mut world = World::new(7, Lifecycle::default());
    world.store = None;
    world.parts.sets = [(name("events"), set()), (name("notes"), set())].into();
    world.parts.noting = [(name("events"), Arc::new(Added) as Arc<dyn Noting>)].into();
    world.store = Some(Store::open(world.parts.clone()).unwrap());
    world
}

fn prepared(world: &World, rows: &[(i64, i64)]) -> Prepared {
    let rows: Vec<_> = rows.iter().map(|(id, value)| (TODAY, *id, *value)).collect();
    world.prepare("events", Operation::Upsert, &csv(&rows)).unwrap()
}

fn write(world: &mut World, rows: &[(i64, i64)]) {
    let prepared = prepared(world, rows);
    world.commit(prepared).unwrap();
}

/// What the rows of today say, by id.
fn notes_of(store: &Store) -> BTreeMap<i64, Option<String>> {
    let rows = store.reader().rows(&name("events"), ROWS_BYTES_MAX).unwrap();
    let (days, ids) =
        (column(&rows, "day").as_primitive::<Date32Type>(), column(&rows, "id").as_primitive::<Int64Type>());
    let today = (0..rows.num_rows()).filter(|row| days.value(*row) == TODAY);
    today.map(|row| (ids.value(row), said(&rows, row))).collect()
}

#[track_caller]
fn check(store: &Store, expect: &[(i64, &str)]) {
    let expect: BTreeMap<i64, Option<String>> =
        expect.iter().map(|(id, text)| (*id, Some((*text).to_owned()))).collect();
    assert_eq!(notes_of(store), expect);
}

#[test]
fn rows_say_what_they_change_wherever_they_lie() {
    let mut world = noted();
    write(&mut world, &[(1, 10), (2, 20)]);
    // Prepared before it is known what counts, and committed together.
    let batches = vec![prepared(&world, &[(1, 11)]), prepared(&world, &[(1, 13), (3, 30)])];
    let now_ms = world.now_ms;
    world.store().commit(batches, now_ms).into_iter().for_each(|answer| assert!(answer.is_ok()));
    let first = [(1, "0.1+10 0.2+1 0.3+2"), (2, "0.1+20"), (3, "0.3+30")];
    check(world.store(), &first);
    world.reopen().unwrap();
    check(world.store(), &first);
    world.flush();
    check(world.store(), &first);
    write(&mut world, &[(1, 14), (3, 29)]);
    let then = [(1, "0.1+10 0.2+1 0.3+2 0.4+1"), (2, "0.1+20"), (3, "0.3+30 0.4+-1")];
    check(world.store(), &then);
    world.flush();
    for id in 10..18 {
        write(&mut world, &[(id, 0)]);
        world.flush();
    }
    let segments = |world: &World| world.snapshot().segments_len(&name("events"));
    let before = segments(&world);
    world.settle();
    assert!(segments(&world) < before, "compacted");
    let notes = notes_of(world.store());
    then.iter().for_each(|(id, text)| assert_eq!(notes[id].as_deref(), Some(*text), "{id}"));
    world.reopen().unwrap();
    assert_eq!(notes_of(world.store()), notes);
}

#[test]
fn a_row_that_was_deleted_starts_anew() {
    let mut world = noted();
    write(&mut world, &[(1, 10), (2, 20)]);
    world.delete([(TODAY, 1)]);
    check(world.store(), &[(2, "0.1+20")]);
    write(&mut world, &[(1, 4)]);
    check(world.store(), &[(1, "0.3+4"), (2, "0.1+20")]);
    // An entry without rows only says that it is there.
    write(&mut world, &[]);
    write(&mut world, &[(1, 5)]);
    check(world.store(), &[(1, "0.3+4 0.5+1"), (2, "0.1+20")]);
}

#[test]
fn a_backup_has_what_rows_say() {
    let mut world = noted();
    let place = MemoryObjects::default();
    write(&mut world, &[(1, 10), (2, 20)]);
    world.flush();
    write(&mut world, &[(1, 15)]);
    back_up(&mut world, &place, Selection::All);
    let parts = elsewhere(&world);
    restore(parts.clone(), &shared(&place), None, &Selection::All, &|_| {}).unwrap();
    world.store = Some(Store::open(parts).unwrap());
    check(world.store(), &[(1, "0.1+10 0.2+5"), (2, "0.1+20")]);
    write(&mut world, &[(1, 16)]);
    check(world.store(), &[(1, "0.1+10 0.2+5 1.1+1"), (2, "0.1+20")]);
}

/// Another region, without rows.
fn other(world: &World) -> Store {
    let disk = SimDisk::new(8, Lies::default());
    let parts = StoreParts { disk: Arc::new(disk), dir: PathBuf::from("/other"), ..world.parts.clone() };
    Store::open(StoreParts { region: "us-east".parse().unwrap(), ..parts }).unwrap()
}

fn entries(store: &Store) -> Vec<Entry> {
    store.locate(&set(), &Vector::default(), &[], ROWS_BYTES_MAX).unwrap().read().unwrap()
}

#[test]
fn entries_travel_with_what_their_writer_said() {
    let mut world = noted();
    write(&mut world, &[(1, 10)]);
    write(&mut world, &[(1, 11), (2, 7)]);
    world.delete([(TODAY, 2)]);
    let mut other = other(&world);
    for entry in entries(world.store()) {
        let preparer = other.preparer();
        let prepared = preparer.prepare_entry(preparer.open(entry).unwrap(), Verdict::Unmet).unwrap();
        other.commit(vec![prepared], world.now_ms).remove(0).unwrap();
    }
    check(&other, &[(1, "0.1+10 0.2+1")]);
    assert_eq!(entries(&other), entries(world.store()), "word for word");
}

/// Refuses to believe that anybody says anything.
#[derive(Debug)]
struct Silent;

impl Noting for Silent {
    fn notes(&self, _: &Mark, written: &RecordBatch, _: Option<&RecordBatch>, _: &[Option<u32>]) -> StringArray {
        StringArray::new_null(written.num_rows())
    }

    fn are_noted(&self, _: &Mark, _: &RecordBatch) -> bool {
        true
    }
}

#[test]
fn entries_that_do_not_say_what_they_change_are_refused() {
    let mut world = noted();
    world.store = None;
    world.parts.noting = [(name("events"), Arc::new(Silent) as Arc<dyn Noting>)].into();
    world.store = Some(Store::open(world.parts.clone()).unwrap());
    write(&mut world, &[(1, 10)]);
    let entry = entries(world.store()).remove(0);
    world.parts.noting = [(name("events"), Arc::new(Added) as Arc<dyn Noting>)].into();
    let refused = other(&world).preparer().open(entry.clone()).unwrap_err();
    assert!(matches!(refused, StoreError::Entry { problem: EntryProblem::Notes, .. }), "{refused}");
    // Where nobody asks for notes, the columns are other ones.
    world.parts.noting.clear();
    let refused = other(&world).preparer().open(entry).unwrap_err();
    assert!(matches!(refused, StoreError::Entry { problem: EntryProblem::Columns, .. }), "{refused}");
}

#[test]
fn only_datasets_that_say_what_they_change_have_the_column() {
    let mut world = noted();
    let schema = world.store().reader().stored_schema(&name("events")).unwrap();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names[..4], ["day", "id", "value", MERGE_COLUMN]);
    assert_eq!(names.len(), 4 + VERSION_COLUMNS.len() + 1);
    let declared = world.store().reader().schema(&name("events")).unwrap();
    assert!(declared.field_with_name(MERGE_COLUMN).is_err(), "readers do not see it");
    let has = |world: &mut World, dataset: &str| {
        let schema = world.store().reader().stored_schema(&name(dataset)).unwrap();
        schema.field_with_name(MERGE_COLUMN).is_ok()
    };
    assert!(!has(&mut world, "notes"));
    // What is written has no column of this name.
    let text = format!("day,id,value,{MERGE_COLUMN}\n{},1,1,x\n", date(TODAY));
    assert!(world.prepare("events", Operation::Upsert, &text).is_err());

    // Without a replication set nothing comes together.
    let mut alone = World::new(7, Lifecycle::default());
    alone.store = None;
    alone.parts.noting = world.parts.noting.clone();
    alone.store = Some(Store::open(alone.parts.clone()).unwrap());
    assert!(!has(&mut alone, "events"));
}

#[test]
fn rows_are_not_taken_for_others_once_they_have_to_say_more() {
    let mut world = noted();
    let noting = std::mem::take(&mut world.parts.noting);
    world.reopen().unwrap();
    write(&mut world, &[(1, 10)]);
    world.flush();
    world.store = None;
    let refused = Store::open(StoreParts { noting, ..world.parts.clone() }).unwrap_err();
    assert!(matches!(refused, StoreError::Redescribed { .. }), "{refused}");
}

/// Says too much.
#[derive(Debug)]
struct Verbose;

impl Noting for Verbose {
    fn notes(&self, _: &Mark, written: &RecordBatch, _: Option<&RecordBatch>, _: &[Option<u32>]) -> StringArray {
        let ids = column(written, "id").as_primitive::<Int64Type>();
        let length = |id: i64| if id == 0 { limits::NOTED_ENTRY_BYTES_MAX } else { 1 };
        StringArray::from_iter_values(ids.values().iter().map(|id| "x".repeat(length(*id))))
    }

    fn are_noted(&self, _: &Mark, _: &RecordBatch) -> bool {
        true
    }
}

#[test]
fn a_batch_that_has_too_much_to_say_is_refused_alone() {
    let mut world = noted();
    world.store = None;
    world.parts.noting = [(name("events"), Arc::new(Verbose) as Arc<dyn Noting>)].into();
    world.store = Some(Store::open(world.parts.clone()).unwrap());
    let batches = vec![prepared(&world, &[(1, 1)]), prepared(&world, &[(0, 1)]), prepared(&world, &[(2, 1)])];
    let now_ms = world.now_ms;
    let answers = world.store().commit(batches, now_ms);
    assert!(
        matches!(&answers[1], Err(StoreError::TooLarge { max, .. }) if *max == limits::NOTED_ENTRY_BYTES_MAX as u64)
    );
    assert!(answers[0].is_ok() && answers[2].is_ok());
    check(world.store(), &[(1, "x"), (2, "x")]);
    assert_eq!(world.store().set_state(&set()).applied.to_string(), "eu-central.0:2", "no number is left out");
    let refused = prepared(&world, &[(0, 1)]);
    assert!(world.commit(refused).is_err());
    world.reopen().unwrap();
    check(world.store(), &[(1, "x"), (2, "x")]);
}
