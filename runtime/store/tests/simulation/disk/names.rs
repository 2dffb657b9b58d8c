//! The names of files: durable ones, and changes that a crash may undo.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::rng::Rng;

#[derive(Debug, Default)]
pub(super) struct Names {
    durable: BTreeMap<PathBuf, u64>,
    visible: BTreeMap<PathBuf, u64>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Link { path: PathBuf, file: u64 },
    Unlink { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
}

impl Change {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let (first, second) = match self {
            Self::Link { path, .. } | Self::Unlink { path } => (path, None),
            Self::Rename { from, to } => (from, Some(to)),
        };
        std::iter::once(first).chain(second)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Link { path, file } => {
                names.insert(path.clone(), *file);
            }
            Self::Unlink { path } => {
                names.remove(path);
            }
            Self::Rename { from, to } => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

impl Names {
    pub(super) fn find(&self, path: &Path) -> Option<u64> {
        self.visible.get(path).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PathBuf, u64)> {
        self.visible.iter().map(|(path, file)| (path, *file))
    }

    pub(super) fn link(&mut self, path: &Path, file: u64) {
        self.change(Change::Link { path: path.to_owned(), file });
    }

    pub(super) fn unlink(&mut self, path: &Path) {
        self.change(Change::Unlink { path: path.to_owned() });
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned() });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.pending.push(change);
    }

    /// Makes the names in `dir` durable, and with them whatever they depend on.
    pub(super) fn sync(&mut self, dir: &Path) {
        let mut touched: BTreeSet<PathBuf> = BTreeSet::new();
        let mut keep = vec![false; self.pending.len()];
        for (number, change) in self.pending.iter().enumerate().rev() {
            if change.paths().any(|path| path.parent() == Some(dir) || touched.contains(path)) {
                touched.extend(change.paths().cloned());
                keep[number] = true;
            }
        }
        let mut keep = keep.into_iter();
        self.settle(|_| keep.next().unwrap_or(true));
    }

    /// Changes of one name survive in their order, a rename as a whole; changes of different names independently, or
    /// all in their order.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        let ordered = rng.chance(50);
        let survivors = rng.index(self.pending.len() + 1);
        let mut number = 0;
        let mut undone: BTreeSet<PathBuf> = BTreeSet::new();
        self.settle(|change| {
            number += 1;
            let survives = if ordered { number <= survivors } else { rng.chance(50) };
            let survives = survives && !change.paths().any(|path| undone.contains(path));
            if !survives {
                undone.extend(change.paths().cloned());
            }
            survives
        });
        self.pending.clear();
        self.visible = self.durable.clone();
    }

    fn settle(&mut self, mut survives: impl FnMut(&Change) -> bool) {
        for change in std::mem::take(&mut self.pending) {
            if survives(&change) {
                change.apply(&mut self.durable);
            } else {
                self.pending.push(change);
            }
        }
    }
}
