//! Answers with what it did not declare. The parameter `lie` says in which way.

use domicile_sdk::bindings::functions::domicile::plugin::columns::{self, Contents, Runs, Values};
use domicile_sdk::bindings::mapper::export_mapper;
use domicile_sdk::bindings::mapper::exports::domicile::plugin::mapper::{
    Bounds, Endpoint, Guest, MapperDescriptor, Output, OutputKind,
};
use domicile_sdk::{Field, Parameter, Value, ValueType};
use std::sync::Mutex;

static LIE: Mutex<String> = Mutex::new(String::new());

struct Lies;

fn column(values: Values) -> u32 {
    columns::write(&Contents { values, validity: None })
}

fn sizes(entities: usize, size: &str) -> u32 {
    let length = size.len() as i32;
    let offsets = (0..=entities as i32).map(|entity| entity * length).collect();
    column(Values::Text(Runs { offsets, bytes: size.repeat(entities).into_bytes() }))
}

fn totals(entities: usize, total: f64) -> u32 {
    column(Values::Double(vec![total; entities]))
}

impl Guest for Lies {
    fn describe() -> MapperDescriptor {
        let sizes = ["small", "large"].map(str::to_owned).to_vec();
        MapperDescriptor {
            dataset: "orders".to_owned(),
            inputs: vec![Field { name: "o_totalprice".to_owned(), kind: ValueType::Double }],
            parameters: vec![Parameter { name: "lie".to_owned(), default: Value::Text("none".to_owned()) }],
            outputs: vec![
                Output { name: "size".to_owned(), kind: OutputKind::Category(sizes) },
                Output { name: "total".to_owned(), kind: OutputKind::Measure(Bounds { min: 0.0, max: 100.0 }) },
            ],
            endpoint: Endpoint { group_by: vec!["size".to_owned()], sum: vec!["total".to_owned()] },
        }
    }

    fn configure(parameters: Vec<Value>) -> Result<(), String> {
        match parameters.as_slice() {
            [Value::Text(lie)] if lie == "refuse" => Err("`lie` is to be a kind of lie".to_owned()),
            [Value::Text(lie)] => {
                *LIE.lock().map_err(|error| error.to_string())? = lie.clone();
                Ok(())
            }
            _ => Err("there is one parameter".to_owned()),
        }
    }

    fn map(ends: Vec<u32>, _inputs: Vec<u32>) -> Result<Vec<u32>, String> {
        let (lie, entities) = (LIE.lock().map_err(|error| error.to_string())?.clone(), ends.len());
        let small = || sizes(entities, "small");
        Ok(match lie.as_str() {
            "category" => vec![sizes(entities, "customer 42"), totals(entities, 1.0)],
            "type" => vec![small(), column(Values::Bigint(vec![1; entities]))],
            "too few" => vec![small()],
            "too many" => vec![small(), totals(entities, 1.0), totals(entities, 1.0)],
            "fewer entities" => vec![small(), totals(entities - 1, 1.0)],
            "more entities" => vec![small(), totals(entities + 1, 1.0)],
            "no column" => vec![small(), 1_000],
            "input" => vec![small(), 0],
            "nan" => vec![small(), totals(entities, f64::NAN)],
            "above" => vec![small(), totals(entities, f64::INFINITY)],
            "below" => vec![small(), totals(entities, -0.5)],
            _ => vec![small(), totals(entities, 42.0)],
        })
    }
}

export_mapper!(Lies);
