//! Queries: `stumbles`, which sums where it is not told to panic.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use domicile_sandbox::{ErrorKind, Interface, QueryInterface, Value, ValueType};

use crate::guest::{load, sandbox};

fn numbers(numbers: &[i64]) -> RecordBatch {
    let array: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
    RecordBatch::try_from_iter([("any_name", array)]).unwrap()
}

fn only(batch: &RecordBatch) -> i64 {
    assert_eq!((batch.num_rows(), batch.num_columns()), (1, 1));
    assert_eq!(batch.schema().field(0).name(), "n");
    batch.column(0).as_primitive::<Int64Type>().value(0)
}

#[test]
fn regions_contribute_and_the_contributions_meet() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "hostile_stumbles");
    let Interface::Query(QueryInterface { input, columns, partial, outputs, .. }) = plugin.interface() else {
        panic!("not a query");
    };
    assert_eq!(input, "SELECT 1 AS n");
    for fields in [columns, partial, outputs] {
        assert_eq!((fields[0].name.as_str(), fields[0].kind, fields.len()), ("n", ValueType::BigInt, 1));
    }
    let parameters = [Value::Text("nowhere".to_owned())];
    let contributions = [[1, 2, 3].as_slice(), &[], &[10]].map(|rows| {
        let mut session = plugin.query(&parameters).unwrap();
        rows.chunks(2).for_each(|rows| session.input(&numbers(rows)).unwrap());
        session.partial().unwrap()
    });
    assert_eq!(contributions.each_ref().map(only), [6, 0, 10]);
    let mut session = plugin.query(&parameters).unwrap();
    contributions.iter().for_each(|contribution| session.merge(contribution).unwrap());
    assert_eq!(only(&session.finish().unwrap()), 16);
    assert!(session.memory_bytes() > 0);
}

#[test]
fn a_session_ends_with_its_answer() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "hostile_stumbles");
    let mut session = plugin.query(&[Value::Text("nowhere".to_owned())]).unwrap();
    session.partial().unwrap();
    for error in [session.partial().unwrap_err(), session.input(&numbers(&[1])).unwrap_err()] {
        assert!(error.to_string().ends_with("the session has ended"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
}

#[test]
fn rows_and_parameters_that_do_not_fit_are_refused() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "hostile_stumbles");
    let error = plugin.query(&[]).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Request);
    let error = plugin.query(&[Value::Text("refuse".to_owned())]).err().unwrap();
    assert_eq!(error.to_string(), "plugin `stumbles` 1.2.3 refuses its parameters: `place` is to be a place");
    let mut session = plugin.query(&[Value::Text("nowhere".to_owned())]).unwrap();
    let texts: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["x"]));
    let error = session.input(&RecordBatch::try_from_iter([("n", texts)]).unwrap()).unwrap_err();
    assert!(error.to_string().ends_with("`n` is a Utf8, not a Int64"), "{error}");
}
