//! How long a write takes to be seen in another region, over links of several lengths; and how long regions take to come
//! together once a link that was cut is whole again.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use domicile_harness::replicated::{self, ITEMS, Vector};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Edge, Mode, Options, build};
use serde_json::{Value, json};

use super::Times;
use crate::Profile;
use crate::voice::{Voice, grouped};

/// One-way delays of the links, in milliseconds.
const DELAYS_MS: [u64; 4] = [0, 20, 80, 150];
/// Writes before the measured ones, at each delay.
const WARM_UP_WRITES: u32 = 10;
/// Longest that a write may take to be seen, or regions to come together.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What is measured.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ConvergenceArguments {
    /// Writes at each delay.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) samples: u32,
    /// For how long one region is cut off from the others, in seconds.
    #[arg(long, default_value_t = 60)]
    pub(crate) partition_seconds: u64,
    /// Profile of the binary.
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    pub(crate) profile: Profile,
}

/// Times at one delay, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delayed {
    /// Of what regions send each other, one way.
    pub(crate) delay_ms: u64,
    /// From the acknowledgement of a write until the end of the first read in another region that shows it.
    pub(crate) p50_ms: f64,
    /// The same, of 99 in 100 writes.
    pub(crate) p99_ms: f64,
    /// From a request to the end of its answer, over the same link.
    pub(crate) ping_p50_ms: f64,
    /// The same, of 99 in 100 requests.
    pub(crate) ping_p99_ms: f64,
    /// Of one read that is not delayed: by so much a write may have been there before it was seen.
    pub(crate) read_p50_ms: f64,
}

/// How one partition ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Healed {
    /// What the links did with connections.
    pub(crate) mode: Mode,
    /// For how long, in seconds.
    pub(crate) partition_s: f64,
    /// Rows acknowledged meanwhile by the region that was alone.
    pub(crate) alone_rows: u64,
    /// Rows acknowledged meanwhile by one of the other two.
    pub(crate) others_rows: u64,
    /// From the moment when the links were whole until every region had applied everything, in seconds.
    pub(crate) heal_s: f64,
}

/// Everything that was measured.
#[derive(Debug, Clone)]
pub(crate) struct Convergence {
    pub(crate) delayed: Vec<Delayed>,
    pub(crate) healed: Vec<Healed>,
    samples: u32,
}

impl Delayed {
    /// The median time beyond the delay that nobody can undercut, against a ping over the same link.
    fn over_ping(&self) -> f64 {
        (self.p50_ms - self.delay_ms as f64) / self.ping_p50_ms
    }
}

impl Convergence {
    /// All figures for machines.
    pub(crate) fn json(&self) -> Value {
        let delayed = |delayed: &Delayed| {
            json!({
                "delay_ms": delayed.delay_ms,
                "p50_ms": delayed.p50_ms,
                "p99_ms": delayed.p99_ms,
                "ping_p50_ms": delayed.ping_p50_ms,
                "ping_p99_ms": delayed.ping_p99_ms,
                "read_p50_ms": delayed.read_p50_ms,
                "beyond_delay_over_ping": delayed.over_ping(),
            })
        };
        let healed = |healed: &Healed| {
            json!({
                "mode": format!("{:?}", healed.mode),
                "partition_s": healed.partition_s,
                "alone_rows": healed.alone_rows,
                "others_rows": healed.others_rows,
                "heal_s": healed.heal_s,
                "heal_over_partition": healed.heal_s / healed.partition_s,
            })
        };
        json!({
            "samples": self.samples,
            "convergence": self.delayed.iter().map(delayed).collect::<Vec<_>>(),
            "partitions": self.healed.iter().map(healed).collect::<Vec<_>>(),
        })
    }

    /// All figures for people.
    pub(crate) fn show(&self, voice: &Voice) {
        for Delayed { delay_ms, p50_ms, p99_ms, ping_p50_ms, ping_p99_ms, read_p50_ms } in &self.delayed {
            voice.line(format_args!(
                "  {delay_ms} ms one way: seen after {p50_ms:.1} ms (p50), {p99_ms:.1} ms (p99), of which one read is \
                 {read_p50_ms:.1} ms; a ping {ping_p50_ms:.1} ms, {ping_p99_ms:.1} ms"
            ));
        }
        for Healed { mode, partition_s, alone_rows, others_rows, heal_s } in &self.healed {
            let (alone, others) = (grouped(*alone_rows), grouped(*others_rows));
            voice.line(format_args!(
                "  after {partition_s:.0} s of {mode:?}, {alone} rows on one side and {others} on the other: all there \
                 after {heal_s:.2} s"
            ));
        }
    }
}

/// Runs the benchmark as a verb of its own.
///
/// # Errors
/// As for [`run`].
pub(crate) fn verb(arguments: &ConvergenceArguments, voice: &Voice) -> Result<()> {
    let measured = run(arguments, voice)?;
    measured.show(voice);
    let mut figures = measured.json();
    figures["bench"] = "convergence".into();
    println!("{figures}");
    Ok(())
}

