//! However little is sent and however much it claims or repeats, preparing it takes bounded memory.
//!
//! The most memory that a process ever had is a number of the whole process, so each body is taken by one of its own,
//! which has done nothing else.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
    StringViewBuilder,
};
use arrow::datatypes::Int32Type;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use domicile_store::{DatasetSpec, Format, Operation, Source};
use domicile_types::{ColumnType, Residency, limits};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

use crate::fixture::{NOW_MS, batch, dataset, open};

/// The body that a process of its own is to take; its format; and the bytes of memory that this may take.
const BODY: &str = "DOMICILE_TEST_BODY";
const FORMAT: &str = "DOMICILE_TEST_FORMAT";
const MOST: &str = "DOMICILE_TEST_MOST";

/// What is sorted at a time is there a few times over while it is checked and written, next to what it is read from.
const TAKEN: u64 = 6 * limits::LOAD_CHUNK_BYTES_MAX as u64;
/// What is refused takes not even as much as is sorted at a time.
const REFUSED: u64 = limits::LOAD_CHUNK_BYTES_MAX as u64;

fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// What a process of its own does: prepares a body as rows of `texts (id bigint, text text)`.
#[test]
fn takes_a_body() {
    let given = |name| std::env::var(name).ok();
    let (Some(body), Some(format), Some(most)) = (given(BODY), given(FORMAT), given(MOST)) else { return };
    let format = if format == "parquet" { Format::Parquet } else { Format::ArrowStream };
    let root = TempDir::new().unwrap();
    let columns = [("id", ColumnType::BigInt, false), ("text", ColumnType::Text, true)];
    let spec = DatasetSpec { dataset: dataset("texts", &columns, &["id"]), residency: Residency::Reference };
    let store = open(&root.path().join("store"), vec![spec]).unwrap();
    let before = peak();
    let source = Source::File(PathBuf::from(body));
    let prepared = store.preparer().prepare(batch("texts", Operation::Upsert, format), source, NOW_MS);
    let grown = peak() - before;
    assert!(grown < most.parse().unwrap(), "it took {grown} bytes, {most} are allowed");
    println!("took {} MiB", grown >> 20);
    if let Err(error) = prepared {
        println!("refused: {error}");
    }
}

/// Has a process of its own prepare what `body` writes; the error is what it says.
#[track_caller]
fn prepare(format: Format, body: impl FnOnce(&Path), most: u64) -> Result<(), String> {
    let root = TempDir::new().unwrap();
    let file = root.path().join("upload");
    body(&file);
    let length = fs::metadata(&file).unwrap().len();
    assert!(length < 16 * MIB as u64, "{length} bytes are no small body");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "memory::takes_a_body", "--nocapture"]);
    command.env(BODY, &file).env(MOST, most.to_string());
    command.env(FORMAT, if format == Format::Parquet { "parquet" } else { "arrow" });
    let output = command.output().unwrap();
    let (said, problem) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("took "), "{length} bytes: {}: {problem}", output.status);
    println!("{length} bytes: {said}");
    match said.split_once("refused: ") {
        None => Ok(()),
        Some((_, refusal)) => Err(refusal.lines().next().unwrap_or_default().to_owned()),
    }
}

/// Rows that all have one text.
fn repeated(text: &str, rows: usize) -> RecordBatch {
    let texts: DictionaryArray<Int32Type> =
        DictionaryArray::new(Int32Array::from(vec![0; rows]), Arc::new(StringArray::from(vec![text])));
    with_ids(Arc::new(texts))
}

fn with_ids(texts: ArrayRef) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..).take(texts.len())));
    RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap()
}

/// Views that all show one text.
fn views(text: &str, rows: usize) -> StringViewArray {
    let mut views = StringViewBuilder::new();
    let block = views.append_block(text.as_bytes().into());
    (0..rows).for_each(|_| views.try_append_view(block, 0, u32::try_from(text.len()).unwrap()).unwrap());
    views.finish()
}

