//! Returns more than it may: too many rows, too many bytes, or too many lines in the log.

use domicile_sdk::bindings::functions::{FunctionsDescriptor, Guest, export_functions};
use domicile_sdk::{Column, FunctionSignature, Level, ValueType, Values, log};

const FUNCTIONS: [&str; 3] = ["rows", "bytes", "lines"];
/// 40 MiB, which the plugin's own memory has room for.
const VALUES: usize = 5 * 1024 * 1024;
const LINES: usize = 100_000;

struct Floods;

impl Guest for Floods {
    fn describe() -> FunctionsDescriptor {
        let functions = FUNCTIONS.iter().map(|name| FunctionSignature {
            name: (*name).to_owned(),
            arguments: Vec::new(),
            returns: ValueType::Bigint,
        });
        FunctionsDescriptor { functions: functions.collect() }
    }

    fn call(function: u32, rows: u32, _arguments: Vec<Column>) -> Result<Column, String> {
        let values = match FUNCTIONS.get(function as usize) {
            Some(&"rows") => vec![0; rows as usize * 1000],
            Some(&"bytes") => vec![0; VALUES],
            _ => {
                (0..LINES).for_each(|_| log(Level::Info, "so much to say"));
                vec![0; rows as usize]
            }
        };
        Ok(Column { values: Values::Bigint(values), validity: None })
    }
}

export_functions!(Floods);
