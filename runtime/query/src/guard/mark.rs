//! Marks: a number for each version of a row, and a place for each entity, that nobody outside can choose.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use domicile_policy::mark;
use twox_hash::XxHash3_64;

/// A number of the region's own that goes into every mark, so that no one can look for rows whose marks cancel out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MarkKey(pub(crate) u64);

/// Stands for a value that is not there, as that of the side of an outer join that found nothing.
const NOTHING: u64 = 0x6d61_726b;

impl MarkKey {
    /// A number for each row of the columns together.
    ///
    /// # Errors
    /// Where a column cannot be read as integers or text.
    pub(crate) fn hashes(self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
        let mut hashes = vec![self.0; rows];
        for column in columns {
            self.fold(column, &mut hashes)?;
        }
        Ok(hashes)
    }

    fn fold(self, column: &ArrayRef, hashes: &mut [u64]) -> Result<()> {
        let kind = column.data_type();
        match kind {
            DataType::Int64 => {
                let numbers = column.as_primitive::<Int64Type>().values().iter();
                fold_numbers(hashes, numbers.map(|number| number.cast_unsigned()), column.nulls());
                return Ok(());
            }
            DataType::UInt64 => {
                let numbers = column.as_primitive::<UInt64Type>().values().iter();
                fold_numbers(hashes, numbers.copied(), column.nulls());
                return Ok(());
            }
            _ => {}
        }
        let texts = cast(column, &DataType::Utf8)?;
        for (hash, text) in hashes.iter_mut().zip(texts.as_string::<i32>()) {
            let value = text.map_or(NOTHING, |text| XxHash3_64::oneshot_with_seed(self.0, text.as_bytes()));
            *hash = mix(*hash ^ value);
        }
        Ok(())
    }
}

fn fold_numbers(hashes: &mut [u64], numbers: impl Iterator<Item = u64>, nulls: Option<&NullBuffer>) {
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => hashes.iter_mut().zip(numbers).for_each(|(hash, number)| *hash = mix(*hash ^ mix(number))),
        Some(nulls) => {
            for ((hash, number), is_there) in hashes.iter_mut().zip(numbers).zip(nulls) {
                *hash = mix(*hash ^ mix(if is_there { number } else { NOTHING }));
            }
        }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): every bit of
/// the result depends on every bit of the number.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The mark of a row that is made of the versions in these columns.
pub(crate) fn row_mark(key: MarkKey, versions: Vec<Expr>) -> Expr {
    let kinds = Signature::variadic_any(Volatility::Immutable);
    ScalarUDF::from(RowMark { key, signature: kinds }).call(versions)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RowMark {
    key: MarkKey,
    signature: Signature,
}

impl ScalarUDFImpl for RowMark {
    fn name(&self) -> &'static str {
        "_mark"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = call.args.iter().map(|column| column.to_array(call.number_rows)).collect::<Result<Vec<_>>>()?;
        let marks = self.key.hashes(&columns, call.number_rows)?.into_iter().map(|hash| i64::from(mark(hash)));
        Ok(ColumnarValue::Array(Arc::new(Int64Array::from_iter_values(marks))))
    }
}
