//! Passes to the kernels what they do not take, or what would make them build too much.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    use domicile_sdk::bindings::functions::domicile::plugin::columns::write;
    use domicile_sdk::bindings::functions::domicile::plugin::kernels::{
        Arithmetic, Comparison, Logic, Operand, Reduction, SortKey, calculate, combine, compare, concatenate, convert,
        filter, group, hash, join, negate, present, reduce, reduce_groups, sort, take,
    };
    use domicile_sdk::{Contents, Runs, Value, ValueType, Values};

    fn column(values: Values) -> u32 {
        write(&Contents { values, validity: None })
    }

    fn bigints(rows: i64) -> u32 {
        column(Values::Bigint((0..rows).collect()))
    }

    fn texts(rows: i32) -> u32 {
        column(Values::Text(Runs { offsets: (0..=rows).collect(), bytes: vec![b'x'; rows as usize] }))
    }

    fn key(column: u32) -> SortKey {
        SortKey { column, descending: false, nulls_first: false }
    }

    fn other(case: &str) -> Option<u32> {
        let (bigint, text) = (bigints(3), texts(3));
        Some(match case {
            "compare types" => compare(&Operand::Column(bigint), Comparison::Equal, &Operand::Column(text)),
            "compare values" => {
                let value = Operand::Value(Value::Bigint(1));
                compare(&value, Comparison::Equal, &value)
            }
            "calculate texts" => calculate(&Operand::Column(text), Arithmetic::Add, &Operand::Column(text)),
            "calculate lengths" => calculate(&Operand::Column(bigint), Arithmetic::Add, &Operand::Column(bigints(4))),
            "combine bigints" => combine(bigint, Logic::And, bigint),
            "negate bigints" => negate(bigint),
            "present of no column" => present(1_000),
            "convert boolean to date" => convert(present(bigint), ValueType::Date),
            "filter by bigints" => *filter(&[bigint], bigint).first()?,
            "take beyond" => *take(&[text], column(Values::Bigint(vec![3]))).first()?,
            "take negative" => *take(&[text], column(Values::Bigint(vec![-1]))).first()?,
            "concatenate types" => concatenate(&[bigint, text]),
            "concatenate nothing" => concatenate(&[]),
            "sort by nothing" => sort(&[]),
            "sort by lengths" => sort(&[key(bigint), key(bigints(4))]),
            "sort by many" => sort(&[key(bigint); 100]),
            "hash nothing" => hash(&[]),
            "group by nothing" => group(&[]).groups,
            "join types" => join(&[bigint], &[text]).left,
            "join numbers of keys" => join(&[bigint], &[bigint, bigint]).left,
            "reduce texts" => u32::from(reduce(text, Reduction::Sum) == Value::Null),
            "reduce groups beyond" => reduce_groups(bigint, Reduction::Sum, bigint, 2),
            "reduce many groups" => reduce_groups(bigint, Reduction::Sum, bigint, u32::MAX),
            _ => return large(case),
        })
    }

    fn large(case: &str) -> Option<u32> {
        Some(match case {
            "take a long text often" => {
                let length = 1024 * 1024;
                let text = column(Values::Text(Runs { offsets: vec![0, length], bytes: vec![b'x'; length as usize] }));
                *take(&[text], column(Values::Bigint(vec![0; 100_000]))).first()?
            }
            "join everything with everything" => {
                let same = column(Values::Bigint(vec![0; 100_000]));
                join(&[same], &[same]).left
            }
            "concatenate often" => concatenate(&[bigints(1_000_000); 1_000]),
            _ => return None,
        })
    }

    /// Does what its argument says.
    pub fn misuses(case: &str) -> Option<i64> {
        other(case).map(i64::from)
    }
}
