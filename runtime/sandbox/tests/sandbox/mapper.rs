//! Mappers: `rfm`, against scores computed here.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array};
use domicile_sandbox::{ErrorKind, Interface, MapperInstance, MapperInterface, OutputKind, Plugin, Value, ValueType};

use crate::guest::{load, sandbox};

/// 1998-08-02.
const AS_OF: i32 = 10_440;

type Order = (Option<i32>, Option<f64>);

fn interface(plugin: &Plugin) -> &MapperInterface {
    match plugin.interface() {
        Interface::Mapper(interface) => interface,
        _ => panic!("not a mapper"),
    }
}

/// The outputs of each customer, from one call.
fn map(mapper: &mut MapperInstance, customers: &[Vec<Order>]) -> Vec<Vec<Value>> {
    let orders = || customers.iter().flatten();
    let dates: ArrayRef = Arc::new(orders().map(|(date, _)| *date).collect::<Date32Array>());
    let prices: ArrayRef = Arc::new(orders().map(|(_, price)| *price).collect::<Float64Array>());
    let ends = customers.iter().scan(0, |end, orders| {
        *end += orders.len() as u32;
        Some(*end)
    });
    let outputs = mapper.map(&[dates, prices], &ends.collect::<Vec<_>>()).unwrap();
    let row = |row| outputs.iter().map(|output| Value::at(output, row).unwrap()).collect();
    (0..customers.len()).map(row).collect()
}

/// The same scores from the thresholds written the other way round: from the worst score up.
fn expected(orders: &[Order], as_of: i32) -> Vec<Value> {
    let counted: Vec<_> = orders.iter().filter_map(|(date, price)| Some(((*date)?, *price))).collect();
    let counted: Vec<_> = counted.into_iter().filter(|(date, _)| *date <= as_of).collect();
    let revenue: f64 = counted.iter().map(|(_, price)| price.unwrap_or(0.0)).sum();
    let Some(last) = counted.iter().map(|(date, _)| *date).max() else {
        let prospect = Value::Text("prospect".to_owned());
        return vec![Value::Null, Value::Null, Value::Null, prospect, Value::Double(0.0)];
    };
    let recency = 1 + [365, 180, 90, 30].iter().filter(|days| as_of - last <= **days).count();
    let frequency = 1 + [8, 12, 16, 20].iter().filter(|count| counted.len() >= **count).count();
    let monetary = 1 + [1.0e6, 1.8e6, 2.4e6, 3.0e6].iter().filter(|sum| revenue >= **sum).count();
    let segment = if recency >= 4 && frequency >= 4 && monetary >= 4 {
        "champions"
    } else if recency >= 3 && frequency >= 3 {
        "loyal"
    } else if recency >= 4 {
        "promising"
    } else if recency == 3 {
        "needs_attention"
    } else if frequency >= 3 || monetary >= 3 {
        "at_risk"
    } else {
        "hibernating"
    };
    let score = |score: usize| Value::Text(score.to_string());
    let segment = Value::Text(segment.to_owned());
    vec![score(recency), score(frequency), score(monetary), segment, Value::Double(revenue.min(1.0e7))]
}

/// Orders of one customer, the same for the same customer.
fn orders_of(customer: u64) -> Vec<Order> {
    let mut state = customer.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let idle_days = [0, 20, 60, 150, 300, 700][next(6) as usize];
    let count = 1 + next(25);
    let orders = (0..count).map(|_| {
        let date = (next(50) != 0).then(|| AS_OF + 10 - idle_days - next(800) as i32);
        let price = (next(50) != 0).then(|| next(40_000_000) as f64 / 100.0);
        (date, price)
    });
    orders.collect()
}

#[test]
fn rfm_says_what_it_reads_and_makes() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "rfm");
    let rfm = interface(&plugin);
    assert_eq!(rfm.dataset.as_str(), "orders");
    let inputs: Vec<_> = rfm.inputs.iter().map(|input| (input.name.as_str(), input.kind)).collect();
    assert_eq!(inputs, [("o_orderdate", ValueType::Date), ("o_totalprice", ValueType::Double)]);
    assert_eq!(rfm.parameters[0].name, "as_of");
    assert_eq!(rfm.defaults(), [Value::Date(AS_OF)]);
    let outputs: Vec<_> = rfm.outputs.iter().map(|output| (output.name.as_str(), output.value_type())).collect();
    let expect = [
        ("recency", ValueType::Text),
        ("frequency", ValueType::Text),
        ("monetary", ValueType::Text),
        ("segment", ValueType::Text),
        ("revenue", ValueType::Double),
    ];
    assert_eq!(outputs, expect);
    assert_eq!(rfm.outputs[4].kind, OutputKind::Measure { min: 0.0, max: 1.0e7 });
    assert_eq!(
        (rfm.endpoint.group_by.as_slice(), rfm.endpoint.sum.as_slice()),
        (["segment".to_owned()].as_slice(), ["revenue".to_owned()].as_slice())
    );
}

#[test]
fn rfm_agrees_with_the_scores_computed_here() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "rfm");
    let mut segments = BTreeMap::<String, usize>::new();
    for as_of in [AS_OF, AS_OF - 700] {
        let mut mapper = plugin.mapper(&[Value::Date(as_of)]).unwrap();
        let customers: Vec<_> = (0..500).map(orders_of).collect();
        let (alone, together) = customers.split_at(100);
        let mut got: Vec<_> = alone.iter().flat_map(|orders| map(&mut mapper, std::slice::from_ref(orders))).collect();
        got.extend(map(&mut mapper, together));
        for (orders, got) in customers.iter().zip(got) {
            assert_eq!(got, expected(orders, as_of), "{orders:?}");
            if let Value::Text(segment) = &got[3] {
                *segments.entry(segment.clone()).or_default() += 1;
            }
        }
    }
    assert_eq!(segments.len(), 7, "every segment should occur: {segments:?}");
}

#[test]
fn parameters_that_do_not_fit_are_refused() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "rfm");
    let check = |parameters: &[Value], expect: &str| {
        let error = plugin.mapper(parameters).err().unwrap();
        assert_eq!(error.to_string(), expect);
        assert_eq!(error.kind(), ErrorKind::Request);
    };
    check(&[], "parameter number 1 of plugin `rfm` 1.2.3 is missing or too much: 1 are declared");
    check(
        &[Value::Date(1), Value::Date(2)],
        "parameter number 2 of plugin `rfm` 1.2.3 is missing or too much: 1 are declared",
    );
    check(&[Value::BigInt(1)], "parameter `as_of` of plugin `rfm` 1.2.3 is to be a date");
    check(&[Value::Null], "parameter `as_of` of plugin `rfm` 1.2.3 is to be a date");
    let error = plugin.functions().err().unwrap();
    assert_eq!(error.to_string(), "plugin `rfm` 1.2.3 is not of the world `functions`");
}

#[test]
fn ends_that_do_not_fit_are_refused() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "rfm");
    let mut mapper = plugin.mapper(&interface(&plugin).defaults()).unwrap();
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![1, 2, 3]));
    let prices: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]));
    let inputs = [dates, prices];
    for ends in [&[][..], &[0, 3], &[1, 1, 3], &[2, 1, 3], &[1, 2], &[4]] {
        let error = mapper.map(&inputs, ends).unwrap_err();
        let expect = "the ends of the entities do not ascend to the number of rows, 3";
        assert!(error.to_string().ends_with(expect), "{error}");
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
    assert_eq!(mapper.map(&inputs, &[1, 3]).unwrap()[0].len(), 2, "what was refused was never tried");
}
