//! One region stopped: an error that names it, or an answer that says what is missing. Never a silent partial one.

use anyhow::Result;
use domicile_harness::{Options, questions};
use domicile_tests::check::problem;
use domicile_tests::world::World;

const ORDERS: &str = "SELECT count(*) AS orders FROM orders";

fn orders(world: &World, homes: &str) -> Result<f64> {
    world.ask_homes("us-east", homes, ORDERS)?.sum("orders")
}

#[test]
fn a_stopped_region() -> Result<()> {
    let mut world = World::start(&Options::default())?;
    let whole = world.ask("us-east", questions::REVENUE)?;
    assert!(whole.is_full() && whole.missing().is_empty());
    let (all, rest) = (orders(&world, "eu-central,us-east,ap-south")?, orders(&world, "eu-central,us-east")?);
    assert!(0.0 < rest && rest < all);

    world.cluster.stop("ap-south")?;
    let edge = world.edge("us-east");
    problem(&edge.query(questions::REVENUE)?, 503, None, &["ap-south", "Require-Coverage: partial"]);
    problem(&edge.query_with(ORDERS, &[("Require-Coverage", "full")])?, 503, None, &["ap-south"]);

    let response = edge.query_with(ORDERS, &[("Require-Coverage", "partial")])?;
    let partial = response.answer()?;
    assert!(!partial.is_full());
    assert_eq!(partial.missing(), ["ap-south"]);
    assert_eq!(partial.sum("orders")?, rest);
    assert!(
        response.header("coverage").is_some_and(|header| header.contains("ap-south")),
        "{:?}",
        response.header("coverage")
    );

    let chosen = world.ask_homes("us-east", "eu-central,us-east", ORDERS)?;
    assert!(chosen.is_full(), "homes that were not asked for are not missing");

    let ran = world.cluster.cli("eu-central").run(&["query", ORDERS])?;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("ap-south"), "{}", ran.stderr);

    world.cluster.resume("ap-south")?;
    assert_eq!(world.ask("us-east", ORDERS)?.sum("orders")?, all);
    Ok(())
}

#[test]
fn an_edge_alone_still_answers_for_itself() -> Result<()> {
    let mut world = World::start(&Options::default())?;
    let own = world.ask_homes("eu-central", "eu-central", ORDERS)?.sum("orders")?;
    world.cluster.kill("us-east")?;
    world.cluster.kill("ap-south")?;
    assert_eq!(world.ask_homes("eu-central", "eu-central", ORDERS)?.sum("orders")?, own);
    let partial = world.edge("eu-central").query_with(ORDERS, &[("Require-Coverage", "partial")])?.answer()?;
    assert_eq!(partial.sum("orders")?, own);
    assert_eq!(partial.missing().len(), 2);
    Ok(())
}

/// A question whose join drops the rows of every region that has no zones.
const ZONED: &str = "SELECT count(*) AS customers FROM customer JOIN zones ON zone = c_nationkey";

#[test]
fn reference_data_that_a_region_lacks_is_no_smaller_total() -> Result<()> {
    let zones = "schema = 1\nname = \"zones\"\nreference = true\nprimary_key = [\"zone\"]\n\
        column = [{ name = \"zone\", type = \"bigint\" }]\n";
    let world =
        World::start(&Options { datasets: vec![("zones".to_owned(), zones.to_owned())], ..Options::default() })?;
    let edge = world.edge("us-east");
    let nobody = edge.query(ZONED)?.answer()?;
    assert_eq!(nobody.cells(), [[Some("0".to_owned())]], "no region has zones, so none lacks them");

    let rows: String = (0..25).map(|zone| format!("{zone}\n")).collect();
    let load = |region: &str| {
        world.edge(region).rows("POST", "zones", &[("Content-Type", "text/csv")], format!("zone\n{rows}").as_bytes())
    };
    for region in ["us-east", "eu-central"] {
        assert_eq!(load(region)?.status, 200);
    }
    let lacking = Some("reference-missing");
    let told =
        problem(&edge.query(ZONED)?, 409, lacking, &["`ap-south` holds no rows", "`zones`", "load the same file"]);
    assert_eq!((&told["region"], &told["dataset"]), (&"ap-south".into(), &"zones".into()));
    let partial = edge.query_with(ZONED, &[("Require-Coverage", "partial")])?.answer()?;
    assert_eq!(partial.missing(), ["ap-south"]);

    assert_eq!(load("ap-south")?.status, 200);
    let whole = world.ask("us-east", ZONED)?.sum("customers")?;
    assert_eq!(whole, world.ask("us-east", "SELECT count(*) AS customers FROM customer")?.sum("customers")?);
    assert!(partial.sum("customers")? < whole);

    let headers = [("Content-Type", "text/csv")];
    let deleted = world.edge("ap-south").rows("DELETE", "zones", &headers, format!("zone\n{rows}").as_bytes())?;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    problem(&edge.query(ZONED)?, 409, lacking, &["`ap-south` holds no rows"]);
    Ok(())
}
