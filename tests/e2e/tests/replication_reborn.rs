//! A region that lost all its data and starts again under its name.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Mode, Options};
use domicile_tests::replicated::{self, ITEMS};

#[test]
fn what_a_region_acknowledges_after_it_lost_its_data_is_not_lost() -> Result<()> {
    let [lost, one, other] = REGIONS;
    let mut cluster = replicated::start(Options::default())?;
    let put = |edge, id, label: &str| {
        let answer = replicated::put(&edge, ITEMS, id, label, &[])?;
        ensure!(answer.status == 200, "{}", answer.text());
        anyhow::Ok(())
    };
    put(cluster.edge(lost), 1, "before")?;
    replicated::await_together(&cluster)?;
    cluster.kill(lost)?;
    cluster.destroy_data(lost)?;
    cluster.network().set(lost, one, Mode::Cut)?;
    cluster.network().set(lost, other, Mode::Cut)?;
    cluster.resume(lost)?;
    // It may refuse to take rows before it knows what it wrote in its earlier life. If it takes one, it has to keep it.
    let taken = put(cluster.edge(lost), 2, "after");
    cluster.network().heal()?;
    replicated::await_together(&cluster)?;
    let mut expect = BTreeMap::from([(1, "before".to_owned())]);
    if taken.is_ok() {
        expect.insert(2, "after".to_owned());
    }
    for region in REGIONS {
        assert_eq!(replicated::shown(&cluster.edge(region))?.rows, expect, "{region}");
    }
    Ok(())
}
