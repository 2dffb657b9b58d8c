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

    /// The first block in `bytes`, which start at the block boundary `offset` of the file, that is not what was written,
    /// as its first and last offset; none where all are.
    pub(crate) fn damage(&self, offset: u64, bytes: &[u8]) -> Option<(u64, u64)> {
        let first = usize::try_from(offset / BLOCK_BYTES as u64).unwrap_or(usize::MAX);
        let damaged = |(index, block): (usize, &[u8])| {
            let written = self.0.get(first.saturating_add(index));
            let start = offset + (index * BLOCK_BYTES) as u64;
            (written != Some(&crc32c::crc32c(block))).then_some((start, start + block.len() as u64 - 1))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_lies_within_a_block() {
        let mut bytes = vec![7; 2 * BLOCK_BYTES + 100];
        let mut summing = Summing::default();
        summing.update(&bytes);
        let blocks = summing.finish();
        let block = BLOCK_BYTES as u64;
        let mut check = |at: usize, expect: (u64, u64)| {
            bytes[at] ^= 1;
            assert_eq!(blocks.damage(0, &bytes), Some(expect));
            bytes[at] ^= 1;
            assert_eq!(blocks.damage(0, &bytes), None);
        };
        check(700_000, (0, block - 1));
        check(BLOCK_BYTES, (block, 2 * block - 1));
        check(2 * BLOCK_BYTES + 99, (2 * block, 2 * block + 99));
    }
}
