//! Resolves wrongly, or not at all. The first value says in which way.

use domicile_sdk::bindings::merge::export_merge;
use domicile_sdk::bindings::merge::exports::domicile::plugin::merge::{Guest, Version};
use std::sync::atomic::{AtomicI64, Ordering};

use domicile_sdk::{Field, Value, ValueType};

static RESOLVED: AtomicI64 = AtomicI64::new(0);

struct Collapses;

impl Guest for Collapses {
    fn describe() -> Vec<Field> {
        vec![Field { name: "n".to_owned(), kind: ValueType::Bigint }]
    }

    fn resolve(versions: Vec<Version>) -> Result<Vec<Value>, String> {
        let first = versions.first().and_then(|version| version.values.first());
        Ok(match first {
            Some(Value::Bigint(1)) => std::process::abort(),
            Some(Value::Bigint(2)) => return Err("no".to_owned()),
            Some(Value::Bigint(3)) => Vec::new(),
            Some(Value::Bigint(4)) => vec![Value::Text("four".to_owned())],
            Some(Value::Bigint(5)) => vec![Value::Null],
            Some(Value::Bigint(6)) => {
                std::process::exit(1);
            }
            Some(Value::Bigint(7)) => vec![Value::Bigint(RESOLVED.fetch_add(1, Ordering::Relaxed) + 1)],
            _ => vec![Value::Bigint(versions.len() as i64)],
        })
    }
}

export_merge!(Collapses);
