//! Kernels against loops over values.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use domicile_types::Digest;
use proptest::prelude::*;

use super::context::Kernel;
use super::types::{Arithmetic, Comparison, Logic, Operand, Reduction, SortKey};
use super::{calculate, compare, convert, group, join, reduce, select, sort};
use crate::host::HostState;
use crate::log::Log;
use crate::refusal::Refusal;
use crate::turns::Turns;
use crate::{PluginId, SandboxLimits, Value, ValueType};

/// A call whose arguments are columns of these values.
pub(super) struct Call(pub(super) HostState);

impl Call {
    pub(super) fn new(columns: &[(ValueType, &[Value])]) -> Self {
        let name = "demo".parse().expect("a plugin name");
        let id = Arc::new(PluginId { name, version: "1.0.0".to_owned(), digest: Digest([0; 32]) });
        let mut state =
            HostState::new(&id, &Arc::new(Log::default()), &Arc::new(SandboxLimits::default()), &Turns::new(1));
        state.begin();
        state.frame.begin(&columns.iter().map(|(kind, values)| array(*kind, values)).collect::<Vec<_>>());
        Self(state)
    }

    pub(super) fn kernel(&mut self) -> Kernel<'_> {
        Kernel::new("kernels.test", &mut self.0)
    }

    /// Runs a kernel that makes one column, and reads it.
    fn column(&mut self, work: impl FnOnce(&mut Kernel<'_>) -> Result<u32, Refusal>) -> Vec<Value> {
        let number = work(&mut self.kernel()).expect("a column");
        self.read(number)
    }

    fn read(&self, number: u32) -> Vec<Value> {
        let array = self.0.frame.find(number).expect("a column of the call");
        (0..array.len()).map(|row| Value::at(array, row).expect("a known type")).collect()
    }
}

pub(super) fn array(kind: ValueType, values: &[Value]) -> ArrayRef {
    let rows = values
        .iter()
        .map(|value| value.to_array().unwrap_or_else(|| arrow::array::new_null_array(&kind.arrow_type(), 1)));
    let rows: Vec<ArrayRef> = rows.chain([arrow::array::new_empty_array(&kind.arrow_type())]).collect();
    let rows: Vec<&dyn Array> = rows.iter().map(|row| row.as_ref()).collect();
    arrow::compute::concat(&rows).expect("rows of one type")
}

fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::BigInt(left), Value::BigInt(right)) => left.cmp(right),
        // The one NaN is above all other numbers.
        (Value::Double(left), Value::Double(right)) => match (left.is_nan(), right.is_nan()) {
            (false, false) => left.total_cmp(right),
            (left, right) => left.cmp(&right),
        },
        (Value::Text(left), Value::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
        (Value::Date(left), Value::Date(right)) => left.cmp(right),
        (Value::Boolean(left), Value::Boolean(right)) => left.cmp(right),
        (Value::Bytes(left), Value::Bytes(right)) => left.cmp(right),
        (left, right) => (*left == Value::Null).cmp(&(*right == Value::Null)).reverse(),
    }
}

fn same(left: &[Value], right: &[Value]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| order(left, right).is_eq())
}

/// NaNs as processors make them, which differ in their signs, and texts that begin alike.
fn value(kind: ValueType, nulls: bool) -> BoxedStrategy<Value> {
    let some = match kind {
        ValueType::BigInt => {
            prop_oneof![8 => -2_i64..3, 1 => Just(i64::MIN), 1 => Just(i64::MAX)].prop_map(Value::BigInt).boxed()
        }
        ValueType::Double => {
            let special = prop::sample::select(vec![f64::NAN, -f64::NAN, 0.0, -0.0, f64::INFINITY, -1.5, 2.5]);
            special.prop_map(Value::Double).boxed()
        }
        ValueType::Text => "[ab]{0,3}".prop_map(Value::Text).boxed(),
        ValueType::Date => prop_oneof![-2_i32..3, Just(i32::MAX)].prop_map(Value::Date).boxed(),
        ValueType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        ValueType::Bytes => prop::collection::vec(0_u8..3, 0..3).prop_map(Value::Bytes).boxed(),
    };
    if nulls { prop_oneof![1 => Just(Value::Null), 4 => some].boxed() } else { some }
}

fn kind() -> impl Strategy<Value = ValueType> {
    use ValueType::{BigInt, Boolean, Bytes, Date, Double, Text};
    prop::sample::select(vec![BigInt, Double, Text, Date, Boolean, Bytes])
}

