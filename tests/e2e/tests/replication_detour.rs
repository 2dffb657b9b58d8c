//! Entries that come to a region only through another one, while the direct way is silent.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Mode, Options};
use domicile_tests::numbers::Numbers;
use domicile_tests::replicated::{self, EVENTS, TOGETHER_TIMEOUT};

#[test]
fn entries_that_wait_for_others_are_not_sent_again_and_again() -> Result<()> {
    const ROWS: u64 = 20;
    const DIGITS: u64 = 4_096;
    let [one, between, other] = REGIONS;
    let cluster = replicated::start(Options::default())?;
    let network = cluster.network();
    network.set(one, other, Mode::BlackHole)?;
    let mut numbers = Numbers::new(11);
    let mut label = || (0..DIGITS / 8).map(|_| format!("{:08x}", numbers.below(1 << 32))).collect::<String>();
    // The second of these regions writes once it has what the first wrote, so that its entries follow those.
    for region in [one, between] {
        for id in 0..ROWS as i64 {
            let answer = replicated::put(&cluster.edge(region), EVENTS, id, &label(), &[])?;
            ensure!(answer.status == 200, "{}", answer.text());
        }
        await_rows(&cluster.edge(between), if region == one { ROWS } else { 2 * ROWS })?;
    }
    let before = network.traffic(other, between)?.answered.given;
    await_rows(&cluster.edge(other), 2 * ROWS)?;
    let came = network.traffic(other, between)?.answered.given;
    println!("{came} bytes came to {other} from {between} for rows of {}, {before} of them at once", ROWS * DIGITS);
    ensure!(came < 8 * ROWS * DIGITS, "{came} bytes came to {other} for rows of {}", ROWS * DIGITS);
    Ok(())
}

fn await_rows(edge: &domicile_harness::Edge, rows: u64) -> Result<()> {
    let started = Instant::now();
    while replicated::rows(edge, EVENTS)?.len() as u64 != rows {
        ensure!(started.elapsed() < TOGETHER_TIMEOUT, "{} does not get {rows} rows", edge.url());
        thread::sleep(Duration::from_millis(20));
    }
    println!("{} has {rows} rows after {:?}", edge.url(), started.elapsed());
    Ok(())
}
