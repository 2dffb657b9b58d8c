//! How regions come together, against what else does that: Postgres logical replication and NATS JetStream mirrors on the
//! same machine in the same run, Parquet for the bytes.
//!
//! Whoever applies is held to one core and has everything on the disk before it counts. What cannot be measured is null,
//! and a line above says why.

mod budget;
mod logical;
mod mirror;
mod nats;
mod nats_client;
mod ours;
mod place;
mod postgres;
mod seen;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use super::ConvergenceArguments;
use super::convergence::{self, Convergence};
use crate::Profile;
use crate::voice::{Voice, grouped};
use ours::Ours;

/// Rows of a transaction or batch of somebody who writes a little at a time.
const SMALL_BATCH_ROWS: usize = 500;
/// Rows of a batch of somebody who writes as much as one takes at once.
const LARGE_BATCH_ROWS: usize = 65_536;
/// Rows of what small batches are measured with.
const SMALL_BATCHES_ROWS: u64 = 50_000;

/// What is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct SyncArguments {
    /// Rows that are applied by us and by Postgres. With less than a million, what regions write to segments beside is
    /// hardly in it, and they look faster than they are.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(65_536..))]
    rows: u64,
    /// Rows of a batch, and of a transaction of Postgres.
    #[arg(long, default_value_t = 8_192, value_parser = clap::value_parser!(u32).range(1..))]
    batch_rows: u32,
    /// Messages of one row that a JetStream mirror takes; it syncs each.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// Rounds, each with all systems one after the other; of each the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Where everything is stored meanwhile, on a disk.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// The directory of Postgres' programs; otherwise the newest that Debian installed.
    #[arg(long)]
    postgres_bin: Option<PathBuf>,
    /// A `nats-server` of 2.10 or later; otherwise what is installed, or Debian 13's, fetched.
    #[arg(long)]
    nats_server: Option<PathBuf>,
    /// Leave out how long writes take to be seen elsewhere, and how long regions take to come together again.
    #[arg(long)]
    without_convergence: bool,
    /// Writes at each delay of the links.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// For how long one region is cut off from the others, in seconds.
    #[arg(long, default_value_t = 60)]
    partition_seconds: u64,
    /// Profile of the regions' binary.
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    profile: Profile,
}

/// How fast rows were applied, durably, on one core.
#[derive(Debug, Clone, Copy)]
struct Pace {
    rows_per_s: f64,
    /// In a second that the core was really had for: what else runs on the machine does not count.
    rows_per_cpu_s: f64,
}

/// Somebody that applies rows, and how fast it did in each round.
struct Contender<'a> {
    name: &'static str,
    what: String,
    apply: Box<dyn Fn() -> Result<Pace> + 'a>,
    paces: Vec<Pace>,
}

/// Runs the benchmark, whose last line is one JSON object.
///
/// # Errors
/// Where one of our own parts fails.
pub(crate) fn run(arguments: &SyncArguments, voice: &Voice) -> Result<()> {
    voice.heading("Building");
    let ours = Ours::build()?;
    let postgres = or_say(voice, postgres::find(arguments.postgres_bin.as_deref()));
    let nats = or_say(voice, nats::find(arguments.nats_server.as_deref()));
    let dir = place::dir(&arguments.dir, "sync")?;
    let text = ours.lines(dir.path(), arguments.rows)?;
    let lines: Vec<&str> = text.lines().collect();
    voice.line(format_args!("  {} rows of {} bytes as text", grouped(arguments.rows), text.len() / lines.len()));

    voice.heading("Applying rows on one core, durably");
    let mut figures = Map::from_iter([("bench".to_owned(), json!("sync"))]);
    let paces = paces(arguments, voice, &ours, postgres.as_deref(), nats.as_deref(), dir.path(), &lines)?;
    figures.extend(paces);
    voice.heading("Bytes on the way");
    figures.extend(bytes(arguments, voice, &ours, postgres.as_deref(), dir.path(), &lines)?);
    let converged = match arguments.without_convergence {
        true => {
            voice.line("  convergence is not measured: --without-convergence");
            None
        }
        false => Some(converge(arguments, voice)?),
    };
    figures.extend(seen::figures(converged.as_ref().map(|all| (&all.delayed[..], &all.healed[..]))));
    voice.heading("Budgets");
    budget::show(&figures, voice);
    println!("{}", Value::Object(figures));
    Ok(())
}

