//! Links that are narrow, and batches that are large.

use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Mode, Options};
use domicile_tests::numbers::Numbers;
use domicile_tests::replicated::{self, EVENTS, TOGETHER_TIMEOUT};

const WRITER: &str = REGIONS[0];
const ONE: &str = REGIONS[1];
const OTHER: &str = REGIONS[2];
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// Starts a region again, with these lines for each of its peers.
fn with_peer_keys(cluster: &mut Cluster, region: &str, lines: &str) -> Result<()> {
    cluster.stop(region)?;
    let path = cluster.file(region).config.clone();
    let text = std::fs::read_to_string(&path)?;
    ensure!(text.contains("[[peer]]\n"), "{text}");
    std::fs::write(&path, text.replace("[[peer]]\n", &format!("[[peer]]\n{lines}\n")))?;
    cluster.resume(region)
}

/// Bytes that came to a region over its links.
fn came(cluster: &Cluster, region: &str) -> Result<u64> {
    let others = REGIONS.iter().filter(|other| **other != region);
    others.map(|other| Ok(cluster.network().traffic(region, other)?.answered.given)).sum()
}

fn cut(cluster: &Cluster, region: &str) -> Result<()> {
    for other in REGIONS.iter().filter(|other| **other != region) {
        cluster.network().set_one_way(region, other, Mode::Cut)?;
    }
    Ok(())
}

