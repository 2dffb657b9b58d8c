//! Arrow arrays as arguments and answers.
#![expect(missing_docs, reason = "what a plugin shows is for its users")]
#![cfg(all(feature = "arrow", feature = "serde"))]

use std::sync::Arc;

use domicile_sdk::native::Plugin;
use domicile_sdk::{Column, Contents, Date, Element};

#[domicile_sdk::functions]
pub mod functions {
    use domicile_sdk::arrow_array::{Array, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
    use serde::{Deserialize, Serialize};

    pub fn lengths(text: &StringArray) -> Int64Array {
        text.iter().map(|text| text.map(|text| text.len() as i64)).collect()
    }

    pub fn tail(text: &StringArray) -> StringArray {
        text.slice(1, text.len() - 1)
    }

    pub fn same(value: &Float64Array, date: &Date32Array, flag: &BooleanArray) -> Result<BooleanArray, String> {
        match value.null_count() + date.null_count() {
            0 => Ok(flag.clone()),
            nulls => Err(format!("{nulls} nulls")),
        }
    }

    #[derive(Default, Serialize, Deserialize)]
    pub struct Total(f64);

    #[aggregate]
    impl Total {
        fn update(&mut self, value: f64) {
            self.0 += value;
        }

        fn merge(&mut self, other: Self) {
            self.0 += other.0;
        }

        fn finish(&self) -> f64 {
            self.0
        }
    }
}

fn column<'a, T: Element + ?Sized>(rows: impl IntoIterator<Item = Option<T::Item<'a>>>) -> Arc<Contents> {
    Arc::new(rows.into_iter().collect::<Column<T>>().into_contents())
}

fn call(function: u32, rows: u32, arguments: &[Arc<Contents>]) -> Result<Contents, String> {
    let Plugin::Functions(plugin) = __domicile_native() else { panic!("it has functions") };
    plugin.call(function, rows, arguments)
}

#[test]
fn arrays_come_and_go_with_their_nulls() {
    let texts = [column::<str>([Some("ä"), None, Some("")])];
    assert_eq!(call(0, 3, &texts).as_ref(), Ok(&*column::<i64>([Some(2), None, Some(0)])));
    let error = call(1, 3, &texts).map(|_| ());
    assert_eq!(error, Err("the function answered 2 rows for a batch of 3".to_owned()));
    // A slice begins elsewhere in the array's memory.
    let tail = Column::<str>::from_contents(call(1, 2, &texts).expect("it answers")).expect("it is text");
    assert_eq!(tail.iter().collect::<Vec<_>>(), [None, Some("")]);
}

#[test]
fn other_types_come_and_go() {
    let flags = column::<bool>([Some(true), None]);
    let dates = column::<Date>([Some(Date(1)), Some(Date(2))]);
    let found = call(2, 2, &[column::<f64>([Some(1.0), Some(2.0)]), dates.clone(), flags.clone()]);
    assert_eq!(found.as_ref(), Ok(&*flags));
    assert_eq!(call(2, 2, &[column::<f64>([None, None]), dates, flags]).map(|_| ()), Err("2 nulls".to_owned()));
}

#[test]
fn states_may_be_written_by_serde() {
    let Plugin::Functions(plugin) = __domicile_native() else { panic!("it has functions") };
    let mut here = plugin.accumulator(3).expect("it is an aggregate");
    here.update(2, &[column::<f64>([Some(1.0), Some(2.5)])], &[], 1).expect("it takes rows");
    let state = Arc::new(here.state(1).expect("it has a state"));
    here.merge(1, &state, &[], 1).expect("it takes states");
    here.merge(1, &state, &[], 1).expect("it takes states");
    assert_eq!(here.finish(1).as_ref(), Ok(&*column::<f64>([Some(7.0)])));
}
