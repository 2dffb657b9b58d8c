//! A region that starts from what another one has: fetched in parts, gone on with after a start, and counting at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use domicile_store::{Disk, DiskFile, Offer, Staging, Store, StoreParts};
use domicile_types::Origin;

use crate::disk::{Lies, SimDisk};
use crate::entries::{filled, origin, set};
use crate::world::{World, name};

/// Bytes that one answer has here.
const PART_BYTES: usize = 100;

/// The log that the other region is to write.
fn life() -> Origin {
    origin("us-east", (1 << 20) + 7)
}

/// Another region, which is started again and again.
struct Newcomer {
    disk: SimDisk,
    parts: StoreParts,
}

impl Newcomer {
    fn new(world: &World) -> Self {
        let disk = SimDisk::new(7, Lies::default());
        let parts = StoreParts { disk: Arc::new(disk.clone()), dir: PathBuf::from("/new"), ..world.parts.clone() };
        Self { disk, parts: StoreParts { region: "us-east".parse().unwrap(), ..parts } }
    }

    fn open(&self) -> Store {
        Store::open(self.parts.clone()).unwrap()
    }

    fn begun(&self) -> Option<Arc<dyn DiskFile>> {
        let paths = self.disk.paths();
        let begun = |path: &&PathBuf| {
            path.starts_with(Path::new("/new/staging")) && path.extension().is_some_and(|end| end == "tmp")
        };
        paths.iter().find(begun).map(|path| self.disk.process().open(path).unwrap())
    }
}

fn offered(world: &World) -> Offer {
    world.store.as_ref().unwrap().offer(&set(), life(), Vec::new()).run().unwrap()
}

/// Fetches a part. Says whether it was taken in.
fn fetch(offer: &Offer, staging: &mut Staging) -> bool {
    let want = staging.want().unwrap();
    let part = offer.part(&want.file, want.offset).unwrap().unwrap();
    staging.put(want, &part.slice(..part.len().min(PART_BYTES))).unwrap()
}

fn rows(store: &Store, dataset: &str) -> RecordBatch {
    let reader = store.reader();
    let rows = reader.rows(&name(dataset), 1 << 20).unwrap();
    let declared = reader.schema(&name(dataset)).unwrap().fields().len();
    rows.project(&(0..declared).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_snapshot_is_gone_on_with_after_a_start_and_counts_at_once() {
    let world = filled();
    let (offer, new) = (offered(&world), Newcomer::new(&world));
    {
        let store = new.open();
        let mut staging = store.stage(offer.list()).unwrap();
        (0..3).for_each(|_| assert!(fetch(&offer, &mut staging)));
    }
    let mut store = new.open();
    assert_eq!(store.staged_life(&set()).unwrap(), Some(life()));
    let mut staging = store.stage(offer.list()).unwrap();
    assert_eq!(staging.want().unwrap().offset, 3 * PART_BYTES as u64, "what came before the start stays");
    let unfinished = store.start_from(&mut staging, &[]).unwrap_err();
    assert!(unfinished.to_string().contains("is not whole here"), "{unfinished}");
    assert_eq!(store.origin(), origin("us-east", 0));
    while staging.want().is_some() {
        assert!(fetch(&offer, &mut staging));
    }
    assert_eq!(store.start_from(&mut staging, &[]).unwrap(), life());
    store.clear_staging(&set()).unwrap();
    check_same(&store, &world);
    drop((store, staging));
    check_same(&new.open(), &world);
}

fn check_same(store: &Store, world: &World) {
    let here = world.store.as_ref().unwrap();
    assert_eq!(store.origin(), life());
    assert_eq!(store.staged_life(&set()).unwrap(), None);
    assert_eq!(store.set_state(&set()).applied, here.set_state(&set()).applied);
    for dataset in ["events", "notes"] {
        assert_eq!(rows(store, dataset), rows(here, dataset), "{dataset}");
    }
}

#[test]
fn a_file_that_was_damaged_meanwhile_is_fetched_anew() {
    let world = filled();
    let (offer, new) = (offered(&world), Newcomer::new(&world));
    let mut first = new.open().stage(offer.list()).unwrap();
    assert!(fetch(&offer, &mut first));
    new.begun().unwrap().write_at(3, b"damage").unwrap();
    let store = new.open();
    let mut staging = store.stage(offer.list()).unwrap();
    let damaged = staging.want().unwrap().file;
    while staging.want().is_some_and(|want| want.file == damaged && want.offset > 0) {
        if !fetch(&offer, &mut staging) {
            assert_eq!(staging.want().map(|want| (want.file, want.offset)), Some((damaged, 0)));
        }
    }
    while staging.want().is_some() {
        assert!(fetch(&offer, &mut staging));
    }
    assert_eq!(staging.missing_bytes(), 0);
}

#[test]
fn a_list_that_is_none_is_refused() {
    let world = filled();
    let (offer, store) = (offered(&world), Newcomer::new(&world).open());
    let cut = Bytes::copy_from_slice(&offer.list()[..offer.list().len() - 1]);
    let refused = store.stage(&cut).unwrap_err().to_string();
    assert!(refused.contains("cannot be read"), "{refused}");
    let elsewhere = world.store.as_ref().unwrap().stage(offer.list()).unwrap_err().to_string();
    assert!(elsewhere.contains("does not fit"), "{elsewhere}");
}
