//! Fills its memory again and again, an instruction at a time: each is long, and none is a place where code is ended.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    const BLOCK_BYTES: usize = 32 * 1024 * 1024;

    /// Fills memory without end.
    pub fn fills(value: i64) -> i64 {
        let mut block = vec![0_u8; BLOCK_BYTES];
        loop {
            block.fill(std::hint::black_box(value as u8));
            std::hint::black_box(&mut block);
        }
    }
}
