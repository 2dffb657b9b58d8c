//! Who takes no writes where clocks differ: the region that most others find ahead, and no other one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use domicile_store::{DatasetSpec, Store, StoreParts};
use domicile_sync::{Answer, News, Pull, Replica};
use domicile_types::{Acknowledge, Column, ColumnType, Dataset, RegionId, ReplicationSet, Residency, Vector, limits};
use tempfile::TempDir;

const NOW_MS: u64 = 1_700_000_000_000;

fn region(id: &str) -> RegionId {
    id.parse().unwrap()
}

fn set(regions: &[&str]) -> ReplicationSet {
    ReplicationSet {
        name: "catalog".parse().unwrap(),
        regions: regions.iter().copied().map(region).collect(),
        datasets: ["item".parse().unwrap()].into(),
        home: None,
        acknowledge: Acknowledge::Local,
    }
}

fn open(dir: &TempDir, set: &ReplicationSet) -> Store {
    let id = Column { name: "id".to_owned(), kind: ColumnType::BigInt, nullable: false };
    let spec = DatasetSpec {
        dataset: Dataset::new("item".parse().unwrap(), vec![id], vec!["id".to_owned()]).unwrap(),
        residency: Residency::Reference,
    };
    let sets = BTreeMap::from([("item".parse().unwrap(), set.name.clone())]);
    Store::open(StoreParts { sets, ..StoreParts::local(dir.path().join("store"), region("a"), vec![spec]) }).unwrap()
}

/// Whether region `a` takes no writes, once each other one found it so far ahead; those of whom nothing is said do not
/// answer any more.
#[track_caller]
fn check(others: &[(&str, Option<u64>)], fenced: bool) {
    let names: Vec<&str> = ["a"].into_iter().chain(others.iter().map(|(name, _)| *name)).collect();
    let (dir, set) = (TempDir::new().unwrap(), set(&names));
    let store = open(&dir, &set);
    let mut replica = Replica::new(set.clone(), region("a"));
    let asked = replica.due(&store, NOW_MS);
    assert_eq!(asked.len(), others.len());
    for (other, _) in asked {
        let nothing = Answer::Entries { entries: Vec::new(), more: false, news: News::default() };
        replica.answered(&other, nothing, 0, store.set_state(&set.name), NOW_MS);
    }
    let _ = replica.due(&store, NOW_MS);
    assert!(!replica.is_fenced(), "nobody said anything of its clock");
    for (other, ahead_ms) in others {
        match ahead_ms {
            None => replica.failed(&region(other), NOW_MS),
            Some(ahead_ms) => {
                let pull = Pull {
                    set: set.name.clone(),
                    have: Vector::new(),
                    holds: Vector::new(),
                    epoch: 0,
                    regions: Vec::new(),
                    at_once: false,
                    ahead_ms: *ahead_ms,
                    bytes_max: limits::PULL_BYTES_MAX,
                    reaches: Vec::new(),
                };
                replica.heard(&region(other), NOW_MS);
                assert_eq!(replica.answer(&region(other), &pull, &store).unwrap(), None);
            }
        }
    }
    assert_eq!(replica.is_fenced(), fenced, "{others:?}");
}

#[test]
fn most_of_those_that_answer_decide() {
    check(&[("b", Some(0)), ("c", Some(0))], false);
    check(&[("b", Some(900)), ("c", Some(900))], true);
    // The clock of the one may as well be behind.
    check(&[("b", Some(0)), ("c", Some(2_500))], false);
    check(&[("b", Some(0)), ("c", Some(2_500)), ("d", Some(2_500))], true);
    // Of two nobody knows whose clock is wrong; rows of the one ahead would wait at the other.
    check(&[("b", Some(900))], true);
    check(&[("b", Some(900)), ("c", None)], true);
    check(&[("b", Some(0)), ("c", None)], false);
}
