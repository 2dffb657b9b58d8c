//! Noise: one entity changes figures by no more than is said, through the plan that runs, and noise is as wide as is said.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema};
use dashu::integer::IBig;
use datafusion::common::Column;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlanBuilder, col, lit};
use datafusion::prelude::SessionContext;
use domicile_policy::DifferentialPrivacy;
use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;
use crate::guard::{About, KeyDomain, Version, VersionColumns};
use crate::noise::figures::Unit;

const CITIES: [&str; 3] = ["Aachen", "Bonn", "Celle"];
/// Bounds of what is summed, either way: 50.00, 12.5 and 9.
const AMOUNT: i128 = 5000;
const POINTS: f64 = 12.5;
const ITEMS: i64 = 9;

/// One row: entity, city, amount in cents, points, items, and how many rows of reference data it is joined with.
type Row = (i64, usize, i128, f64, i64, usize);

fn rows(rows: &[Row]) -> RecordBatch {
    let amounts: Vec<i128> = rows.iter().map(|row| row.2).collect();
    let amounts = Decimal128Array::from(amounts).with_precision_and_scale(15, 2).unwrap();
    // The same for the rows of one entity, whoever else there is.
    let mut so_many = BTreeMap::<i64, i64>::new();
    let mut seq_of = |row: &Row| {
        let own = so_many.entry(row.0).or_default();
        *own += 1;
        row.0 * 1000 + *own
    };
    let seq: Vec<i64> = rows.iter().map(&mut seq_of).collect();
    let columns: [(&str, ArrayRef); 7] = [
        ("entity", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>())),
        ("seq", Arc::new(Int64Array::from(seq))),
        ("city", Arc::new(rows.iter().map(|row| Some(CITIES[row.1])).collect::<StringArray>())),
        ("amount", Arc::new(amounts)),
        ("points", Arc::new(rows.iter().map(|row| row.3).collect::<Float64Array>())),
        ("items", Arc::new(rows.iter().map(|row| row.4).collect::<Int64Array>())),
        ("times", Arc::new(rows.iter().map(|row| row.5 as i64).collect::<Int64Array>())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Reference data with as many rows of a number as it says.
fn reference() -> RecordBatch {
    let numbers: Int64Array = (1..=4_i64).flat_map(|number| (0..number).map(move |_| number)).collect();
    RecordBatch::try_from_iter([("number", Arc::new(numbers) as ArrayRef)]).unwrap()
}

fn terms(rows_per_entity_max: u64) -> DifferentialPrivacy {
    DifferentialPrivacy { epsilon_millionths: 500_000, rows_per_entity_max }
}

fn noised(rows_per_entity_max: u64) -> Noised {
    let bounds = |most: f64| domicile_policy::Bounds { min: -most / 2.0, max: most };
    let sum = |most, kind| figures::of_sum(bounds(most), &kind).unwrap();
    let measured = vec![
        Measured { most: 1, unit: Unit::Row },
        sum(50.0, DataType::Decimal128(15, 2)),
        sum(POINTS, DataType::Float64),
        sum(ITEMS as f64, DataType::Int64),
    ];
    let values = CITIES.map(str::to_owned).into_iter().chain(["Dessau".to_owned()]).collect();
    let kinds = vec![DataType::Utf8, DataType::Int64, DataType::Decimal128(25, 2), DataType::Float64, DataType::Int64];
    Noised { terms: terms(rows_per_entity_max), measured, keys: vec![KeyDomain { values, nullable: false }], kinds }
}

fn aggregates() -> Vec<Expr> {
    vec![count(lit(1_i64)), sum(col("amount")), sum(col("points")), sum(col("items"))]
}

/// The exact figures of each city, in their units, through the plan that runs before noise is added.
fn figures_of(all: &[Row], noised: &Noised, is_joined: bool) -> BTreeMap<String, Vec<i128>> {
    let batch = exact_rows(all, noised, is_joined);
    let mut figures = BTreeMap::new();
    for row in 0..batch.num_rows() {
        let value = |column: &ArrayRef| match column.data_type() {
            DataType::Int64 => i128::from(column.as_primitive::<Int64Type>().value(row)),
            _ => column.as_primitive::<Decimal128Type>().value(row),
        };
        let city = arrow::compute::cast(batch.column(0), &DataType::Utf8).unwrap();
        let city = city.as_string::<i32>().value(row).to_owned();
        figures.insert(city, batch.columns()[1..].iter().map(value).collect());
    }
    figures
}

fn exact_rows(all: &[Row], noised: &Noised, is_joined: bool) -> RecordBatch {
    let session = SessionContext::new();
    let table = |batch| session.read_batch(batch).unwrap().into_unoptimized_plan();
    let mut input = LogicalPlanBuilder::from(table(rows(all)));
    if is_joined {
        let numbers = LogicalPlanBuilder::from(table(reference())).build().unwrap();
        input = input.join(numbers, JoinType::Inner, (vec!["times"], vec!["number"]), None).unwrap();
    }
    let input = input.build().unwrap();
    let column = |name: &str| Column::from(input.schema().qualified_field_with_unqualified_name(name).unwrap());
    let version = Version {
        table: "rows".to_owned(),
        occurrence: 0,
        of: None,
        is_used: true,
        columns: VersionColumns::Row(vec![column("seq")]),
    };
    let about = About { entity: column("entity"), versions: vec![version], measures: Vec::new() };
    let bounded = bounded(input.clone(), &about, MarkKey(7), noised.terms.rows_per_entity_max).unwrap();
    let exact = noised.exact(&aggregates()).unwrap();
    let plan = LogicalPlanBuilder::from(bounded).aggregate(vec![col("city")], exact).unwrap().build().unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    let batches =
        runtime.block_on(async { session.execute_logical_plan(plan.clone()).await.unwrap().collect().await.unwrap() });
    let schema = Arc::clone(plan.schema().inner());
    let batches: Vec<RecordBatch> =
        batches.iter().map(|it| RecordBatch::try_new(Arc::clone(&schema), it.columns().to_vec()).unwrap()).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// How far the figures of all cities together are from each other, by figure.
fn distances(one: &BTreeMap<String, Vec<i128>>, other: &BTreeMap<String, Vec<i128>>) -> Vec<i128> {
    let nothing = vec![0; 4];
    let of = |figures: &BTreeMap<String, Vec<i128>>, city: &str, figure: usize| {
        figures.get(city).unwrap_or(&nothing)[figure]
    };
    let apart = |figure: usize| CITIES.iter().map(|city| (of(one, city, figure) - of(other, city, figure)).abs()).sum();
    (0..4).map(apart).collect()
}

/// What one entity may change, told by hand: rows times the larger bound, of points in steps of a power of two.
fn allowed(rows_max: u64) -> [i128; 4] {
    let rows = i128::from(rows_max);
    let points = (POINTS * 2f64.powi(26)) as i128 + 1;
    [rows, rows * AMOUNT, rows * points, rows * i128::from(ITEMS)]
}

fn row() -> impl Strategy<Value = Row> {
    let points = prop_oneof![Just(POINTS), Just(-6.25), -6.25..=POINTS];
    (0..6_i64, 0..3_usize, -2500..=AMOUNT, points, -4..=ITEMS, 1..=4_usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn one_entity_changes_the_figures_by_no_more_than_is_said(
        all in prop::collection::vec(row(), 0..60),
        rows_max in 1..6_u64,
        is_joined: bool,
    ) {
        let noised = noised(rows_max);
        let whole = figures_of(&all, &noised, is_joined);
        for entity in 0..6 {
            let others: Vec<Row> = all.iter().copied().filter(|row| row.0 != entity).collect();
            let apart = distances(&whole, &figures_of(&others, &noised, is_joined));
            for (figure, (apart, most)) in apart.iter().zip(allowed(rows_max)).enumerate() {
                prop_assert!(*apart <= most, "figure {figure} changes by {apart}, more than {most}, for {entity}");
                let said = IBig::from(noised.measured[figure].most) * IBig::from(rows_max);
                prop_assert_eq!(said, IBig::from(most));
            }
        }
    }
}

#[test]
fn a_giant_counts_with_so_many_rows_and_changes_as_much_as_is_said() {
    let giant = |number: usize| (1, number % 3, AMOUNT, POINTS, ITEMS, 4);
    let all: Vec<Row> = (0..50).map(giant).collect();
    let noised = noised(5);
    let apart = distances(&figures_of(&all, &noised, true), &BTreeMap::new());
    assert_eq!(apart[0], 5);
    assert_eq!((apart[1], apart[3]), (5 * AMOUNT, 5 * i128::from(ITEMS)));
    // Without bounds on rows it would be all of them: the test above could tell.
    assert_eq!(distances(&figures_of(&all, &self::noised(1_000_000), true), &BTreeMap::new())[0], 200);
}

/// Asserts that draws are as a discrete Laplace distribution of this scale has them, by seven standard deviations: by
/// chance that fails once in four hundred billion times.
#[track_caller]
fn check_scale(drawn: &[f64], scale: f64) {
    let (n, q) = (drawn.len() as f64, (-1.0 / scale).exp());
    let (size, square) = (2.0 * q / (1.0 - q * q), 2.0 * q / (1.0 - q).powi(2));
    let near = |got: f64, want: f64, variance: f64| {
        assert!((got - want).abs() < 7.0 * (variance / n).sqrt(), "{got}, not {want}");
    };
    near(drawn.iter().sum::<f64>() / n, 0.0, square);
    near(drawn.iter().map(|it| it.abs()).sum::<f64>() / n, size, square - size * size);
    // Beyond twice the scale, as often as it should be.
    let beyond = |it: &&f64| it.abs() > (2.0 * scale).floor();
    let tail = 2.0 * q.powf((2.0 * scale).floor() + 1.0) / (1.0 + q);
    near(drawn.iter().filter(beyond).count() as f64 / n, tail, tail * (1.0 - tail));
}

#[test]
fn noise_has_the_scale_that_is_said() {
    const DRAWS: usize = 20_000;
    let measured = Measured { most: 1, unit: Unit::Row };
    // Twenty rows over half an epsilon, and each of two figures with half of that.
    for (values, expect) in [(1, 40.0), (2, 80.0)] {
        let scale = Scale::of(&measured, terms(20), values);
        let drawn: Vec<f64> = (0..DRAWS).map(|_| scale.draw().unwrap().to_f64().value()).collect();
        check_scale(&drawn, expect);
    }
}

#[test]
fn every_group_that_there_can_be_is_released_with_noise() {
    let noised = noised(20);
    let names: Vec<(usize, String)> =
        ["g0", "a0", "a1", "a2", "a3"].map(str::to_owned).into_iter().enumerate().collect();
    let exact = exact_rows(&[(1, 0, 1000, 1.5, 2, 1)], &noised, false);
    let schema = exact.schema();
    const ANSWERS: usize = 3000;
    let mut of_nobody = Vec::new();
    for _ in 0..ANSWERS {
        let rows = noised.released(&schema, std::slice::from_ref(&exact), &names, 0).unwrap();
        let cities = arrow::compute::cast(rows.column(0), &DataType::Utf8).unwrap();
        let cities: Vec<&str> = cities.as_string::<i32>().iter().flatten().collect();
        assert_eq!(cities, ["Aachen", "Bonn", "Celle", "Dessau"]);
        assert!(rows.columns().iter().all(|column| column.null_count() == 0));
        of_nobody.push(rows.column(1).as_primitive::<Int64Type>().value(3) as f64);
    }
    // Four figures: each has a quarter of epsilon.
    check_scale(&of_nobody, 160.0);
    let kinds: Vec<DataType> = noised.kinds.clone();
    let rows = noised.released(&schema, &[], &names, 100).unwrap();
    let got: Vec<DataType> = rows.columns().iter().map(|column| column.data_type().clone()).collect();
    assert_eq!(got[1..], kinds[1..]);
    assert!(rows.column(1).as_primitive::<Int64Type>().iter().all(|it| it.unwrap() % 100 == 0));
}

#[test]
fn a_fragment_without_one_of_its_keys_is_refused() {
    let noised = noised(20);
    let schema = Arc::new(Schema::new(vec![Field::new("a0", DataType::Int64, true)]));
    let without = noised.released(&schema, &[], &[(1, "a0".to_owned())], 0);
    assert!(without.is_err());
}

#[test]
fn bounds_too_wide_to_be_added_up_are_none() {
    let bounds = |max| domicile_policy::Bounds { min: 0.0, max };
    assert_eq!(figures::of_sum(bounds(1e30), &DataType::Int64), None);
    assert_eq!(figures::of_sum(bounds(1e29), &DataType::Decimal128(38, 2)), None);
    assert_eq!(figures::of_sum(bounds(f64::MAX), &DataType::Float64), None);
    let cents = Measured { most: 1050, unit: Unit::Digit };
    assert_eq!(figures::of_sum(bounds(10.5), &DataType::Decimal128(15, 2)), Some(cents));
}
