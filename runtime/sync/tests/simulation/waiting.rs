//! Versions that wait for the plugin that resolves their conflicts.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use domicile_store::{Batch, Entry, Format, Operation, Source, Store, StoreParts};
use domicile_sync::conflict::{MergeFailure, MergePlugin, Merged, Siblings, Unavailable};
use domicile_sync::{Applier, Policy};
use domicile_types::{ConflictPolicy, Digest, RowPolicy, Vector};

use crate::disk::{Lies, SimDisk};
use crate::reader::{self, Cache};
use crate::tables::{self, CARD};

/// Takes the version that was written first.
#[derive(Debug)]
struct First;

impl MergePlugin for First {
    fn merge(&self, siblings: &Siblings) -> Result<Result<Merged, MergeFailure>, Unavailable> {
        Ok(Ok(Merged::Row(siblings.rows().slice(0, 1))))
    }
}

fn open(index: usize) -> Store {
    let disk = Arc::new(SimDisk::new(index as u64, Lies::default()));
    let parts = StoreParts::local(PathBuf::from("/data/store"), tables::region(index), tables::specs(false));
    Store::open(StoreParts { disk, sets: tables::sets(), ..parts }).unwrap()
}

fn write(store: &mut Store, front: i64, now_ms: u64) {
    let (dataset, format) = (tables::dataset(CARD), Format::Ndjson);
    let batch = Batch { dataset, operation: Operation::Upsert, format, idempotency_key: None };
    let row = format!("{{\"id\":1,\"front\":{front},\"back\":0}}\n");
    let source = Source::Stream(Box::new(Cursor::new(row.into_bytes())));
    let prepared = store.preparer().prepare(batch, source, now_ms).unwrap();
    store.commit(vec![prepared], now_ms).remove(0).unwrap();
}

fn entries(store: &Store, have: &Vector) -> Vec<Entry> {
    store.locate(&tables::set_name(), have, &[], 1 << 20).unwrap().read().unwrap()
}

fn applier(plugin: Option<Arc<dyn MergePlugin>>) -> Applier {
    let specs = tables::specs(false);
    let spec = specs.iter().find(|spec| spec.dataset.name.as_str() == CARD).unwrap();
    let row = RowPolicy::Wasm { plugin: "first".parse().unwrap(), sha256: Digest([7; 32]) };
    let policy = Policy::new(ConflictPolicy { row, ..ConflictPolicy::default() }, spec).unwrap();
    let policy = match plugin {
        None => policy,
        Some(plugin) => policy.with_plugin(plugin),
    };
    Applier::new([(tables::dataset(CARD), policy)].into())
}

#[test]
fn what_cannot_be_resolved_yet_waits_and_loses_nothing() {
    let (mut one, mut other) = (open(0), open(1));
    write(&mut one, 10, 1_000);
    write(&mut other, 20, 1_001);
    let (of_one, of_other) = (entries(&one, &Vector::default()), entries(&other, &Vector::default()));
    let cards = |store: &Store| reader::read(store, &mut Cache::new()).unwrap().cards;

    let waiting = applier(None).apply(&mut other, of_one, 2_000);
    assert_eq!((waiting.count, waiting.left.len()), (0, 1));
    let problem = waiting.problem.unwrap().to_string();
    assert_eq!(
        problem,
        "concurrent versions of dataset `card` wait for the plugin that resolves its conflicts: there is no such plugin \
         here; load it"
    );
    assert_eq!(cards(&other), BTreeMap::from([(1, [20, 0])]), "as before");
    // The region goes on with its own writes meanwhile.
    write(&mut other, 21, 2_001);

    let first: Arc<dyn MergePlugin> = Arc::new(First);
    let there = applier(Some(Arc::clone(&first)));
    assert_eq!(there.apply(&mut other, waiting.left, 3_000).count, 1);
    assert_eq!(there.apply(&mut one, of_other, 3_000).count, 1);
    let have = one.set_state(&tables::set_name()).applied.clone();
    let rest = entries(&other, &have);
    assert_eq!(there.apply(&mut one, rest, 3_001).count, 1);
    for store in [&one, &other] {
        assert_eq!(cards(store), BTreeMap::from([(1, [10, 0])]));
    }
}
