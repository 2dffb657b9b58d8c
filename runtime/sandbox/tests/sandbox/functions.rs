//! Scalar functions.

use std::sync::{Arc, Barrier};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Float64Type};
use domicile_sandbox::{ErrorKind, Field, FunctionCalls, FunctionKind, FunctionSignature, Interface, ValueType};

use crate::guest::{load, sandbox};

const NET_REVENUE: usize = 0;
const PRICE_BAND: usize = 1;

fn doubles(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Float64Array>())
}

#[track_caller]
fn check(index: usize, arguments: &[ArrayRef], expect: &ArrayRef) {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "pricing");
    let got = plugin.functions().unwrap().call(index, arguments, expect.len()).unwrap();
    assert_eq!(&got, expect);
}

#[track_caller]
fn check_refused(calls: &FunctionCalls, index: usize, arguments: &[ArrayRef], rows: usize, expect: &str) {
    let error = calls.call(index, arguments, rows).unwrap_err();
    assert_eq!(error.to_string(), expect);
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[test]
fn a_plugin_says_what_it_offers() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "pricing");
    assert_eq!(plugin.id().to_string(), "`pricing` 1.2.3");
    let double = |name: &str| Field { name: name.to_owned(), kind: ValueType::Double };
    let expect = Interface::Functions(vec![
        FunctionSignature {
            name: "net_revenue".to_owned(),
            kind: FunctionKind::Scalar,
            arguments: vec![double("price"), double("discount")],
            returns: ValueType::Double,
        },
        FunctionSignature {
            name: "price_band".to_owned(),
            kind: FunctionKind::Scalar,
            arguments: vec![double("price")],
            returns: ValueType::Text,
        },
    ]);
    assert_eq!(plugin.interface(), &expect);
}

#[test]
fn nulls_go_through() {
    let prices = doubles([Some(100.0), None, Some(10.0), Some(1.0)]);
    let discounts = doubles([Some(0.5), Some(0.1), None, Some(0.0)]);
    check(NET_REVENUE, &[prices, discounts], &doubles([Some(50.0), None, None, Some(1.0)]));
}

#[test]
fn texts_come_back() {
    let prices = doubles([Some(49_999.0), Some(50_000.0), None, Some(150_000.0), Some(300_000.0), Some(f64::NAN)]);
    let bands = [Some("small"), Some("medium"), None, Some("large"), Some("very large"), None];
    check(PRICE_BAND, &[prices], &(Arc::new(StringArray::from(bands.to_vec())) as ArrayRef));
}

#[test]
fn an_empty_batch_has_an_empty_answer() {
    check(NET_REVENUE, &[doubles([]), doubles([])], &doubles([]));
    check(PRICE_BAND, &[doubles([])], &(Arc::new(StringArray::new_null(0)) as ArrayRef));
}

#[test]
fn a_slice_is_read_from_its_own_start() {
    let all = doubles((0..40).map(|row| (row % 3 != 0).then_some(f64::from(row))));
    let rows = all.slice(5, 11);
    let expect = doubles((5..16).map(|row| (row % 3 != 0).then_some(f64::from(row))));
    check(NET_REVENUE, &[rows, doubles([Some(0.0); 11])], &expect);
}

#[test]
fn many_rows() {
    const ROWS: usize = 100_000;
    let prices = || (0..ROWS).map(|row| (row % 7 != 0).then_some(row as f64));
    let expect = doubles(prices().map(|price| price.map(|price| price * 0.75)));
    check(NET_REVENUE, &[doubles(prices()), doubles((0..ROWS).map(|_| Some(0.25)))], &expect);
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "pricing");
    let calls = plugin.functions().unwrap();
    let one = || doubles([Some(1.0)]);
    let prefix = "`net_revenue` of plugin `pricing` 1.2.3 was called with arguments that it does not declare:";
    check_refused(&calls, 0, &[one()], 1, &format!("{prefix} 1 columns where 2 are declared"));
    let integers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    check_refused(&calls, 0, &[one(), integers], 1, &format!("{prefix} `discount` is a Int64, not a Float64"));
    check_refused(&calls, 0, &[one(), one()], 2, &format!("{prefix} `price` has 1 rows, not 2"));
    let error = calls.call(7, &[], 0).unwrap_err();
    assert!(error.to_string().contains("it has 2 functions"), "{error}");
    let error = plugin.accumulator(0).err().unwrap();
    assert!(error.to_string().contains("it is a scalar function, not an aggregate one"), "{error}");
    for (error, wanted) in
        [(plugin.mapper(&[]).err(), "mapper"), (plugin.query(&[]).err(), "query"), (plugin.merge().err(), "merge")]
    {
        let error = error.unwrap();
        assert_eq!(error.to_string(), format!("plugin `pricing` 1.2.3 is not of the world `{wanted}`"));
        assert_eq!(error.kind(), ErrorKind::Request);
    }
}

#[test]
fn threads_call_at_once() {
    const THREADS: usize = 4;
    let sandbox = sandbox();
    let plugin = load(&sandbox, "pricing");
    let calls = plugin.functions().unwrap();
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (calls, barrier) = (&calls, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for round in 0..50 {
                    let price = (thread * 1000 + round) as f64;
                    let answer = calls.call(0, &[doubles([Some(price)]), doubles([Some(0.5)])], 1).unwrap();
                    assert_eq!(answer.as_primitive::<Float64Type>().value(0), price * 0.5);
                }
            });
        }
    });
}

#[test]
fn arrow_types_are_the_declared_ones() {
    let kinds = [ValueType::BigInt, ValueType::Double, ValueType::Text, ValueType::Date, ValueType::Boolean];
    let expect = [DataType::Int64, DataType::Float64, DataType::Utf8, DataType::Date32, DataType::Boolean];
    assert_eq!(kinds.map(ValueType::arrow_type), expect);
    assert_eq!(ValueType::Bytes.arrow_type(), DataType::Binary);
    for kind in kinds {
        assert_eq!(ValueType::from_arrow(&kind.arrow_type()), Some(kind));
    }
    assert_eq!(ValueType::from_arrow(&DataType::Int32), None);
}
