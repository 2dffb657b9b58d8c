//! Rows that are written anywhere and the same everywhere: shipping, conflicts, regions that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Edge, Options, build};
use serde_json::Value;

const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");
/// Longest that regions may take to come together: a region that was away is asked again after a while.
const TOGETHER_TIMEOUT: Duration = Duration::from_secs(60);

fn dataset(name: &str, key: &str, more: &str) -> (String, String) {
    let column = |name: &str, kind: &str| format!("[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\n");
    let columns = [column("id", "bigint"), column("label", "text"), column("price", "bigint")].concat();
    let text = format!("schema = 1\nname = \"{name}\"\nreference = true\nprimary_key = [{key}]\n{columns}{more}");
    (name.to_owned(), text)
}

fn start() -> Result<Cluster> {
    let datasets = vec![
        dataset("product", "\"id\"", ""),
        dataset("offer", "\"id\"", "[conflict]\nrow = \"first_write\"\n[conflict.columns]\nprice = \"max\"\n"),
        dataset("visit", "", ""),
    ];
    let regions = REGIONS.map(|region| format!("\"{region}\"")).join(", ");
    let set = format!(
        "schema = 1\nname = \"catalog\"\nregions = [{regions}]\ndatasets = [\"product\", \"offer\", \"visit\"]\n"
    );
    let replication = vec![("catalog".to_owned(), set)];
    let options = Options { datasets, replication, ..Options::default() };
    Cluster::for_test(&build::binary(build::Profile::Dev)?, &options)
}

