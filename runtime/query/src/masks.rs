//! Columns as a policy lets them be seen: masked below everything else in a fragment, so that nothing it computes has the
//! values themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type};
use arrow::temporal_conversions::date32_to_datetime;
use chrono::{Datelike, NaiveDate};
use datafusion::common::{Column, DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, col,
};
use domicile_policy::Mask;
use domicile_types::{DatasetName, Secret};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::QueryError;
use crate::admit::AdmittedFragment;

/// Sets the key of masks apart from whatever else the region's secret is for.
const KEY_PURPOSE: &[u8] = b"domicile masks";

/// What a fragment sees of the datasets that a policy masks.
#[derive(Debug, Clone)]
pub(crate) struct Masks {
    datasets: BTreeMap<DatasetName, BTreeMap<String, Mask>>,
    key: Arc<[u8]>,
}

impl Masks {
    /// The masks that an admitted fragment is under, keyed by the region's secret; none where it is under none.
    ///
    /// # Errors
    /// Where the fragment joins what is masked on a column that may not be used, or with rows that are not masked, which
    /// would match nothing.
    pub(crate) fn of(admitted: &AdmittedFragment, secret: &Secret) -> std::result::Result<Option<Self>, QueryError> {
        let masks = admitted.verdict.as_ref().map(|verdict| verdict.masks.clone()).unwrap_or_default();
        if masks.is_empty() {
            return Ok(None);
        }
        let fragment = &admitted.fragment;
        if let Some(plain) = fragment.facts.datasets.iter().find(|dataset| !masks.contains_key(*dataset)) {
            let what = format!("a join of rows that a policy masks with those of `{plain}`, which are not masked,");
            return Err(QueryError::AcrossRegions { what });
        }
        let usable = |dataset, column: &str| masks.get(dataset).is_some_and(|columns| columns.contains_key(column));
        if let Some(column) = fragment.joined.iter().find(|column| !usable(&column.dataset, &column.column)) {
            let what = format!("a join on `{column}`, which the policy that masks the rows does not list,");
            return Err(QueryError::AcrossRegions { what });
        }
        Ok(Some(Self { datasets: masks, key: keyed(secret.expose(), KEY_PURPOSE).into() }))
    }

    /// Whether the dataset is masked.
    pub(crate) fn cover(&self, dataset: &DatasetName) -> bool {
        self.datasets.contains_key(dataset)
    }

    /// The scan of a dataset as it may be seen. A column that may not be used has no value.
    ///
    /// # Errors
    /// Where a column cannot be masked.
    pub(crate) fn seen(&self, scan: LogicalPlan, dataset: &DatasetName) -> Result<LogicalPlan> {
        let Some(masks) = self.datasets.get(dataset) else { return Ok(scan) };
        let columns = scan.schema().iter().map(|(qualifier, field)| {
            let column = col(Column::new(qualifier.cloned(), field.name()));
            match masks.get(field.name()).copied().unwrap_or(Mask::Null) {
                Mask::Plain => Ok(column),
                mask => {
                    let kind = column.get_type(scan.schema())?;
                    let signature = Signature::any(1, Volatility::Immutable);
                    let masked = ScalarUDF::from(Masked { mask, kind, key: Arc::clone(&self.key), signature });
                    Ok(masked.call(vec![column]).alias_qualified(qualifier.cloned(), field.name()))
                }
            }
        });
        let columns = columns.collect::<Result<Vec<Expr>>>()?;
        LogicalPlanBuilder::from(scan).project(columns)?.build()
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Masked {
    mask: Mask,
    kind: DataType,
    key: Arc<[u8]>,
    signature: Signature,
}

impl std::fmt::Debug for Masked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masked").field("mask", &self.mask).finish_non_exhaustive()
    }
}

impl ScalarUDFImpl for Masked {
    fn name(&self) -> &'static str {
        "_masked"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.kind.clone())
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&call.args)?;
        let column = columns.first().ok_or_else(|| DataFusionError::Internal("a mask is of a column".to_owned()))?;
        masked(column, self.mask, &self.key).map(ColumnarValue::Array)
    }
}

/// The column as the mask lets it be seen; no value where the mask has none for it.
fn masked(column: &ArrayRef, mask: Mask, key: &[u8]) -> Result<ArrayRef> {
    let kind = column.data_type();
    Ok(match mask {
        Mask::Plain => Arc::clone(column),
        Mask::Prefix(characters) => {
            let count = usize::try_from(characters).unwrap_or(usize::MAX);
            texts(column, |text| text.chars().take(count).collect())?
        }
        Mask::Hmac => match kind {
            DataType::Int64 => {
                let hash = |value: i64| (number(key, value) >> 1).cast_signed();
                Arc::new(column.as_primitive::<Int64Type>().unary::<_, Int64Type>(hash))
            }
            DataType::Int32 => {
                let hash = |value: i32| (number(key, value.into()) >> 33) as i32;
                Arc::new(column.as_primitive::<Int32Type>().unary::<_, Int32Type>(hash))
            }
            _ => texts(column, |text| keyed(key, text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())?,
        },
        Mask::MultipleOf(step) => multiples(column, step),
        Mask::Year => dates(column, |date| NaiveDate::from_ymd_opt(date.year(), 1, 1)),
        Mask::Quarter => dates(column, |date| NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1)),
        Mask::Month => dates(column, |date| NaiveDate::from_ymd_opt(date.year(), date.month(), 1)),
        Mask::Null => new_null_array(kind, column.len()),
    })
}