/// Starts three regions behind links, and measures both.
///
/// # Errors
/// Where a region does not start, a write is not acknowledged, or it is not seen elsewhere.
pub(crate) fn run(arguments: &ConvergenceArguments, voice: &Voice) -> Result<Convergence> {
    voice.heading("Building");
    let binary = build::binary(arguments.profile.into())?;
    voice.heading("Three regions, each behind links");
    let cluster = Cluster::for_test(&binary, &replicated::options(Options::default()))?;
    let mut measured = Convergence { delayed: Vec::new(), healed: Vec::new(), samples: arguments.samples };
    let mut ids = 0..;
    for delay_ms in DELAYS_MS {
        let what = format!("{} writes at {delay_ms} ms one way", arguments.samples);
        measured.delayed.push(voice.step(what, || delayed(&cluster, delay_ms, arguments.samples, &mut ids))?);
    }
    cluster.network().set_delay(Duration::ZERO);
    let next = AtomicI64::new(ids.start);
    let time = Duration::from_secs(arguments.partition_seconds);
    for mode in [Mode::Cut, Mode::BlackHole] {
        let what = format!("a partition of {} s, {mode:?}", time.as_secs());
        measured.healed.push(voice.step(what, || healed(&cluster, mode, time, &next))?);
    }
    Ok(measured)
}

fn put(edge: &Edge, id: i64) -> Result<()> {
    let answer = replicated::put(edge, ITEMS, id, "item", &[])?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

fn is_seen(edge: &Edge, id: i64) -> Result<bool> {
    let answer = edge.query(&format!("SELECT id FROM {ITEMS} WHERE id = {id}"))?;
    // A region that has nothing yet says so, as others have.
    Ok(answer.status != 409 && !answer.answer()?.rows().is_empty())
}

/// Writes one row at a time, each in the next region, and reads in the one after it until it is there. A ping comes before
/// each write, so that the question for it is under way again.
fn delayed(cluster: &Cluster, delay_ms: u64, samples: u32, ids: &mut std::ops::RangeFrom<i64>) -> Result<Delayed> {
    let network = cluster.network();
    network.set_delay(Duration::from_millis(delay_ms));
    let (mut seen, mut pings, mut reads) = (Times::default(), Times::default(), Times::default());
    for sample in 0..WARM_UP_WRITES + samples {
        let turn = sample as usize;
        let (here, there) = (REGIONS[turn % 3], REGIONS[(turn + 1) % 3]);
        let link = Edge::new(&format!("http://{}", network.address(there, here)?));
        let (here, there) = (cluster.edge(here), cluster.edge(there));
        let started = Instant::now();
        link.get("/livez")?;
        let ping = started.elapsed();
        let id = ids.next().context("no id is left")?;
        put(&here, id)?;
        let acknowledged = Instant::now();
        let read = loop {
            let started = Instant::now();
            if is_seen(&there, id)? {
                break started.elapsed();
            }
            ensure!(acknowledged.elapsed() < TIMEOUT, "a row is not seen at {}", there.url());
        };
        if sample >= WARM_UP_WRITES {
            seen.0.push(acknowledged.elapsed());
            pings.0.push(ping);
            reads.0.push(read);
        }
    }
    Ok(Delayed {
        delay_ms,
        p50_ms: seen.percentile_ms(0.5),
        p99_ms: seen.percentile_ms(0.99),
        ping_p50_ms: pings.percentile_ms(0.5),
        ping_p99_ms: pings.percentile_ms(0.99),
        read_p50_ms: reads.percentile_ms(0.5),
    })
}

/// Cuts the last region off from the others while it and one of them take writes, and measures until all have all.
fn healed(cluster: &Cluster, mode: Mode, time: Duration, next: &AtomicI64) -> Result<Healed> {
    let [one, other, alone] = REGIONS;
    let network = cluster.network();
    for region in [one, other] {
        network.set(alone, region, mode)?;
    }
    let (stop, started) = (AtomicBool::new(false), Instant::now());
    let write = |edge: Edge| {
        let mut rows = 0;
        while !stop.load(Ordering::Relaxed) {
            put(&edge, next.fetch_add(1, Ordering::Relaxed))?;
            rows += 1;
        }
        anyhow::Ok(rows)
    };
    let (alone_rows, others_rows) = thread::scope(|scope| {
        let write = &write;
        let writers = [alone, one].map(|region| cluster.edge(region)).map(|edge| scope.spawn(move || write(edge)));
        // The length of the partition is what is asked for.
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        let [alone, one] = writers.map(|writer| writer.join().expect("a writer does not panic"));
        anyhow::Ok((alone?, one?))
    })?;
    let partition_s = started.elapsed().as_secs_f64();
    let mut all = Vector::new();
    for region in REGIONS {
        for (log, number) in replicated::applied(&cluster.edge(region))? {
            let known = all.entry(log).or_default();
            *known = number.max(*known);
        }
    }
    let whole = Instant::now();
    network.heal()?;
    for region in REGIONS {
        let edge = cluster.edge(region);
        while !covers(&replicated::applied(&edge)?, &all) {
            ensure!(whole.elapsed() < TIMEOUT, "{region} does not get everything");
        }
    }
    let heal_s = whole.elapsed().as_secs_f64();
    let counts = REGIONS.map(|region| Ok(replicated::rows(&cluster.edge(region), ITEMS)?.len()));
    let counts = counts.into_iter().collect::<Result<Vec<_>>>()?;
    let wanted = usize::try_from(next.load(Ordering::Relaxed))?;
    ensure!(counts.iter().all(|count| *count == wanted), "{wanted} rows were written, the regions show {counts:?}");
    Ok(Healed { mode, partition_s, alone_rows, others_rows, heal_s })
}

fn covers(applied: &Vector, all: &Vector) -> bool {
    all.iter().all(|(log, number)| applied.get(log).is_some_and(|applied| applied >= number))
}
