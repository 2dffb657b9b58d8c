//! Rows at which something fails give NULL, and no others.

use arrow::array::{AsArray, Date32Array, Int64Array, IntervalMonthDayNanoArray};
use arrow::datatypes::{Date32Type, Int64Type, IntervalMonthDayNano};

use super::*;

fn operation(operator: Operator, kind: DataType, left: &dyn Array, right: &dyn Array) -> ArrayRef {
    let total = TotalOperation { operator, kind, signature: Signature::any(2, Volatility::Immutable) };
    let kind = total.kind.clone();
    let compute = |at, rows| Ok(total.compute(&left.slice(at, rows), &right.slice(at, rows))?);
    by_halves(left.len(), &kind, None, &compute).unwrap()
}

#[test]
fn only_the_least_whole_number_has_no_quotient() {
    let left = Int64Array::from(vec![Some(7), Some(i64::MIN), None, Some(-9), Some(i64::MIN)]);
    let right = Int64Array::from(vec![-1, -1, -1, -1, 2]);
    let quotients = operation(Operator::Divide, DataType::Int64, &left, &right);
    let expect = Int64Array::from(vec![Some(-7), None, None, Some(9), Some(i64::MIN / 2)]);
    assert_eq!(quotients.as_primitive::<Int64Type>(), &expect);
    // The engine's own fails at all rows for the one.
    assert!(div(&left, &right).is_err());
    let remainders = operation(Operator::Modulo, DataType::Int64, &left, &right);
    assert_eq!(remainders.as_primitive::<Int64Type>().value(3), 0);
}

#[test]
fn only_dates_beyond_the_calendar_are_none() {
    let dates = Date32Array::from(vec![0, i32::MAX, 365]);
    let year = IntervalMonthDayNano::new(12, 0, 0);
    let years = IntervalMonthDayNanoArray::from(vec![year; 3]);
    let later = operation(Operator::Plus, DataType::Date32, &dates, &years);
    let expect = Date32Array::from(vec![Some(365), None, Some(730)]);
    assert_eq!(later.as_primitive::<Date32Type>(), &expect);
    assert!(add(&dates, &years).is_err());
}

#[test]
fn each_row_fails_alone() {
    for failing in [vec![], vec![0], vec![3, 4, 9], (0..10).collect::<Vec<usize>>()] {
        let compute = |at: usize, rows: usize| {
            if (at..at + rows).any(|row| failing.contains(&row)) {
                return Err(DataFusionError::Execution("at this row".to_owned()));
            }
            let numbers = (at..at + rows).map(|row| i64::try_from(row).unwrap());
            Ok(Arc::new(Int64Array::from_iter_values(numbers)) as ArrayRef)
        };
        let done = by_halves(10, &DataType::Int64, None, &compute).unwrap();
        let expect = (0..10_i64).map(|row| (!failing.contains(&usize::try_from(row).unwrap())).then_some(row));
        assert_eq!(done.as_primitive::<Int64Type>(), &expect.collect::<Int64Array>());
    }
}
