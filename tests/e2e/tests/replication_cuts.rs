//! Regions that are written to while the network between them breaks, in every way, and they end without warning.
//!
//! `DOMICILE_CUTS_SECONDS` says for how long (15), `DOMICILE_CUTS_SEED` repeats an earlier run as far as threads do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Edge, Mode, Network, Options};
use domicile_tests::numbers::{Numbers, setting};
use domicile_tests::replicated::{self, EVENTS, ITEMS, Vector};
use domicile_tests::versions::{self, Write};

const SECONDS: u64 = 15;
/// Items that all writers write.
const ITEMS_COUNT: u64 = 24;
/// The network stays broken for this share of the time, or at least so long, and whole for a third of that.
const SHARE: u32 = 12;
const BROKEN_MIN: Duration = Duration::from_millis(1_500);
/// Longest that nothing may be acknowledged anywhere.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Writes that have to be acknowledged while the network is broken.
const WRITES_MEANWHILE: usize = 10;

/// The one writer of a region.
struct Writer {
    region: &'static str,
    edge: Edge,
    numbers: Numbers,
    writes: Vec<Write>,
    /// Labels of events, and whether they were acknowledged.
    events: BTreeMap<String, bool>,
}

impl Writer {
    fn new(cluster: &Cluster, region: &'static str, seed: u64) -> Self {
        let (edge, numbers) = (cluster.edge(region), Numbers::new(seed));
        Self { region, edge, numbers, writes: Vec::new(), events: BTreeMap::new() }
    }

    /// Writes until told to stop.
    fn run(mut self, stop: &AtomicBool, acks: &Sender<()>) -> Result<Self> {
        let mut knew = self.await_applied()?;
        for round in 0.. {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let label = format!("{}-{round}", self.region);
            let is_acknowledged = match self.numbers.below(4) {
                0 => {
                    let sent = replicated::put(&self.edge, EVENTS, 0, &label, &[]);
                    let is_acknowledged = sent.is_ok_and(|answer| answer.status == 200);
                    self.events.insert(label, is_acknowledged);
                    is_acknowledged
                }
                _ => self.write(label, &mut knew)?,
            };
            if is_acknowledged && acks.send(()).is_err() {
                break;
            }
        }
        Ok(self)
    }

    fn write(&mut self, label: String, knew: &mut Vector) -> Result<bool> {
        let key = self.numbers.below(ITEMS_COUNT) as i64;
        let label = (self.numbers.below(8) > 0).then_some(label);
        let sent = match &label {
            Some(label) => replicated::put(&self.edge, ITEMS, key, label, &[]),
            None => replicated::delete(&self.edge, key),
        };
        let is_acknowledged = sent.is_ok_and(|answer| answer.status == 200);
        let knew_at_most = self.await_applied()?;
        let before = std::mem::replace(knew, knew_at_most.clone());
        let log = format!("{}.0", self.region);
        self.writes.push(Write { key, label, log, knew: before, knew_at_most, is_acknowledged });
        Ok(is_acknowledged)
    }

