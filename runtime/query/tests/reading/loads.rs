//! Batches and lists of backups that come at once: some wait, and none holds up what does not need the same.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use domicile_query::{QueryError, Region};
use domicile_store::{Ack, Batch, Format, Operation, Source};
use domicile_types::limits::{BACKUP_LISTINGS_MAX, CONCURRENT_LOADS_MAX, DATASET_LOADS_MAX};
use domicile_types::{ColumnType, Dataset};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::runtime::{Builder, Runtime};

use crate::data::{dataset, divided};
use crate::world::{World, Writing};

/// Longest that an event may take that a test waits for.
const EVENT_TIMEOUT: Duration = Duration::from_secs(60);

/// `moving` and `roaming` have rows that may move between partitions, `staying` has none.
fn world() -> World {
    use ColumnType::{BigInt, Text};
    let columns = [("id", BigInt, false), ("area", Text, false)];
    let moving = |name: &str| -> Dataset { divided(dataset(name, &columns, &["id"]), None, &[("area", None)]) };
    let datasets = vec![moving("moving"), moving("roaming"), dataset("staying", &columns, &["id"])];
    let world = Writing::start(datasets).read();
    world.make_incoming();
    world
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn load(region: &Region, dataset: &str, source: Source) -> Result<Ack, QueryError> {
    let dataset = dataset.parse().unwrap();
    let batch = Batch { dataset, operation: Operation::Upsert, format: Format::Csv, idempotency_key: None };
    region.ingest(batch, source).await
}

fn row(id: usize) -> Source {
    Source::Stream(Box::new(std::io::Cursor::new(format!("id,area\n{id},north\n"))))
}

/// A file that cannot be opened until somebody writes to it.
fn pipe(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// Writes to a pipe once its reader has come, and ends it.
fn write(pipe: &Path) {
    let pipe = pipe.to_owned();
    thread::spawn(move || {
        let mut writer = OpenOptions::new().write(true).open(pipe).unwrap();
        writer.write_all(b"id,area\n1000,south\n").unwrap();
    });
}

#[test]
fn batches_that_wait_for_their_turn_hold_up_no_other_dataset() {
    let (world, runtime) = (world(), runtime());
    let region = world.region();
    let pipes = ["moving", "roaming"].map(|name| (name, pipe(world.dir.path(), name)));
    runtime.block_on(async {
        let mut waiting = FuturesUnordered::new();
        for (dataset, pipe) in &pipes {
            // The first one has its turn until the pipe is written to.
            waiting.push(load(region, dataset, Source::File(pipe.clone())));
            (0..CONCURRENT_LOADS_MAX).for_each(|id| waiting.push(load(region, dataset, row(id))));
        }
        let other = tokio::time::timeout(EVENT_TIMEOUT, load(region, "staying", row(1)));
        let stored = tokio::select! {
            biased;
            early = waiting.next() => panic!("nobody has had a turn: {early:?}"),
            stored = other => stored.expect("held up"),
        };
        assert_eq!(stored.unwrap().rows, 1);
        pipes.iter().for_each(|(_, pipe)| write(pipe));
        let stored: Vec<_> = waiting.collect().await;
        assert!(stored.iter().all(Result::is_ok), "{stored:?}");
    });
    let rows = format!("{}.0000", CONCURRENT_LOADS_MAX + 1);
    assert_eq!(world.rows("SELECT count(*) FROM moving"), [[rows]]);
}

#[test]
fn a_dataset_has_only_so_many_batches_under_way() {
    let (world, runtime) = (world(), runtime());
    let (region, pipe) = (world.region(), pipe(world.dir.path(), "pipe"));
    runtime.block_on(async {
        let mut moving = FuturesUnordered::new();
        moving.push(load(region, "moving", Source::File(pipe.clone())));
        (0..DATASET_LOADS_MAX).for_each(|id| moving.push(load(region, "moving", row(id))));
        let refused = tokio::time::timeout(EVENT_TIMEOUT, moving.next()).await.unwrap().unwrap();
        let text = refused.as_ref().unwrap_err().to_string();
        assert!(matches!(refused, Err(QueryError::Busy { max: DATASET_LOADS_MAX, .. })), "{text}");
        assert!(text.contains("256 batches of `moving` are under way already"), "{text}");
        assert_eq!(load(region, "staying", row(1)).await.unwrap().rows, 1);
        write(&pipe);
        let stored: Vec<_> = moving.collect().await;
        assert!(stored.iter().all(Result::is_ok), "{stored:?}");
        assert_eq!(load(region, "moving", row(1)).await.unwrap().rows, 1, "there is room again");
    });
}

/// What waits for requests to an object store takes no thread that the requests need.
#[test]
fn lists_of_backups_are_read_at_once_where_threads_are_few() {
    let world = world();
    let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).enable_all().build().unwrap();
    let url = format!("file://{}", world.dir.path().join("backups").display());
    runtime.block_on(async {
        let lists = (0..4 * BACKUP_LISTINGS_MAX).map(|_| world.region().backups(url.clone()));
        let lists = tokio::time::timeout(EVENT_TIMEOUT, futures::future::join_all(lists)).await;
        assert!(lists.expect("they wait for each other").iter().all(Result::is_ok));
    });
}
