//! The disk itself: what it promises, and that everything it may do does happen for some seed.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use domicile_store::{Disk, DiskFile};

use super::{Fault, Lies, SimDisk};

const FILE: &str = "/d/file";
const DIR: &str = "/d";

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed, Lies::default());
    disk.create_dir(Path::new(DIR)).unwrap();
    disk
}

fn durable(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create(Path::new(path)).unwrap();
    file.write_at(0, bytes).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    file
}

fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    disk.files().get(Path::new(path)).cloned()
}

/// Everything that `act` can leave behind, over many seeds.
fn outcomes(act: impl Fn(&SimDisk)) -> BTreeSet<Option<Vec<u8>>> {
    let run = |seed| {
        let disk = disk(seed);
        act(&disk);
        disk.crash();
        content(&disk, FILE)
    };
    (0..500).map(run).collect()
}

#[test]
fn what_was_synced_survives() {
    let found = outcomes(|disk| {
        durable(disk, FILE, b"content");
    });
    assert_eq!(found, [Some(b"content".to_vec())].into());
}

#[test]
fn a_name_that_was_not_synced_may_vanish() {
    let found = outcomes(|disk| {
        let file = disk.create(Path::new(FILE)).unwrap();
        file.write_at(0, b"content").unwrap();
        file.sync().unwrap();
    });
    assert_eq!(found, [None, Some(b"content".to_vec())].into());
}

#[test]
fn unsynced_sectors_survive_in_any_combination() {
    let found = outcomes(|disk| {
        let file = durable(disk, FILE, &[b'a'; 1024]);
        file.write_at(0, &[b'b'; 512]).unwrap();
        file.write_at(512, &[b'b'; 512]).unwrap();
    });
    let found: BTreeSet<(u8, u8)> = found.into_iter().flatten().map(|bytes| (bytes[0], bytes[512])).collect();
    assert_eq!(found, [(b'a', b'a'), (b'a', b'b'), (b'b', b'a'), (b'b', b'b')].into());
}

#[test]
fn one_write_is_torn_at_sectors() {
    let found = outcomes(|disk| durable(disk, FILE, &[b'a'; 2048]).write_at(0, &[b'b'; 2048]).unwrap());
    let mut patterns = BTreeSet::new();
    for bytes in found.into_iter().flatten() {
        for sector in bytes.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "torn within a sector");
        }
        patterns.insert(bytes.chunks(512).map(|sector| sector[0]).collect::<Vec<_>>());
    }
    assert_eq!(patterns.len(), 16, "every combination of four sectors");
}

#[test]
fn a_length_may_come_without_its_content() {
    let found = outcomes(|disk| durable(disk, FILE, b"").write_at(0, b"new").unwrap());
    assert_eq!(found, [Some(vec![]), Some(vec![0; 3]), Some(b"new".to_vec())].into());
}

#[test]
fn a_rename_is_atomic() {
    let found = outcomes(|disk| {
        durable(disk, FILE, b"old");
        durable(disk, "/d/other", b"new");
        disk.rename(Path::new("/d/other"), Path::new(FILE)).unwrap();
    });
    assert_eq!(found, [Some(b"old".to_vec()), Some(b"new".to_vec())].into());
    let found = outcomes(|disk| {
        durable(disk, "/d/other", b"new");
        disk.rename(Path::new("/d/other"), Path::new(FILE)).unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
    });
    assert_eq!(found, [Some(b"new".to_vec())].into());
}

#[test]
fn changes_of_names_survive_out_of_order_only_where_they_are_independent() {
    let found: BTreeSet<(bool, bool)> = (0..500)
        .map(|seed| {
            let disk = disk(seed);
            durable(&disk, "/d/first", b"1");
            durable(&disk, "/d/second", b"2");
            disk.remove(Path::new("/d/first")).unwrap();
            disk.remove(Path::new("/d/second")).unwrap();
            disk.crash();
            (content(&disk, "/d/first").is_some(), content(&disk, "/d/second").is_some())
        })
        .collect();
    assert_eq!(found.len(), 4);
    let found = outcomes(|disk| {
        durable(disk, FILE, b"old");
        disk.remove(Path::new(FILE)).unwrap();
        disk.create(Path::new(FILE)).unwrap().sync().unwrap();
    });
    assert_eq!(found, [None, Some(vec![]), Some(b"old".to_vec())].into());
}

#[test]
fn a_sync_that_failed_may_never_be_made_up_for() {
    let found = outcomes(|disk| {
        let file = durable(disk, FILE, b"old");
        file.write_at(0, b"new").unwrap();
        disk.schedule(0, Fault::Sync);
        file.sync().unwrap_err();
        file.sync().unwrap();
    });
    assert_eq!(found, [Some(b"old".to_vec()), Some(b"new".to_vec())].into());
}

