//! Wants a log, which plugins that resolve conflicts are not given: the host has to refuse it at load.

use domicile_sdk::bindings::merge::export_merge;
use domicile_sdk::bindings::merge::exports::domicile::plugin::merge::{Guest, Version};
use domicile_sdk::{Field, Value, ValueType};
use domicile_sdk::{Level, log};

struct Whispers;

impl Guest for Whispers {
    fn describe() -> Vec<Field> {
        vec![Field { name: "n".to_owned(), kind: ValueType::Bigint }]
    }

    fn resolve(versions: Vec<Version>) -> Result<Vec<Value>, String> {
        log(Level::Info, "psst");
        Err(format!("{} versions", versions.len()))
    }
}

export_merge!(Whispers);
