//! Hands `wire_tokens` to libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(init: domicile_fuzz::let_panics_unwind(), |input: &[u8]| {
    domicile_fuzz::run_loudly("wire_tokens", input);
});
