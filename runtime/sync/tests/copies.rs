//! Sets with a home: one region writes, the others have copies, and nothing flows in any other way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::Cursor;

use domicile_store::{Batch, DatasetSpec, Entry, Format, Operation, Source, Store, StoreParts};
use domicile_sync::{Answer, Applier, News, Pull, Replica};
use domicile_types::{
    Acknowledge, Column, ColumnType, Dataset, KeyValue, RegionId, ReplicationSet, Residency, Vector, limits,
};
use tempfile::TempDir;

const NOW_MS: u64 = 1_700_000_000_000;

fn region(id: &str) -> RegionId {
    id.parse().unwrap()
}

fn set() -> ReplicationSet {
    ReplicationSet {
        name: "persons".parse().unwrap(),
        regions: ["eu", "near", "far"].map(region).into(),
        datasets: ["person".parse().unwrap()].into(),
        home: Some(region("eu")),
        acknowledge: Acknowledge::Local,
    }
}

fn spec() -> DatasetSpec {
    let column = |name: &str| Column { name: name.to_owned(), kind: ColumnType::BigInt, nullable: false };
    let columns = ["id", "country"].map(column).into();
    let homes = BTreeMap::from([(KeyValue::Integer(1), region("eu")), (KeyValue::Integer(2), region("near"))]);
    DatasetSpec {
        dataset: Dataset::new("person".parse().unwrap(), columns, vec!["id".to_owned()]).unwrap(),
        residency: Residency::Column { column: "country".to_owned(), entity: "id".to_owned(), homes },
    }
}

/// A region's part in the set, and its rows.
struct Part {
    store: Store,
    replica: Replica,
    _dir: TempDir,
}

impl Part {
    /// Copies are opened as their home's.
    fn of(id: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let sets = BTreeMap::from([("person".parse().unwrap(), set().name)]);
        let parts = StoreParts { sets, ..StoreParts::local(dir.path().join("store"), region("eu"), vec![spec()]) };
        Self { store: Store::open(parts).unwrap(), replica: Replica::new(set(), region(id)), _dir: dir }
    }

    fn write(&mut self, id: u64) {
        let row = format!("{{\"id\":{id},\"country\":1}}\n").into_bytes();
        let batch = Batch {
            dataset: "person".parse().unwrap(),
            operation: Operation::Upsert,
            format: Format::Ndjson,
            idempotency_key: None,
        };
        let source = Source::Stream(Box::new(Cursor::new(row)));
        let prepared = self.store.preparer().prepare(batch, source, NOW_MS).unwrap();
        assert!(self.store.commit(vec![prepared], NOW_MS).iter().all(Result::is_ok));
    }

    fn applied(&self) -> &Vector {
        &self.store.set_state(&set().name).applied
    }

    fn due(&mut self, now_ms: u64) -> Vec<(RegionId, Pull)> {
        self.replica.due(&self.store, now_ms)
    }

    fn answer(&mut self, from: &str, pull: &Pull) -> Option<Answer> {
        self.replica.answer(&region(from), pull, &self.store).unwrap()
    }

    /// Takes an answer of the home, and applies what it can.
    fn take(&mut self, answer: Answer) {
        let name = set().name;
        self.replica.answered(&region("eu"), answer, 0, self.store.set_state(&name), NOW_MS);
        let ready = self.replica.ready(self.store.set_state(&name), NOW_MS);
        let applied = Applier::default().apply(&mut self.store, ready, NOW_MS);
        assert!(applied.problem.is_none() && applied.left.is_empty(), "{:?}", applied.problem);
    }

    fn as_of_ms(&mut self) -> Option<u64> {
        self.replica.as_of_ms(self.store.set_state(&set().name))
    }

    /// What is let go, and whether the region has to say something in its log.
    fn tick(&mut self) -> bool {
        let me = self.store.origin();
        self.replica.tick(&mut self.store, &me, NOW_MS + 10 * limits::HEARTBEAT_MS)
    }
}

fn pull(have: &Vector) -> Pull {
    Pull {
        set: set().name,
        have: have.clone(),
        holds: Vector::new(),
        epoch: 0,
        regions: Vec::new(),
        at_once: false,
        ahead_ms: 0,
        bytes_max: limits::PULL_BYTES_MAX,
        reaches: Vec::new(),
    }
}

fn entries(answer: Option<Answer>) -> Vec<Entry> {
    match answer {
        Some(Answer::Entries { entries, .. }) => entries,
        other => panic!("no entries: {other:?}"),
    }
}

#[test]
fn only_the_home_gives_and_only_copies_ask() {
    let (mut home, mut near) = (Part::of("eu"), Part::of("near"));
    home.write(1);
    home.write(2);
    assert_eq!(home.due(NOW_MS), [], "a home has all that there is");
    let asked = near.due(NOW_MS);
    assert_eq!(asked.iter().map(|(region, _)| region.as_str()).collect::<Vec<_>>(), ["eu"]);
    assert_eq!(near.as_of_ms(), None);
    let given = home.answer("near", &asked[0].1).unwrap();
    near.take(given.clone());
    assert_eq!(near.applied(), home.applied());
    assert_eq!(near.as_of_ms(), Some(NOW_MS));
    for from in ["eu", "far", "elsewhere"] {
        assert_eq!(near.answer(from, &pull(&Vector::new())), Some(Answer::NotPermitted), "{from}");
    }
    assert_eq!(home.answer("elsewhere", &pull(&Vector::new())), Some(Answer::NotPermitted));
    // Nothing of it counts where it does not come from the home's own log.
    let mut far = Part::of("far");
    let forged = entries(Some(given)).into_iter().map(|mut entry| {
        let mut mark = (*entry.mark).clone();
        mark.dot.origin.region = region("near");
        entry.mark = mark.into();
        entry
    });
    let forged = Answer::Entries { entries: forged.collect(), more: false, news: News::default() };
    far.due(NOW_MS);
    far.take(forged);
    assert_eq!((far.as_of_ms(), far.applied()), (None, &Vector::new()));
}

#[test]
fn a_log_is_kept_until_every_copy_has_it_and_nobody_else_writes() {
    let (mut home, mut near) = (Part::of("eu"), Part::of("near"));
    home.write(1);
    near.due(NOW_MS);
    near.take(home.answer("near", &pull(&Vector::new())).unwrap());
    assert!(!home.tick() && !near.tick(), "nobody has to say what they have");
    let have = home.applied().clone();
    assert_eq!(home.answer("near", &pull(&have)), None, "there is nothing more to say yet");
    home.tick();
    assert_eq!(entries(home.answer("far", &pull(&Vector::new()))).len(), 1, "one lacks it still");
    home.answer("far", &pull(&have));
    home.tick();
    assert_eq!(home.answer("far", &pull(&Vector::new())), Some(Answer::SnapshotRequired), "all had it");
}

#[test]
fn a_copy_with_more_than_its_home_is_given_nothing() {
    let (mut home, mut near) = (Part::of("eu"), Part::of("near"));
    home.write(1);
    near.due(NOW_MS);
    near.take(home.answer("near", &pull(&Vector::new())).unwrap());
    // The home comes back without it.
    let mut home = Part::of("eu");
    assert_eq!(home.answer("near", &pull(near.applied())), Some(Answer::SnapshotRequired));
    home.write(7);
    assert_eq!(entries(home.answer("near", &pull(&Vector::new()))).len(), 1);
}
