//! Functions that answer with columns that are not what was asked for.

use domicile_sdk::bindings::functions::domicile::plugin::columns;
use domicile_sdk::bindings::functions::export_functions;
use domicile_sdk::bindings::functions::exports::domicile::plugin::functions::{
    FunctionKind, FunctionSignature, Guest, GuestAccumulator,
};
use domicile_sdk::{Contents, Runs, ValueType, Values};

/// Names and kinds. All answer bigints, or say so.
const FUNCTIONS: [(&str, FunctionKind); 8] = [
    ("fewer_rows", FunctionKind::Scalar),
    ("more_rows", FunctionKind::Scalar),
    ("another_type", FunctionKind::Scalar),
    ("no_column", FunctionKind::Scalar),
    ("too_many_bytes", FunctionKind::Scalar),
    ("own_argument", FunctionKind::Scalar),
    ("states_of_bigints", FunctionKind::Aggregate),
    ("fewer_groups", FunctionKind::Aggregate),
];

struct Misstates;

struct Wrong {
    function: u32,
}

fn column(values: Values) -> u32 {
    columns::write(&Contents { values, validity: None })
}

fn bigints(rows: u32) -> u32 {
    column(Values::Bigint(vec![0; rows as usize]))
}

impl Guest for Misstates {
    type Accumulator = Wrong;

    fn describe() -> Vec<FunctionSignature> {
        let signature = |(name, kind): &(&str, FunctionKind)| FunctionSignature {
            name: (*name).to_owned(),
            kind: *kind,
            arguments: Vec::new(),
            returns: if *name == "too_many_bytes" { ValueType::Text } else { ValueType::Bigint },
        };
        FUNCTIONS.iter().map(signature).collect()
    }

    fn call(function: u32, rows: u32, _arguments: Vec<u32>) -> Result<u32, String> {
        Ok(match function {
            0 => bigints(rows - 1),
            1 => bigints(rows + 1),
            2 => column(Values::Double(vec![0.0; rows as usize])),
            3 => 1_000,
            4 => long_texts(rows),
            _ => 0,
        })
    }
}

/// Texts of a MiB in each row, which are far fewer bytes on their way to the host.
fn long_texts(rows: u32) -> u32 {
    let length = 1024 * 1024;
    let texts = Runs { offsets: vec![0, length], bytes: vec![b'x'; length as usize] };
    column(Values::Dictionary(domicile_sdk::Dictionary { indices: vec![0; rows as usize], texts }))
}

impl GuestAccumulator for Wrong {
    fn new(function: u32) -> Self {
        Self { function }
    }

    fn update(&self, _: u32, _: Vec<u32>, _: Vec<u32>, _: u32) -> Result<(), String> {
        Ok(())
    }

    fn merge(&self, _: u32, _: u32, _: Vec<u32>, _: u32) -> Result<(), String> {
        Err("there are no states".to_owned())
    }

    fn state(&self, groups: u32) -> Result<u32, String> {
        Ok(bigints(groups))
    }

    fn finish(&self, groups: u32) -> Result<u32, String> {
        Ok(bigints(if self.function == 7 { groups - 1 } else { groups }))
    }
}

export_functions!(Misstates);
