//! Takes memory without end: the host has to end the call at its memory limit.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    const BLOCK_BYTES: usize = 1024 * 1024;

    /// Takes memory without end.
    pub fn hoard(value: i64) -> i64 {
        let mut blocks = Vec::new();
        loop {
            blocks.push(std::hint::black_box(vec![value; BLOCK_BYTES / size_of::<i64>()]));
        }
    }
}