/// A type, and columns of it that have as many rows.
fn columns(count: usize) -> impl Strategy<Value = (ValueType, Vec<Vec<Value>>)> {
    (kind(), 0_usize..20, any::<bool>()).prop_flat_map(move |(kind, rows, nulls)| {
        let column = prop::collection::vec(value(kind, nulls), rows);
        (Just(kind), prop::collection::vec(column, count))
    })
}

fn bigint(value: &Value) -> Option<i64> {
    if let Value::BigInt(value) = value { Some(*value) } else { None }
}

fn some(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::BigInt)
}

type Holds = fn(Ordering) -> bool;

const COMPARISONS: [(Comparison, Holds); 6] = [
    (Comparison::Equal, Ordering::is_eq),
    (Comparison::NotEqual, Ordering::is_ne),
    (Comparison::Less, Ordering::is_lt),
    (Comparison::LessOrEqual, Ordering::is_le),
    (Comparison::Greater, Ordering::is_gt),
    (Comparison::GreaterOrEqual, Ordering::is_ge),
];

proptest! {
    #[test]
    fn comparisons((kind, values) in columns(2), by_value in any::<bool>(), which in 0_usize..6) {
        let (comparison, holds) = COMPARISONS[which];
        let (left, mut right) = (values[0].clone(), values[1].clone());
        if by_value && !right.is_empty() {
            right = vec![right[0].clone(); right.len()];
        }
        let operand = if by_value && !right.is_empty() { Operand::Value(right[0].clone()) } else { Operand::Column(1) };
        let mut call = Call::new(&[(kind, &left), (kind, &right)]);
        let got = call.column(|kernel| compare::compare(kernel, Operand::Column(0), comparison, operand));
        let expect: Vec<Value> = left.iter().zip(&right).map(|pair| match pair {
            (Value::Null, _) | (_, Value::Null) => Value::Null,
            (left, right) => Value::Boolean(holds(order(left, right))),
        }).collect();
        prop_assert_eq!(got, expect);
        let present = call.column(|kernel| compare::present(kernel, 0));
        let expect: Vec<_> = left.iter().map(|value| Value::Boolean(*value != Value::Null)).collect();
        prop_assert_eq!(present, expect);
    }

    #[test]
    fn arithmetic(
        values in prop::collection::vec((value(ValueType::BigInt, true), value(ValueType::BigInt, true)), 0..20),
        by_value in any::<bool>(),
    ) {
        let (mut left, right): (Vec<_>, Vec<_>) = values.into_iter().unzip();
        if by_value && !left.is_empty() {
            left = vec![left[0].clone(); left.len()];
        }
        let operand = || if by_value && !left.is_empty() { Operand::Value(left[0].clone()) } else { Operand::Column(0) };
        let mut call = Call::new(&[(ValueType::BigInt, &left), (ValueType::BigInt, &right)]);
        let mut check = |arithmetic, compute: fn(i64, i64) -> Option<i64>| {
            let got = call.column(|kernel| calculate::calculate(kernel, operand(), arithmetic, Operand::Column(1)));
            let rows = left.iter().zip(&right);
            let compute = |(left, right)| compute(bigint(left)?, bigint(right)?);
            (got, rows.map(|row| some(compute(row))).collect::<Vec<_>>())
        };
        let checks = [
            check(Arithmetic::Add, |left, right| Some(left.wrapping_add(right))),
            check(Arithmetic::Subtract, |left, right| Some(left.wrapping_sub(right))),
            check(Arithmetic::Multiply, |left, right| Some(left.wrapping_mul(right))),
            check(Arithmetic::Divide, |left, right| if right == 0 { None } else { Some(left.wrapping_div(right)) }),
        ];
        for (got, expect) in checks {
            prop_assert_eq!(got, expect);
        }
    }

    #[test]
    fn filtering_and_taking((kind, values) in columns(1), mask in prop::collection::vec(value(ValueType::Boolean, true), 20)) {
        let values = &values[0];
        let mask = &mask[..values.len()];
        let mut call = Call::new(&[(kind, values), (ValueType::Boolean, mask)]);
        let filtered = select::filter(&mut call.kernel(), &[0, 0], 1).expect("columns");
        let kept = |row: &usize| mask[*row] == Value::Boolean(true);
        let rows: Vec<usize> = (0..values.len()).filter(kept).collect();
        let expect: Vec<_> = rows.iter().map(|row| values[*row].clone()).collect();
        prop_assert!(filtered.iter().all(|number| same(&call.read(*number), &expect)));

        let mut wanted: Vec<Value> = rows.iter().rev().map(|row| Value::BigInt(*row as i64)).collect();
        wanted.push(Value::Null);
        let mut call = Call::new(&[(kind, values), (ValueType::BigInt, &wanted)]);
        let taken = select::take(&mut call.kernel(), &[0], 1).expect("columns")[0];
        let expect: Vec<_> = rows.iter().rev().map(|row| values[*row].clone()).chain([Value::Null]).collect();
        prop_assert!(same(&call.read(taken), &expect));
        let both = call.column(|kernel| select::concatenate(kernel, &[taken, 0, taken]));
        prop_assert!(same(&both, &[expect.as_slice(), values, &expect].concat()));
    }

    #[test]
    fn sorting((kind, values) in columns(2), descending in any::<bool>(), nulls_first in any::<bool>()) {
        let mut call = Call::new(&[(kind, &values[0]), (kind, &values[1])]);
        let keys = [
            SortKey { column: 0, descending, nulls_first },
            SortKey { column: 1, descending: false, nulls_first: false },
        ];
        let got = call.column(|kernel| sort::sort(kernel, &keys));
        let by = |left: &Value, right: &Value, descending: bool, nulls_first: bool| {
            match (*left == Value::Null, *right == Value::Null) {
                (false, false) if descending => order(right, left),
                (false, false) => order(left, right),
                (left, right) if nulls_first => right.cmp(&left),
                (left, right) => left.cmp(&right),
            }
        };
        let mut expect: Vec<usize> = (0..values[0].len()).collect();
        expect.sort_by(|left, right| {
            by(&values[0][*left], &values[0][*right], descending, nulls_first)
                .then_with(|| by(&values[1][*left], &values[1][*right], false, false))
        });
        prop_assert_eq!(got, expect.into_iter().map(|row| Value::BigInt(row as i64)).collect::<Vec<_>>());
    }

    #[test]
    fn grouping_and_reducing((kind, values) in columns(2), (of, more) in columns(1), keys in 1_usize..3) {
        let rows = values[0].len().min(more[0].len());
        let (first, second, third) = (&values[0][..rows], &values[1][..rows], &more[0][..rows]);
        let mut call = Call::new(&[(kind, first), (kind, second), (of, third)]);
        let keys = &[0, 1][..keys];
        let grouping = group::group(&mut call.kernel(), keys).expect("groups");
        let equal = |left: usize, right: usize| {
            let equal = |column: &[Value]| order(&column[left], &column[right]).is_eq();
            [first, second][..keys.len()].iter().all(|column| equal(column))
        };
        let (mut firsts, mut expect) = (Vec::<usize>::new(), Vec::new());
        for row in 0..rows {
            let group = firsts.iter().position(|first| equal(*first, row)).unwrap_or_else(|| {
                firsts.push(row);
                firsts.len() - 1
            });
            expect.push(group);
        }
        let numbers = |numbers: &[usize]| numbers.iter().map(|row| Value::BigInt(*row as i64)).collect::<Vec<_>>();
        prop_assert_eq!(grouping.groups as usize, firsts.len());
        prop_assert_eq!(call.read(grouping.group_of_row), numbers(&expect));
        prop_assert_eq!(call.read(grouping.first_row), numbers(&firsts));
        let hashes = call.column(|kernel| group::hash(kernel, keys));
        for (left, right) in (0..rows).flat_map(|left| (0..rows).map(move |right| (left, right))) {
            prop_assert_eq!(hashes[left] == hashes[right], equal(left, right));
        }
        for reduction in [Reduction::Count, Reduction::Min, Reduction::Max] {
            let got = call.column(|kernel| {
                reduce::reduce_groups(kernel, 2, reduction, grouping.group_of_row, grouping.groups)
            });
            let expect = (0..firsts.len()).map(|group| {
                let members = (0..rows).filter(|row| expect[*row] == group).map(|row| &third[row]);
                let present = members.filter(|value| **value != Value::Null);
                reduced(reduction, present)
            });
            prop_assert!(same(&got, &expect.collect::<Vec<_>>()), "{:?}", got);
            let all = reduce::reduce(&mut call.kernel(), 2, reduction).expect("a value");
            let expect = reduced(reduction, third.iter().filter(|value| **value != Value::Null));
            prop_assert!(order(&all, &expect).is_eq());
        }
    }

    #[test]
    fn joining((kind, values) in columns(2), (other, more) in columns(2), both in any::<bool>()) {
        let rows = values[0].len().min(more[0].len());
        let (left, right) = ([&values[0], &more[0][..rows].to_vec()], [&values[1][..rows / 2], &more[1][..rows / 2]]);
        let mut call =
            Call::new(&[(kind, &left[0][..rows]), (other, left[1]), (kind, right[0]), (other, right[1])]);
        let keys: (&[u32], &[u32]) = if both { (&[0, 1], &[2, 3]) } else { (&[0], &[2]) };
        let pairs = join::join(&mut call.kernel(), keys.0, keys.1).expect("pairs");
        let matches = |left: &Value, right: &Value| {
            *left != Value::Null && *right != Value::Null && order(left, right).is_eq()
        };
        let expect: Vec<(Value, Value)> = (0..rows)
            .flat_map(|l| (0..rows / 2).map(move |r| (l, r)))
            .filter(|(l, r)| matches(&left[0][*l], &right[0][*r]) && (!both || matches(&left[1][*l], &right[1][*r])))
            .map(|(l, r)| (Value::BigInt(l as i64), Value::BigInt(r as i64)))
            .collect();
        let got: Vec<_> = call.read(pairs.left).into_iter().zip(call.read(pairs.right)).collect();
        prop_assert_eq!(got, expect);
    }
}

