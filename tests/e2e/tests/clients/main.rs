//! Who may ask, what a client elsewhere gets, and what a region that was taken over cannot do with a client's token.
//! In [`world`], policies let customers' aggregates go to India in groups of forty only, and orders' not at all.

mod borders;
mod explained;
mod forged;
mod mixed;
mod roles;
mod tokens;

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::{REGIONS, regions_dir};
use domicile_harness::{Edge, Options};
use domicile_tests::world::{World, shared};
use serde_json::Value;

const HOMES: &str = r#"to = ["eu-central", "us-east", "ap-south"]"#;
const NAMES: &str = "SELECT c_name FROM customer LIMIT 5";
const SEGMENTS: &str = "SELECT c_mktsegment, count(*) AS n FROM customer GROUP BY 1 ORDER BY 1";
const ORDERS: &str = "SELECT o_orderstatus, count(*) AS n FROM orders GROUP BY 1";

/// The project's policy, with India taken out of the clause, and what `more` makes of that clause for India.
fn policy(name: &str, more: impl FnOnce(&str) -> String) -> Result<(String, String)> {
    let text = std::fs::read_to_string(regions_dir().join("policies").join(format!("{name}.toml")))?;
    ensure!(text.contains(HOMES), "{name} has another clause");
    let text = text.replace(HOMES, r#"to = ["eu-central", "us-east"]"#);
    let (_, clause) = text.split_once("[[allow]]").context("no clause")?;
    let more = more(clause);
    Ok((name.to_owned(), text + &more))
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || {
        let to_india = |clause: &str| {
            let clause = clause.replace("world-reporting", "to-india");
            let clause = clause.replace(r#"to = ["eu-central", "us-east"]"#, r#"to = ["ap-south"]"#);
            format!("\n[[allow]]{}", clause.replace("minimum_entities = 10", "minimum_entities = 40"))
        };
        let none = |_: &str| String::new();
        let policies = vec![policy("customer", to_india)?, policy("orders", none)?, policy("lineitem", none)?];
        World::start(&Options { tokens_only: REGIONS.into(), policies, ..Options::default() })
    })
}

/// A token of `subject`, who stands in these jurisdictions.
fn token(subject: &str, jurisdictions: &str, more: &[&str]) -> Result<String> {
    world().cluster.token(&[&["--subject", subject, "--in", jurisdictions], more].concat())
}

fn edge(region: &str, token: &str) -> Edge {
    world().edge(region).with_token(token)
}

fn at_home(home: &str) -> [(&'static str, &str); 1] {
    [("Data-Region", home)]
}

/// A key that no region trusts.
fn other_key() -> Result<PathBuf> {
    let file = world().cluster.dir().context("a folder")?.join(format!("other-{:?}.pem", std::thread::current().id()));
    let path = file.to_str().context("UTF-8")?;
    world().cluster.cli("us-east").run(&["token", "key", "new", path])?.success()?;
    Ok(file)
}

fn ledger_of(region: &str, query: &str) -> Result<Vec<Value>> {
    let ledger = world().edge(region).ledger()?;
    Ok(ledger.into_iter().filter(|record| record["receipt"]["query_id"] == query).collect())
}
