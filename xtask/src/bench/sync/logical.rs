//! Postgres logical replication: how fast a subscriber applies, and how many bytes a small transaction takes on the way.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Pace;
use super::place::{self, APPLYING, cpu_seconds, giving};
use super::postgres::Postgres;

/// The columns of the rows that regions replicate.
const COLUMNS: &str = "id bigint PRIMARY KEY, account bigint NOT NULL, at date NOT NULL, kind text NOT NULL, \
                       amount numeric(15, 2) NOT NULL, quantity integer NOT NULL, note text NOT NULL";
/// Bytes of the `CopyData` and `XLogData` frames that each message travels in.
const FRAME_BYTES: u64 = 5 + 25;
/// Longest that the subscriber may take.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Publishes rows, each batch in a transaction of its own, and measures from when the subscription is switched on until
/// the subscriber, held to one core, has them all, each transaction synced as it is applied.
///
/// # Errors
/// Where a server does not start, or rows do not arrive.
pub(super) fn apply(bin: &Path, dir: &Path, lines: &[&str], batch_rows: usize) -> Result<Pace> {
    let dir = place::dir(dir, "pg")?;
    let publisher = Postgres::start(bin, dir.path(), "publisher", &giving())?;
    let subscriber = Postgres::start(bin, dir.path(), "subscriber", APPLYING)?;
    for server in [&publisher, &subscriber] {
        server.sql(&format!("CREATE TABLE orders ({COLUMNS})"))?;
    }
    publisher.sql("CREATE PUBLICATION orders FOR TABLE orders")?;
    publisher.sql("SELECT pg_create_logical_replication_slot('orders', 'pgoutput')")?;
    subscriber.sql(&format!(
        "CREATE SUBSCRIPTION orders CONNECTION '{}' PUBLICATION orders WITH (create_slot = false, slot_name = 'orders', \
         copy_data = false, enabled = false, synchronous_commit = 'on')",
        publisher.address()
    ))?;
    publisher.load("orders", lines, batch_rows)?;
    let last = lines.len() - 1;
    // The server waits itself, so that no connections are made meanwhile on the core that is measured.
    let wait = format!(
        "SET statement_timeout = '{}s'; DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM orders WHERE id = {last}) LOOP \
         PERFORM pg_sleep(0.01); END LOOP; END $$",
        TIMEOUT.as_secs()
    );
    let cpu_before = cpu_seconds(subscriber.process())?;
    let started = Instant::now();
    subscriber.sql("ALTER SUBSCRIPTION orders ENABLE")?;
    subscriber.sql(&wait)?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu_s = cpu_seconds(subscriber.process())? - cpu_before;
    let count: usize = subscriber.sql("SELECT count(*) FROM orders")?.parse()?;
    ensure!(count == lines.len(), "the subscriber has {count} of {} rows", lines.len());
    Ok(Pace { rows_per_s: count as f64 / seconds, rows_per_cpu_s: count as f64 / cpu_s })
}

/// Bytes a row takes as `pgoutput` gives it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes {
    /// Those that the plugin makes, which is what ours are compared with.
    pub(super) of_plugin: f64,
    /// With the frames around its messages.
    pub(super) on_wire: f64,
}

/// Measures them in transactions of so many rows. Of text and binary values the smaller.
///
/// # Errors
/// Where the server does not start.
pub(super) fn bytes_per_row(bin: &Path, dir: &Path, lines: &[&str], batch_rows: usize) -> Result<Bytes> {
    let dir = place::dir(dir, "pg")?;
    let server = Postgres::start(bin, dir.path(), "publisher", &giving())?;
    server.sql(&format!("CREATE TABLE orders ({COLUMNS})"))?;
    server.sql("CREATE PUBLICATION orders FOR TABLE orders")?;
    server.sql("SELECT pg_create_logical_replication_slot('orders', 'pgoutput')")?;
    server.load("orders", lines, batch_rows)?;
    let sums = ["false", "true"].map(|binary| -> Result<(u64, u64)> {
        let sums = server.sql(&format!(
            "SELECT sum(length(data)), count(*) FROM pg_logical_slot_peek_binary_changes('orders', NULL, NULL, \
             'proto_version', '1', 'publication_names', 'orders', 'binary', '{binary}')"
        ))?;
        let (bytes, messages) = sums.split_once('|').context("two figures")?;
        Ok((bytes.parse()?, messages.parse()?))
    });
    let sums = sums.into_iter().collect::<Result<Vec<_>>>()?;
    let (bytes, messages) = sums.into_iter().min().context("two sums")?;
    let per_row = |bytes: u64| bytes as f64 / lines.len() as f64;
    Ok(Bytes { of_plugin: per_row(bytes), on_wire: per_row(bytes + messages * FRAME_BYTES) })
}