fn reduced<'a>(reduction: Reduction, values: impl Iterator<Item = &'a Value>) -> Value {
    let value = match reduction {
        Reduction::Count => return Value::BigInt(values.count() as i64),
        Reduction::Min => values.min_by(|left, right| order(left, right)),
        Reduction::Max => values.max_by(|left, right| order(left, right)),
        Reduction::Sum => panic!("sums are tested on their own"),
    };
    value.cloned().unwrap_or(Value::Null)
}

fn bigints(values: &[Option<i64>]) -> Vec<Value> {
    values.iter().map(|value| some(*value)).collect()
}

#[test]
fn sums() {
    let values = bigints(&[Some(i64::MAX), None, Some(1), Some(5)]);
    let groups = bigints(&[Some(0), Some(1), Some(0), Some(3)]);
    let doubles = [0.5, f64::INFINITY, f64::NEG_INFINITY, 1.0].map(Value::Double);
    let columns = [(ValueType::BigInt, values.as_slice()), (ValueType::BigInt, &groups), (ValueType::Double, &doubles)];
    let mut call = Call::new(&columns);
    let got = call.column(|kernel| reduce::reduce_groups(kernel, 0, Reduction::Sum, 1, 5));
    assert_eq!(got, bigints(&[Some(i64::MIN), None, None, Some(5), None]));
    let Value::Double(sum) = reduce::reduce(&mut call.kernel(), 2, Reduction::Sum).expect("a sum") else {
        panic!("not a double");
    };
    assert_eq!(sum.to_bits(), f64::NAN.to_bits(), "whatever NaN the processor makes, there is one");
    let mut call = Call::new(&[(ValueType::BigInt, &[])]);
    assert_eq!(reduce::reduce(&mut call.kernel(), 0, Reduction::Sum).expect("a sum"), Value::Null);
    assert_eq!(reduce::reduce(&mut call.kernel(), 0, Reduction::Count).expect("a count"), Value::BigInt(0));
}

