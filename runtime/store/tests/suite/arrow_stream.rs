//! Arrow streams: columns by name, types cast where nothing is lost, nothing believed about lengths.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use domicile_store::{Format, StoreError};
use domicile_types::{ColumnType, limits};

use crate::fixture::{Region, load_facts};

fn stream(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn facts(fact: ArrayRef) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values((1..).take(fact.len())));
    batch(vec![("fact", fact), ("id", ids)])
}

#[track_caller]
fn check(kind: ColumnType, fact: ArrayRef, expect: Result<&[&str], &str>) {
    for compression in [None, Some(CompressionType::LZ4_FRAME)] {
        let bytes = stream(&[facts(Arc::clone(&fact))], compression);
        match (load_facts(kind, Format::ArrowStream, &bytes), expect) {
            (Ok(rows), Ok(expect)) => assert_eq!(rows, expect),
            (Err(error), Err(expect)) => assert!(error.to_string().ends_with(expect), "{error}"),
            (got, _) => panic!("{got:?}"),
        }
    }
}

#[test]
fn types_go_where_nothing_is_lost() {
    check(
        ColumnType::BigInt,
        Arc::new(Int64Array::from(vec![Some(1 << 60), None])),
        Ok(&["1|1152921504606846976", "2|"]),
    );
    let texts: DictionaryArray<Int32Type> = vec!["b", "a", "b"].into_iter().collect();
    check(ColumnType::Text, Arc::new(texts), Ok(&["1|b", "2|a", "3|b"]));
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
fn columns_are_checked_before_rows() {
    let mut region = Region::empty();
    let columns = batch(vec![
        ("n_nationkey", Arc::new(Int64Array::from(vec![1]))),
        ("name", Arc::new(StringArray::from(vec!["x"]))),
    ]);
    let error = region.load_as("nation", Format::ArrowStream, stream(&[columns], None)).unwrap_err();
    assert!(error.to_string().contains("it has no column `name`; did you mean `n_name`?"), "{error}");
}

#[test]
fn batches_follow_each_other_and_large_ones_are_taken_in_parts() {
    let texts = |range: std::ops::Range<i64>| {
        let texts: StringArray = range.map(|number| Some(format!("text {number}"))).collect();
        facts(Arc::new(texts))
    };
    let bytes = stream(&[texts(0..20_000), texts(0..0), texts(20_000..20_001)], None);
    let rows = load_facts(ColumnType::Text, Format::ArrowStream, &bytes).unwrap();
    assert_eq!(rows.len(), 20_001);
    assert_eq!((rows[8_192].as_str(), rows[20_000].as_str()), ("8193|text 8192", "1|text 20000"));
}

#[track_caller]
fn check_broken(bytes: &[u8], expect: &str) {
    let error = load_facts(ColumnType::BigInt, Format::ArrowStream, bytes).unwrap_err();
    assert!(matches!(error, StoreError::Malformed { .. } | StoreError::Oversized { .. }), "{error}");
    assert!(error.to_string().contains(expect), "{error}");
}

#[test]
fn broken_streams() {
    let whole = stream(&[facts(Arc::new(Int64Array::from(vec![1, 2])))], None);
    check_broken(b"", "it ends without its end marker");
    check_broken(&[0, 0, 0, 0], "it ends before its schema");
    check_broken(&whole[..whole.len() - 8], "after row 2: it ends without its end marker");
    check_broken(&whole[..whole.len() - 9], "it ends without its end marker");
    check_broken(&[whole.as_slice(), b"x"].concat(), "there are bytes behind its end marker");
    check_broken(&[&whole[..whole.len() - 8], whole.as_slice()].concat(), "it has two schemas");
    check_broken(b"id,fact\n1,2\n", "it is not an Arrow stream");
}

/// Where in a stream the first buffer's claim of its decompressed length stands.
fn first_claim(bytes: &[u8], length: i64) -> usize {
    bytes.windows(8).position(|window| window == length.to_le_bytes()).unwrap()
}

#[test]
fn claims_take_no_memory() {
    let facts = facts(Arc::new(Int64Array::from(vec![7; 4096])));
    let mut packed = stream(std::slice::from_ref(&facts), Some(CompressionType::LZ4_FRAME));
    let claim = first_claim(&packed, 4096 * 8);
    packed[claim..claim + 8].copy_from_slice(&i64::MAX.to_le_bytes());
    check_broken(&packed, "a message exceeds 134217728 bytes decompressed");
    let plain = stream(&[facts], None);
    // The length of the batch, then that of its body: the numbers 4096 and 16384 + 32768 in its header.
    for (number, claimed, expect) in [
        (4096_i64, 1 << 40, "the message after row 0 exceeds 16777216 rows"),
        (16_384 + 32_768, 1 << 40, "the message after row 0 exceeds 134217728 bytes"),
        (16_384 + 32_768, limits::ARROW_MESSAGE_BYTES_MAX.cast_signed(), "it ends without its end marker"),
        (16_384 + 32_768, -1, "a message has a negative length"),
    ] {
        let mut bytes = plain.clone();
        let at = first_claim(&bytes, number);
        bytes[at..at + 8].copy_from_slice(&i64::to_le_bytes(claimed));
        check_broken(&bytes, expect);
    }
}
