//! Checksums of the blocks of a file, so that no byte is believed that was not written.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Bytes of a block. A read fetches whole blocks; the manifest holds one checksum for each.
pub(crate) const BLOCK_BYTES: usize = 1024 * 1024;

/// CRC-32C of each block of a file, in order; the last block may be short.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Blocks(Vec<u32>);

impl Blocks {
    /// The blocks that a range lies in, as a range of bytes of a file of `size` bytes.
    pub(crate) fn around(range: &Range<u64>, size: u64) -> Range<u64> {
        let block = BLOCK_BYTES as u64;
        range.start / block * block..range.end.next_multiple_of(block).min(size)
    }

    /// The offset in `bytes`, which start at the block boundary `offset` of the file, of the first block that is not
    /// what was written; none where all are.
    pub(crate) fn damage(&self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let first = usize::try_from(offset / BLOCK_BYTES as u64).unwrap_or(usize::MAX);
        let damaged = |(index, block): (usize, &[u8])| {
            let written = self.0.get(first.saturating_add(index));
            (written != Some(&crc32c::crc32c(block))).then_some(offset + (index * BLOCK_BYTES) as u64)
        };
        bytes.chunks(BLOCK_BYTES).enumerate().find_map(damaged)
    }
}

/// Makes the checksums while the bytes go by.
#[derive(Debug, Default)]
pub(crate) struct Summing {
    blocks: Vec<u32>,
    current: u32,
    filled: usize,
}

impl Summing {
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.filled));
            self.current = crc32c::crc32c_append(self.current, now);
            self.filled += now.len();
            if self.filled == BLOCK_BYTES {
                self.blocks.push(std::mem::take(&mut self.current));
                self.filled = 0;
            }
            bytes = rest;
        }
    }

    pub(crate) fn finish(mut self) -> Blocks {
        if self.filled > 0 {
            self.blocks.push(self.current);
        }
        Blocks(self.blocks)
    }
}
