//! Versions that were written at the same time, brought together by a plugin.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use domicile_harness::replicated::{self, TOGETHER_TIMEOUT};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Edge, Mode, Options, build};
use domicile_tests::world::{digest, plugin};
use serde_json::{Value, json};

const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");
const DATASET: &str = "stock";
const RULE: &str = "latest";

fn start() -> Result<Cluster> {
    let column = |(name, kind): (&str, &str)| {
        format!("[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\nnullable = {}\n", name != "id")
    };
    let columns = [("id", "bigint"), ("quantity", "bigint"), ("tags", "text"), ("note", "text"), ("place", "text")];
    let dataset = format!(
        "schema = 1\nname = \"{DATASET}\"\nreference = true\nprimary_key = [\"id\"]\n{}\
         [conflict]\nrow = \"wasm:{RULE}\"\nsha256 = \"{}\"\n",
        columns.map(column).concat(),
        digest(RULE)?
    );
    let regions = REGIONS.map(|region| format!("\"{region}\"")).join(", ");
    let set = format!("schema = 1\nname = \"catalog\"\nregions = [{regions}]\ndatasets = [\"{DATASET}\"]\n");
    let options = Options {
        datasets: vec![(DATASET.to_owned(), dataset)],
        replication: vec![("catalog".to_owned(), set)],
        links: true,
        ..Options::default()
    };
    Cluster::for_test(&build::binary(build::Profile::Dev)?, &options)
}

fn write(edge: &Edge, method: &str, row: &Value) -> Result<()> {
    let answer = edge.rows(method, DATASET, &[NDJSON], row.to_string().as_bytes())?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

fn item(id: i64, quantity: i64, tags: &str, note: Option<&str>, place: &str) -> Value {
    json!({"id": id, "quantity": quantity, "tags": tags, "note": note, "place": place})
}

fn rows(edge: &Edge) -> Result<Vec<Value>> {
    Ok(edge.query(&format!("SELECT * FROM {DATASET} ORDER BY id"))?.answer()?.rows().to_vec())
}

#[test]
fn a_plugin_settles_what_was_written_at_the_same_time() -> Result<()> {
    let [one, other, third] = REGIONS;
    let cluster = start()?;
    write(&cluster.edge(one), "POST", &item(2, 1, "", None, "before"))?;
    replicated::await_together(&cluster)?;
    for region in [other, third] {
        cluster.network().set(one, region, Mode::Cut)?;
    }
    write(&cluster.edge(one), "POST", &item(1, 9, "a,b", Some("first"), "there"))?;
    write(&cluster.edge(one), "DELETE", &json!({"id": 2}))?;
    let here = [item(1, 3, "b,c", None, "here"), item(2, 5, "d", None, "kept")];
    here.iter().try_for_each(|row| write(&cluster.edge(other), "POST", row))?;
    cluster.network().heal()?;

    // Nobody decides without the plugin: the versions of others wait, and it is said what for.
    let deadline = Instant::now() + TOGETHER_TIMEOUT;
    for region in [one, other] {
        loop {
            let status = replicated::status(&cluster.edge(region))?;
            let parked = status["parked"].as_str().unwrap_or_default();
            if parked.contains(&format!("plugin `{RULE}`")) && parked.contains("deploy it") {
                break;
            }
            ensure!(Instant::now() < deadline, "{region} does not wait for the plugin: {status:#}");
            thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!(rows(&cluster.edge(other))?, here);

    let deployed = cluster.edge(third).deploy(RULE, "1.0.0", &std::fs::read(plugin(RULE)?)?)?;
    ensure!(deployed.status < 300, "{}", deployed.text());
    replicated::await_together(&cluster)?;
    for region in REGIONS {
        let edge = cluster.edge(region);
        // What the plugin does not declare is of the version that was written last; rows count before deletions.
        let expect = [item(1, 9, "a,b,c", Some("first"), "here"), item(2, 5, "d", None, "kept")];
        assert_eq!(rows(&edge)?, expect, "{region}");
        let listed = edge.get("/v1/sync/conflicts")?.json()?;
        let listed = listed["conflicts"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(
            listed.iter().any(|conflict| {
                conflict["reason"].as_str().is_some_and(|reason| reason.contains(&format!("made by plugin `{RULE}`")))
            }),
            "{region} lists {listed:#?}"
        );
    }
    Ok(())
}
