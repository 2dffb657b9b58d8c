//! Keyed datasets against a map: any sequence of loads, deletions, flushes, compactions and starts reads the same.

use std::path::PathBuf;
use std::sync::Arc;

use domicile_store::{Sizes, Store, StoreParts};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use crate::batch::{Request, Text};
use crate::disk::{Lies, SimDisk};
use crate::model::Rows;
use crate::reader;
use crate::tables::{Row, TAG, TALLY, Table, region, tables};
use crate::world::DIR;

/// One dataset whose rows move between partitions, one whose rows do not.
const KEYED: [usize; 2] = [TAG, TALLY];

/// What a test says of a row: key, partition and value.
type Sketch = (u8, u8, u16);

#[derive(Debug, Clone)]
enum Transition {
    Upsert(usize, Vec<Sketch>),
    Delete(usize, Vec<Sketch>),
    Flush,
    Compact,
    Reopen,
}

#[derive(Debug)]
struct Reference;

/// Rows of the datasets, in the order of `KEYED`.
type Model = [Rows; 2];

fn row(table: usize, (key, part, value): Sketch) -> Row {
    let part = usize::from(part % 4);
    let value = Some(value.to_string());
    if table == TAG {
        let label = ["red", "green", "blue"].get(part).map(|label| (*label).to_owned());
        return vec![Some(key.to_string()), label, value];
    }
    let flag = ["true", "false"].get(part).map(|flag| (*flag).to_owned());
    vec![Some(["a", "b", "ç"][usize::from(key % 3)].to_owned()), Some((key / 3).to_string()), flag, value]
}

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Transition> {
        let sketches = || prop::collection::vec((0_u8..20, 0_u8..4, any::<u16>()), 1..12);
        prop_oneof![
            6 => (0..KEYED.len(), sketches()).prop_map(|(at, rows)| Transition::Upsert(at, rows)),
            3 => (0..KEYED.len(), sketches()).prop_map(|(at, rows)| Transition::Delete(at, rows)),
            2 => Just(Transition::Flush),
            1 => Just(Transition::Compact),
            1 => Just(Transition::Reopen),
        ]
        .boxed()
    }

    fn apply(mut state: Model, transition: &Transition) -> Model {
        let tables = tables();
        let identity = |at: usize, sketch: &Sketch| tables[KEYED[at]].identity(&row(KEYED[at], *sketch));
        match transition {
            Transition::Upsert(at, rows) => {
                state[*at].extend(rows.iter().map(|sketch| (identity(*at, sketch), row(KEYED[*at], *sketch))));
            }
            Transition::Delete(at, rows) => rows.iter().for_each(|sketch| {
                state[*at].remove(&identity(*at, sketch));
            }),
            Transition::Flush | Transition::Compact | Transition::Reopen => {}
        }
        state
    }
}

struct Machine {
    disk: SimDisk,
    tables: Vec<Table>,
    store: Option<Store>,
    now_ms: u64,
}

impl Machine {
    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    fn open(&mut self) {
        self.store = None;
        let sizes = Sizes {
            recent_bytes_max: 8_000,
            batch_bytes_max: 900,
            chunk_rows_max: 8,
            log_file_bytes: 8_000,
            manifest_bytes: 2_000,
            segment_rows_max: 8,
            compaction_fan_in: 3,
            ..Sizes::default()
        };
        let parts = StoreParts::local(
            PathBuf::from(DIR),
            region(),
            self.tables.iter().map(|table| table.spec.clone()).collect(),
        );
        let parts = StoreParts { disk: Arc::new(self.disk.clone()), sizes, ..parts };
        self.store = Some(Store::open(parts).unwrap());
    }

    fn send(&mut self, at: usize, delete: bool, rows: Vec<Row>) {
        let request = Request { table: KEYED[at], delete, rows, key: None, format: Text::Csv };
        let table = &self.tables[request.table];
        let (batch, source, now_ms) = (request.batch(table), request.source(table), self.now_ms);
        let prepared = self.store().preparer().prepare(batch, source, now_ms).unwrap();
        self.store().commit(vec![prepared], now_ms).swap_remove(0).unwrap();
    }

    fn work(&mut self, jobs: usize) {
        for _ in 0..jobs {
            let now_ms = self.now_ms;
            let Some(job) = self.store().next_job(now_ms) else { return };
            self.store().finish(job.run(&|_| {})).unwrap();
        }
    }
}

impl StateMachineTest for Machine {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(_: &Model) -> Self {
        let mut machine =
            Self { disk: SimDisk::new(0, Lies::default()), tables: tables(), store: None, now_ms: 1_700_000_000_000 };
        machine.open();
        machine
    }

    fn apply(mut machine: Self, _: &Model, transition: Transition) -> Self {
        machine.now_ms += 1;
        let tables = tables();
        match transition {
            Transition::Upsert(at, rows) => {
                let rows = rows.into_iter().map(|sketch| row(KEYED[at], sketch)).collect();
                machine.send(at, false, rows);
            }
            Transition::Delete(at, rows) => {
                let keys = rows.into_iter().map(|sketch| tables[KEYED[at]].identity(&row(KEYED[at], sketch)));
                machine.send(at, true, keys.collect());
            }
            Transition::Flush => {
                machine.store().freeze_recent();
                machine.work(1);
            }
            Transition::Compact => machine.work(100),
            Transition::Reopen => machine.open(),
        }
        machine
    }

    fn check_invariants(machine: &Self, expected: &Model) {
        let snapshot = machine.store.as_ref().unwrap().reader().snapshot();
        for (table, rows) in KEYED.into_iter().zip(expected) {
            let found = reader::read(&snapshot, &machine.tables[table]).unwrap();
            assert_eq!(found.rows, *rows, "{}", machine.tables[table].name());
        }
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_course_of_events_reads_like_a_map(sequential 1..40 => Machine);
}