#[test]
fn dates_and_doubles() {
    let dates = [Value::Date(10), Value::Date(i32::MAX), Value::Null];
    let days = bigints(&[Some(-3), Some(1), Some(1)]);
    let doubles = [0.0, 1.0, -0.0].map(Value::Double);
    let columns = [(ValueType::Date, dates.as_slice()), (ValueType::BigInt, &days), (ValueType::Double, &doubles)];
    let mut call = Call::new(&columns);
    let mut calculate = |left, arithmetic, right| {
        call.column(|kernel| calculate::calculate(kernel, Operand::Column(left), arithmetic, right))
    };
    let moved = calculate(0, Arithmetic::Add, Operand::Column(1));
    assert_eq!(moved, [Value::Date(7), Value::Null, Value::Null], "a date that is out of range is no value");
    let between = calculate(0, Arithmetic::Subtract, Operand::Value(Value::Date(i32::MIN)));
    assert_eq!(between, bigints(&[Some(10 - i64::from(i32::MIN)), Some(u32::MAX.into()), None]));
    let divided = calculate(2, Arithmetic::Divide, Operand::Value(Value::Double(0.0)));
    let bits = divided.iter().map(|value| if let Value::Double(value) = value { value.to_bits() } else { 0 });
    assert_eq!(bits.collect::<Vec<_>>(), [f64::NAN, f64::INFINITY, f64::NAN].map(f64::to_bits));
}

