//! Versions side by side of plugins whose own bytes cross borders: query plugins, and aggregates in SQL. Each question
//! is answered by one version in all regions, and a shadow is told from what it stands beside.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Answer, Edge, Options};
use domicile_tests::check::{by_first_column, same_rows};
use domicile_tests::oracle::{Cell, oracle};
use domicile_tests::quantiles::{RELATIVE_ERROR, check_values, exact_quantiles, sorted};
use domicile_tests::release::{change, compared};
use domicile_tests::wasm::{same_again, with_number, with_text};
use domicile_tests::world::{World, plugin, sha256, shared};
use serde_json::{Value, json};

/// The logarithm of how much wider each bucket of the quantile sketch is than the one before, …
const FINE_LN: f64 = 0.020_000_666_706_669_435;
/// … and of how much in another version of it.
const COARSE_LN: f64 = 0.4;
/// Where in a bucket the value lies that stands for it: the same in both versions.
const IN_BUCKET: f64 = 0.99;

const QUANTILES: &str =
    "SELECT o_orderpriority, approx_quantile(o_totalprice, 0.5) AS q FROM orders GROUP BY 1 ORDER BY 1";
const CUSTOMERS: &str = "segment=MACHINERY&least=5000";

/// Versions: the first answers; the second computes the same; the third something else. Then one that nobody approved,
/// which computes the same as the first.
type Versions = [(&'static str, Vec<u8>); 4];

fn versions(component: &str, other: impl FnOnce(&[u8]) -> Result<Vec<u8>>) -> Result<Versions> {
    let wasm = std::fs::read(plugin(component)?)?;
    let (same, other) = (same_again(&wasm, "the same"), other(&wasm)?);
    let strange = same_again(&wasm, "approved by nobody");
    Ok([("1.0.0", wasm), ("1.1.0", same), ("2.0.0", other), ("3.0.0", strange)])
}

/// Customers with at least so much, or, in the third version, with less.
fn confides() -> Result<Versions> {
    versions("hostile_confides", |wasm| with_text(wasm, "c_acctbal >= $least", "c_acctbal <  $least"))
}

/// Quantiles within 1 %, or, in the third version, what stands for a wide bucket.
fn quantiles() -> Result<Versions> {
    versions("quantile_sketch", |wasm| with_number(wasm, FINE_LN, COARSE_LN))
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || {
        let (confides, quantiles) = (confides()?, quantiles()?);
        let approved = confides[..3].iter().chain(&quantiles[..3]).map(|(_, wasm)| sha256(wasm)).collect();
        let world = World::start(&Options { approved, ..Options::permissive() })?;
        for (name, versions) in [("confides", confides), ("quantiles", quantiles)] {
            for (version, wasm) in versions {
                let deployed = world.edge("us-east").deploy(name, version, &wasm)?;
                ensure!(deployed.status == 200, "{name} {version}: {}", deployed.text());
            }
        }
        Ok(world)
    })
}

/// A plugin with its versions, how it is asked, and how the answer of a version is checked.
struct Plugin {
    name: &'static str,
    sha256: BTreeMap<&'static str, String>,
    ask: fn(&Edge) -> Result<Answer>,
    check: fn(&Answer, &str) -> Result<()>,
    /// It has one release: one test at a time changes it.
    _turn: MutexGuard<'static, ()>,
}

/// The digest of each version.
fn digests(versions: &Versions) -> BTreeMap<&'static str, String> {
    versions.iter().map(|(version, wasm)| (*version, sha256(wasm))).collect()
}

