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
