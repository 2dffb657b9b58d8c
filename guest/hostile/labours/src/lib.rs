//! Takes more steps than it may, where steps are counted: the host has to end the call at the same step everywhere.

use domicile_sdk::bindings::merge::export_merge;
use domicile_sdk::bindings::merge::exports::domicile::plugin::merge::{Guest, Version};
use domicile_sdk::{Field, Value, ValueType};

struct Labours;

impl Guest for Labours {
    fn describe() -> Vec<Field> {
        vec![Field { name: "n".to_owned(), kind: ValueType::Bigint }]
    }

    fn resolve(versions: Vec<Version>) -> Result<Vec<Value>, String> {
        let n = versions.iter().flat_map(|version| &version.values).find_map(|value| match value {
            Value::Bigint(n) => Some(*n),
            _ => None,
        });
        let mut sum = 0_i64;
        for turn in 0..n.unwrap_or(i64::MAX) {
            sum = std::hint::black_box(sum.wrapping_add(turn));
        }
        Ok(vec![Value::Bigint(sum)])
    }
}

export_merge!(Labours);