impl Plugin {
    fn confides() -> Result<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        Ok(Self {
            name: "confides",
            sha256: digests(&confides()?),
            ask: |edge| edge.get(&format!("/v1/endpoints/confides?{CUSTOMERS}"))?.answer(),
            check: |answer, version| {
                same_rows(&by_first_column(answer)?, &customers(version)?);
                Ok(())
            },
            _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner),
        })
    }

    fn quantiles() -> Result<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        Ok(Self {
            name: "quantiles",
            sha256: digests(&quantiles()?),
            ask: |edge| edge.query(QUANTILES)?.answer(),
            // A state of another version would be off by orders of magnitude.
            check: |answer, version| {
                check_values(answer, &medians(version)?, if version == "2.0.0" { 1e-9 } else { RELATIVE_ERROR })
            },
            _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner),
        })
    }

    /// Asks all regions, checks the rows against what the version that the answer names makes of them, and returns it.
    #[track_caller]
    fn answer(&self, edge: &Edge) -> Result<(Answer, String)> {
        let answer = (self.ask)(edge)?;
        assert!(answer.is_full() && answer.border_bytes() > 0, "{}", answer.document());
        let plugins = answer.document()["plugins"].as_array().cloned().unwrap_or_default();
        let version = plugins.first().and_then(|used| used["version"].as_str()).context("no version")?.to_owned();
        let sha256 = self.sha256.get(version.as_str()).with_context(|| version.clone())?;
        assert_eq!(plugins, [json!({"name": self.name, "version": version, "sha256": sha256})]);
        (self.check)(&answer, &version)?;
        Ok((answer, version))
    }

    /// What changes the plugin's release in every region.
    fn change(&self, region: &str, what: &str, body: &Value) -> Result<()> {
        let changed = change(&world().edge(region), self.name, what, body)?;
        ensure!(changed["known_in"].as_array().map(Vec::len) == Some(3), "{changed}");
        Ok(())
    }
}

/// What a version of the query plugin answers.
fn customers(version: &str) -> Result<Vec<Vec<Cell>>> {
    let operator = if version == "2.0.0" { "<" } else { ">=" };
    oracle().rows(&format!(
        "SELECT c_name, c_acctbal FROM customer WHERE c_mktsegment = 'MACHINERY' AND c_acctbal {operator} 5000 \
         ORDER BY c_name"
    ))
}

/// What a version of the aggregate answers.
fn medians(version: &str) -> Result<Vec<(String, f64)>> {
    let exact = exact_quantiles(&sorted("SELECT o_orderpriority, o_totalprice FROM orders ORDER BY 1, 2")?, 0.5);
    let coarse = |value: f64| ((value.ln() / COARSE_LN).ceil() * COARSE_LN).exp() * IN_BUCKET;
    let of_version = |value| if version == "2.0.0" { coarse(value) } else { value };
    Ok(exact.into_iter().map(|(key, value)| (key, of_version(value))).collect())
}

/// The plugins that receipts name, by query, from the ledgers of all regions.
fn crossed() -> Result<BTreeMap<String, Vec<Value>>> {
    let mut crossed: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for region in REGIONS {
        for record in world().edge(region).ledger()? {
            let receipt = &record["receipt"];
            let id = receipt["query_id"].as_str().context("no query")?;
            crossed.entry(id.to_owned()).or_default().push(receipt["plugins"].clone());
        }
    }
    Ok(crossed)
}

/// Two regions gave their parts to a query, both of code with this digest.
#[track_caller]
fn check_crossed(crossed: &BTreeMap<String, Vec<Value>>, id: &str, sha256: &str) {
    let plugins = crossed.get(id).map(Vec::as_slice).unwrap_or_default();
    assert_eq!(plugins.len(), 2, "{id}: {plugins:?}");
    for plugins in plugins {
        assert_eq!((plugins.as_array().map(Vec::len), &plugins[0]["sha256"]), (Some(1), &json!(sha256)), "{id}");
    }
}

/// Of many questions a canary answers some, and each question is answered by one version wherever its parts come from.
fn check_canary(plugin: &Plugin) -> Result<()> {
    const QUESTIONS: usize = 42;
    plugin.change("ap-south", "canary", &json!({"version": "2.0.0", "percent": 50}))?;
    let mut asked = Vec::new();
    for region in REGIONS.into_iter().cycle().take(QUESTIONS) {
        let (answer, version) = plugin.answer(&world().edge(region))?;
        asked.push((answer.query_id().to_owned(), version));
    }
    let crossed = crossed()?;
    for (id, version) in &asked {
        check_crossed(&crossed, id, &plugin.sha256[version.as_str()]);
    }
    let canaried = asked.iter().filter(|(_, version)| version == "2.0.0").count();
    assert!(asked.iter().all(|(_, version)| version == "2.0.0" || version == "1.0.0"), "{asked:?}");
    // Beyond that, chance goes in one of ten million runs.
    assert!((5..=QUESTIONS - 5).contains(&canaried), "{canaried} of {QUESTIONS}");
    plugin.change("eu-central", "canary", &json!({"version": "2.0.0", "percent": 100}))?;
    for region in REGIONS {
        assert_eq!(plugin.answer(&world().edge(region))?.1, "2.0.0");
    }
    plugin.change("us-east", "canary", &json!({"version": null}))?;
    for region in REGIONS {
        assert_eq!(plugin.answer(&world().edge(region))?.1, "1.0.0");
    }
    Ok(())
}

