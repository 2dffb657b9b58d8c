//! Answers with what it did not declare. The parameter `lie` says in which way.

use domicile_sdk::{Interface, Mapper, Parameters, Rows, Value, ValueType};

struct Lies {
    lie: String,
}

impl Mapper for Lies {
    fn interface() -> Interface {
        Interface::of("orders")
            .input("o_totalprice", ValueType::Double)
            .parameter("lie", "none")
            .category("size", &["small", "large"])
            .measure("total", 0.0, 100.0)
            .group_by("size")
            .sum("total")
    }

    fn new(parameters: &Parameters) -> Result<Self, String> {
        match parameters.text(0)? {
            "refuse" => Err("`lie` is to be a kind of lie".to_owned()),
            lie => Ok(Self { lie: lie.to_owned() }),
        }
    }

    fn map(&self, rows: &Rows) -> Result<Vec<Value>, String> {
        let total: f64 = rows.column(0)?.doubles()?.iter().flatten().sum();
        Ok(match self.lie.as_str() {
            "category" => vec!["customer 42".into(), total.into()],
            "type" => vec!["small".into(), Value::Bigint(1)],
            "too few" => vec!["small".into()],
            "too many" => vec!["small".into(), total.into(), total.into()],
            "nan" => vec!["small".into(), f64::NAN.into()],
            "above" => vec!["small".into(), f64::INFINITY.into()],
            "below" => vec!["small".into(), (-0.5).into()],
            _ => vec!["small".into(), total.into()],
        })
    }
}

domicile_sdk::mapper!(Lies);
