//! The two regions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Cursor, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use domicile_store::{Batch, Entry, Format, Operation, Source, Store, StoreParts};
use domicile_sync::{Answer, Applier, News, Policy, Pull, Replica, system_specs};
use domicile_types::{Acknowledge, ConflictPolicy, RegionId, ReplicationSet, limits};
use parquet::file::reader::{FileReader, SerializedFileReader};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::background::{Background, now_ms};
use crate::rows::{self, Bodies};
use crate::{Arguments, answers, bodies};

const WRITER: &str = "eu-central";
const READER: &str = "us-east";

fn set() -> Result<ReplicationSet> {
    Ok(ReplicationSet {
        name: "catalog".parse()?,
        regions: [WRITER.parse()?, READER.parse()?].into(),
        datasets: ["orders".parse()?].into(),
        home: None,
        acknowledge: Acknowledge::Local,
    })
}

fn open(dir: &Path, region: &str) -> Result<Store> {
    let specs = system_specs()?.into_iter().chain([rows::spec()?]).collect();
    let parts = StoreParts::local(dir.join(region), region.parse()?, specs);
    let sets = BTreeMap::from([("orders".parse()?, "catalog".parse()?)]);
    Ok(Store::open(StoreParts { sets, ..parts })?)
}

/// Writes the rows, and then all that a region which has nothing gets to its questions.
pub(crate) fn write(dir: &Path, arguments: Arguments) -> Result<Value> {
    let (mut store, mut background) = (open(dir, WRITER)?, Background::start());
    let preparer = store.preparer();
    for body in Bodies::open(&bodies(dir))? {
        let batch = Batch {
            dataset: "orders".parse()?,
            operation: Operation::Upsert,
            format: Format::ArrowStream,
            idempotency_key: None,
        };
        let prepared = preparer.prepare(batch, Source::Stream(Box::new(Cursor::new(body?))), now_ms())?;
        while store.is_full() {
            background.step(&mut store, true)?;
        }
        store.commit(vec![prepared], now_ms()).into_iter().try_for_each(|ack| ack.map(drop))?;
        background.step(&mut store, false)?;
    }
    let (reader, mut replica): (RegionId, _) = (READER.parse()?, Replica::new(set()?, WRITER.parse()?));
    let mut pull = Pull {
        set: set()?.name,
        epoch: 0,
        have: Default::default(),
        holds: Default::default(),
        regions: Vec::new(),
        at_once: false,
        ahead_ms: 0,
        bytes_max: limits::PULL_BYTES_MAX,
        reaches: Vec::new(),
    };
    let mut file = BufWriter::new(File::create(answers(dir))?);
    let (mut count, mut rows) = (0, 0);
    while let Some(Answer::Entries { entries, .. }) = replica.answer(&reader, &pull, &store)? {
        let mut answer = Vec::new();
        for entry in &entries {
            entry.encode(&mut answer)?;
            pull.have.advance(&entry.mark.dot.origin, entry.mark.dot.seq);
            (count, rows) = (count + 1, rows + entry.rows() as u64);
        }
        file.write_all(&(answer.len() as u64).to_le_bytes())?;
        file.write_all(&answer)?;
    }
    ensure!(rows == arguments.rows, "the log has {rows} rows");
    file.into_inner()?.sync_all()?;
    background.end()?;
    Ok(json!({"entries": count}))
}

/// The entries of an answer.
pub(crate) fn entries(answer: Vec<u8>) -> Result<Vec<Entry>> {
    let (mut rest, mut entries) = (Bytes::from(answer), Vec::new());
    while !rest.is_empty() {
        let (entry, behind) = Entry::decode(&rest)?;
        entries.push(entry);
        rest = behind;
    }
    Ok(entries)
}

/// Applies all that comes from an address, to a store that has nothing.
pub(crate) fn apply(dir: &Path, address: &str) -> Result<Value> {
    let (mut store, mut background) = (open(dir, READER)?, Background::start());
    let policy = Policy::new(ConflictPolicy::default(), &rows::spec()?)?;
    let applier = Applier::new(BTreeMap::from([("orders".parse()?, policy)]));
    let (set, writer): (_, RegionId) = (set()?, WRITER.parse()?);
    let mut replica = Replica::new(set.clone(), READER.parse()?);
    let given = Bodies(TcpStream::connect(address)?);
    let (started, cpu_before, mut count) = (Instant::now(), cpu_seconds(), 0);
    for answer in given {
        let entries = entries(answer?)?;
        let answer = Answer::Entries { entries, more: true, news: News::default() };
        replica.answered(&writer, answer, 0, store.set_state(&set.name), now_ms());
        // What it would ask next; a region that has nothing yet learns by that whether it may begin.
        replica.due(&store, now_ms());
        loop {
            let ready = replica.ready(store.set_state(&set.name), now_ms());
            if ready.is_empty() {
                break;
            }
            while store.is_full() {
                background.step(&mut store, true)?;
            }
            let applied = applier.apply(&mut store, ready, now_ms());
            applied.problem.map_or(Ok(()), Err)?;
            count += applied.count;
            background.step(&mut store, false)?;
        }
    }
    let (seconds, cpu_seconds) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    store.freeze_recent();
    background.drain(&mut store)?;
    background.end()?;
    Ok(json!({
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "entries": count,
        "stored_metadata_bytes": stored_metadata(&dir.join(READER))?,
    }))
}

/// Seconds that this process has had a core for, in all its threads.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Bytes of the hidden columns in all segments.
fn stored_metadata(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(dir.join("segments"))? {
        let reader = SerializedFileReader::new(File::open(file?.path())?).context("a segment")?;
        let groups = reader.metadata().row_groups().iter();
        let columns = groups.flat_map(|group| group.columns());
        let hidden = columns.filter(|column| column.column_descr().name().starts_with('_'));
        bytes += hidden.map(|column| column.compressed_size().unsigned_abs()).sum::<u64>();
    }
    Ok(bytes)
}