/// A shadow that computes the same is equal; one that does not is shown; one that nobody approved sends nothing.
/// Returns the difference that was shown.
fn check_shadow(plugin: &Plugin) -> Result<Value> {
    const TIMES: u64 = 3;
    let edge = world().edge("eu-central");
    let counts = |report: &Value| ["equal", "different", "failed", "denied"].map(|count| report[count].as_u64());
    plugin.change("eu-central", "shadow", &json!({"version": "1.1.0"}))?;
    for _ in 0..TIMES {
        assert_eq!(plugin.answer(&edge)?.1, "1.0.0");
    }
    let report = compared(&edge, plugin.name, TIMES)?;
    assert_eq!(counts(&report), [Some(TIMES), Some(0), Some(0), Some(0)], "{report}");
    assert_eq!(report["differences"], json!([]), "{report}");
    assert!(report["border_bytes"].as_u64() > Some(0), "{report}");

    plugin.change("eu-central", "shadow", &json!({"version": "2.0.0"}))?;
    let (answer, version) = plugin.answer(&edge)?;
    assert_eq!(version, "1.0.0", "a shadow answers nobody");
    let report = compared(&edge, plugin.name, 1)?;
    assert_eq!(counts(&report), [Some(0), Some(1), Some(0), Some(0)], "{report}");
    let difference = report["differences"][0].clone();
    assert_eq!(difference["query_id"], answer.query_id(), "{report}");
    let crossed_so_far = crossed()?;
    check_crossed(&crossed_so_far, answer.query_id(), &plugin.sha256["1.0.0"]);
    check_crossed(&crossed_so_far, &format!("{}shadow", answer.query_id()), &plugin.sha256["2.0.0"]);

    plugin.change("eu-central", "shadow", &json!({"version": "3.0.0"}))?;
    let (answer, _) = plugin.answer(&edge)?;
    let report = compared(&edge, plugin.name, 1)?;
    assert_eq!(counts(&report), [Some(1), Some(0), Some(0), Some(1)], "{report}");
    assert_eq!(report["border_bytes"], 0, "{report}");
    assert_eq!(crossed()?.get(&format!("{}shadow", answer.query_id())), None, "code that nobody approved sent bytes");
    plugin.change("eu-central", "shadow", &json!({"version": null}))?;
    Ok(difference)
}

#[test]
fn a_canary_of_a_query_plugin_answers_whole_questions() -> Result<()> {
    check_canary(&Plugin::confides()?)
}

#[test]
fn a_canary_of_an_aggregate_answers_whole_questions() -> Result<()> {
    check_canary(&Plugin::quantiles()?)
}

#[test]
fn a_shadow_of_a_query_plugin_is_compared() -> Result<()> {
    let difference = check_shadow(&Plugin::confides()?)?;
    let (ours, theirs) = (customers("1.0.0")?, customers("2.0.0")?);
    assert_eq!(difference["columns"], json!(["name", "balance"]));
    assert_eq!((&difference["rows"], &difference["shadow_rows"]), (&json!(ours.len()), &json!(theirs.len())));
    // No customer is in both, so the first in the order of the names is the first that differs.
    for (row, first) in [("row", &ours[0]), ("shadow_row", &theirs[0])] {
        let [Cell::Text(name), Cell::Number(balance)] = first.as_slice() else { anyhow::bail!("{first:?}") };
        assert_eq!(difference[row][0], json!(name), "{difference}");
        assert_eq!(difference[row][1].as_str().context("no balance")?.parse::<f64>()?, *balance, "{difference}");
    }
    Ok(())
}

#[test]
fn a_shadow_of_an_aggregate_is_compared() -> Result<()> {
    let difference = check_shadow(&Plugin::quantiles()?)?;
    assert_eq!(difference["columns"], json!(["o_orderpriority", "q"]));
    for (row, version, relative) in [("row", "1.0.0", RELATIVE_ERROR), ("shadow_row", "2.0.0", 1e-9)] {
        let (key, median) = medians(version)?.swap_remove(0);
        assert_eq!(difference[row][0], json!(key), "{difference}");
        let got: f64 = difference[row][1].as_str().context("no number")?.parse()?;
        assert!((got - median).abs() <= relative * median, "{got} for {median}: {difference}");
    }
    Ok(())
}
