//! Evidence in one pass against what aggregating by entity first makes of the same rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use domicile_policy::{Form, Trace, Verdict};
use proptest::prelude::*;

use super::super::plan::{Additive, Asked, Grouping, Guarded, Traced, by_entity, plan, supports};
use super::super::release::flat;
use super::super::trace::read;
use super::super::{About, GuardColumns, MarkKey, Measure, Version, VersionColumns};
use super::kept::APART_MAX;

const KEY: MarkKey = MarkKey(0x5eed);

/// Key, entity, decimal, whole number, float, text.
type Row = (u8, Option<u16>, Option<i32>, i32, Option<f32>, bool);

fn rows(entities: u16, rows_max: usize) -> impl Strategy<Value = Vec<Row>> {
    let some = |range: std::ops::Range<i32>| prop_oneof![1 => Just(None), 5 => range.prop_map(Some)];
    let entity = prop_oneof![1 => Just(None), 30 => (0..entities).prop_map(Some)];
    let float = prop_oneof![1 => Just(None), 4 => (-3_i32..9).prop_map(|number| Some(number as f32 / 2.0))];
    let row = (0_u8..5, entity, some(-2..30), -1_i32..12, float, any::<bool>());
    proptest::collection::vec(row, 0..rows_max)
}

/// The rows in batches of a few each; the versions are the rows' numbers.
fn batches(rows: &[Row], texts: bool) -> (SchemaRef, Vec<RecordBatch>) {
    let entity = if texts { DataType::Utf8 } else { DataType::Int64 };
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("e", entity, true),
        Field::new("v", DataType::Int64, false),
        Field::new("d", DataType::Decimal128(15, 2), true),
        Field::new("i", DataType::Int64, false),
        Field::new("m", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("s", DataType::Utf8, true),
    ]));
    let batch = |(number, rows): (usize, &[Row])| {
        let ints = |of: &dyn Fn(&Row) -> Option<i64>| Arc::new(rows.iter().map(of).collect::<Int64Array>()) as ArrayRef;
        let entity = |row: &Row| row.1.map(|entity| format!("entity {entity}"));
        let decimals = rows.iter().map(|row| row.2.map(i128::from)).collect::<Decimal128Array>();
        let columns: Vec<ArrayRef> = vec![
            ints(&|row| Some(i64::from(row.0)).filter(|key| *key > 0)),
            if texts {
                Arc::new(rows.iter().map(entity).collect::<StringArray>())
            } else {
                ints(&|row| row.1.map(i64::from))
            },
            Arc::new((0..rows.len()).map(|row| Some((number * 1_000 + row) as i64)).collect::<Int64Array>()),
            Arc::new(decimals.with_precision_and_scale(15, 2).unwrap()),
            ints(&|row| Some(i64::from(row.3))),
            // Marks are above zero.
            ints(&|row| Some(i64::from(row.3.unsigned_abs()) + 1)),
            Arc::new(rows.iter().map(|row| row.4.map(f64::from)).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|row| row.5.then_some("some")).collect::<StringArray>()),
        ];
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
    };
    let batches = rows.chunks(37).enumerate().map(batch).collect();
    (schema, batches)
}

fn scan(rows: &[Row], texts: bool) -> LogicalPlan {
    let (schema, batches) = batches(rows, texts);
    let mut partitions = vec![Vec::new(); 3];
    batches.into_iter().enumerate().for_each(|(at, batch)| partitions[at % 3].push(batch));
    let table = MemTable::try_new(schema, partitions).unwrap();
    LogicalPlanBuilder::scan("t", provider_as_source(Arc::new(table)), None).unwrap().build().unwrap()
}

fn version(of: Option<&str>, columns: VersionColumns) -> Version {
    Version { table: "t".to_owned(), occurrence: 0, of: of.map(str::to_owned), is_used: true, columns }
}

fn about() -> About {
    let measure = |name: &str, is_number| Measure {
        table: "t".to_owned(),
        name: name.to_owned(),
        column: format!("t.{name}").into(),
        is_number,
    };
    About {
        entity: "t.e".into(),
        versions: vec![
            version(None, VersionColumns::Row(vec!["t.v".into()])),
            version(Some("some"), VersionColumns::Marks("t.m".into())),
        ],
        measures: vec![measure("d", true), measure("i", true), measure("f", true), measure("s", false)],
    }
}

fn aggregates() -> Vec<Expr> {
    let product = col("t.d") * col("t.i");
    vec![count(lit(1_i64)), count(col("t.d")), sum(col("t.d")), sum(col("t.i")), sum(col("t.f")), sum(product)]
}

const KINDS: [Additive; 6] =
    [Additive::Count, Additive::Count, Additive::Sum, Additive::Sum, Additive::Sum, Additive::Sum];

/// A sum of a column as it is needs no evidence of its own.
const LINEAR: [bool; 6] = [false, false, true, false, false, false];