fn arrow(rows: &RecordBatch, compression: Option<CompressionType>) -> impl FnOnce(&Path) + use<> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &rows.schema(), options).unwrap();
    writer.write(rows).unwrap();
    writer.finish().unwrap();
    let bytes = writer.into_inner().unwrap();
    move |path| fs::write(path, bytes).unwrap()
}

fn parquet(rows: RecordBatch, encoding: Option<Encoding>) -> impl FnOnce(&Path) {
    move |path| {
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
        let properties = match encoding {
            Some(encoding) => properties.set_dictionary_enabled(false).set_encoding(encoding),
            None => properties,
        };
        let file = File::create(path).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties.build())).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
    }
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

#[test]
fn an_arrow_dictionary_is_expanded_in_bounded_memory() {
    prepare(Format::ArrowStream, arrow(&repeated(&"a".repeat(256 * KIB), 2400), None), TAKEN).unwrap();
}

#[test]
fn arrow_views_are_expanded_in_bounded_memory() {
    let views = views(&"a".repeat(256 * KIB), 2400);
    prepare(Format::ArrowStream, arrow(&with_ids(Arc::new(views)), None), TAKEN).unwrap();
}

#[test]
fn a_dictionary_of_arrow_views_is_expanded_only_where_it_is_used() {
    let texts = DictionaryArray::<Int32Type>::new(
        Int32Array::from_iter_values((0..16).map(|row| row * 1000)),
        Arc::new(views(&"a".repeat(MIB), 20_000)),
    );
    prepare(Format::ArrowStream, arrow(&with_ids(Arc::new(texts)), None), TAKEN).unwrap();
}

#[test]
fn large_arrow_texts_that_compress_well_take_bounded_memory() {
    let texts = LargeStringArray::from(vec!["a".repeat(8 * MIB); 12]);
    for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let body = arrow(&with_ids(Arc::new(texts.clone())), Some(compression));
        prepare(Format::ArrowStream, body, TAKEN).unwrap();
    }
}

