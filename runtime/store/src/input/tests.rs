//! Every format says the same: rows written by writers of our own are read back, and damage is refused, not panicked at.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow::compute::concat_batches;
use arrow::ipc::writer::StreamWriter;
use domicile_types::{Column, ColumnType, Dataset, Residency};
use parquet::arrow::ArrowWriter;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::{Columns, Format, Input, Source};
use crate::catalog::{Catalog, DatasetSpec};
use crate::refusals::Refusals;
use crate::{HeaderProblem, StoreError};

/// A row: every type, in the order of the columns below.
type Row = (i64, Option<i32>, Option<f64>, Option<i128>, Option<String>, Option<i32>, Option<bool>);

const NAMES: [&str; 7] = ["id", "small", "ratio", "money", "label", "day", "flag"];
const FORMATS: [Format; 5] = [Format::Csv, Format::Json, Format::Ndjson, Format::ArrowStream, Format::Parquet];

fn catalog(key: &[&str]) -> Catalog {
    let kinds = [
        ColumnType::BigInt,
        ColumnType::Integer,
        ColumnType::Double,
        ColumnType::Decimal { precision: 38, scale: 4 },
        ColumnType::Text,
        ColumnType::Date,
        ColumnType::Boolean,
    ];
    let column = |(name, kind): (&str, ColumnType)| Column { name: name.to_owned(), kind, nullable: name != "id" };
    let columns = NAMES.into_iter().zip(kinds).map(column).collect();
    let key = key.iter().map(|name| (*name).to_owned()).collect();
    let dataset = Dataset::new("facts".parse().unwrap(), columns, key).unwrap();
    Catalog::new(vec![DatasetSpec { dataset, residency: Residency::Reference }], &BTreeMap::new()).unwrap()
}

fn read(source: Source, format: Format, key: &[&str], columns: Columns) -> Result<RecordBatch, StoreError> {
    let catalog = catalog(key);
    let entry = catalog.entry(&"facts".parse().unwrap())?;
    let mut input = Input::open(source, format, entry, columns)?;
    let (mut batches, mut refusals, mut rows) = (Vec::new(), Refusals::default(), 0);
    while let Some(batch) = input.next(rows, &mut refusals)? {
        rows += batch.num_rows();
        batches.push(batch);
    }
    refusals.into_result()?;
    let wanted = super::columns::Wanted::new(entry, columns)?;
    Ok(concat_batches(&wanted.schema, &batches)?)
}

/// Gives at most that many bytes at a time.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(self.1);
        self.0.read(&mut buffer[..most])
    }
}

fn read_bytes(bytes: Vec<u8>, format: Format, at_once: usize) -> Result<RecordBatch, StoreError> {
    if format != Format::Parquet {
        let stream = Trickle(Cursor::new(bytes), at_once);
        return read(Source::Stream(Box::new(stream)), format, &[], Columns::All);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    read(Source::File(file.path().to_owned()), format, &[], Columns::All)
}

fn day(days: i32) -> String {
    let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    epoch.checked_add_signed(chrono::TimeDelta::days(days.into())).unwrap().to_string()
}

fn money(units: i128) -> String {
    let digits = units.unsigned_abs();
    format!("{}{}.{:04}", if units < 0 { "-" } else { "" }, digits / 10_000, digits % 10_000)
}

/// The cells of a row as texts, numbers written in full.
fn cells(row: &Row) -> [Option<String>; 7] {
    let (id, small, ratio, units, label, days, flag) = row;
    [
        Some(id.to_string()),
        small.map(|small| small.to_string()),
        ratio.map(|ratio| format!("{ratio:e}")),
        units.map(money),
        label.clone(),
        days.map(day),
        flag.map(|flag| flag.to_string()),
    ]
}

fn csv(rows: &[Row]) -> Vec<u8> {
    let mut text = format!("{}\r\n", NAMES.join(","));
    for row in rows {
        let cell =
            |cell: Option<String>| cell.map_or_else(String::new, |cell| format!("\"{}\"", cell.replace('"', "\"\"")));
        text += &format!("{}\r\n", cells(row).map(cell).join(","));
    }
    text.into_bytes()
}

fn object(row: &Row) -> String {
    let member = |(name, cell): (&str, Option<String>)| {
        let value = match (name, cell) {
            ("label" | "day", Some(text)) => serde_json::to_string(&text).unwrap(),
            (_, Some(text)) => text,
            (_, None) => return None,
        };
        Some(format!("\"{name}\" : {value}"))
    };
    let members: Vec<_> = NAMES.into_iter().zip(cells(row)).rev().filter_map(member).collect();
    format!("{{{}}}", members.join(", "))
}

fn batch(rows: &[Row]) -> RecordBatch {
    let money = Decimal128Array::from_iter(rows.iter().map(|row| row.3)).with_precision_and_scale(38, 4).unwrap();
    let columns: [ArrayRef; 7] = [
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.1))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.2))),
        Arc::new(money),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.4.as_deref()))),
        Arc::new(Date32Array::from_iter(rows.iter().map(|row| row.5))),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|row| row.6))),
    ];
    RecordBatch::try_from_iter_with_nullable(NAMES.into_iter().zip(columns).map(|(name, column)| (name, column, true)))
        .unwrap()
}