fn write(cluster: &Cluster, rows: &str) -> Result<()> {
    let answer = cluster.edge(WRITER).rows("POST", EVENTS, &[NDJSON], rows.as_bytes())?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

/// A row whose text cannot be packed to less than half.
fn row(id: i64, digits: usize, numbers: &mut Numbers) -> String {
    let label: String = (0..digits / 8).map(|_| format!("{:08x}", numbers.below(1 << 32))).collect();
    format!("{{\"id\":{id},\"label\":\"{label}\"}}\n")
}

#[test]
fn entries_come_packed_where_that_is_asked_for() -> Result<()> {
    const WRITES: i64 = 200;
    let mut cluster = replicated::start(Options::default())?;
    with_peer_keys(&mut cluster, ONE, "log_compression = \"zstd\"")?;
    cut(&cluster, ONE)?;
    cut(&cluster, OTHER)?;
    for id in 0..WRITES {
        write(&cluster, &format!("{{\"id\":{id},\"label\":\"label {id}\"}}\n"))?;
    }
    let before = (came(&cluster, ONE)?, came(&cluster, OTHER)?);
    cluster.network().heal()?;
    replicated::await_together(&cluster)?;
    let (packed, plain) = (came(&cluster, ONE)? - before.0, came(&cluster, OTHER)? - before.1);
    println!("{packed} bytes came packed, {plain} as they are");
    ensure!(2 * packed < plain, "{packed} bytes came packed, {plain} as they are");
    assert_eq!(replicated::rows(&cluster.edge(ONE), EVENTS)?, replicated::rows(&cluster.edge(WRITER), EVENTS)?);
    Ok(())
}

#[test]
fn no_more_comes_from_a_peer_than_the_region_lets() -> Result<()> {
    const BYTES_PER_S: u64 = 100_000;
    const ROW_DIGITS: usize = 20_000;
    const ROWS: i64 = 40;
    let mut cluster = replicated::start(Options::default())?;
    with_peer_keys(&mut cluster, ONE, &format!("log_bytes_per_s_max = {BYTES_PER_S}"))?;
    cut(&cluster, ONE)?;
    let mut numbers = Numbers::new(3);
    for id in 0..ROWS {
        write(&cluster, &row(id, ROW_DIGITS, &mut numbers))?;
    }
    let (before, started) = (came(&cluster, ONE)?, Instant::now());
    cluster.network().heal()?;
    let mut seen = 0;
    while seen < ROWS as usize {
        seen = replicated::rows(&cluster.edge(ONE), EVENTS)?.len();
        let (came, seconds) = (came(&cluster, ONE)? - before, started.elapsed().as_secs() + 1);
        // From either peer: what comes in a second at once, and more by one row and a little around it.
        let most = 2 * (BYTES_PER_S * (seconds + 1) + ROW_DIGITS as u64 + 20_000);
        ensure!(came <= most, "{came} bytes came in {seconds} s");
        ensure!(started.elapsed() < TOGETHER_TIMEOUT, "{seen} rows after {seconds} s");
        thread::sleep(std::time::Duration::from_millis(50));
    }
    replicated::await_together(&cluster)?;
    Ok(())
}

#[test]
fn what_a_peer_may_say_of_its_logs_is_checked() -> Result<()> {
    let cluster = replicated::start(Options::default())?;
    let path = cluster.file(ONE).config.clone();
    let text = std::fs::read_to_string(&path)?;
    for (line, what) in [
        ("log_compression = \"brotli\"", "zstd"),
        ("log_bytes_per_s_max = 0", "log_bytes_per_s_max"),
        ("log_bytes_per_second = 5", "log_bytes_per_s_max"),
    ] {
        let file = path.with_file_name("odd.toml");
        std::fs::write(&file, text.replacen("[[peer]]\n", &format!("[[peer]]\n{line}\n"), 1))?;
        let shown = file.to_str().context("a path that is no text")?;
        let odd = cluster.cli(ONE).run(&["config", "check", shown])?;
        ensure!(odd.code == 2 && odd.stderr.contains(what) && odd.stderr.contains("odd.toml:"), "{}", odd.stderr);
    }
    Ok(())
}

#[test]
fn large_batches_replicate_and_larger_ones_are_refused_whole() -> Result<()> {
    const ROW_DIGITS: usize = 1024 * 1024;
    let mut cluster = replicated::start(Options::default())?;
    // Far above what one answer has, and what may come in a second.
    with_peer_keys(&mut cluster, ONE, "log_compression = \"zstd\"\nlog_bytes_per_s_max = 4000000")?;
    let mut numbers = Numbers::new(5);
    let mut rows = |ids: std::ops::Range<i64>| ids.map(|id| row(id, ROW_DIGITS, &mut numbers)).collect::<String>();
    write(&cluster, &rows(0..30))?;
    let answer = cluster.edge(WRITER).rows("POST", EVENTS, &[NDJSON], rows(100..140).as_bytes())?;
    assert_eq!(answer.status, 413, "{}", answer.text());
    ensure!(answer.text().contains("split it"), "{}", answer.text());
    write(&cluster, &rows(30..31))?;
    replicated::await_together(&cluster)?;
    for region in REGIONS {
        let answer =
            cluster.edge(region).query(&format!("SELECT count(*) AS n, sum(length(label)) AS c FROM {EVENTS}"))?;
        let row = answer.answer()?.rows()[0].clone();
        assert_eq!((row["n"].as_i64(), row["c"].as_i64()), (Some(31), Some(31 * ROW_DIGITS as i64)), "{region}");
    }
    Ok(())
}

#[test]
fn a_large_batch_passes_a_link_that_needs_longer_than_a_silent_one_is_waited_for() -> Result<()> {
    // All of it takes longer than a region waits for an answer of which nothing comes.
    const BYTES_PER_S: u64 = 64 * 1024;
    const DIGITS: usize = 36 * BYTES_PER_S as usize;
    let cluster = replicated::start(Options::default())?;
    cluster.network().set_rate(BYTES_PER_S);
    write(&cluster, &row(1, DIGITS, &mut Numbers::new(9)))?;
    let started = Instant::now();
    for region in [ONE, OTHER] {
        while replicated::rows(&cluster.edge(region), EVENTS)?.is_empty() {
            ensure!(started.elapsed() < 3 * TOGETHER_TIMEOUT, "{region} does not get it");
            thread::sleep(std::time::Duration::from_millis(100));
        }
    }
    println!("there after {:?}", started.elapsed());
    Ok(())
}
