//! Backups and restores that are cut off: nothing is half there, and the next attempt succeeds.

use std::sync::Arc;

use domicile_store::{BackupProblem, Selection, Store, StoreError, StoreParts, list_backups, restore, verify_backup};
use domicile_types::Lifecycle;

use crate::backup::{back_up, check, elsewhere, outcome, request, restore_all, shared, world};
use crate::disk::{Fault, Lies, SimDisk};
use crate::objects::MemoryObjects;
use crate::world::{TODAY, World, events, name, region};

#[test]
fn a_restore_that_is_cut_off_leaves_the_store_as_it_was() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    back_up(&mut world, &backups, Selection::All);
    let restored = world.events.clone();
    for fault in [Fault::Crash, Fault::Io, Fault::Sync] {
        for at in 0..5000 {
            let mut world = World::new(at, Lifecycle::default());
            world.upsert((0..30).map(|id| (TODAY, id, 70)));
            world.note(0..7);
            world.flush();
            world.upsert((0..30).map(|id| (TODAY - 31, id, 71)));
            world.store = None;
            world.disk.kill();
            let before = world.disk.failures();
            world.disk.schedule(at, fault);
            let selection = Selection::Dataset(name("events"));
            let done = restore(world.parts.clone(), &shared(&backups), None, &selection, &|_| {});
            let went_wrong = world.disk.failures() > before || world.disk.is_stopped();
            world.disk.heal();
            world.disk.crash();
            world.reopen().unwrap();
            let stored = events(&world.snapshot());
            if done.is_ok() || stored != world.events {
                world.events = restored.clone();
            }
            world.check();
            world.check_files();
            if !went_wrong {
                assert!(done.is_ok() && at > 10, "{at}");
                break;
            }
        }
    }
}

#[test]
fn a_restore_into_nothing_that_is_cut_off_can_be_repeated() {
    let (mut world, backups) = (world(), MemoryObjects::default());
    back_up(&mut world, &backups, Selection::All);
    for at in 0..5000 {
        let disk = SimDisk::new(at, Lies::default());
        let parts = StoreParts { disk: Arc::new(disk.clone()), ..elsewhere(&world) };
        disk.schedule(at, Fault::Crash);
        let done = restore_all(&parts, &backups);
        let went_wrong = disk.is_stopped();
        disk.heal();
        disk.crash();
        if done.is_err() {
            match restore_all(&parts, &backups) {
                Ok(_) => {}
                // The crash came after the edit, before anybody was told.
                Err(StoreError::Backup { problem: BackupProblem::NotEmpty, .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        check(&Store::open(parts).unwrap(), &world.events, &world.notes);
        if !went_wrong {
            assert!(done.is_ok() && at > 10, "{at}");
            break;
        }
    }
}

#[test]
fn a_backup_that_is_cut_off_does_not_exist() {
    for at in 0..100 {
        let (mut world, backups) = (world(), MemoryObjects::default());
        backups.fail_after(Some(at));
        let done = request(&mut world, &backups, Selection::All);
        world.settle();
        world.check();
        backups.fail_after(None);
        let done = outcome(&done);
        assert_eq!(list_backups(&backups).unwrap().len(), usize::from(done.is_ok()));
        let puts = backups.puts();
        let whole = back_up(&mut world, &backups, Selection::All);
        verify_backup(&shared(&backups), None, &region()).unwrap();
        assert!(whole.segments + 1 >= backups.puts() - puts);
        if done.is_ok() {
            assert!(at > 5, "{at}");
            return;
        }
    }
    panic!("the backup does not end");
}
