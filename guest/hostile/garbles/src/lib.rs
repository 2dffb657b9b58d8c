//! Returns columns that are broken in one way each: the host has to notice every one.

use domicile_sdk::bindings::functions::{FunctionsDescriptor, Guest, export_functions};
use domicile_sdk::{Column, FunctionSignature, TextsColumn, ValueType, Values};

type Garble = fn(usize) -> Column;

/// The functions: their names, and what each returns instead of `rows` texts.
const FUNCTIONS: [(&str, Garble); 8] = [
    ("fewer_rows", |rows| texts(vec![0; rows], Vec::new())),
    ("no_offsets", |_| texts(Vec::new(), Vec::new())),
    ("negative_offsets", |rows| texts(vec![-1; rows + 1], Vec::new())),
    ("descending_offsets", |rows| texts((0..=rows as i32).rev().collect(), vec![b'x'; rows])),
    ("offsets_beyond_bytes", |rows| texts((0..=rows as i32).collect(), Vec::new())),
    ("not_utf8", |rows| texts((0..=rows as i32).collect(), vec![0xff; rows])),
    ("another_type", |rows| Column { values: Values::Double(vec![0.0; rows]), validity: None }),
    ("short_validity", |rows| Column { validity: Some(Vec::new()), ..texts(vec![0; rows + 1], Vec::new()) }),
];

fn texts(offsets: Vec<i32>, bytes: Vec<u8>) -> Column {
    Column { values: Values::Text(TextsColumn { offsets, bytes }), validity: None }
}

struct Garbles;

impl Guest for Garbles {
    fn describe() -> FunctionsDescriptor {
        let functions = FUNCTIONS.iter().map(|(name, _)| FunctionSignature {
            name: (*name).to_owned(),
            arguments: Vec::new(),
            returns: ValueType::Text,
        });
        FunctionsDescriptor { functions: functions.collect() }
    }

    fn call(function: u32, rows: u32, _arguments: Vec<Column>) -> Result<Column, String> {
        let (_, garble) = FUNCTIONS.get(function as usize).ok_or("there is no such function")?;
        Ok(garble(rows as usize))
    }
}

export_functions!(Garbles);
