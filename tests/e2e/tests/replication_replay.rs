//! What conflicts would have come to under another policy.

use anyhow::{Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Mode, Options};
use domicile_tests::replicated::{self, ITEMS};
use serde_json::{Value, json};

const FIRST: &str = REGIONS[0];
const LAST: &str = REGIONS[1];

#[test]
fn another_policy_is_tried_on_noted_conflicts_and_changes_nothing() -> Result<()> {
    let cluster = replicated::start(Options::default())?;
    let network = cluster.network();
    let put = |region: &str, id: i64| {
        let answer = replicated::put(&cluster.edge(region), ITEMS, id, &format!("of {region}"), &[])?;
        ensure!(answer.status == 200, "{}", answer.text());
        anyhow::Ok(())
    };
    for region in REGIONS {
        for other in REGIONS.iter().filter(|other| **other != region) {
            network.set_one_way(region, other, Mode::Cut)?;
        }
    }
    for id in [1, 2] {
        put(FIRST, id)?;
        put(LAST, id)?;
    }
    network.heal()?;
    replicated::await_together(&cluster)?;
    for region in REGIONS {
        let edge = cluster.edge(region);
        let replay = |query: &str| edge.get(&format!("/v1/sync/conflicts/replay?dataset={ITEMS}{query}"));
        let before = (replicated::rows(&edge, ITEMS)?, edge.get("/v1/sync/conflicts")?.json()?);
        let same = replay("")?.json()?;
        assert_eq!(
            (&same["policy"], &same["compared"], &same["differ"]),
            (&json!("lww"), &json!(2), &json!(0)),
            "{same}"
        );
        let first = replay("&policy=first_write")?.json()?;
        assert_eq!((&first["compared"], &first["differ"]), (&json!(2), &json!(2)), "{first}");
        for conflict in first["conflicts"].as_array().into_iter().flatten() {
            let starts = |name: &str, region: &str| conflict[name].as_str().is_some_and(|dot| dot.starts_with(region));
            ensure!(starts("winner_now", LAST) && starts("winner_then", FIRST), "{conflict}");
            assert_eq!(conflict["row_then"]["label"], format!("of {FIRST}"), "{conflict}");
        }
        let one = replay(&format!("&policy=origin_priority&origins={FIRST},{LAST}&key=%5B%222%22%5D"))?.json()?;
        assert_eq!((&one["compared"], &one["differ"]), (&json!(1), &json!(1)), "{one}");
        for (query, what) in
            [("&policy=latest", "first_write"), ("&policy=lww&origins=a", "origin_priority"), ("&kind=x", "?")]
        {
            let odd = replay(query)?;
            ensure!(odd.status == 400 && odd.text().contains(what), "{}", odd.text());
        }
        assert_eq!(before, (replicated::rows(&edge, ITEMS)?, edge.get("/v1/sync/conflicts")?.json()?));
        let words = ["sync", "conflicts", "replay", ITEMS, "--policy", "first_write"];
        let said = cluster.cli(region).run(&words)?.success()?.stdout;
        ensure!(said.contains("2 of 2 conflicts would have come out differently"), "{said}");
        let listed = cluster.cli(region).run(&["sync", "conflicts", "--json"])?.success()?.stdout;
        let listed: Value = serde_json::from_str(&listed)?;
        assert_eq!(listed["conflicts"].as_array().map(Vec::len), Some(2), "{listed}");
    }
    Ok(())
}