/// What was found, or nothing, and why.
fn or_say<T>(voice: &Voice, found: Result<T>) -> Option<T> {
    found.map_err(|error| voice.line(format_args!("  not measured: {error:#}"))).ok()
}

fn paces(
    arguments: &SyncArguments,
    voice: &Voice,
    ours: &Ours,
    postgres: Option<&Path>,
    nats: Option<&Path>,
    dir: &Path,
    lines: &[&str],
) -> Result<Map<String, Value>> {
    let batch_rows = arguments.batch_rows as usize;
    let mut contenders = vec![Contender::new("apply", format!("batches of {batch_rows} rows"), move || {
        ours.run(dir, arguments.rows, batch_rows)?.pace()
    })];
    if let Some(bin) = postgres {
        let what = format!("transactions of {batch_rows} rows");
        contenders.push(Contender::new("postgres", what, move || logical::apply(bin, dir, lines, batch_rows)));
    }
    if let Some(program) = nats {
        let single = &lines[..lines.len().min(usize::try_from(arguments.messages)?)];
        let what = "messages of one row".to_owned();
        contenders.push(Contender::new("jetstream", what, move || mirror::apply(program, dir, single, 1)));
        let what = format!("messages of {batch_rows} rows");
        contenders
            .push(Contender::new("jetstream_batches", what, move || mirror::apply(program, dir, lines, batch_rows)));
    }
    let mut broken = Vec::new();
    for _ in 0..arguments.rounds {
        for contender in &mut contenders {
            if broken.contains(&contender.name) {
                continue;
            }
            match voice.step(format!("{}, {}", contender.name, contender.what), || (contender.apply)()) {
                Ok(pace) => contender.paces.push(pace),
                Err(error) if contender.name == "apply" => return Err(error),
                Err(error) => {
                    voice.line(format_args!("  not measured: {error:#}"));
                    broken.push(contender.name);
                }
            }
        }
    }
    Ok(pace_figures(
        &contenders.iter().map(|contender| (contender.name, contender.median())).collect::<Vec<_>>(),
        voice,
    ))
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, what: String, apply: impl Fn() -> Result<Pace> + 'a) -> Self {
        Self { name, what, apply: Box::new(apply), paces: Vec::new() }
    }

    /// Its middle round; none where it failed.
    fn median(&self) -> Option<Pace> {
        let middle = |figure: fn(&Pace) -> f64| {
            let mut figures: Vec<f64> = self.paces.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied()
        };
        Some(Pace { rows_per_s: middle(|pace| pace.rows_per_s)?, rows_per_cpu_s: middle(|pace| pace.rows_per_cpu_s)? })
    }
}

fn pace_figures(paces: &[(&str, Option<Pace>)], voice: &Voice) -> Map<String, Value> {
    let of = |name: &str| paces.iter().find(|(other, _)| *other == name).and_then(|(_, pace)| *pace);
    let ours = of("apply");
    let over = |name: &str, figure: fn(Pace) -> f64| Some(figure(ours?) / figure(of(name)?));
    for (name, pace) in paces.iter().filter_map(|(name, pace)| Some((name, (*pace)?))) {
        let [rows, of_core] = [pace.rows_per_s, pace.rows_per_cpu_s].map(|rate| grouped(rate as u64));
        voice.line(format_args!("  {name}: {rows} rows/s, {of_core} in each second that the core was had for"));
    }
    let mut figures = Map::new();
    figures.insert("apply_rows_per_s".to_owned(), json!(ours.map(|pace| pace.rows_per_s)));
    figures.insert("apply_rows_per_cpu_s".to_owned(), json!(ours.map(|pace| pace.rows_per_cpu_s)));
    for name in ["postgres", "jetstream", "jetstream_batches"] {
        figures.insert(format!("vs_{name}"), json!(over(name, |pace| pace.rows_per_s)));
        figures.insert(format!("vs_{name}_by_cpu"), json!(over(name, |pace| pace.rows_per_cpu_s)));
        figures.insert(format!("{name}_rows_per_s"), json!(of(name).map(|pace| pace.rows_per_s)));
    }
    figures
}

