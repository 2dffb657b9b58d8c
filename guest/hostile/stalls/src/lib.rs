//! Never finishes to describe itself: the host has to refuse it at load.

use domicile_sdk::Value;
use domicile_sdk::bindings::mapper::export_mapper;
use domicile_sdk::bindings::mapper::exports::domicile::plugin::mapper::{Guest, MapperDescriptor};

struct Stalls;

impl Guest for Stalls {
    fn describe() -> MapperDescriptor {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }

    fn configure(_parameters: Vec<Value>) -> Result<(), String> {
        Err("not described".to_owned())
    }

    fn map(_ends: Vec<u32>, _inputs: Vec<u32>) -> Result<Vec<u32>, String> {
        Err("not described".to_owned())
    }
}

export_mapper!(Stalls);
