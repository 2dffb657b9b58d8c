//! How long a scan keeps what it reads, and how it reads what lacks columns.

use std::io::Cursor;
use std::sync::{Arc, Weak};

use arrow::util::pretty::pretty_format_batches;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use domicile_store::{
    Batch, DatasetSpec, Format, Operation, Snapshot, Source, Store, StoreParts, arrow_schema, stored_schema,
};
use domicile_types::{Column, ColumnType, Dataset, Residency};
use futures::StreamExt;
use tempfile::TempDir;

use super::SegmentsTable;
use crate::catalog::session_state;

const ROWS: usize = 20_000;

fn spec() -> DatasetSpec {
    let column = |name: &str| Column { name: name.to_owned(), kind: ColumnType::BigInt, nullable: false };
    let dataset = Dataset::new("t".parse().unwrap(), vec![column("id"), column("n")], vec!["id".to_owned()]);
    DatasetSpec { dataset: dataset.unwrap(), residency: Residency::Reference }
}

fn upsert(store: &mut Store, rows: impl Iterator<Item = usize>, now_ms: u64) {
    let text: String = rows.map(|id| format!("{id},{now_ms}\n")).collect();
    let source = Source::Stream(Box::new(Cursor::new(format!("id,n\n{text}").into_bytes())));
    let dataset = "t".parse().unwrap();
    let batch = Batch { dataset, operation: Operation::Upsert, format: Format::Csv, idempotency_key: None };
    let prepared = store.preparer().prepare(batch, source, now_ms).unwrap();
    store.commit(vec![prepared], now_ms).into_iter().for_each(|ack| assert!(ack.unwrap().rows > 0));
    store.freeze_recent();
    while let Some(job) = store.next_job(now_ms) {
        store.finish(job.run(&|_| ())).unwrap();
    }
}

fn table(store: &Store, spec: &DatasetSpec) -> (SessionContext, Weak<Snapshot>) {
    let snapshot = store.reader().snapshot();
    let stored = stored_schema(std::slice::from_ref(spec), &spec.dataset.name).unwrap();
    let stored = (stored, store.reader().shape(&spec.dataset.name).unwrap());
    let partitions = snapshot.partitions(&spec.dataset.name).unwrap();
    let table = SegmentsTable::new(spec, arrow_schema(spec), stored, Arc::clone(&snapshot), partitions).unwrap();
    let session = SessionContext::new_with_state(session_state(&Arc::new(RuntimeEnv::default())).unwrap());
    session.register_table("t", Arc::new(table)).unwrap();
    (session, Arc::downgrade(&snapshot))
}

#[tokio::test]
async fn a_stream_keeps_its_snapshot_until_it_ends() {
    let dir = TempDir::new().unwrap();
    let parts = StoreParts::local(dir.path().join("store"), "eu-central".parse().unwrap(), vec![spec()]);
    let mut store = Store::open(parts).unwrap();
    upsert(&mut store, 0..ROWS, 1);
    upsert(&mut store, (0..ROWS).step_by(2), 2);
    let (session, held) = table(&store, &spec());
    let files: Vec<_> =
        std::fs::read_dir(dir.path().join("store/segments")).unwrap().map(|f| f.unwrap().path()).collect();
    let plan = session.sql("SELECT id, n FROM t").await.unwrap().create_physical_plan().await.unwrap();
    let mut stream = execute_stream(plan, session.task_ctx()).unwrap();
    drop(session);
    let first = stream.next().await.unwrap().unwrap();
    // So many versions that the store compacts, and lets go of what the stream reads.
    for now_ms in 3..20 {
        upsert(&mut store, (0..ROWS).step_by(3), now_ms);
    }
    assert!(held.upgrade().is_some(), "the snapshot is gone before the stream");
    assert!(files.iter().all(|file| file.exists()), "a file is gone before the stream");
    let mut rows = first.num_rows();
    while let Some(batch) = stream.next().await {
        rows += batch.unwrap().num_rows();
    }
    assert_eq!(rows, ROWS);
    drop(stream);
    assert!(held.upgrade().is_none(), "the snapshot is kept after the stream");
    assert!(!files.iter().any(|file| file.exists()), "a file is kept after the stream");
}

/// What a store with these columns beside `id` and `n` answers.
async fn answers(dir: &TempDir, columns: &[&str], sql: &str) -> String {
    let mut spec = spec();
    let added =
        columns.iter().map(|name| Column { name: (*name).to_owned(), kind: ColumnType::BigInt, nullable: true });
    spec.dataset.columns.extend(added);
    let parts = StoreParts::local(dir.path().join("store"), "eu-central".parse().unwrap(), vec![spec.clone()]);
    let store = Store::open(parts).unwrap();
    let (session, _held) = table(&store, &spec);
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test]
async fn segments_from_before_a_column_was_added_have_no_value_in_it() {
    let dir = TempDir::new().unwrap();
    let parts = StoreParts::local(dir.path().join("store"), "eu-central".parse().unwrap(), vec![spec()]);
    let mut store = Store::open(parts).unwrap();
    // One segment alone, and two that share keys.
    upsert(&mut store, 0..ROWS, 1);
    upsert(&mut store, ROWS..2 * ROWS, 2);
    upsert(&mut store, (ROWS..2 * ROWS).step_by(2), 3);
    drop(store);
    let sums = "SELECT count(*) AS rows, sum(n) AS sum FROM t";
    let known = answers(&dir, &[], sums).await;
    assert_eq!(answers(&dir, &["more", "yet"], sums).await, known);
    for (condition, count) in [
        ("more IS NULL", 2 * ROWS),
        ("more IS NOT NULL", 0),
        ("more = 3", 0),
        ("more > 3 OR n = 3", ROWS / 2),
        ("coalesce(yet, 7) = 7 AND id < 10", 10),
    ] {
        let sql = format!("SELECT count(*) = {count} AS same, count(more) AS known FROM t WHERE {condition}");
        let answer = answers(&dir, &["more", "yet"], &sql).await;
        assert!(answer.contains("| true | 0     |"), "{condition}\n{answer}");
    }
    let rows =
        answers(&dir, &["more"], &format!("SELECT more, id, n FROM t WHERE id >= {} ORDER BY id", 2 * ROWS - 1)).await;
    assert!(rows.contains(&format!("|      | {} | 2 |", 2 * ROWS - 1)), "{rows}");
}
