//! Parquet: columns by name, types cast where nothing is lost.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date64Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
    Int8Array, Int32Array, Int64Array, LargeStringArray, NullArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::Int32Type;
use domicile_store::{DatasetSpec, Format, StoreError};
use domicile_types::{ColumnType, Residency};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter, encode_arrow_schema};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

use crate::fixture::{self, Region, dataset, load_file, open};

fn write(path: &std::path::Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Loads a column of the file into a column of `kind`, and expects the stored values or the error's text.
#[track_caller]
fn check(kind: ColumnType, values: ArrayRef, expect: Result<&[&str], &str>) {
    let root = TempDir::new().unwrap();
    let spec = DatasetSpec { dataset: dataset("facts", &[("fact", kind, true)], &[]), residency: Residency::Reference };
    let mut store = open(&root.path().join("store"), vec![spec]).unwrap();
    let file = root.path().join("upload");
    write(&file, vec![("fact", values)]);
    match (load_file(&mut store, "facts", &file, Format::Parquet), expect) {
        (Ok(_), Ok(expect)) => assert_eq!(fixture::rows(&store.reader(), "facts"), expect),
        (Err(error), Err(expect)) => assert!(error.to_string().ends_with(expect), "{error}"),
        (got, _) => panic!("{got:?}"),
    }
}

fn decimals(values: &[i128], precision: u8, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(values.to_vec()).with_precision_and_scale(precision, scale).unwrap())
}

#[test]
fn integers() {
    check(ColumnType::BigInt, Arc::new(Int8Array::from(vec![Some(-1), None])), Ok(&["-1", ""]));
    check(ColumnType::BigInt, Arc::new(UInt64Array::from(vec![1])), Ok(&["1"]));
    check(
        ColumnType::BigInt,
        Arc::new(UInt64Array::from(vec![u64::MAX])),
        Err("row 1, column fact, value \"18446744073709551615\": cannot be held by type bigint without loss"),
    );
    check(ColumnType::Integer, Arc::new(Int64Array::from(vec![7, -7])), Ok(&["7", "-7"]));
    check(
        ColumnType::Integer,
        Arc::new(Int64Array::from(vec![Some(7), None, Some(1 << 31)])),
        Err("row 3, column fact, value \"2147483648\": cannot be held by type integer without loss"),
    );
    check(
        ColumnType::BigInt,
        Arc::new(Float64Array::from(vec![1.0])),
        Err("column `fact` of the file has type double, which cannot become bigint"),
    );
}

#[test]
fn decimals_and_doubles() {
    let money = ColumnType::Decimal { precision: 15, scale: 2 };
    check(money, decimals(&[12_345], 9, 2), Ok(&["123.45"]));
    check(money, decimals(&[12_500], 30, 4), Ok(&["1.25"]));
    check(money, Arc::new(Int32Array::from(vec![5])), Ok(&["5.00"]));
    check(
        money,
        decimals(&[12_345], 30, 4),
        Err("value \"1.2345\": cannot be held by type decimal(15,2) without loss"),
    );
    check(
        money,
        decimals(&[10_i128.pow(20)], 30, 2),
        Err("value \"1000000000000000000.00\": cannot be held by type decimal(15,2) without loss"),
    );
    check(
        money,
        Arc::new(Float64Array::from(vec![1.5])),
        Err("column `fact` of the file has type double, which cannot become decimal(15,2)"),
    );
    check(ColumnType::Double, Arc::new(Float32Array::from(vec![0.5])), Ok(&["0.5"]));
    check(ColumnType::Double, Arc::new(Int64Array::from(vec![3])), Ok(&["3.0"]));
    check(
        ColumnType::Double,
        Arc::new(Int64Array::from(vec![(1 << 53) + 1])),
        Err("value \"9007199254740993\": cannot be held by type double without loss"),
    );
}