fn write(rows: &[Row], format: Format) -> Vec<u8> {
    let objects: Vec<String> = rows.iter().map(object).collect();
    match format {
        Format::Csv => csv(rows),
        Format::Json => format!("[{}]", objects.join(",\n")).into_bytes(),
        Format::Ndjson => objects.join("\n").into_bytes(),
        Format::ArrowStream => {
            let mut writer = StreamWriter::try_new(Vec::new(), &batch(&[]).schema()).unwrap();
            rows.chunks(3).for_each(|rows| writer.write(&batch(rows)).unwrap());
            writer.finish().unwrap();
            writer.into_inner().unwrap()
        }
        Format::Parquet => {
            let mut writer = ArrowWriter::try_new(Vec::new(), batch(&[]).schema(), None).unwrap();
            writer.write(&batch(rows)).unwrap();
            writer.into_inner().unwrap()
        }
    }
}

fn row() -> impl Strategy<Value = Row> {
    const UNITS: i128 = 10_i128.pow(38) - 1;
    let numbers =
        (any::<i64>(), of(any::<i32>()), of(prop::num::f64::NORMAL | prop::num::f64::ZERO), of(-UNITS..=UNITS));
    // A CSV field without content is a missing value, so texts have some.
    (numbers, of("\\PC{1,8}|[\",\\\\\\r\\n{}\\[\\] ]{1,4}"), of(-700_000..700_000), of(any::<bool>()))
        .prop_map(|((id, small, ratio, units), label, days, flag)| (id, small, ratio, units, label, days, flag))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_read_as_they_were_written(rows in vec(row(), 0..12), at_once in 1_usize..40) {
        for format in FORMATS {
            let got = read_bytes(write(&rows, format), format, at_once)?;
            prop_assert_eq!(got, batch(&rows), "{}", format);
        }
    }

    #[test]
    fn what_is_cut_off_is_refused_or_ends_between_rows(rows in vec(row(), 1..6), cut in any::<prop::sample::Index>()) {
        for format in FORMATS {
            let whole = write(&rows, format);
            let kept = cut.index(whole.len());
            let read = read_bytes(whole[..kept].to_vec(), format, usize::MAX);
            let may_end_early = matches!(format, Format::Csv | Format::Ndjson);
            prop_assert!(read.is_err() || may_end_early, "{format} cut at {kept} of {}", whole.len());
        }
    }

    #[test]
    fn damage_never_panics(
        rows in vec(row(), 1..6),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        noise in vec(any::<u8>(), 0..200),
    ) {
        for format in FORMATS {
            let mut bytes = write(&rows, format);
            for (place, byte) in &damage {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            drop(read_bytes(bytes, format, 7));
            drop(read_bytes(noise.clone(), format, 7));
        }
    }
}

#[test]
fn a_deletion_names_the_columns_of_the_key_in_its_order() {
    let read = |text: &str, format, key: &[&str]| {
        let bytes = text.as_bytes().to_vec();
        read(Source::Stream(Box::new(Cursor::new(bytes))), format, key, Columns::Key)
    };
    let key = ["label", "id"];
    let expect = batch(&[(1, None, None, None, Some("a".to_owned()), None, None)]).project(&[4, 0]).unwrap();
    assert_eq!(read("id,label\n1,a\n", Format::Csv, &key).unwrap(), expect);
    assert_eq!(read("{\"id\": 1, \"label\": \"a\"}", Format::Json, &key).unwrap(), expect);
    let header = |text| match read(text, Format::Csv, &key) {
        Err(StoreError::Header { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(header("id,flag,label\n"), HeaderProblem::NotKey { column: "flag".to_owned() });
    assert_eq!(header("id\n"), HeaderProblem::Missing { column: "label".to_owned() });
    let error = read("{\"id\": 1, \"label\": \"a\", \"flag\": true}", Format::Ndjson, &key).unwrap_err();
    assert!(error.to_string().contains("row 1, column flag, value \"true\": not part of the primary key"), "{error}");
    assert!(matches!(read("id\n1\n", Format::Csv, &[]), Err(StoreError::NoKey { .. })));
}

#[test]
fn a_source_that_breaks_off_is_an_error_of_its_own() {
    struct Broken(Cursor<Vec<u8>>);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(std::io::ErrorKind::ConnectionAborted.into()),
                read => Ok(read),
            }
        }
    }

    let rows = [(1, None, None, None, None, None, None)];
    for format in [Format::Csv, Format::Json, Format::Ndjson, Format::ArrowStream] {
        let whole = write(&rows, format);
        for kept in 0..=whole.len() {
            let source = Source::Stream(Box::new(Broken(Cursor::new(whole[..kept].to_vec()))));
            let error = read(source, format, &[], Columns::All).unwrap_err();
            assert!(matches!(error, StoreError::Source { .. }), "{format} at {kept}: {error}");
        }
    }
}

#[test]
fn parquet_needs_a_file() {
    let bytes = write(&[], Format::Parquet);
    let error = read(Source::Stream(Box::new(Cursor::new(bytes))), Format::Parquet, &[], Columns::All).unwrap_err();
    assert!(error.to_string().contains("keep it in a file first"), "{error}");
    let missing = tempfile::TempDir::new().unwrap().path().join("none");
    assert!(File::open(&missing).is_err());
    let error = read(Source::File(missing), Format::Csv, &[], Columns::All).unwrap_err();
    assert!(matches!(error, StoreError::Io { action: "open", .. }), "{error}");
}