#[test]
fn a_process_that_ends_loses_no_writes_but_its_handles_and_locks() {
    let disk = disk(1);
    let lock = disk.lock(Path::new("/d/LOCK")).unwrap();
    assert_eq!(disk.lock(Path::new("/d/LOCK")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let file = disk.create(Path::new(FILE)).unwrap();
    file.write_at(0, b"content").unwrap();
    disk.kill();
    file.size().unwrap_err();
    assert_eq!(content(&disk, FILE).unwrap(), b"content");
    let again = disk.lock(Path::new("/d/LOCK")).unwrap();
    drop(lock);
    assert_eq!(disk.lock(Path::new("/d/LOCK")).unwrap_err().kind(), io::ErrorKind::WouldBlock, "a dead lock");
    drop(again);
    disk.lock(Path::new("/d/LOCK")).unwrap();
}

#[test]
fn a_full_disk_takes_what_was_reserved() {
    let disk = disk(1);
    disk.set_capacity(Some(1000));
    let file = durable(&disk, FILE, b"content");
    file.reserve(800).unwrap();
    let other = disk.create(Path::new("/d/other")).unwrap();
    assert_eq!(other.write_at(0, &[1; 300]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(other.size().unwrap(), 200, "what there was room for is written");
    file.write_at(100, &[1; 700]).unwrap();
    assert_eq!(&file.read_at(0, 8).unwrap()[..], b"content\0");
    disk.remove(Path::new("/d/other")).unwrap();
    file.reserve(1000).unwrap();
    assert_eq!(file.reserve(1001).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.used(), 1000);
}

#[test]
fn a_crash_stops_the_machine_in_the_middle() {
    let found = outcomes(|disk| {
        let file = durable(disk, FILE, b"old");
        disk.schedule(1, Fault::Crash);
        file.write_at(0, b"new").unwrap_err();
        assert!(disk.is_stopped());
        file.sync().unwrap_err();
        disk.create(Path::new("/d/late")).unwrap_err();
    });
    assert!(found.contains(&Some(b"old".to_vec())) && found.contains(&Some(b"new".to_vec())), "{found:?}");
    assert!(found.len() > 2, "torn within the operation: {found:?}");
}

#[test]
fn a_read_only_file_system_can_still_be_read() {
    let disk = disk(1);
    let file = durable(&disk, FILE, b"content");
    disk.schedule(0, Fault::ReadOnly);
    assert_eq!(file.write_at(0, b"x").unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
    disk.remove(Path::new(FILE)).unwrap_err();
    assert_eq!(&file.read_at(0, 7).unwrap()[..], b"content");
    assert_eq!(file.read_at(0, 8).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    disk.kill();
    disk.remove(Path::new(FILE)).unwrap();
    assert_eq!(disk.open(Path::new(FILE)).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn damage_is_durable_and_spares_what_was_written_last() {
    let mut damaged = 0;
    for seed in 0..200 {
        let disk = disk(seed);
        let file = durable(&disk, FILE, &[7; 1024]);
        file.write_at(512, &[8; 512]).unwrap();
        file.sync().unwrap();
        disk.crash();
        let before = disk.files();
        let Some(damage) = disk.damage(|_| true, |_| true) else {
            assert_eq!(disk.files(), before);
            continue;
        };
        damaged += 1;
        disk.crash();
        let bytes = content(&disk, FILE).unwrap();
        assert!(damage.offset < 512 && bytes != before[Path::new(FILE)] && bytes[512..] == [8; 512]);
    }
    assert!(damaged > 50, "{damaged}");
}

#[test]
fn lies_lose_what_was_synced() {
    for lies in [Lies { sync: true, sync_dir: false }, Lies { sync: false, sync_dir: true }] {
        let lost = |seed| {
            let disk = SimDisk::new(seed, lies);
            disk.create_dir(Path::new(DIR)).unwrap();
            durable(&disk, FILE, b"content");
            disk.crash();
            content(&disk, FILE).as_deref() != Some(b"content")
        };
        assert!((0..100).any(lost), "{lies:?}");
    }
}

#[test]
fn one_seed_is_one_course_of_events() {
    let run = |seed| {
        let disk = disk(seed);
        durable(&disk, FILE, b"content").write_at(3, &[1; 3000]).unwrap();
        disk.crash();
        let listed = disk.list(Path::new(DIR)).unwrap();
        (disk.digest(), listed, disk.files())
    };
    assert_eq!(run(7), run(7));
    let different: BTreeSet<_> = (0..50).map(|seed| run(seed).2).collect();
    assert!(different.len() > 3);
}