fn texts(column: &ArrayRef, mask: impl Fn(&str) -> String) -> Result<ArrayRef> {
    let texts = cast(column, &DataType::Utf8)?;
    let masked: StringArray = texts.as_string::<i32>().iter().map(|text| text.map(&mask)).collect();
    Ok(cast(&masked, column.data_type())?)
}

fn dates(column: &ArrayRef, first: impl Fn(NaiveDate) -> Option<NaiveDate>) -> ArrayRef {
    let Some(days) = column.as_primitive_opt::<Date32Type>() else {
        return new_null_array(column.data_type(), column.len());
    };
    let masked = days.unary_opt::<_, Date32Type>(|day| {
        let date = date32_to_datetime(day)?.date();
        let since = first(date)?.signed_duration_since(date).num_days();
        i32::try_from(i64::from(day) + since).ok()
    });
    Arc::new(masked)
}

/// Numbers rounded down to multiples.
fn multiples(column: &ArrayRef, step: u64) -> ArrayRef {
    let whole = i128::from(step.max(1));
    let down = |value: i128, step: i128| value.div_euclid(step) * step;
    match column.data_type() {
        DataType::Int64 => {
            let mask = |value: i64| i64::try_from(down(value.into(), whole)).ok();
            Arc::new(column.as_primitive::<Int64Type>().unary_opt::<_, Int64Type>(mask))
        }
        DataType::Int32 => {
            let mask = |value: i32| i32::try_from(down(value.into(), whole)).ok();
            Arc::new(column.as_primitive::<Int32Type>().unary_opt::<_, Int32Type>(mask))
        }
        DataType::Float64 => {
            let step = step as f64;
            let mask = |value: f64| (value / step).floor() * step;
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(mask))
        }
        DataType::Decimal128(precision, scale) => {
            let unit = 10_i128.checked_pow(u32::try_from(*scale).unwrap_or(0)).and_then(|unit| unit.checked_mul(whole));
            let limit = 10_i128.checked_pow((*precision).into()).unwrap_or(i128::MAX);
            let mask = |value: i128| unit.map(|step| down(value, step)).filter(|value| value.abs() < limit);
            let masked = column.as_primitive::<Decimal128Type>().unary_opt::<_, Decimal128Type>(mask);
            Arc::new(masked.with_data_type(column.data_type().clone()))
        }
        other => new_null_array(other, column.len()),
    }
}

fn number(key: &[u8], value: i64) -> u64 {
    let hash = keyed(key, &value.to_be_bytes());
    hash.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// HMAC-SHA-256 (RFC 2104).
fn keyed(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        // Keys of any length are taken.
        |_| Vec::new(),
        |mut mac| {
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        },
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use arrow::array::{Date32Array, Decimal128Array, Float64Array, Int64Array};

    use super::*;

    #[track_caller]
    fn check(column: impl Array + 'static, mask: Mask, expect: impl Array + 'static) {
        let column: ArrayRef = Arc::new(column);
        assert_eq!(masked(&column, mask, b"key").unwrap().to_data(), expect.to_data(), "{mask}");
    }

    #[test]
    fn values_are_seen_through_masks() {
        let names = || StringArray::from(vec![Some("Zürich"), None, Some("X")]);
        check(names(), Mask::Prefix(2), StringArray::from(vec![Some("Zü"), None, Some("X")]));
        check(names(), Mask::Null, StringArray::from(vec![None::<&str>; 3]));
        check(Int64Array::from(vec![19, -1, 20]), Mask::MultipleOf(10), Int64Array::from(vec![10, -10, 20]));
        check(Int64Array::from(vec![i64::MIN]), Mask::MultipleOf(10), Int64Array::from(vec![None::<i64>]));
        check(Float64Array::from(vec![-0.5, 7.5]), Mask::MultipleOf(5), Float64Array::from(vec![-5.0, 5.0]));
        let decimal = |value: i128| Decimal128Array::from(vec![value]).with_data_type(DataType::Decimal128(9, 2));
        check(decimal(1999), Mask::MultipleOf(10), decimal(1000));
        // 1992-05-17 and the days before 1970 as well.
        let days = || Date32Array::from(vec![8172, -1]);
        check(days(), Mask::Month, Date32Array::from(vec![8156, -31]));
        check(days(), Mask::Quarter, Date32Array::from(vec![8126, -92]));
        check(days(), Mask::Year, Date32Array::from(vec![8035, -365]));
    }

    /// From RFC 4231, section 4.3.
    #[test]
    fn keyed_hashes_are_the_standard_ones() {
        let expect = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let column: ArrayRef = Arc::new(StringArray::from(vec!["what do ya want for nothing?"]));
        let hashed = masked(&column, Mask::Hmac, b"Jefe").unwrap();
        assert_eq!(hashed.as_string::<i32>().value(0), expect);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 1]));
        let hashed = masked(&numbers, Mask::Hmac, b"Jefe").unwrap();
        let hashed = hashed.as_primitive::<Int64Type>().values().to_vec();
        assert!(hashed[0] == hashed[2] && hashed[0] != hashed[1] && hashed.iter().all(|hash| *hash >= 0), "{hashed:?}");
    }
}
