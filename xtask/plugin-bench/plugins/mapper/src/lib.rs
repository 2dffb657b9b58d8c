//! Customer segments from orders, plainly and by the host: the parameter `work` says which.

use std::cell::Cell;

use domicile_sdk::bindings::functions::domicile::plugin::columns::{self, Contents, Dictionary, Runs, Values};
use domicile_sdk::bindings::functions::domicile::plugin::kernels::{self as host, Comparison, Operand, Reduction};
use domicile_sdk::bindings::functions::domicile::plugin::types::{Field, Parameter, Value, ValueType};
use domicile_sdk::bindings::mapper::exports::domicile::plugin::mapper::{
    Bounds, Endpoint, Guest, MapperDescriptor, Output, OutputKind,
};
use kernels::{Customer, SEGMENTS};

/// 1998-08-02.
const AS_OF: i32 = 10_440;

thread_local! {
    static BY_HOST: Cell<bool> = const { Cell::new(false) };
}

struct Mapper;

impl Guest for Mapper {
    fn describe() -> MapperDescriptor {
        let output = |name: &str, kind| Output { name: name.to_owned(), kind };
        let input = |name: &str, kind| Field { name: name.to_owned(), kind };
        MapperDescriptor {
            dataset: "orders".to_owned(),
            inputs: vec![input("o_orderdate", ValueType::Date), input("o_totalprice", ValueType::Double)],
            parameters: vec![Parameter { name: "work".to_owned(), default: Value::Bigint(0) }],
            outputs: vec![
                output("segment", OutputKind::Category(SEGMENTS.map(str::to_owned).to_vec())),
                output("revenue", OutputKind::Measure(Bounds { min: 0.0, max: 1e9 })),
            ],
            endpoint: Endpoint { group_by: vec!["segment".to_owned()], sum: vec!["revenue".to_owned()] },
        }
    }

    fn configure(parameters: Vec<Value>) -> Result<(), String> {
        BY_HOST.set(parameters.first() == Some(&Value::Bigint(1)));
        Ok(())
    }

    fn map(ends: Vec<u32>, inputs: Vec<u32>) -> Result<Vec<u32>, String> {
        let customers = match BY_HOST.get() {
            true => by_host(&ends, inputs[0], inputs[1])?,
            false => kernels::customers(&ends, &dates(inputs[0])?, &doubles(inputs[1])?, AS_OF),
        };
        let texts = Runs {
            offsets: std::iter::once(0)
                .chain(SEGMENTS.iter().scan(0, |end, text| {
                    *end += text.len() as i32;
                    Some(*end)
                }))
                .collect(),
            bytes: SEGMENTS.concat().into_bytes(),
        };
        let indices = customers.iter().map(|customer| customer.segment(AS_OF) as u32).collect();
        let revenues = customers.iter().map(|customer| customer.revenue).collect();
        let segments = Values::Dictionary(Dictionary { indices, texts });
        Ok([segments, Values::Double(revenues)]
            .map(|values| columns::write(&Contents { values, validity: None }))
            .to_vec())
    }
}

fn dates(column: u32) -> Result<Vec<i32>, String> {
    match columns::read(column).values {
        Values::Date(values) => Ok(values),
        _ => Err("the column has no dates".to_owned()),
    }
}

fn doubles(column: u32) -> Result<Vec<f64>, String> {
    match columns::read(column).values {
        Values::Double(values) => Ok(values),
        _ => Err("the column has no doubles".to_owned()),
    }
}

/// The host sums up each entity; scores are given here.
fn by_host(ends: &[u32], dates_in: u32, prices: u32) -> Result<Vec<Customer>, String> {
    let mut entity_of_row = Vec::with_capacity(ends.last().map_or(0, |end| *end as usize));
    for (entity, end) in (0_i64..).zip(ends) {
        entity_of_row.resize(*end as usize, entity);
    }
    let entities = columns::write(&Contents { values: Values::Bigint(entity_of_row), validity: None });
    let counts =
        host::compare(&Operand::Column(dates_in), Comparison::LessOrEqual, &Operand::Value(Value::Date(AS_OF)));
    let kept = host::filter(&[dates_in, prices, entities], counts);
    let groups = ends.len() as u32;
    let last = host::reduce_groups(kept[0], Reduction::Max, kept[2], groups);
    let orders = host::reduce_groups(kept[0], Reduction::Count, kept[2], groups);
    let revenue = host::reduce_groups(kept[1], Reduction::Sum, kept[2], groups);
    let (last, orders, revenue) = (dates(last)?, orders_of(orders)?, doubles(revenue)?);
    // An entity without orders that count has no revenue, which is 0 here, whatever its placeholder.
    let customer = |((last, orders), revenue): ((&i32, &i64), &f64)| match *orders {
        0 => Customer { last: i32::MIN, orders: 0, revenue: 0.0 },
        orders => Customer { last: *last, orders, revenue: *revenue },
    };
    Ok(last.iter().zip(&orders).zip(&revenue).map(customer).collect())
}

fn orders_of(column: u32) -> Result<Vec<i64>, String> {
    match columns::read(column).values {
        Values::Bigint(values) => Ok(values),
        _ => Err("the column has no bigints".to_owned()),
    }
}

domicile_sdk::bindings::mapper::export_mapper!(Mapper with_types_in domicile_sdk::bindings::mapper);
