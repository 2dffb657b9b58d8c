//! Writes columns that are broken in one way each: the host has to notice every one.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    use domicile_sdk::bindings::functions::domicile::plugin::columns;
    use domicile_sdk::{Contents, Dictionary, Runs, Values};

    const ROWS: usize = 10;

    fn write(values: Values, validity: Option<Vec<u8>>) -> i64 {
        i64::from(columns::write(&Contents { values, validity }))
    }

    fn runs(offsets: Vec<i32>, bytes: Vec<u8>) -> Runs {
        Runs { offsets, bytes }
    }

    fn texts(offsets: Vec<i32>, bytes: Vec<u8>) -> i64 {
        write(Values::Text(runs(offsets, bytes)), None)
    }

    fn ascending() -> Vec<i32> {
        (0..=ROWS as i32).collect()
    }

    /// Writes what its argument says.
    pub fn garbles(case: &str) -> Option<i64> {
        Some(match case {
            "no offsets" => texts(Vec::new(), Vec::new()),
            "negative offsets" => texts(vec![-1; ROWS + 1], Vec::new()),
            "negative first offset" => texts(vec![-1, 0], Vec::new()),
            "descending offsets" => texts(ascending().into_iter().rev().collect(), vec![b'x'; ROWS]),
            "offsets beyond bytes" => texts(ascending(), vec![b'x'; ROWS - 1]),
            "largest offset" => texts(vec![0, i32::MAX], vec![b'x']),
            "not UTF-8" => texts(ascending(), vec![0xff; ROWS]),
            "split character" => texts(vec![0, 1, 2], "é".as_bytes().to_vec()),
            "no offsets of bytes" => write(Values::Bytes(runs(Vec::new(), Vec::new())), None),
            "offsets beyond bytes of bytes" => write(Values::Bytes(runs(vec![0, 2], vec![0])), None),
            "short validity" => write(Values::Bigint(vec![0; ROWS]), Some(vec![0xff])),
            "long validity" => write(Values::Double(vec![0.0; ROWS]), Some(vec![0xff; 3])),
            "validity of no rows" => write(Values::Date(Vec::new()), Some(vec![0])),
            "short validity of booleans" => write(Values::Boolean(vec![true; ROWS]), Some(Vec::new())),
            "short validity of texts" => write(Values::Text(runs(ascending(), vec![b'x'; ROWS])), Some(Vec::new())),
            "index beyond texts" => {
                let texts = runs(vec![0, 1], vec![b'x']);
                write(Values::Dictionary(Dictionary { indices: vec![0, 1], texts }), None)
            }
            "index into no texts" => {
                write(Values::Dictionary(Dictionary { indices: vec![0], texts: runs(vec![0], Vec::new()) }), None)
            }
            "dictionary without offsets" => {
                write(Values::Dictionary(Dictionary { indices: vec![0], texts: runs(Vec::new(), Vec::new()) }), None)
            }
            "dictionary that is not UTF-8" => {
                write(Values::Dictionary(Dictionary { indices: vec![0], texts: runs(vec![0, 1], vec![0xff]) }), None)
            }
            "sound" => {
                let texts = runs(vec![0, 1, 3], "xab".into());
                write(Values::Dictionary(Dictionary { indices: vec![1, 7, 0], texts }), Some(vec![0b101]))
            }
            _ => return None,
        })
    }
}