    /// What the region has applied; where it is down, once it is there again.
    fn await_applied(&self) -> Result<Vector> {
        let deadline = Instant::now() + SILENCE_MAX;
        loop {
            match replicated::applied(&self.edge) {
                Ok(vector) => return Ok(vector),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

/// What went wrong, by kind.
#[derive(Debug, Default)]
struct Troubles {
    symmetric: usize,
    one_way: usize,
    partial: usize,
    kills: usize,
}

/// Breaks the network and ends regions, until the time is over.
fn trouble(cluster: &mut Cluster, numbers: &mut Numbers, time: Duration, acks: &Receiver<()>) -> Result<Troubles> {
    let (started, network) = (Instant::now(), cluster.network().clone());
    let broken = BROKEN_MIN.max(time / SHARE);
    let mut troubles = Troubles::default();
    for round in 0.. {
        if started.elapsed() >= time && round >= 3 {
            break;
        }
        let first = numbers.below(3) as usize;
        let step = 1 + numbers.below(2) as usize;
        let [one, other, third] = [0, step, 2 * step].map(|steps| REGIONS[(first + steps) % 3]);
        let mode = if numbers.below(2) == 0 { Mode::Cut } else { Mode::BlackHole };
        network.set_delay(Duration::from_millis(numbers.below(20)));
        let kind = if round < 3 { round } else { numbers.below(3) };
        println!("{:?}: kind {kind} of {mode:?} from {one} to {other}, then {third}", started.elapsed());
        match kind {
            0 => {
                network.set(one, other, mode)?;
                network.set(one, third, mode)?;
                troubles.symmetric += 1;
            }
            1 => {
                network.set_one_way(one, other, mode)?;
                network.set_one_way(third, one, mode)?;
                troubles.one_way += 1;
            }
            _ => {
                network.set(one, other, mode)?;
                troubles.partial += 1;
            }
        }
        let ends = (round == 1 || numbers.below(2) == 0).then(|| REGIONS[numbers.below(3) as usize]);
        if let Some(region) = ends {
            hold(acks, broken / 2, 1)?;
            println!("{:?}: {region} ends", started.elapsed());
            cluster.kill(region)?;
            hold(acks, broken / 2, WRITES_MEANWHILE)?;
            cluster.resume(region)?;
            troubles.kills += 1;
        } else {
            hold(acks, broken, WRITES_MEANWHILE)?;
        }
        network.heal()?;
        hold(acks, broken / 3, 1)?;
    }
    network.set_delay(Duration::ZERO);
    Ok(troubles)
}

/// Stays for a time, and until so many writes were acknowledged.
fn hold(acks: &Receiver<()>, time: Duration, mut writes: usize) -> Result<()> {
    let started = Instant::now();
    loop {
        let left = time.saturating_sub(started.elapsed());
        if left.is_zero() && writes == 0 {
            return Ok(());
        }
        match acks.recv_timeout(if writes > 0 { SILENCE_MAX } else { left }) {
            Ok(()) => writes = writes.saturating_sub(1),
            Err(RecvTimeoutError::Timeout) if writes == 0 => {}
            Err(_) => bail!("nothing is acknowledged any more"),
        }
    }
}

/// Writes everywhere through all troubles. Gives what the writers noted, once the network is whole.
fn live(cluster: &mut Cluster, seed: u64, time: Duration) -> Result<(Vec<Writer>, Troubles)> {
    let (stop, mut numbers) = (AtomicBool::new(false), Numbers::new(seed));
    let (acks, acknowledged) = channel();
    let writers: Vec<Writer> =
        REGIONS.iter().zip(1..).map(|(region, index)| Writer::new(cluster, region, seed ^ (index << 32))).collect();
    thread::scope(|scope| {
        let run = |writer: Writer| {
            let (stop, acks) = (&stop, acks.clone());
            scope.spawn(move || writer.run(stop, &acks))
        };
        let writers: Vec<_> = writers.into_iter().map(run).collect();
        drop(acks);
        let troubles = trouble(cluster, &mut numbers, time, &acknowledged);
        stop.store(true, Ordering::SeqCst);
        let join = |writer: thread::ScopedJoinHandle<'_, Result<Writer>>| {
            writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))?
        };
        let writers = writers.into_iter().map(join).collect::<Result<Vec<_>>>();
        Ok((writers?, troubles?))
    })
}

/// All events that were acknowledged are there, each once, and nothing that nobody wrote.
fn check_events(found: &[(i64, String)], writers: &[Writer]) -> Result<usize> {
    let labels: BTreeSet<&String> = found.iter().map(|(_, label)| label).collect();
    ensure!(labels.len() == found.len(), "an event is there twice");
    let written: BTreeMap<&String, bool> =
        writers.iter().flat_map(|writer| &writer.events).map(|(label, known)| (label, *known)).collect();
    let foreign: Vec<_> = labels.iter().filter(|label| !written.contains_key(*label)).collect();
    ensure!(foreign.is_empty(), "nobody wrote {foreign:?}");
    let acknowledged = || written.iter().filter(|(_, known)| **known).map(|(label, _)| *label);
    let lost: Vec<_> = acknowledged().filter(|label| !labels.contains(label)).collect();
    ensure!(lost.is_empty(), "acknowledged events are lost: {lost:?}");
    Ok(acknowledged().count())
}

#[test]
fn nothing_acknowledged_is_lost_however_the_network_breaks() -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let (seconds, seed) = (setting("DOMICILE_CUTS_SECONDS", SECONDS), setting("DOMICILE_CUTS_SEED", now));
    println!("{seconds} s; again with: cargo xtask cuts --seconds {seconds} --seed {seed}");
    let mut cluster = replicated::start(Options { meter: true, ..Options::default() })?;
    let (writers, troubles) = live(&mut cluster, seed, Duration::from_secs(seconds))?;
    let healed = Instant::now();
    let vector = replicated::await_together(&cluster)?;
    println!("{troubles:?}; together at {vector:?} after {:?}", healed.elapsed());

