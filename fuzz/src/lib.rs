//! What is fuzzed: for each target one function from bytes, which panics where something does not hold.
//!
//! The binaries in `fuzz_targets/` hand these functions to libFuzzer, `replay` runs them over the corpora.

mod component_load;
mod guest_output;
mod oracle;
mod wire_frames;
mod wire_receipts;
mod wire_tokens;

/// A target: its name, which is also its corpus's, and what runs.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 5] = [
    ("component_load", component_load::run),
    ("guest_output", guest_output::run),
    ("wire_frames", wire_frames::run),
    ("wire_receipts", wire_receipts::run),
    ("wire_tokens", wire_tokens::run),
];

/// Runs the target of this name over one input.
///
/// # Panics
/// Where something does not hold, or there is no such target.
pub fn run(target: &str, input: &[u8]) {
    match TARGETS.iter().find(|(name, _)| *name == target) {
        Some((_, run)) => run(input),
        None => panic!("there is no target `{target}`"),
    }
}

/// Lets panics unwind that the code under test catches itself: libFuzzer's hook would end the process at the panic.
/// What nobody catches ends it all the same.
pub fn let_panics_unwind() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// As [`run`], and says what the panic says that escapes.
///
/// # Panics
/// As [`run`].
pub fn run_loudly(target: &str, input: &[u8]) {
    let Err(panic) = std::panic::catch_unwind(|| run(target, input)) else { return };
    let message = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    eprintln!("{target}: {}", message.unwrap_or("panicked with something other than text"));
    std::panic::resume_unwind(panic);
}
