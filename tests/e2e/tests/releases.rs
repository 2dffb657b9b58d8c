//! Versions of a plugin side by side: which of them answer, how they are compared, and what regions remember.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Answer, Edge, Options};
use domicile_tests::check::problem;
use domicile_tests::release::{change, compared, post};
use domicile_tests::wasm::{same_again, with_text};
use domicile_tests::world::{World, plugin, shared};
use serde_json::{Value, json};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || World::start(&Options::permissive()))
}

/// Three versions of `rfm`: the second computes the same, the third calls one segment by another name.
fn versions() -> Result<[(&'static str, Vec<u8>); 3]> {
    let rfm = std::fs::read(plugin("rfm")?)?;
    let other = with_text(&rfm, "champions", "champion5")?;
    Ok([("1.0.0", rfm.clone()), ("1.1.0", same_again(&rfm, "the same")), ("2.0.0", other)])
}

fn deploy_all(edge: &Edge, name: &str) -> Result<()> {
    for (version, wasm) in versions()? {
        let deployed = edge.deploy(name, version, &wasm)?;
        ensure!(deployed.status == 200, "{}", deployed.text());
        assert_eq!(deployed.json()?["active"], json!(version == "1.0.0"), "the first one answers at once");
    }
    Ok(())
}

fn segments(edge: &Edge, name: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let sql = format!("SELECT segment, count(*) AS n FROM {name} GROUP BY 1 ORDER BY 1");
    edge.query_with(&sql, headers)?.answer()
}

/// The version that an answer says it used, and by its rows did.
fn used(answer: &Answer) -> String {
    let plugins = answer.document()["plugins"].as_array().cloned().unwrap_or_default();
    assert_eq!(plugins.len(), 1, "{}", answer.document());
    let names: BTreeSet<String> = answer.cells().into_iter().filter_map(|row| row[0].clone()).collect();
    let version = plugins[0]["version"].as_str().unwrap_or_default().to_owned();
    assert_eq!(names.contains("champions"), version != "2.0.0", "{version} {names:?}");
    assert_eq!(names.contains("champion5"), version == "2.0.0", "{version} {names:?}");
    version
}

#[test]
fn a_version_answers_once_it_is_promoted_and_until_it_is_taken_back() -> Result<()> {
    let name = "rfm_turns";
    deploy_all(&world().edge("us-east"), name)?;
    let everywhere = |expect: &str| -> Result<()> {
        for region in REGIONS {
            let sql = format!("SELECT segment, count(*) AS n FROM {name} GROUP BY 1");
            let response = world().edge(region).query(&sql)?;
            assert_eq!(response.header("plugins"), Some(format!("{name}={expect}").as_str()), "{region}");
            assert_eq!(used(&response.answer()?), expect, "{region}");
        }
        Ok(())
    };
    everywhere("1.0.0")?;
    let promoted = change(&world().edge("eu-central"), name, "promote", &json!({"version": "2.0.0"}))?;
    assert_eq!(promoted["known_in"].as_array().map(Vec::len), Some(3), "{promoted}");
    everywhere("2.0.0")?;
    change(&world().edge("ap-south"), name, "promote", &json!({"version": "1.1.0"}))?;
    everywhere("1.1.0")?;
    change(&world().edge("us-east"), name, "rollback", &json!({}))?;
    everywhere("2.0.0")?;
    change(&world().edge("us-east"), name, "rollback", &json!({}))?;
    everywhere("1.0.0")?;
    let none = post(&world().edge("us-east"), name, "rollback", &json!({}))?;
    problem(&none, 409, Some("nothing-to-roll-back"), &[name]);
    let unknown = post(&world().edge("us-east"), name, "promote", &json!({"version": "1.0.1"}))?;
    problem(&unknown, 404, Some("unknown-version"), &["1.0.1"]);
    let unknown = post(&world().edge("us-east"), "rfm_tunrs", "promote", &json!({"version": "1.0.0"}))?;
    problem(&unknown, 404, Some("unknown-plugin"), &["rfm_tunrs", "rfm_turns"]);
    Ok(())
}

#[test]
fn a_canary_answers_its_share_in_every_region_alike() -> Result<()> {
    const QUESTIONS: usize = 60;
    let name = "rfm_shared";
    let edge = world().edge("us-east");
    deploy_all(&edge, name)?;
    let share = || -> Result<usize> {
        let mut canaried = 0;
        for _ in 0..QUESTIONS {
            let answer = segments(&edge, name, &[("Data-Region", "us-east")])?;
            canaried += usize::from(used(&answer) == "2.0.0");
        }
        Ok(canaried)
    };
    change(&world().edge("ap-south"), name, "canary", &json!({"version": "2.0.0", "percent": 30}))?;
    let canaried = share()?;
    // More than five standard deviations to either side.
    assert!((1..=37).contains(&canaried), "{canaried} of {QUESTIONS}");
    change(&edge, name, "canary", &json!({"version": "2.0.0", "percent": 50}))?;
    for region in REGIONS {
        // Whichever it is: the rows of all regions come from the same one.
        used(&segments(&world().edge(region), name, &[])?);
    }
    change(&edge, name, "canary", &json!({"version": "2.0.0", "percent": 100}))?;
    assert_eq!(used(&segments(&edge, name, &[])?), "2.0.0");
    change(&edge, name, "canary", &json!({"version": null}))?;
    assert_eq!(used(&segments(&edge, name, &[])?), "1.0.0");
    for (body, text) in [
        (json!({"version": "2.0.0", "percent": 0}), "1 to 100"),
        (json!({"version": "2.0.0"}), "a version and a share"),
        (json!({"version": "2.0.0", "percent": 300}), "percent"),
        (json!({"version": "2.0.0", "part": 3}), "part"),
    ] {
        problem(&post(&edge, name, "canary", &body)?, 400, None, &[text]);
    }
    problem(
        &post(&edge, name, "canary", &json!({"version": "1.0.0", "percent": 9}))?,
        409,
        Some("version-in-use"),
        &[],
    );
    let metrics = edge.get("/metrics")?.text();
    let counted = |version: &str| -> Option<u64> {
        let labels = format!("plugin=\"{name}\",version=\"{version}\",result=\"answered\"");
        metrics.lines().find(|line| line.contains(&labels))?.rsplit(' ').next()?.parse().ok()
    };
    let both = (counted("1.0.0"), counted("2.0.0"));
    assert!(both.1 > Some(canaried as u64), "{metrics}");
    // Besides those counted: one at half, one at all, one at none.
    assert_eq!(both.0.zip(both.1).map(|(before, canary)| before + canary), Some(QUESTIONS as u64 + 3), "{metrics}");
    Ok(())
}

#[test]
fn a_shadow_agrees_or_shows_where_it_does_not() -> Result<()> {
    let name = "rfm_beside";
    let edge = world().edge("eu-central");
    deploy_all(&edge, name)?;
    problem(&edge.get(&format!("/v1/plugins/{name}/shadow"))?, 404, Some("no-shadow"), &[name]);
    change(&edge, name, "shadow", &json!({"version": "1.1.0"}))?;
    for _ in 0..3 {
        assert_eq!(used(&segments(&edge, name, &[])?), "1.0.0");
    }
    // Sums of doubles are added in any order.
    let sums = format!("SELECT segment, sum(revenue) AS revenue FROM {name} GROUP BY 1 ORDER BY 2 DESC");
    edge.query(&sums)?.answer()?;
    let report = compared(&edge, name, 4)?;
    assert_eq!(
        (&report["equal"], &report["different"], &report["failed"]),
        (&json!(4), &json!(0), &json!(0)),
        "{report}"
    );
    assert!(report["border_bytes"].as_u64() > Some(0) && report["slower"].as_f64() > Some(0.0), "{report}");

    change(&edge, name, "shadow", &json!({"version": "2.0.0"}))?;
    let answer = segments(&edge, name, &[])?;
    assert_eq!(used(&answer), "1.0.0", "a shadow answers nobody");
    edge.query(&format!("SELECT count(*) AS n FROM {name}"))?.answer()?;
    let report = compared(&edge, name, 2)?;
    assert_eq!((&report["equal"], &report["different"]), (&json!(1), &json!(1)), "{report}");
    let difference = &report["differences"][0];
    assert_eq!(difference["query_id"], answer.query_id());
    assert_eq!(difference["columns"], json!(["segment", "n"]));
    // In the order of the names, it is the first that differs.
    assert_eq!((&difference["row"][0], &difference["shadow_row"][0]), (&json!("champions"), &json!("champion5")));

    let shown = world().cluster.cli("eu-central").run(&["plugin", "shadow", name])?.success()?.stdout;
    assert!(shown.contains("2 answers compared, 1 equal, 1 different") && shown.contains("champion5"), "{shown}");
    let promoted = change(&edge, name, "promote", &json!({"version": "2.0.0"}))?;
    assert_eq!(
        (&promoted["shadow"]["different"], &promoted["release"]["shadow"]),
        (&json!(1), &Value::Null),
        "{promoted}"
    );
    // What differed is nobody's business elsewhere.
    assert!(!world().edge("us-east").get(&format!("/v1/plugins/{name}"))?.text().contains("champion5"));
    Ok(())
}

#[test]
fn names_are_checked_when_a_version_is_deployed_and_when_it_is_promoted() -> Result<()> {
    let edge = world().edge("us-east");
    let (rfm, pricing) = (std::fs::read(plugin("rfm")?)?, std::fs::read(plugin("pricing")?)?);
    for (name, version, wasm) in
        [("tools", "1.0.0", &rfm), ("tools", "2.0.0", &pricing), ("pricing", "1.0.0", &pricing)]
    {
        let deployed = edge.deploy(name, version, wasm)?;
        assert_eq!(deployed.status, 200, "{name} {version}: {}", deployed.text());
    }
    let taken = post(&edge, "tools", "promote", &json!({"version": "2.0.0"}))?;
    problem(&taken, 409, Some("name-conflict"), &["net_revenue", "pricing"]);
    let taken = post(&edge, "tools", "canary", &json!({"version": "2.0.0", "percent": 1}))?;
    problem(&taken, 409, Some("name-conflict"), &["net_revenue"]);
    problem(&edge.deploy("prices", "1.0.0", &pricing)?, 409, Some("name-conflict"), &["net_revenue"]);
    assert_eq!(edge.get("/v1/plugins/tools")?.json()?["release"]["active"]["version"], "1.0.0");
    Ok(())
}

#[test]
fn the_command_line_does_all_of_it() -> Result<()> {
    let cli = world().cluster.cli("ap-south");
    let run =
        |arguments: &[&str]| -> Result<Value> { cli.json(&[&["plugin"], arguments].concat())?.success()?.document() };
    let rfm = plugin("rfm")?.to_str().context("a path")?;
    run(&["deploy", rfm, "--name", "by_hand", "--version", "1.0.0"])?;
    let again = run(&["deploy", rfm, "--name", "by_hand", "--version", "1.0.1"])?;
    assert_eq!((&again["active"], &again["active_version"]), (&json!(false), &json!("1.0.0")), "{again}");
    let waits = cli.run(&["plugin", "deploy", rfm, "--name", "by_hand", "--version", "1.0.1"])?.success()?.stdout;
    assert!(waits.contains("waits; 1.0.0 answers") && waits.contains("plugin promote by_hand 1.0.1"), "{waits}");
    let promoted = run(&["deploy", rfm, "--name", "by_hand", "--version", "1.0.2", "--promote"])?;
    assert_eq!(promoted["active"], true, "{promoted}");
    run(&["canary", "by_hand", "1.0.1", "25"])?;
    run(&["shadow", "by_hand", "1.0.0"])?;
    let status = run(&["status", "by_hand"])?;
    let release = &status["release"];
    assert_eq!(
        (&release["canary"]["percent"], &release["shadow"]["version"]),
        (&json!(25), &json!("1.0.0")),
        "{status}"
    );
    let shown = cli.run(&["plugin", "status", "by_hand"])?.success()?.stdout;
    assert!(shown.contains("1.0.1 answers 25 of a hundred questions"), "{shown}");
    let in_use = cli.json(&["plugin", "delete", "by_hand", "1.0.1"])?;
    assert_eq!((in_use.code, &in_use.document()?["type"]), (1, &json!("/problems/version-in-use")));
    run(&["canary", "by_hand", "none"])?;
    run(&["shadow", "by_hand", "none"])?;
    run(&["rollback", "by_hand"])?;
    let deleted = run(&["delete", "by_hand", "1.0.1"])?;
    assert_eq!(deleted["known_in"].as_array().map(Vec::len), Some(3), "{deleted}");
    let status = run(&["status", "by_hand"])?;
    assert_eq!(status["release"]["active"]["version"], "1.0.0", "{status}");
    assert_eq!(status["versions"].as_array().map(Vec::len), Some(2), "{status}");
    let listed = cli.run(&["plugin", "list"])?.success()?.stdout;
    assert!(listed.contains("by_hand") && listed.contains("active"), "{listed}");
    assert_eq!(cli.run(&["plugin", "promote", "nothing", "1.0.0"])?.code, 1);
    Ok(())
}

/// Policies of the project, where no order's date may be what a question is about.
fn without_dates(world: &mut World) -> Result<()> {
    let policies = world.cluster.dir().context("a cluster for tests has a folder")?.join("without-dates");
    std::fs::create_dir_all(&policies)?;
    for entry in std::fs::read_dir(domicile_harness::workspace::regions_dir().join("policies"))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let text = match text.replace("measures = [\"o_orderdate\", \"o_totalprice\"]", "measures = [\"o_totalprice\"]")
        {
            changed if changed != text => changed.replace("version = 1\n", "version = 2\n"),
            same => same,
        };
        std::fs::write(policies.join(path.file_name().context("a file's name")?), text)?;
    }
    for region in REGIONS {
        let config = world.cluster.file(region).config.clone();
        let text = std::fs::read_to_string(&config)?;
        let line = text.lines().find(|line| line.starts_with("policies_dir")).context("no policies_dir")?;
        std::fs::write(&config, text.replace(line, &format!("policies_dir = {:?}", policies)))?;
        world.cluster.stop(region)?;
        world.cluster.resume(region)?;
    }
    Ok(())
}