    let mut shown = BTreeMap::new();
    let events = replicated::rows(&cluster.edge(REGIONS[0]), EVENTS)?;
    for region in REGIONS {
        let edge = cluster.edge(region);
        shown.insert(region.to_owned(), replicated::shown(&edge)?);
        assert_eq!(shown[region].rows, shown[REGIONS[0]].rows, "{region} has other items");
        assert_eq!(replicated::rows(&edge, EVENTS)?, events, "{region} has other events");
        cluster.cli(region).run(&["audit", "verify"])?.success()?;
    }
    let writes: Vec<Write> = writers.iter().flat_map(|writer| writer.writes.clone()).collect();
    let checked = versions::check(&writes, &shown)?;
    println!("{} writes and {} events; {checked:?}", writes.len(), check_events(&events, &writers)?);
    ensure!(checked.acknowledged > 100 && checked.listed > 0 && checked.met > 0, "hardly anything happened");
    ensure!(troubles.kills > 0, "no region ended");
    check_traffic(&cluster)
}

/// Rows of a known size, which cannot be compressed to less than half.
fn known_rows(edge: &Edge, numbers: &mut Numbers) -> Result<u64> {
    const ROWS: i64 = 64;
    const DIGITS: usize = 2_048;
    for id in 0..ROWS {
        let label: String = (0..DIGITS / 8).map(|_| format!("{:08x}", numbers.below(1 << 32))).collect();
        let answer = replicated::put(edge, EVENTS, id, &label, &[])?;
        ensure!(answer.status == 200, "{}", answer.text());
    }
    Ok(ROWS as u64 * DIGITS as u64 / 2)
}

/// What the links counted, what the regions counted, and what had to be moved fit together.
fn check_traffic(cluster: &Cluster) -> Result<()> {
    let network = cluster.network();
    let before = REGIONS.map(|region| Counted::of(cluster, region)).into_iter().collect::<Result<Vec<_>>>()?;
    let bytes = known_rows(&cluster.edge(REGIONS[0]), &mut Numbers::new(7))?;
    replicated::await_together(cluster)?;
    for (region, before) in REGIONS.iter().zip(before) {
        let after = Counted::of(cluster, region)?;
        let (served, answers) = (after.served - before.served, after.answers - before.answers);
        println!("{region}: served {served}, {answers} answers passed, {} bytes came", after.came - before.came);
        // For each of the two that ask, one answer may be under way at either moment.
        ensure!(served.abs_diff(answers) <= 4, "{region} says that it served {served}, and {answers} answers passed");
        let came = after.came - before.came;
        if *region != REGIONS[0] {
            ensure!(came >= bytes, "{region} got {came} bytes, too few for rows of {bytes}");
        }
        ensure!(came <= 6 * bytes, "{region} got {came} bytes for rows of {bytes}");
    }
    for (asking, asked) in ways() {
        let traffic = network.traffic(asking, asked)?;
        println!("{asking} asks {asked}: {traffic:?}");
        ensure!(traffic.reset > 0 || traffic.asked.taken == traffic.asked.given, "bytes were lost without a cut");
        ensure!(traffic.answered.given <= traffic.answered.taken && traffic.answered.given > 0, "nothing came back");
    }
    Ok(())
}

fn ways() -> impl Iterator<Item = (&'static str, &'static str)> {
    REGIONS.iter().flat_map(|one| REGIONS.iter().filter(move |other| *other != one).map(move |other| (*one, *other)))
}

/// What is counted of a region's replication.
struct Counted {
    /// Questions for entries that it says it has answered since it started.
    served: u64,
    /// Its answers that passed its links.
    answers: u64,
    /// Bytes that came to it over its links.
    came: u64,
}

impl Counted {
    fn of(cluster: &Cluster, region: &str) -> Result<Self> {
        let network: &Network = cluster.network();
        let asked = |way: &(&str, &str)| way.0 == region;
        let came = ways().filter(asked).map(|(one, other)| Ok(network.traffic(one, other)?.answered.given));
        let metrics = cluster.edge(region).get("/metrics")?.text();
        let served = metrics.lines().filter(|line| {
            line.starts_with("domicile_requests_total") && line.contains("/v1/peer/log") && line.contains("\"200\"")
        });
        let served = served.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        let passed = network.exchanges()?;
        let answers = passed.iter().filter(|passed| passed.asked == region && is_answer_of_log(passed));
        Ok(Self { served, answers: answers.count() as u64, came: came.sum::<Result<u64>>().context("no link")? })
    }
}

fn is_answer_of_log(passed: &domicile_harness::Exchange) -> bool {
    passed.is_ok && passed.question.starts_with(b"{\"set\":\"catalog\"")
}