fn verdict(minimum_entities: u64, dominance_percent: u64) -> Verdict {
    Verdict { minimum_entities, dominance_percent, ..Verdict::unconditional(Form::Aggregate) }
}

/// What is known of one group.
#[derive(Debug)]
struct Known {
    entities: i64,
    traces: Vec<Trace>,
    /// How many have part in a value, the largest contribution, and all.
    values: Vec<(i64, Option<(f64, f64)>)>,
    released: Vec<Option<f64>>,
}

fn known(batch: &RecordBatch, keys: usize, columns: &GuardColumns) -> Vec<Known> {
    let outputs = keys + KINDS.len();
    let count = |column: usize, row: usize| batch.column(outputs + column).as_primitive::<Int64Type>().value(row);
    let weight = |column: usize, row: usize| {
        let weights = batch.column(outputs + column).as_primitive::<Float64Type>();
        if weights.is_valid(row) { weights.value(row) } else { 0.0 }
    };
    let released = |column: usize, row: usize| {
        let numbers = arrow::compute::cast(batch.column(column), &DataType::Float64).unwrap();
        numbers.is_valid(row).then(|| numbers.as_primitive::<Float64Type>().value(row))
    };
    let of_row = |row: usize| Known {
        entities: count(columns.entities, row),
        traces: (columns.traces.iter())
            .map(|trace| read(batch.column(outputs + trace.column).as_binary::<i32>().value(row), trace.weighs))
            .collect(),
        values: (columns.values.iter())
            .map(|value| {
                let weights = value.weights.map(|(top, whole)| (weight(top, row), weight(whole, row)));
                (count(value.present, row), weights)
            })
            .collect(),
        released: (keys..outputs).map(|column| released(column, row)).collect(),
    };
    (0..batch.num_rows()).map(of_row).collect()
}

/// How the engine works.
#[derive(Debug, Clone, Copy)]
struct Engine {
    skips_partial: bool,
    memory_bytes: usize,
}

const ENGINE: Engine = Engine { skips_partial: false, memory_bytes: 1 << 30 };

async fn run(guarded: Guarded, keys: usize, engine: Engine) -> Result<Vec<Known>, DataFusionError> {
    let mut config = SessionConfig::new().with_target_partitions(3).with_batch_size(64);
    if engine.skips_partial {
        let options = config.options_mut();
        options.execution.skip_partial_aggregation_probe_rows_threshold = 1;
        options.execution.skip_partial_aggregation_probe_ratio_threshold = 0.0;
    }
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(engine.memory_bytes, 1.0).build_arc().unwrap();
    let session = SessionContext::new_with_config_rt(config, runtime);
    let order: Vec<_> =
        guarded.plan.schema().columns().into_iter().take(keys).map(|key| col(key).sort(true, true)).collect();
    let plan =
        if order.is_empty() { guarded.plan } else { LogicalPlanBuilder::from(guarded.plan).sort(order)?.build()? };
    let schema = Arc::clone(plan.schema().inner());
    let batches = session.execute_logical_plan(plan).await?.collect().await?;
    let whole = flat(&concat_batches(&schema, &batches)?)?;
    Ok(known(&whole, keys, &guarded.columns))
}

