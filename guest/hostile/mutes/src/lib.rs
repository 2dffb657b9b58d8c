//! Traps where it is to describe itself: the host has to refuse it at load.

use domicile_sdk::bindings::merge::export_merge;
use domicile_sdk::bindings::merge::exports::domicile::plugin::merge::{Guest, Version};
use domicile_sdk::{Field, Value};

struct Mutes;

impl Guest for Mutes {
    fn describe() -> Vec<Field> {
        std::process::abort()
    }

    fn resolve(versions: Vec<Version>) -> Result<Vec<Value>, String> {
        Err(format!("{} versions", versions.len()))
    }
}

export_merge!(Mutes);
