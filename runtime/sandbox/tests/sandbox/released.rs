//! Plugins that were built for the contract as it was first released: they answer what they always did.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch};
use domicile_sandbox::{Plugin, RowVersion, Value};

use crate::guest::{VERSION, sandbox};

/// 1997-12-01, 1998-01-01 and 1998-02-01, in days since 1970-01-01.
const DECEMBER: i32 = 10_196;
const JANUARY: i32 = 10_227;
const FEBRUARY: i32 = 10_258;

fn released(name: &str) -> Arc<Plugin> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/released/1.0.0/{name}.wasm"));
    sandbox().load(name.parse().unwrap(), VERSION, &std::fs::read(file).unwrap()).unwrap()
}

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn active(rows: &[(Option<i64>, Option<i32>)]) -> RecordBatch {
    let customers: Int64Array = rows.iter().map(|(customer, _)| *customer).collect();
    let months: Date32Array = rows.iter().map(|(_, month)| *month).collect();
    table(vec![("customer", Arc::new(customers)), ("month", Arc::new(months))])
}

#[test]
fn retention_is_counted_over_two_regions() {
    let cohort = released("cohort");
    // From the middle of December to the end of February.
    let window = [Value::Date(DECEMBER + 14), Value::Date(FEBRUARY + 28)];
    let east = [
        // Customer 1 is of December and comes back in February, 2 never does, 3 is of January.
        active(&[(Some(1), Some(FEBRUARY)), (Some(2), Some(DECEMBER)), (None, Some(JANUARY))]),
        active(&[(Some(1), Some(DECEMBER)), (Some(3), Some(JANUARY)), (Some(2), None)]),
        active(&[(Some(3), Some(FEBRUARY)), (Some(1), Some(DECEMBER))]),
    ];
    let south = [active(&[(Some(4), Some(JANUARY)), (Some(4), Some(DECEMBER)), (Some(5), Some(DECEMBER))])];
    let contributions = [&east[..], &south, &[]].map(|batches| {
        let mut session = cohort.query(&window).unwrap();
        batches.iter().for_each(|batch| session.input(batch).unwrap());
        session.partial().unwrap()
    });
    assert_eq!(contributions.each_ref().map(RecordBatch::num_rows), [4, 2, 0]);
    let mut session = cohort.query(&window).unwrap();
    contributions.iter().for_each(|contribution| session.merge(contribution).unwrap());
    // Of December 1, 2, 4 and 5; of these 4 is there in January and 1 in February. Of January 3, who is there in February.
    let cohorts = Date32Array::from(vec![DECEMBER, DECEMBER, DECEMBER, JANUARY, JANUARY]);
    let offsets = Int64Array::from(vec![0, 1, 2, 0, 1]);
    let customers = Int64Array::from(vec![4, 1, 1, 1, 1]);
    let retention = Float64Array::from(vec![1.0, 0.25, 0.25, 1.0, 1.0]);
    let expect = table(vec![
        ("cohort", Arc::new(cohorts)),
        ("month_offset", Arc::new(offsets)),
        ("customers", Arc::new(customers)),
        ("retention", Arc::new(retention)),
    ]);
    assert_eq!(session.finish().unwrap(), expect);
    let backwards = cohort.query(&[window[1].clone(), window[0].clone()]).err().unwrap();
    assert!(backwards.to_string().ends_with("`until` has to be after `from`"), "{backwards}");
}

#[test]
fn conflicts_are_resolved() {
    let text = |text: &str| Value::Text(text.to_owned());
    let version = |written_at, origin: &str, values: [Value; 3]| RowVersion {
        written_at,
        origin: origin.to_owned(),
        values: values.to_vec(),
    };
    let versions = [
        version(1 << 16, "ap-south", [Value::BigInt(7), text("new, red"), text("first")]),
        version(2 << 16, "eu-central", [Value::BigInt(-3), text("red,old,,"), text("second")]),
        version(2 << 16, "us-east", [Value::Null, Value::Null, Value::Null]),
    ];
    let mut merge = released("latest").merge().unwrap();
    // The largest number, all tags in the order of their bytes, the last note that there is.
    let expect = [Value::BigInt(7), text("new,old,red"), text("second")];
    assert_eq!(merge.resolve(&versions).unwrap(), expect);
    let nothing = [Value::Null, Value::Null, Value::Null];
    assert_eq!(merge.resolve(&[versions[2].clone(), versions[2].clone()]).unwrap(), nothing);
}