#[test]
fn three_valued_logic() {
    let values = [Value::Boolean(true), Value::Boolean(false), Value::Null];
    let left: Vec<_> = values.iter().flat_map(|value| vec![value.clone(); 3]).collect();
    let right: Vec<_> = values.iter().cycle().take(9).cloned().collect();
    let mut call = Call::new(&[(ValueType::Boolean, &left), (ValueType::Boolean, &right)]);
    let [t, f, n] = values;
    let and = call.column(|kernel| compare::combine(kernel, 0, Logic::And, 1));
    assert_eq!(and, [&t, &f, &n, &f, &f, &f, &n, &f, &n].map(Clone::clone));
    let or = call.column(|kernel| compare::combine(kernel, 0, Logic::Or, 1));
    assert_eq!(or, [&t, &t, &t, &t, &f, &n, &t, &n, &n].map(Clone::clone));
    let not = call.column(|kernel| compare::negate(kernel, 0));
    assert_eq!(not, [&f, &f, &f, &t, &t, &t, &n, &n, &n].map(Clone::clone));
}

#[test]
fn conversions() {
    let texts = ["7", "seven", "1998-08-02", ""].map(|text| Value::Text(text.to_owned()));
    let doubles = [1.9, f64::NAN, 1e300, -1.0].map(Value::Double);
    let mut call = Call::new(&[(ValueType::Text, &texts), (ValueType::Double, &doubles)]);
    let mut converted = |column, to| call.column(|kernel| convert::convert(kernel, column, to));
    assert_eq!(converted(0, ValueType::BigInt), bigints(&[Some(7), None, None, None]));
    assert_eq!(converted(0, ValueType::Date)[2], Value::Date(10_440));
    assert_eq!(converted(1, ValueType::BigInt), bigints(&[Some(1), None, None, Some(-1)]));
    assert_eq!(converted(1, ValueType::Text)[0], Value::Text("1.9".to_owned()));
    assert_eq!(converted(0, ValueType::Text), texts);
}

/// XXH3 of 64 bits without a seed, as its reference implementation computes it.
#[test]
fn hashes_never_change() {
    let mut call = Call::new(&[(ValueType::BigInt, &[Value::Null])]);
    let got = call.column(|kernel| group::hash(kernel, &[0]));
    assert_eq!(got, [Value::BigInt(0xc44b_dff4_074e_ecdb_u64.cast_signed())], "of one byte, 0");
    let texts = [Value::Text("a".to_owned())];
    let mut call = Call::new(&[(ValueType::Text, &texts), (ValueType::BigInt, &[Value::BigInt(1)])]);
    let got = call.column(|kernel| group::hash(kernel, &[0, 1]));
    let bytes = [&[1, 1, 0, 0, 0, 0, 0, 0, 0, b'a'][..], &[1, 1, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(got, [Value::BigInt(twox_hash::XxHash3_64::oneshot(&bytes).cast_signed())]);
}

#[test]
fn long_columns_sort_in_runs() {
    let rows = 200_000_i64;
    let scrambled: Vec<Value> = (0..rows).map(|row| Value::BigInt((row * 7_919) % rows)).collect();
    let array = array_of(&scrambled);
    let mut call = Call::new(&[]);
    call.0.frame.begin(&[array]);
    let order =
        call.column(|kernel| sort::sort(kernel, &[SortKey { column: 0, descending: true, nulls_first: false }]));
    let sorted = order.iter().map(|row| scrambled[bigint(row).expect("a row") as usize].clone());
    assert!(sorted.eq((0..rows).rev().map(Value::BigInt)));
}

fn array_of(values: &[Value]) -> ArrayRef {
    Arc::new(values.iter().map(bigint).collect::<arrow::array::Int64Array>())
}