/// The evidence of one pass, and of two.
async fn both(rows: &[Row], texts: bool, grouped: bool, verdict: &Verdict, engine: Engine) -> [Vec<Known>; 2] {
    let (input, about, aggregates) = (scan(rows, texts), about(), aggregates());
    let group = if grouped { vec![col("t.k")] } else { Vec::new() };
    let grouping = Grouping { keys: &group, aggregates: &aggregates, linear: &LINEAR };
    let once = plan(input.clone(), &about, grouping, verdict, Some(KEY)).unwrap();
    assert_eq!(once.names.len(), 1, "one pass has one column of evidence");
    let made = super::super::about::Made {
        of_rows: true,
        of_counts: true,
        of_sums: true,
        shared: verdict.dominance_percent < 100,
        supports: supports(&aggregates, &input).unwrap(),
    };
    let traced = Traced { key: KEY, trails: about.trails(KEY, &made).unwrap() };
    let asked = Asked { grouping, kinds: &KINDS };
    let twice = by_entity(input, &about, &asked, verdict.dominance_percent < 100, Some(&traced)).unwrap();
    let once = run(once, group.len(), engine).await.unwrap();
    let twice = run(twice, group.len(), ENGINE).await.unwrap();
    [once, twice]
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn is_about(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * (1.0 + one.abs().max(other.abs()))
}

/// What both know of the same rows, where no group has so many entities that places are counted.
fn assert_same(once: &[Known], twice: &[Known]) {
    assert_eq!(once.len(), twice.len(), "groups");
    for (once, twice) in once.iter().zip(twice) {
        assert_eq!(once.entities, twice.entities);
        assert_same_traces(once, twice);
        for (at, (one, other)) in once.values.iter().zip(&twice.values).enumerate() {
            assert_eq!(one.0, other.0, "present in value {at}");
            assert_eq!(one.1.is_some(), other.1.is_some());
            if let (Some((top, whole)), Some((its, all))) = (one.1, other.1) {
                assert!(is_about(top, its) && is_about(whole, all), "value {at}: {one:?} and {other:?}");
            }
        }
        // Of nobody nothing leaves: a count is 0 in one pass, and nothing at all in two.
        if once.entities > 0 {
            assert_same_answers(once, twice);
        }
    }
}

fn assert_same_answers(once: &Known, twice: &Known) {
    for (one, other) in once.released.iter().zip(&twice.released) {
        let same = one.zip(*other).map_or(one == other, |(one, other)| is_about(one, other));
        assert!(same, "{one:?} and {other:?}");
    }
}

fn assert_same_traces(once: &Known, twice: &Known) {
    assert_eq!(once.traces.len(), twice.traces.len());
    for (one, other) in once.traces.iter().zip(&twice.traces) {
        assert_eq!(one.sums(), other.sums());
        assert_eq!(one.weights().is_some(), other.weights().is_some());
        let weights = one.weights().into_iter().flatten().zip(other.weights().into_iter().flatten());
        weights.for_each(|(one, other)| assert!(is_about(*one, *other), "{one} and {other}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_pass_knows_what_two_know(rows in rows(40, 600), texts: bool, grouped: bool, shared: bool, skips_partial: bool) {
        let engine = Engine { skips_partial, ..ENGINE };
        let verdict = verdict(3, if shared { 80 } else { 100 });
        let [once, twice] = block(both(&rows, texts, grouped, &verdict, engine));
        assert_same(&once, &twice);
    }
}

/// Rows of many entities; without signs where they are not wanted. One of the entities has far more than any other.
fn many(entities: u16, signed: bool) -> Vec<Row> {
    let least = |number: i32, below: i32| if signed { number % below - below / 3 } else { number % below };
    let row = |at: i32| {
        let decimal = if at % 100 == 7 { 50_000 } else { least(at * 31, 40) };
        let entity = if at % 100 == 7 { 7 } else { (at * 13 % i32::from(entities)) as u16 };
        (
            1 + (at % 7 == 0) as u8,
            Some(entity),
            Some(decimal),
            least(at * 17, 12),
            Some(least(at, 9) as f32),
            at % 3 == 0,
        )
    };
    (0..i32::from(entities) * 4).map(row).collect()
}

#[test]
fn where_places_are_counted_nothing_is_more_than_it_is() {
    for (signed, skips_partial) in [(false, false), (true, false), (false, true)] {
        let rows = many(5_000, signed);
        let engine = Engine { skips_partial, ..ENGINE };
        let [once, twice] = block(both(&rows, false, true, &verdict(10, 80), engine));
        assert_eq!(once.len(), twice.len());
        for (once, twice) in once.iter().zip(&twice) {
            assert!(twice.entities > i64::from(APART_MAX), "the group is large: {}", twice.entities);
            assert!((i64::from(APART_MAX)..=twice.entities).contains(&once.entities), "{}", once.entities);
            assert_same_traces(once, twice);
            assert_same_answers(once, twice);
            for (one, other) in once.values.iter().zip(&twice.values) {
                assert!(one.0 <= other.0 && one.0 >= other.0.min(500), "{one:?} and {other:?}");
                let (Some((top, whole)), Some((its, all))) = (one.1, other.1) else { continue };
                assert!(top >= its * (1.0 - 1e-9) && whole <= all * (1.0 + 1e-9), "{one:?} and {other:?}");
                // And hardly less certain, where nothing cancels out: a place has a thousandth of the rest.
                assert!(signed || top - its <= all * 0.02 && is_about(whole, all), "{one:?} and {other:?}");
            }
        }
    }
}

#[test]
fn where_a_group_needs_many_nobody_is_counted_by_places() {
    let rows = many(3_000, true);
    let [once, twice] = block(both(&rows, false, true, &verdict(200, 80), ENGINE));
    assert!(twice.iter().all(|group| group.entities > i64::from(APART_MAX)));
    assert_same(&once, &twice);
}

#[test]
fn memory_that_is_not_there_is_an_error() {
    let rows = many(5_000, false);
    let grouping = Grouping { keys: &[col("t.k")], aggregates: &aggregates(), linear: &LINEAR };
    let once = plan(scan(&rows, false), &about(), grouping, &verdict(10, 80), Some(KEY)).unwrap();
    let failed = block(run(once, 1, Engine { memory_bytes: 20_000, ..ENGINE })).unwrap_err();
    assert!(matches!(failed.find_root(), DataFusionError::ResourcesExhausted(_)), "{failed}");
}
