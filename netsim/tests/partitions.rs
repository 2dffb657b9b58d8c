//! Three regions over a network that loses, holds back and mends, and of which one crashes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domicile_netsim::{Authority, Board, Host, Traffic};
use domicile_types::RegionId;
use tempfile::TempDir;
use turmoil::{Builder, Sim};

const REGIONS: [&str; 3] = ["ap-south", "eu-west", "us-east"];
/// Runs, each with its own seed; `DOMICILE_NETSIM_SEED` names one to run alone.
const SEEDS: u64 = 3;
/// How long regions write while the network breaks, and how long coming together may take.
const WRITING: Duration = Duration::from_secs(40);
const TOGETHER: Duration = Duration::from_secs(120);
/// How long a link that is mended may stay silent: as long as it takes to find out about its connection, and to ask again.
const REPLACED: Duration = Duration::from_secs(45);
/// Keys that every region writes; those that one region writes alone come after these.
const SHARED: i64 = 5;

/// A small generator of numbers that are the same for one seed: splitmix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }
}

struct World<'a> {
    sim: Sim<'a>,
    hosts: Vec<Host>,
    _dir: TempDir,
    /// What was done to the network, shown where something fails.
    schedule: Vec<String>,
    next_value: i64,
}

impl World<'_> {
    fn new(seed: u64, stranger: Option<usize>) -> Self {
        let mut builder = Builder::new();
        builder.simulation_duration(Duration::from_secs(600)).tick_duration(Duration::from_millis(10)).rng_seed(seed);
        builder.min_message_latency(Duration::from_millis(5)).max_message_latency(Duration::from_millis(80));
        builder.tcp_capacity(4096);
        let (mut sim, dir) = (builder.build(), TempDir::new().unwrap());
        let (known, other) = (Authority::new().unwrap(), Authority::new().unwrap());
        let regions: Vec<RegionId> = REGIONS.iter().map(|region| region.parse().unwrap()).collect();
        let host = |(index, region): (usize, &RegionId)| Host {
            region: region.clone(),
            regions: regions.clone(),
            tls: if stranger == Some(index) { &other } else { &known }.certify(region).unwrap(),
            dir: dir.path().join(region.as_str()),
            board: Rc::new(RefCell::new(Board::default())),
            traffic: Arc::new(Traffic::default()),
        };
        let hosts: Vec<Host> = regions.iter().enumerate().map(host).collect();
        for host in &hosts {
            let host = host.clone();
            sim.host(host.region.to_string(), move || host.clone().run());
        }
        Self { sim, hosts, _dir: dir, schedule: Vec::new(), next_value: 0 }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.sim.elapsed() + time;
        while self.sim.elapsed() < end {
            if let Err(error) = self.sim.step() {
                panic!("{error}; {:#?}", self.schedule);
            }
        }
    }

    /// Whether that comes to be in time.
    fn comes(&mut self, limit: Duration, is_so: impl Fn(&[Host]) -> bool) -> bool {
        let end = self.sim.elapsed() + limit;
        while !is_so(&self.hosts) {
            if self.sim.elapsed() >= end {
                return false;
            }
            self.pass(Duration::from_millis(200));
        }
        true
    }

    #[track_caller]
    fn await_members(&mut self) {
        assert!(self.comes(TOGETHER, |hosts| hosts.iter().all(|host| host.board.borrow().is_member)), "no members");
    }

    fn write(&mut self, index: usize, key: i64) {
        self.next_value += 1;
        self.hosts[index].board.borrow_mut().wanted.push_back((key, self.next_value));
    }

    fn tell(&mut self, what: String) {
        self.schedule.push(format!("{:?} {what}", self.sim.elapsed()));
    }

    /// Does something to the network between two regions.
    fn break_some(&mut self, rng: &mut Rng) {
        let from = rng.below(3) as usize;
        let (from, to) = (REGIONS[from], REGIONS[(from + 1 + rng.below(2) as usize) % 3]);
        let what = match rng.below(4) {
            0 => {
                self.sim.partition(from, to);
                "loses all between"
            }
            1 => {
                self.sim.partition_oneway(from, to);
                "loses all on the way between"
            }
            2 => {
                self.sim.hold(from, to);
                "holds back all between"
            }
            _ => {
                self.mend(from, to);
                "mended between"
            }
        };
        self.tell(format!("{what} {from} and {to}"));
    }

    fn mend(&mut self, one: &str, other: &str) {
        self.sim.release(one, other);
        self.sim.repair(one, other);
    }

    fn mend_all(&mut self) {
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            self.mend(REGIONS[one], REGIONS[other]);
        }
        self.tell("mended".to_owned());
    }

    /// Everything that regions were to write is written, and all show the same.
    fn are_together(hosts: &[Host]) -> bool {
        let first = hosts[0].board.borrow();
        let same = |host: &Host| {
            let board = host.board.borrow();
            board.wanted.is_empty() && board.applied == first.applied && board.rows == first.rows
        };
        hosts.iter().all(same)
    }

    /// Every key has a value that was acknowledged for it: of keys that one region writes alone, the last one.
    #[track_caller]
    fn check_rows(&self) {
        let mut written: BTreeMap<i64, (BTreeSet<i64>, i64)> = BTreeMap::new();
        for host in &self.hosts {
            for (key, value) in &host.board.borrow().acknowledged {
                let known = written.entry(*key).or_default();
                known.0.insert(*value);
                known.1 = *value;
            }
        }
        let rows = self.hosts[0].board.borrow().rows.clone();
        assert_eq!(rows.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>(), "{:#?}", self.schedule);
        for (key, (all, last)) in written {
            let value = rows[&key];
            let fits = if key < SHARED { all.contains(&value) } else { value == last };
            assert!(fits, "{key} has {value}, and was written {all:?}; {:#?}", self.schedule);
        }
    }

    fn report(&self) -> String {
        let shown = |host: &Host| {
            let board = host.board.borrow();
            format!("{}: [{}], {} rows, {:?}", host.region, board.applied, board.rows.len(), host.traffic)
        };
        let shown: Vec<String> = self.hosts.iter().map(shown).collect();
        format!("{}\n{:#?}", shown.join("\n"), self.schedule)
    }
}

