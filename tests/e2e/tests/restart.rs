//! What was acknowledged is there after a restart, however the process ended.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Answer, Options, questions};
use domicile_tests::world::World;
use serde_json::Value;

/// Longest that a region may take to find what it missed: a few of its comparisons.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// What a region is to remember.
#[derive(Debug, PartialEq)]
struct Memory {
    revenue: Vec<Vec<Option<String>>>,
    segments: Vec<Vec<Option<String>>>,
    plugins: Value,
    datasets: Value,
}

fn remembered(world: &World, region: &str) -> Result<Memory> {
    let edge = world.edge(region);
    let segments: Answer = edge.get("/v1/endpoints/rfm?as_of=1998-08-02")?.answer()?;
    Ok(Memory {
        revenue: world.ask(region, questions::REVENUE)?.cells(),
        // Sums of doubles depend on the order of addition; groups and counts do not.
        segments: segments.cells().into_iter().map(|row| row[..2].to_vec()).collect(),
        plugins: edge.get("/v1/plugins")?.json()?,
        datasets: edge.get("/v1/datasets")?.json()?,
    })
}

/// The files of compiled plugins in a region. One that is compiled again is another file.
fn compiled(world: &World, region: &str) -> Result<BTreeMap<PathBuf, (u64, SystemTime)>> {
    let dir = world.cluster.file(region).data_dir.join("plugins/compiled");
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry?;
        let metadata = entry.metadata()?;
        Ok((entry.path(), (metadata.ino(), metadata.modified()?)))
    };
    fs::read_dir(dir)?.map(file).collect()
}

#[test]
fn data_plugins_and_ledger_survive() -> Result<()> {
    let mut world = World::with_plugins(&Options::default())?;
    let before = remembered(&world, "eu-central")?;
    let ledger = world.edge("ap-south").ledger()?;
    assert!(!ledger.is_empty() && !before.revenue.is_empty());
    let kept = compiled(&world, "eu-central")?;
    assert_eq!(kept.len(), 3, "two plugins and a key: {kept:?}");

    for region in REGIONS {
        world.cluster.kill(region)?;
    }
    for region in REGIONS {
        world.cluster.resume(region)?;
    }
    assert_eq!(world.edge("ap-south").ledger()?, ledger, "after a kill");
    assert_eq!(remembered(&world, "eu-central")?, before, "after a kill");

    for region in REGIONS {
        world.cluster.stop(region).context("drains and ends with status 0")?;
        world.cluster.resume(region)?;
    }
    assert_eq!(remembered(&world, "eu-central")?, before, "after a stop");
    assert_eq!(compiled(&world, "eu-central")?, kept, "nothing is compiled again");

    let longer = world.edge("ap-south").ledger()?;
    assert_eq!(longer[..ledger.len()], ledger, "the ledger only grows");
    assert!(longer.len() > ledger.len());
    for region in REGIONS {
        let ran = world.cluster.cli(region).run(&["audit", "verify"])?;
        assert_eq!(ran.code, 0, "{region}: {}{}", ran.stdout, ran.stderr);
    }
    Ok(())
}

#[test]
fn a_region_that_was_down_fetches_what_was_deployed() -> Result<()> {
    let mut world = World::start(&Options::default())?;
    world.cluster.stop("ap-south")?;
    let deployed = world.deploy("us-east", "rfm", "rfm", "1.0.0")?.json()?;
    assert_eq!(deployed["pending_in"][0]["region"], "ap-south", "{deployed}");
    world.cluster.resume("ap-south")?;
    let digest = deployed["sha256"].as_str().context("digest")?;
    let deadline = Instant::now() + FETCH_TIMEOUT;
    while !world.edge("ap-south").get("/v1/plugins")?.text().contains(digest) {
        assert!(Instant::now() < deadline, "ap-south did not fetch the plugin");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
