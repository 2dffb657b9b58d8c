//! Quantiles as sorted values have them, to compare with those of the `quantile_sketch` plugin.

use anyhow::{Result, bail};
use domicile_harness::Answer;

use crate::oracle::{Cell, oracle};

/// What the sketch promises.
pub const RELATIVE_ERROR: f64 = 0.01;

/// The values of a column in ascending order, those of one group after those of another: key and values.
///
/// # Errors
/// Where SQLite refuses the question, or it is not one for texts and numbers.
pub fn sorted(sql: &str) -> Result<Vec<(String, Vec<f64>)>> {
    let mut groups: Vec<(String, Vec<f64>)> = Vec::new();
    for row in oracle().rows(sql)? {
        let [Cell::Text(key), Cell::Number(value)] = row.as_slice() else { bail!("{row:?}") };
        match groups.last_mut() {
            Some((last, values)) if last == key => values.push(*value),
            _ => groups.push((key.clone(), vec![*value])),
        }
    }
    Ok(groups)
}

/// The value of each group at `floor(q (n - 1))` of its `n` sorted values.
pub fn exact_quantiles(groups: &[(String, Vec<f64>)], q: f64) -> Vec<(String, f64)> {
    let at = |values: &[f64]| values[(q * (values.len() - 1) as f64).floor() as usize];
    groups.iter().map(|(key, values)| (key.clone(), at(values))).collect()
}

/// Checks that every row of the answer is a key and its quantile, as near as the sketch promises.
///
/// # Errors
/// Where a row is something else.
///
/// # Panics
/// Where a key or a quantile is another one.
#[track_caller]
pub fn check_quantiles(answer: &Answer, q: f64, groups: &[(String, Vec<f64>)]) -> Result<()> {
    check_values(answer, &exact_quantiles(groups, q), RELATIVE_ERROR)
}

/// Checks that every row of the answer is a key and a number, as near as `relative` to the one expected.
///
/// # Errors
/// Where a row is something else.
///
/// # Panics
/// Where a key or a number is another one.
#[track_caller]
pub fn check_values(answer: &Answer, expect: &[(String, f64)], relative: f64) -> Result<()> {
    assert_eq!(answer.rows().len(), expect.len(), "{expect:?}");
    for (row, (key, expected)) in answer.cells().iter().zip(expect) {
        let [Some(got_key), Some(got)] = row.as_slice() else { bail!("{row:?}") };
        let got: f64 = got.parse()?;
        assert_eq!(got_key, key);
        assert!((got - expected).abs() <= relative * expected.abs(), "{key}: {got} for {expected}");
    }
    Ok(())
}