fn bytes(
    arguments: &SyncArguments,
    voice: &Voice,
    ours: &Ours,
    postgres: Option<&Path>,
    dir: &Path,
    lines: &[&str],
) -> Result<Map<String, Value>> {
    let small_rows = SMALL_BATCHES_ROWS.min(arguments.rows);
    let run = |what: &str, rows, batch_rows| voice.step(what, || ours.run(dir, rows, batch_rows));
    let catch_up = run("catch-up", arguments.rows, arguments.batch_rows as usize)?;
    let large = run("batches of 65,536 rows", arguments.rows, LARGE_BATCH_ROWS)?;
    let small = run("batches of 500 rows", small_rows, SMALL_BATCH_ROWS)?;
    let lines = &lines[..usize::try_from(small_rows)?];
    let pgoutput = postgres.and_then(|bin| {
        let bytes = voice
            .step("transactions of 500 rows as pgoutput", || logical::bytes_per_row(bin, dir, lines, SMALL_BATCH_ROWS));
        or_say(voice, bytes)
    });
    let small_bytes = small.figure("wire_bytes_per_row")?;
    let over = |figure: fn(logical::Bytes) -> f64, bytes: f64| json!(pgoutput.map(|pgoutput| bytes / figure(pgoutput)));
    let figures = [
        ("catchup_vs_parquet", json!(catch_up.figure("vs_parquet")?)),
        // What the same bytes would be if the link packed them with zstd instead.
        ("catchup_vs_parquet_if_zstd", json!(catch_up.figure("zstd_vs_parquet")?)),
        ("tail_vs_parquet", json!(large.figure("vs_parquet_of_each")?)),
        ("tail_vs_parquet_if_zstd", json!(large.figure("zstd_vs_parquet_of_each")?)),
        ("small_tail_vs_parquet", json!(small.figure("vs_parquet_of_each")?)),
        ("small_tail_vs_pgoutput", over(|bytes| bytes.of_plugin, small_bytes)),
        ("small_tail_vs_pgoutput_on_wire", over(|bytes| bytes.on_wire, small_bytes)),
        ("small_tail_vs_pgoutput_if_zstd", over(|bytes| bytes.of_plugin, small.figure("zstd_of_each_bytes_per_row")?)),
        ("small_tail_bytes_per_row", json!(small_bytes)),
        ("pgoutput_bytes_per_row", json!(pgoutput.map(|bytes| bytes.of_plugin))),
        ("catchup_bytes_per_row", json!(catch_up.figure("wire_bytes_per_row")?)),
        ("metadata_bytes_per_row", json!(catch_up.figure("metadata_bytes_per_row")?)),
        ("small_tail_metadata_bytes_per_row", json!(small.figure("metadata_bytes_per_row")?)),
        ("stored_metadata_bytes_per_row", json!(catch_up.figure("stored_metadata_bytes_per_row")?)),
    ];
    Ok(figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect())
}

fn converge(arguments: &SyncArguments, voice: &Voice) -> Result<Convergence> {
    let arguments = ConvergenceArguments {
        samples: arguments.samples,
        partition_seconds: arguments.partition_seconds,
        profile: arguments.profile,
    };
    let converged = convergence::run(&arguments, voice).context("convergence")?;
    converged.show(voice);
    Ok(converged)
}
