//! A region that lost all its data and starts again under its name.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Mode, Options};
use domicile_tests::replicated::{self, ITEMS, TOGETHER_TIMEOUT};

#[test]
fn a_region_that_lost_its_data_gives_no_number_out_twice() -> Result<()> {
    let [lost, one, other] = REGIONS;
    let mut cluster = replicated::start(Options::default())?;
    let put = |edge, id, label: &str| replicated::put(&edge, ITEMS, id, label, &[]);
    ensure!(put(cluster.edge(lost), 1, "before")?.status == 200, "the first row is not taken");
    replicated::await_together(&cluster)?;
    cluster.kill(lost)?;
    cluster.destroy_data(lost)?;
    cluster.network().set(lost, one, Mode::Cut)?;
    cluster.network().set(lost, other, Mode::Cut)?;
    cluster.resume(lost)?;

    // Whether it wrote before, only the others know.
    let refused = put(cluster.edge(lost), 2, "after")?;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("has not heard from all others"), "{}", refused.text());
    assert_eq!(replicated::status(&cluster.edge(lost))?["standing"], "unsure");

    cluster.network().heal()?;
    let deadline = Instant::now() + TOGETHER_TIMEOUT;
    while put(cluster.edge(lost), 2, "after")?.status != 200 {
        ensure!(Instant::now() < deadline, "{:#}", replicated::status(&cluster.edge(lost))?);
        thread::sleep(Duration::from_millis(50));
    }
    let applied = replicated::await_together(&cluster)?;
    let logs: Vec<_> = applied.keys().filter(|log| log.starts_with(&format!("{lost}."))).collect();
    ensure!(logs.len() == 2 && logs.contains(&&format!("{lost}.0")), "{logs:?}");
    let expect = BTreeMap::from([(1, "before".to_owned()), (2, "after".to_owned())]);
    for region in REGIONS {
        assert_eq!(replicated::shown(&cluster.edge(region))?.rows, expect, "{region}");
    }
    Ok(())
}