#[test]
fn what_may_not_cross_for_a_shadow_is_compared_at_home() -> Result<()> {
    let mut world = World::start(&Options::default())?;
    without_dates(&mut world)?;
    let edge = world.edge("us-east");
    // It reads prices only; its shadow reads dates too.
    for (component, version) in [("hostile_lies", "1.0.0"), ("rfm", "2.0.0")] {
        let deployed = world.deploy("us-east", component, "rfm", version)?;
        assert_eq!(deployed.status, 200, "{}", deployed.text());
    }
    change(&edge, "rfm", "shadow", &json!({"version": "2.0.0"}))?;
    let answer = world.ask("us-east", "SELECT count(*) AS customers FROM rfm")?;
    assert!(answer.is_full() && answer.border_bytes() > 0);
    let report = compared(&edge, "rfm", 1)?;
    assert_eq!((&report["denied"], &report["equal"], &report["failed"]), (&json!(1), &json!(1), &json!(0)), "{report}");
    assert_eq!(report["border_bytes"], 0, "{report}");
    for region in ["eu-central", "ap-south"] {
        let crossed: Vec<Value> = world.edge(region).ledger()?;
        assert_eq!(crossed.len(), 1, "only the answer's part left {region}: {crossed:?}");
    }
    Ok(())
}

