//! Never finishes to describe itself: the host has to refuse it at load.

use domicile_sdk::Column;
use domicile_sdk::bindings::functions::{FunctionsDescriptor, Guest, export_functions};

struct Stalls;

impl Guest for Stalls {
    fn describe() -> FunctionsDescriptor {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }

    fn call(_function: u32, _rows: u32, _arguments: Vec<Column>) -> Result<Column, String> {
        Err("not described".to_owned())
    }
}

export_functions!(Stalls);