fn live(seed: u64) {
    let (mut world, mut rng) = (World::new(seed, None), Rng(seed));
    world.await_members();
    let (end, crash_at) = (world.sim.elapsed() + WRITING, world.sim.elapsed() + WRITING / 2);
    let mut crashed = None;
    while world.sim.elapsed() < end {
        for index in 0..3 {
            let alone = SHARED + 3 * rng.below(20).cast_signed() + index as i64;
            let key = if rng.below(3) == 0 { rng.below(SHARED as u64).cast_signed() } else { alone };
            world.write(index, key);
        }
        if rng.below(3) == 0 {
            world.break_some(&mut rng);
        }
        if crashed.is_none() && world.sim.elapsed() >= crash_at {
            let index = rng.below(3) as usize;
            world.sim.crash(REGIONS[index]);
            world.tell(format!("{} crashes", REGIONS[index]));
            crashed = Some(index);
        }
        world.pass(Duration::from_millis(200 + rng.below(800)));
    }
    let crashed = crashed.unwrap();
    world.sim.bounce(REGIONS[crashed]);
    world.tell(format!("{} starts again", REGIONS[crashed]));
    world.mend_all();
    assert!(world.comes(TOGETHER, World::are_together), "seed {seed} does not come together\n{}", world.report());
    world.check_rows();
    for host in &world.hosts {
        let (connections, requests) = (&host.traffic.connections, &host.traffic.requests);
        assert!(connections.load(Ordering::Relaxed) > 2 && requests.load(Ordering::Relaxed) > 10, "{}", world.report());
    }
}

#[test]
fn regions_come_together_after_partitions() {
    let seeds = match std::env::var("DOMICILE_NETSIM_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..SEEDS).collect(),
    };
    seeds.into_iter().for_each(live);
}

#[test]
fn a_cut_between_two_is_healed_by_the_third() {
    let mut world = World::new(1, None);
    world.await_members();
    world.sim.partition(REGIONS[0], REGIONS[1]);
    (0..3).for_each(|index| world.write(index, 10 + index as i64));
    assert!(world.comes(TOGETHER, World::are_together), "{}", world.report());
    assert_eq!(world.hosts[0].board.borrow().rows.len(), 3);
    world.check_rows();
}

/// What was under way over the link is lost without a word, so that nothing but its silence says so.
#[test]
fn a_connection_that_was_swallowed_is_replaced() {
    let mut world = World::new(4, None);
    world.await_members();
    world.sim.crash(REGIONS[2]);
    world.sim.partition(REGIONS[0], REGIONS[1]);
    (0..2).for_each(|index| world.write(index, 10 + index as i64));
    world.pass(Duration::from_secs(5));
    world.mend(REGIONS[0], REGIONS[1]);
    let both_show = |hosts: &[Host]| hosts[..2].iter().all(|host| host.board.borrow().rows.len() == 2);
    assert!(world.comes(REPLACED, both_show), "{}", world.report());
}

#[test]
fn nothing_comes_over_links_that_stay_cut() {
    let mut world = World::new(2, None);
    world.await_members();
    world.sim.partition(REGIONS[0], REGIONS[1]);
    world.sim.partition(REGIONS[0], REGIONS[2]);
    (0..3).for_each(|index| world.write(index, 10 + index as i64));
    assert!(!world.comes(TOGETHER, World::are_together), "{}", world.report());
    let rows = |index: usize| world.hosts[index].board.borrow().rows.keys().copied().collect::<Vec<_>>();
    assert_eq!([rows(0), rows(1), rows(2)], [vec![10], vec![11, 12], vec![11, 12]]);
}

#[test]
fn a_certificate_of_another_authority_gets_nothing() {
    let mut world = World::new(3, Some(2));
    world.pass(Duration::from_secs(60));
    (0..3).for_each(|index| world.write(index, 10 + index as i64));
    world.pass(Duration::from_secs(60));
    let stranger = &world.hosts[2];
    assert!(stranger.board.borrow().rows.is_empty(), "{}", world.report());
    assert_eq!(stranger.traffic.requests.load(Ordering::Relaxed), 0);
    let refused: u64 = world.hosts.iter().map(|host| host.traffic.refused.load(Ordering::Relaxed)).sum();
    assert!(refused > 0, "{}", world.report());
}
