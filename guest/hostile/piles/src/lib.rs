//! Makes columns without end, many small ones or few large ones: the host has to end the call at its limits.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    use domicile_sdk::bindings::functions::domicile::plugin::columns;
    use domicile_sdk::{Contents, Dictionary, Runs, Values};

    fn write(values: Values) -> u32 {
        columns::write(&Contents { values, validity: None })
    }

    /// Makes columns of no rows.
    pub fn many(value: i64) -> i64 {
        loop {
            std::hint::black_box((write(Values::Bigint(Vec::new())), value));
        }
    }

    /// Makes columns of a MiB.
    pub fn large(value: i64) -> i64 {
        loop {
            std::hint::black_box(write(Values::Bigint(vec![value; 128 * 1024])));
        }
    }

    /// Makes one column of far more than came over: a text of a MiB, in each of a hundred thousand rows.
    pub fn expands(value: i64) -> i64 {
        let length = 1024 * 1024;
        let texts = Runs { offsets: vec![0, length], bytes: vec![b'x'; length as usize] };
        i64::from(write(Values::Dictionary(Dictionary { indices: vec![0; 100_000], texts }))) + value
    }

    /// Passes 40 MiB at once.
    pub fn passes(value: i64) -> i64 {
        i64::from(write(Values::Bigint(vec![value; 5 * 1024 * 1024])))
    }
}
