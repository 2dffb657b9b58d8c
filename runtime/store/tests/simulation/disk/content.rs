//! The content of one file: what is on the platter, what programs see, and what lies between.

use std::ops::Range;

use crate::rng::Rng;

pub(super) const SECTOR: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Content {
    durable: Vec<u8>,
    visible: Vec<u8>,
    unsynced: Vec<Change>,
    /// What the last sync that wrote something made durable: the place that looks like a torn write when it is damaged.
    last_synced: Range<usize>,
}

#[derive(Debug)]
enum Change {
    /// Whole sectors as they were in memory after the write, the last one cut by the end of the file.
    Write {
        start: usize,
        image: Vec<u8>,
        size: usize,
    },
    Size(usize),
}

/// What becomes of changes that nobody synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Survive,
    Lost,
    Mixed,
}

impl Content {
    pub(super) fn visible(&self) -> &[u8] {
        &self.visible
    }

    pub(super) fn last_synced(&self) -> Range<usize> {
        self.last_synced.clone()
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.visible.len() < end {
            self.visible.resize(end, 0);
        }
        self.visible[offset..end].copy_from_slice(bytes);
        let start = offset / SECTOR * SECTOR;
        let image = self.visible[start..end.next_multiple_of(SECTOR).min(self.visible.len())].to_vec();
        self.unsynced.push(Change::Write { start, image, size: self.visible.len() });
    }

    pub(super) fn set_size(&mut self, size: usize) {
        if size != self.visible.len() {
            self.visible.resize(size, 0);
            self.unsynced.push(Change::Size(size));
        }
    }

    /// Makes everything durable.
    pub(super) fn sync(&mut self) {
        let starts = self.unsynced.iter().filter_map(|change| match change {
            Change::Write { start, .. } => Some(*start),
            Change::Size(_) => None,
        });
        let ends = self.unsynced.iter().filter_map(|change| match change {
            Change::Write { start, image, .. } => Some(start + image.len()),
            Change::Size(_) => None,
        });
        if let (Some(start), Some(end)) = (starts.min(), ends.max()) {
            self.last_synced = start..end;
        }
        self.settle(Fate::Survive, &mut Rng::new(0));
    }

    /// A sync that fails: some pages are written, the others are taken for clean and never written again, as Linux
    /// does. Programs go on seeing them until they are evicted, which may be at once.
    pub(super) fn fail_sync(&mut self, rng: &mut Rng) {
        self.settle(Fate::Mixed, rng);
        if rng.chance(50) {
            self.visible = self.durable.clone();
        }
    }

    /// The power goes.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        let fate = *rng.pick(&[Fate::Survive, Fate::Lost, Fate::Mixed, Fate::Mixed]);
        self.settle(fate, rng);
        self.visible = self.durable.clone();
    }

    /// Damages a bit, durably.
    pub(super) fn flip(&mut self, offset: usize, bit: u32) {
        self.durable[offset] ^= 1 << bit;
        self.visible = self.durable.clone();
    }

    /// Overwrites what is at `offset` with bytes that were meant for another place. Gives whether that changed it.
    pub(super) fn overwrite(&mut self, offset: usize, bytes: &[u8]) -> bool {
        let end = (offset + bytes.len()).min(self.durable.len());
        let place = &mut self.durable[offset..end];
        let changes = *place != bytes[..place.len()];
        place.copy_from_slice(&bytes[..place.len()]);
        self.visible = self.durable.clone();
        changes
    }

    /// Sectors reach the disk independently and in any order; each one with the bytes of some moment. The length is
    /// that of some moment too, and what was never written reads as zeros.
    fn settle(&mut self, fate: Fate, rng: &mut Rng) {
        let changes = std::mem::take(&mut self.unsynced);
        let resized = match fate {
            Fate::Survive => changes.len(),
            Fate::Lost => 0,
            Fate::Mixed => rng.index(changes.len() + 1),
        };
        let mut length = self.durable.len();
        for (number, change) in changes.into_iter().enumerate() {
            match change {
                // A cut is ordered before what is written in its place.
                Change::Size(size) if size < self.durable.len() => {
                    if number >= resized {
                        break;
                    }
                    self.durable.truncate(size);
                    length = size;
                }
                Change::Size(size) => length = if number < resized { size } else { length },
                Change::Write { start, image, size } => {
                    self.write_sectors(start, &image, fate, rng);
                    length = if number < resized { size } else { length };
                }
            }
        }
        self.durable.resize(length, 0);
    }

    fn write_sectors(&mut self, start: usize, image: &[u8], fate: Fate, rng: &mut Rng) {
        let survival = match fate {
            Fate::Survive => 100,
            Fate::Lost => 0,
            Fate::Mixed => *rng.pick(&[0, 100, 50, 80]),
        };
        for (number, sector) in image.chunks(SECTOR).enumerate() {
            if survival == 100 || (survival > 0 && rng.chance(survival)) {
                let offset = start + number * SECTOR;
                let end = offset + sector.len();
                if self.durable.len() < end {
                    self.durable.resize(end, 0);
                }
                self.durable[offset..end].copy_from_slice(sector);
            }
        }
    }
}