#[test]
fn texts_dates_booleans() {
    check(ColumnType::Text, Arc::new(LargeStringArray::from(vec![Some("a"), None])), Ok(&["a", ""]));
    check(ColumnType::Text, Arc::new(StringViewArray::from(vec!["a"])), Ok(&["a"]));
    let dictionary: DictionaryArray<Int32Type> = vec!["b", "a", "b"].into_iter().collect();
    check(ColumnType::Text, Arc::new(dictionary), Ok(&["b", "a", "b"]));
    check(
        ColumnType::Text,
        Arc::new(Int64Array::from(vec![1])),
        Err("column `fact` of the file has type bigint, which cannot become text"),
    );
    let day_ms = 86_400_000;
    check(ColumnType::Date, Arc::new(Date64Array::from(vec![day_ms])), Ok(&["1970-01-02"]));
    check(ColumnType::Date, Arc::new(TimestampMicrosecondArray::from(vec![day_ms * 1000])), Ok(&["1970-01-02"]));
    check(
        ColumnType::Date,
        Arc::new(TimestampMicrosecondArray::from(vec![day_ms * 1000 + 1])),
        Err("value \"1970-01-02T00:00:00.000001\": cannot be held by type date without loss"),
    );
    check(ColumnType::Boolean, Arc::new(BooleanArray::from(vec![true])), Ok(&["true"]));
    check(ColumnType::Boolean, Arc::new(NullArray::new(1)), Ok(&[""]));
}

#[test]
fn a_follower_from_parquet() {
    let mut region = Region::filled();
    let file = region.root.path().join("upload");
    write(
        &file,
        vec![
            ("l_quantity", decimals(&[100], 15, 2)),
            ("l_linenumber", Arc::new(Int64Array::from(vec![9]))),
            ("l_orderkey", Arc::new(Int32Array::from(vec![12]))),
        ],
    );
    load_file(&mut region.store, "lineitem", &file, Format::Parquet).unwrap();
    assert_eq!(region.rows("lineitem").last().unwrap(), "12|9|1.00|2");
}

#[test]
fn unknown_and_broken_files() {
    let mut region = Region::empty();
    let file = region.root.path().join("upload");
    write(
        &file,
        vec![("n_nationkey", Arc::new(Int64Array::from(vec![1]))), ("name", Arc::new(StringArray::from(vec!["x"])))],
    );
    let error = load_file(&mut region.store, "nation", &file, Format::Parquet).unwrap_err();
    assert!(error.to_string().contains("it has no column `name`; did you mean `n_name`?"), "{error}");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 9]).unwrap();
    let error = load_file(&mut region.store, "nation", &file, Format::Parquet).unwrap_err();
    assert!(matches!(error, StoreError::Malformed { format: Format::Parquet, row: 0, .. }), "{error}");
}

/// A writer may say in its own notes that bytes are texts, and what reads texts then does not look at them.
#[test]
fn texts_are_utf8_whatever_the_file_says_of_them() {
    let texts = [&b"plain"[..], b"\xff\xfe\xfd is none, and too long to lie in a view"];
    for rows in [1, 2] {
        let root = TempDir::new().unwrap();
        let fact = dataset("facts", &[("fact", ColumnType::Text, true)], &[]);
        let spec = DatasetSpec { dataset: fact, residency: Residency::Reference };
        let mut store = open(&root.path().join("store"), vec![spec]).unwrap();
        let file = root.path().join("upload");
        let said = RecordBatch::try_from_iter([("fact", Arc::new(StringArray::from(vec![""])) as ArrayRef)]).unwrap();
        let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(&texts[..rows]));
        let bytes = RecordBatch::try_from_iter([("fact", bytes)]).unwrap();
        let notes = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&said.schema()));
        let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![notes])).build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let upload = File::create(&file).unwrap();
        let mut writer = ArrowWriter::try_new_with_options(upload, bytes.schema(), options).unwrap();
        writer.write(&bytes).unwrap();
        writer.close().unwrap();
        match (load_file(&mut store, "facts", &file, Format::Parquet), rows) {
            (Ok(_), 1) => assert_eq!(fixture::rows(&store.reader(), "facts"), ["plain"]),
            (Err(error), 2) => assert!(error.to_string().contains("a text in the next rows is not UTF-8"), "{error}"),
            (got, _) => panic!("{got:?}"),
        }
    }
}
