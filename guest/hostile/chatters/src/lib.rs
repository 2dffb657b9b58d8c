//! Has more to say than a log holds: it is cut short, not stopped.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    use domicile_sdk::{Level, log};

    const LINES: usize = 100_000;

    /// Logs many lines.
    pub fn chatters(value: i64) -> i64 {
        (0..LINES).for_each(|line| log(Level::Info, &format!("{line}: so much to say")));
        value
    }

    /// Logs one line that is too long to keep.
    pub fn rants(value: i64) -> i64 {
        log(Level::Warn, &"x".repeat(10_000));
        value
    }
}