/// Puts another claim in place of the one that a compressed buffer has so many bytes.
fn claiming(body: impl FnOnce(&Path), actual: i64, claimed: i64) -> impl FnOnce(&Path) {
    move |path| {
        body(path);
        let mut bytes = fs::read(path).unwrap();
        let at = bytes.windows(8).rposition(|window| window == actual.to_le_bytes()).unwrap();
        bytes[at..at + 8].copy_from_slice(&claimed.to_le_bytes());
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn arrow_buffers_that_are_longer_than_they_say_are_refused() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a".repeat(600 * MIB)]));
    let rows = with_ids(texts);
    for (compression, problem) in
        [(CompressionType::LZ4_FRAME, "longer than it says"), (CompressionType::ZSTD, "too small")]
    {
        let body = claiming(arrow(&rows, Some(compression)), (600 * MIB) as i64, 64);
        let error = prepare(Format::ArrowStream, body, REFUSED).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn an_arrow_schema_that_uses_its_parts_again_and_again_is_refused() {
    let body = |path: &Path| {
        let header = doubling_schema(40);
        let mut file = File::create(path).unwrap();
        file.write_all(&u32::MAX.to_le_bytes()).unwrap();
        file.write_all(&u32::try_from(header.len()).unwrap().to_le_bytes()).unwrap();
        file.write_all(&header).unwrap();
    };
    let error = prepare(Format::ArrowStream, body, REFUSED).unwrap_err();
    assert!(error.contains("cannot be read as an Arrow stream after row 0"), "{error}");
}

/// A schema of one field with two children, both of them the same field, and so on.
fn doubling_schema(depth: usize) -> Vec<u8> {
    use arrow::ipc::{
        Field, FieldArgs, Message, MessageArgs, MessageHeader, MetadataVersion, Schema, SchemaArgs, Struct_,
        Struct_Args, Type,
    };
    let mut builder = flatbuffers::FlatBufferBuilder::new();
    let name = builder.create_string("a");
    let kind = Struct_::create(&mut builder, &Struct_Args {}).as_union_value();
    let mut children = None;
    for _ in 0..depth {
        let args = FieldArgs {
            name: Some(name),
            type_type: Type::Struct_,
            type_: Some(kind),
            children,
            ..FieldArgs::default()
        };
        let field = Field::create(&mut builder, &args);
        children = Some(builder.create_vector(&[field, field]));
    }
    let schema = Schema::create(&mut builder, &SchemaArgs { fields: children, ..SchemaArgs::default() });
    let args = MessageArgs {
        version: MetadataVersion::V5,
        header_type: MessageHeader::Schema,
        header: Some(schema.as_union_value()),
        ..MessageArgs::default()
    };
    let message = Message::create(&mut builder, &args);
    builder.finish(message, None);
    builder.finished_data().to_vec()
}

#[test]
fn a_parquet_dictionary_is_expanded_in_bounded_memory() {
    prepare(Format::Parquet, parquet(repeated(&"a".repeat(256 * KIB), 2400), None), TAKEN).unwrap();
}

#[test]
fn parquet_pages_that_compress_well_take_bounded_memory() {
    let text = "a".repeat(MIB);
    let body = move |path: &Path| {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_dictionary_enabled(false)
            .set_write_batch_size(8)
            .build();
        let rows = repeated(&text, 8);
        let file = File::create(path).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
        (0..128).for_each(|_| writer.write(&rows).unwrap());
        writer.close().unwrap();
    };
    prepare(Format::Parquet, body, TAKEN).unwrap();
}

#[test]
fn a_parquet_page_that_is_too_large_is_refused_before_it_is_decompressed() {
    let rows = repeated(&"a".repeat(4 * MIB), 160);
    let error = prepare(Format::Parquet, parquet(rows, Some(Encoding::PLAIN)), REFUSED).unwrap_err();
    assert!(error.contains("write smaller pages"), "{error}");
}

#[test]
fn delta_encoded_texts_are_refused_in_parquet() {
    for encoding in [Encoding::DELTA_BYTE_ARRAY, Encoding::DELTA_LENGTH_BYTE_ARRAY] {
        let columns = vec!["a".repeat(KIB); 100];
        let texts: ArrayRef = Arc::new(StringArray::from(columns));
        let body = move |path: &Path| {
            let properties = WriterProperties::builder()
                .set_dictionary_enabled(false)
                .set_column_encoding("text".into(), encoding)
                .build();
            let rows = with_ids(texts);
            let mut writer =
                ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), Some(properties)).unwrap();
            writer.write(&rows).unwrap();
            writer.close().unwrap();
        };
        let error = prepare(Format::Parquet, body, REFUSED).unwrap_err();
        assert!(error.contains("take the encoding PLAIN or a dictionary"), "{error}");
    }
}

/// A row that is too long, in each format.
#[test]
fn no_format_takes_a_longer_row_than_another() {
    let long = "a".repeat(limits::ROW_BYTES_MAX + 1);
    let one = |text: ArrayRef| arrow(&with_ids(text), Some(CompressionType::ZSTD));
    let error = |format, body: Box<dyn FnOnce(&Path)>| prepare(format, body, REFUSED).unwrap_err();
    let errors = [
        error(Format::Parquet, Box::new(parquet(repeated(&long, 30), None))),
        error(Format::ArrowStream, Box::new(one(Arc::new(StringArray::from(vec![long.as_str()]))))),
        error(Format::ArrowStream, Box::new(one(Arc::new(LargeStringArray::from(vec![long.as_str()]))))),
        error(Format::ArrowStream, Box::new(one(Arc::new(StringViewArray::from(vec![long.as_str()]))))),
        error(Format::ArrowStream, Box::new(arrow(&repeated(&long, 1), Some(CompressionType::ZSTD)))),
    ];
    for error in errors {
        assert!(error.contains("the row after row 0 exceeds 16777216 bytes"), "{error}");
    }
}
