//! Plugins that never return, and everybody else.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use domicile_harness::Options;
use domicile_tests::check::{problem, same_rows};
use domicile_tests::oracle::oracle;
use domicile_tests::release::change;
use domicile_tests::wasm::{same_again, slow_to_compile};
use domicile_tests::world::{World, plugin};
use serde_json::json;

/// More than there are places for questions.
const ASKERS: usize = 48;

#[test]
fn many_plugins_that_never_return_leave_places_to_others() -> Result<()> {
    let limits = vec![("plugin_timeout_ms".to_owned(), 20_000)];
    let mut world = World::start(&Options { limits, ..Options::permissive() })?;
    let deployed = world.deploy("us-east", "hostile_spin", "spin", "1.0.0")?;
    ensure!(deployed.status == 200, "{}", deployed.text());
    let edge = world.edge("us-east");
    let (asked, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..ASKERS {
            scope.spawn(|| {
                asked.fetch_add(1, Ordering::SeqCst);
                // It ends with the region.
                drop(edge.query_with("SELECT count(spin(c_custkey)) FROM customer", &[("Data-Region", "us-east")]));
                ended.fetch_add(1, Ordering::SeqCst);
            });
        }
        while asked.load(Ordering::SeqCst) < ASKERS {
            thread::yield_now();
        }
        let sql = "SELECT c_mktsegment, count(*) FROM customer WHERE c_acctbal > 0 GROUP BY 1 ORDER BY 1";
        let answers: Result<Vec<_>> = (0..2).map(|_| world.ask("us-east", sql)).collect();
        let while_all_hung = ended.load(Ordering::SeqCst) == 0;
        world.cluster.kill("us-east")?;
        for answer in answers? {
            same_rows(&answer, &oracle().ask(sql)?);
        }
        ensure!(while_all_hung, "the others waited for questions that never end");
        Ok(())
    })
}

#[test]
fn a_component_that_compiles_for_long_holds_up_no_release() -> Result<()> {
    let world = World::start(&Options::permissive())?;
    let edge = world.edge("us-east");
    let rfm = std::fs::read(plugin("rfm")?)?;
    for version in ["1.0.0", "1.1.0"] {
        let deployed = edge.deploy("rfm", version, &same_again(&rfm, version))?;
        ensure!(deployed.status == 200, "{}", deployed.text());
    }
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let refused = edge.deploy("slow", "1.0.0", &slow_to_compile());
            ended.store(true, Ordering::SeqCst);
            refused
        });
        for _ in 0..10 {
            for version in ["1.1.0", "1.0.0"] {
                let promoted = change(&edge, "rfm", "promote", &json!({"version": version}))?;
                assert_eq!(promoted["release"]["active"]["version"], version, "{promoted}");
            }
        }
        let meanwhile = !ended.load(Ordering::SeqCst);
        let refused = slow.join().expect("it does not panic")?;
        problem(&refused, 422, None, &["slow"]);
        ensure!(meanwhile, "twenty releases took as long as compiling");
        Ok(())
    })
}
