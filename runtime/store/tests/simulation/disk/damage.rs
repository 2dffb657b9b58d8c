//! Damage to what is durable: rotten bits, and writes that went to the wrong place.

use std::path::{Path, PathBuf};

use super::content::SECTOR;
use super::{SimDisk, State};

/// Where something was damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
}

impl SimDisk {
    /// Flips a bit, or overwrites a sector with another one, in a file that `may` be damaged. What the last sync of a
    /// file wrote is spared where `tail` says so: damage there cannot be told from a torn write. To be called after a
    /// crash only.
    pub(crate) fn damage(&self, may: impl Fn(&Path) -> bool, tail: impl Fn(&Path) -> bool) -> Option<Damage> {
        self.state().damage(&may, &tail)
    }
}

impl State {
    fn damage(&mut self, may: &dyn Fn(&Path) -> bool, tail: &dyn Fn(&Path) -> bool) -> Option<Damage> {
        let files = self.names.iter().filter(|(path, file)| may(path) && !self.files[file].visible().is_empty());
        let files: Vec<(PathBuf, u64)> = files.map(|(path, file)| (path.clone(), file)).collect();
        if files.is_empty() {
            return None;
        }
        let (path, file) = self.rng.pick(&files).clone();
        let spared = if tail(&path) { self.files[&file].last_synced() } else { 0..0 };
        let length = self.files[&file].visible().len();
        let offset = self.rng.index(length);
        if self.rng.chance(70) {
            let bit = self.rng.below(8) as u32;
            if spared.contains(&offset) {
                return None;
            }
            self.files.get_mut(&file)?.flip(offset, bit);
            return Some(Damage { path, offset: offset as u64 });
        }
        let offset = offset / SECTOR * SECTOR;
        if offset < spared.end && spared.start < offset + SECTOR {
            return None;
        }
        let (_, from) = self.rng.pick(&files).clone();
        let source = self.files[&from].visible();
        let start = self.rng.index(source.len()) / SECTOR * SECTOR;
        let sector = source[start..source.len().min(start + SECTOR)].to_vec();
        let changed = self.files.get_mut(&file)?.overwrite(offset, &sector);
        changed.then_some(Damage { path, offset: offset as u64 })
    }
}