fn write(edge: &Edge, dataset: &str, rows: &str) -> Result<()> {
    let answer = edge.rows("POST", dataset, &[NDJSON], rows.as_bytes())?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

fn row(id: i64, label: &str, price: i64) -> String {
    format!("{{\"id\":{id},\"label\":\"{label}\",\"price\":{price}}}\n")
}

/// All rows of a dataset as an edge sees them.
fn rows(edge: &Edge, dataset: &str) -> Result<Vec<Vec<Option<String>>>> {
    let answer = edge.query(&format!("SELECT id, label, price FROM {dataset} ORDER BY id, label, price"))?;
    // A region that has nothing of it yet says so, as others have.
    if answer.status == 409 { Ok(Vec::new()) } else { Ok(answer.answer()?.cells()) }
}

fn cells(rows: &[(i64, &str, i64)]) -> Vec<Vec<Option<String>>> {
    let texts = |(id, label, price): &(i64, &str, i64)| {
        [id.to_string(), (*label).to_owned(), price.to_string()].into_iter().map(Some).collect()
    };
    rows.iter().map(texts).collect()
}

/// Waits until every region shows these rows.
#[track_caller]
fn check_everywhere(cluster: &Cluster, dataset: &str, expect: &[(i64, &str, i64)]) -> Result<()> {
    let (deadline, expect) = (Instant::now() + TOGETHER_TIMEOUT, cells(expect));
    for region in REGIONS {
        loop {
            let found = rows(&cluster.edge(region), dataset)?;
            if found == expect {
                break;
            }
            ensure!(Instant::now() < deadline, "{region} has {found:?}, not {expect:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn conflicts(edge: &Edge) -> Result<Vec<Value>> {
    let answer = edge.get("/v1/sync/conflicts")?.json()?;
    let mut conflicts = answer["conflicts"].as_array().context("no list")?.clone();
    // When each region met them is its own.
    conflicts.iter_mut().filter_map(Value::as_object_mut).for_each(|conflict| drop(conflict.remove("detected_ms")));
    Ok(conflicts)
}

/// The version of the row of `offer` that a region wrote, as it is listed.
fn offers_of(listed: &[Value], region: &str) -> Option<String> {
    let offers = listed.iter().filter(|conflict| conflict["dataset"] == "offer");
    let mut versions = offers.flat_map(|conflict| conflict["versions"].as_array()).flatten().filter_map(Value::as_str);
    versions.find(|version| version.starts_with(region)).map(str::to_owned)
}

#[test]
fn rows_go_everywhere_and_conflicts_are_settled_alike() -> Result<()> {
    let mut cluster = start()?;
    write(&cluster.edge("eu-central"), "product", &(row(1, "cup", 5) + &row(2, "pot", 9)))?;
    check_everywhere(&cluster, "product", &[(1, "cup", 5), (2, "pot", 9)])?;
    write(&cluster.edge("us-east"), "product", &row(1, "mug", 6))?;
    check_everywhere(&cluster, "product", &[(1, "mug", 6), (2, "pot", 9)])?;
    let deleted = cluster.edge("ap-south").rows("DELETE", "product", &[NDJSON], b"{\"id\":2}\n")?;
    ensure!(deleted.status == 200, "{}", deleted.text());
    check_everywhere(&cluster, "product", &[(1, "mug", 6)])?;
    write(&cluster.edge("ap-south"), "visit", &row(7, "seen", 0))?;
    write(&cluster.edge("us-east"), "visit", &row(7, "seen", 0))?;
    check_everywhere(&cluster, "visit", &[(7, "seen", 0), (7, "seen", 0)])?;
    assert_eq!(conflicts(&cluster.edge("us-east"))?, Vec::<Value>::new(), "each was written over the one before");

    // Each writes while the others are away.
    for region in REGIONS {
        cluster.stop(region)?;
    }
    for (region, price) in REGIONS.into_iter().zip([30, 20, 10]) {
        cluster.resume(region)?;
        write(&cluster.edge(region), "product", &row(1, region, price))?;
        write(&cluster.edge(region), "offer", &row(5, region, price))?;
        cluster.kill(region)?;
    }
    for region in REGIONS {
        cluster.resume(region)?;
    }
    let (first, last) = (REGIONS[0], REGIONS[2]);
    check_everywhere(&cluster, "product", &[(1, last, 10)])?;
    check_everywhere(&cluster, "offer", &[(5, first, 30)])?;
    for region in REGIONS {
        let listed = conflicts(&cluster.edge(region))?;
        let all = |dataset: &str| {
            let of = listed.iter().filter(|conflict| conflict["dataset"] == dataset);
            of.max_by_key(|conflict| conflict["versions"].as_array().map(Vec::len)).cloned()
        };
        if region == last {
            let third = offers_of(&listed, last).with_context(|| format!("no version of {last} in {listed:?}"))?;
            let row = ["sync", "resolve", "offer", "[\"5\"]"];
            let odd = cluster.cli(region).run(&[&row[..], &["us-east.9:1"]].concat())?;
            assert!(odd.code == 1 && odd.stderr.contains("there is no version `us-east.9:1`"), "{}", odd.stderr);
            cluster.cli(region).run(&[&row[..], &[&third]].concat())?.success()?;
        }
        let product = all("product").with_context(|| format!("{region} lists no conflict of `product`"))?;
        assert_eq!(product["versions"].as_array().map(Vec::len), Some(3), "{region}: {product}");
        assert_eq!((&product["policy"], &product["reason"]), (&"lww".into(), &"written last".into()), "{region}");
        let offer = all("offer").with_context(|| format!("{region} lists no conflict of `offer`"))?;
        assert_eq!(offer["reason"], "written first; largest value of `price`", "{region}");
    }
    check_everywhere(&cluster, "offer", &[(5, last, 10)])?;
    // All are under other laws than each other, so that no other region's copy counts.
    let headers = [NDJSON, ("Acknowledge", "jurisdiction:2")];
    let alone = cluster.edge("us-east").rows("POST", "product", &headers, row(3, "jug", 1).as_bytes())?;
    assert!(alone.status == 400 && alone.text().contains("2 copies are wanted"), "{}", alone.text());
    let odd = cluster.edge("us-east").rows("POST", "product", &[NDJSON, ("Acknowledge", "all")], b"")?;
    assert!(odd.status == 400 && odd.text().contains("jurisdiction:COPIES"), "{}", odd.text());
    let shown = cluster.cli("us-east").run(&["sync", "conflicts"])?.success()?.stdout;
    assert!(shown.contains("product [\"1\"]") && shown.contains("written last"), "{shown}");
    let status = cluster.cli("us-east").run(&["sync", "status"])?.success()?.stdout;
    assert!(status.contains("replication set catalog: offer, product, visit"), "{status}");
    assert!(status.contains("heard of") && !status.contains("not heard of"), "{status}");
    Ok(())
}

/// What a region acknowledged, by id.
fn write_until(edge: &Edge, first_id: i64, stop: &AtomicBool) -> BTreeSet<i64> {
    let mut acknowledged = BTreeSet::new();
    for id in (first_id..).take_while(|_| !stop.load(Ordering::Relaxed)) {
        if write(edge, "product", &row(id, "item", id)).is_ok() {
            acknowledged.insert(id);
        }
    }
    acknowledged
}

#[test]
fn what_was_acknowledged_is_everywhere_however_regions_end() -> Result<()> {
    let mut cluster = start()?;
    let edges: Vec<Edge> = REGIONS.iter().map(|region| cluster.edge(region)).collect();
    let stop = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| -> Result<Vec<BTreeSet<i64>>> {
        let stop = &stop;
        let writers: Vec<_> = edges
            .iter()
            .zip(0..)
            .map(|(edge, index)| scope.spawn(move || write_until(edge, 1_000_000 * index, stop)))
            .collect();
        for region in [REGIONS[1], REGIONS[0], REGIONS[2], REGIONS[1]] {
            let before = rows(&edges[usize::from(region == REGIONS[0])], "product")?.len();
            let started = Instant::now();
            // Some rows are written between one end and the next.
            while rows(&edges[usize::from(region == REGIONS[0])], "product")?.len() < before + 20 {
                ensure!(started.elapsed() < TOGETHER_TIMEOUT, "nothing is written any more");
            }
            cluster.kill(region)?;
            cluster.resume(region)?;
        }
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))).collect()
    })?;
    let acknowledged: BTreeSet<i64> = acknowledged.into_iter().flatten().collect();
    ensure!(acknowledged.len() > 60, "{} rows only", acknowledged.len());
    let deadline = Instant::now() + TOGETHER_TIMEOUT;
    loop {
        let all = REGIONS.map(|region| rows(&cluster.edge(region), "product"));
        let [first, second, third] = all;
        let (first, second, third) = (first?, second?, third?);
        let ids: BTreeMap<i64, ()> =
            first.iter().filter_map(|row| Some((row[0].as_ref()?.parse().ok()?, ()))).collect();
        let lost: Vec<&i64> = acknowledged.iter().filter(|id| !ids.contains_key(id)).collect();
        if lost.is_empty() && first == second && second == third {
            return Ok(());
        }
        let sizes = (first.len(), second.len(), third.len());
        ensure!(Instant::now() < deadline, "{} of {} are missing; {sizes:?}", lost.len(), acknowledged.len());
        thread::sleep(Duration::from_millis(50));
    }
}