#[test]
fn what_a_version_costs_and_says_is_shown_in_its_region() -> Result<()> {
    let edge = world().edge("eu-central");
    let deployed = world().deploy("eu-central", "hostile_panics", "panics", "1.0.0")?;
    assert_eq!(deployed.status, 200, "{}", deployed.text());
    let here = [("Data-Region", "eu-central")];
    let failed = edge.query_with("SELECT sum(panics(-o_totalprice)) FROM orders", &here)?;
    problem(&failed, 422, Some("plugin-failed"), &["panics"]);
    let metrics = edge.get("/v1/plugins/panics/metrics")?.json()?;
    let version = &metrics["versions"][0];
    assert_eq!((&version["version"], &version["questions_failed"]), (&json!("1.0.0"), &json!(1)), "{metrics}");
    assert!(version["calls"].as_u64() > Some(0) && version["traps"].as_u64() > Some(0), "{metrics}");
    assert!(version["memory_bytes_peak"].as_u64() > Some(0), "{metrics}");
    let text = edge.get("/metrics")?.text();
    assert!(
        text.contains("domicile_plugin_calls_total{plugin=\"panics\",version=\"1.0.0\",result=\"trapped\"}"),
        "{text}"
    );

    let lines = |query: &str| -> Result<Vec<Value>> {
        let logs = edge.get(&format!("/v1/plugins/panics/logs{query}"))?.json()?;
        Ok(logs["lines"].as_array().cloned().unwrap_or_default())
    };
    let all = lines("")?;
    let first = all.first().context("the plugin said nothing")?["sequence"].as_u64().context("a number")?;
    assert!(all.iter().any(|line| line["text"].as_str().is_some_and(|text| text.contains("a price is negative"))));
    assert_eq!(lines(&format!("?version=1.0.0&after={first}"))?.len(), all.len() - 1);
    problem(&edge.get("/v1/plugins/panics/logs?version=9.9.9")?, 404, Some("unknown-version"), &["9.9.9"]);
    problem(&edge.get("/v1/plugins/panics/logs?befor=1")?, 400, None, &["befor"]);
    // What it said of rows stays where they are.
    let elsewhere = world().edge("us-east").get("/v1/plugins/panics/logs")?.text();
    assert!(!elsewhere.contains("a price is negative"), "{elsewhere}");
    let cli = world().cluster.cli("eu-central");
    let said = cli.run(&["plugin", "logs", "panics"])?.success()?.stdout;
    assert!(said.contains("a price is negative"), "{said}");
    let status = cli.run(&["plugin", "status", "panics"])?.success()?.stdout;
    assert!(status.contains("1.0.0: ") && status.contains(" trapped"), "{status}");
    Ok(())
}
