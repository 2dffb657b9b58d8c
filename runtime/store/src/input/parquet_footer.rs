//! The footer of a Parquet file, looked at before Parquet's own reader builds anything from it: that reader descends as
//! deep as groups are nested, and reserves what counts claim.

use std::fs::File;
use std::os::unix::fs::FileExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domicile_types::limits;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::file::metadata::{FooterTail, ParquetMetaData};

use super::arrow_message;
use super::thrift::Shape::{Binary, Bool, Byte, Double, I16, I32, I64, List, Struct};
use super::thrift::{CUT_OFF, Kind, Shape, Thrift};

const NOTHING: Shape = Struct(&[]);
const TIME: Shape = Struct(&[(1, Bool), (2, Struct(&[(1, NOTHING), (2, NOTHING), (3, NOTHING)]))]);

const LOGICAL_TYPE: Shape = Struct(&[
    (1, NOTHING),
    (2, NOTHING),
    (3, NOTHING),
    (4, NOTHING),
    (5, Struct(&[(1, I32), (2, I32)])),
    (6, NOTHING),
    (7, TIME),
    (8, TIME),
    (10, Struct(&[(1, Byte), (2, Bool)])),
    (11, NOTHING),
    (12, NOTHING),
    (13, NOTHING),
    (14, NOTHING),
    (15, NOTHING),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Binary)])),
    (18, Struct(&[(1, Binary), (2, I32)])),
]);

const STATISTICS: Shape =
    Struct(&[(1, Binary), (2, Binary), (3, I64), (4, I64), (5, Binary), (6, Binary), (7, Bool), (8, Bool)]);

const PLACES: Shape =
    Struct(&[(1, Double), (2, Double), (3, Double), (4, Double), (5, Double), (6, Double), (7, Double), (8, Double)]);

const KEY_VALUES: Shape = List(&Struct(&[(1, Binary), (2, Binary)]));

const COLUMN_META_DATA: Shape = Struct(&[
    (1, I32),
    (2, List(&I32)),
    (3, List(&Binary)),
    (4, I32),
    (5, I64),
    (6, I64),
    (7, I64),
    (8, KEY_VALUES),
    (9, I64),
    (10, I64),
    (11, I64),
    (12, STATISTICS),
    (13, List(&Struct(&[(1, I32), (2, I32), (3, I32)]))),
    (14, I64),
    (15, I32),
    (16, Struct(&[(1, I64), (2, List(&I64)), (3, List(&I64))])),
    (17, Struct(&[(1, PLACES), (2, List(&I32))])),
]);

const COLUMN_CHUNK: Shape =
    Struct(&[(1, Binary), (2, I64), (3, COLUMN_META_DATA), (4, I64), (5, I32), (6, I64), (7, I32)]);

const ROW_GROUP: Shape = Struct(&[
    (1, List(&COLUMN_CHUNK)),
    (2, I64),
    (3, I64),
    (4, List(&Struct(&[(1, I32), (2, Bool), (3, Bool)]))),
    (5, I64),
    (6, I64),
    (7, I16),
]);

/// The footer, but for its schema, which is field 2.
const FILE_META_DATA: &[(i16, Shape)] =
    &[(1, I32), (3, I64), (4, List(&ROW_GROUP)), (5, KEY_VALUES), (6, Binary), (7, List(&Struct(&[(1, NOTHING)])))];

/// A node of the schema, but for the number of its children, which is field 5.
const SCHEMA_ELEMENT: &[(i16, Shape)] =
    &[(1, I32), (2, I32), (3, I32), (4, Binary), (6, I32), (7, I32), (8, I32), (9, I32), (10, LOGICAL_TYPE)];

/// Checks that the footer of a file can be read in bounded memory and depth.
pub(super) fn check(file: &File) -> Result<(), String> {
    const TAIL: u64 = 8;
    let text = |error: std::io::Error| error.to_string();
    let end = file.metadata().map_err(text)?.len();
    let tail_start = end.checked_sub(TAIL).ok_or(CUT_OFF)?;
    let mut tail = [0; TAIL as usize];
    file.read_exact_at(&mut tail, tail_start).map_err(text)?;
    let length = FooterTail::try_new(&tail).map_err(|error| error.to_string())?.metadata_length();
    if length > limits::PARQUET_FOOTER_BYTES_MAX {
        return Err(format!("its footer exceeds {} bytes; write fewer row groups", limits::PARQUET_FOOTER_BYTES_MAX));
    }
    let start = tail_start.checked_sub(length as u64).ok_or(CUT_OFF)?;
    let mut footer = vec![0; length];
    file.read_exact_at(&mut footer, start).map_err(text)?;
    Thrift::new(&footer).fields(|thrift, id, kind| match id {
        2 => schema(thrift, kind),
        id => field(thrift, FILE_META_DATA, id, kind),
    })
}

/// Checks the Arrow schema that a writer may have left in the footer.
pub(super) fn check_arrow_schema(metadata: &ParquetMetaData) -> Result<(), String> {
    let pairs = metadata.file_metadata().key_value_metadata().into_iter().flatten();
    let schemas = pairs.filter(|pair| pair.key == ARROW_SCHEMA_META_KEY).filter_map(|pair| pair.value.as_ref());
    for schema in schemas {
        let bytes = STANDARD.decode(schema).map_err(|error| error.to_string())?;
        // The marker and the length that newer streams begin with.
        let message = if bytes.starts_with(&[0xff; 4]) { bytes.get(8..).unwrap_or_default() } else { &bytes };
        arrow_message::bounded(message)?;
    }
    Ok(())
}

fn field(thrift: &mut Thrift<'_>, known: &'static [(i16, Shape)], id: i16, kind: Kind) -> Result<(), String> {
    match known.iter().find(|(field, _)| *field == id) {
        Some((_, shape)) => thrift.check(shape, kind),
        None => thrift.skip(kind),
    }
}

/// Walks the nodes of a schema, which are listed from the root down, with a count of the children still to come of each
/// group that is open.
fn schema(thrift: &mut Thrift<'_>, kind: Kind) -> Result<(), String> {
    let (kind, count) = thrift.list(kind)?;
    if count > limits::PARQUET_SCHEMA_NODES_MAX {
        return Err(format!("its schema has more than {} nodes", limits::PARQUET_SCHEMA_NODES_MAX));
    }
    let mut open: Vec<usize> = Vec::new();
    for node in 0..count {
        let mut children = 0;
        thrift.inner(kind, |thrift, id, kind| match id {
            5 => {
                children = usize::try_from(thrift.i32(kind)?).map_err(|_| CUT_OFF)?;
                Ok(())
            }
            id => field(thrift, SCHEMA_ELEMENT, id, kind),
        })?;
        if children >= count - node {
            return Err("a group of its schema claims more columns than there are".to_owned());
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if children > 0 {
            open.push(children);
        }
        if open.len() > limits::PARQUET_SCHEMA_DEPTH_MAX {
            return Err(format!("its schema nests deeper than {} groups", limits::PARQUET_SCHEMA_DEPTH_MAX));
        }
        while open.pop_if(|left| *left == 0).is_some() {}
    }
    Ok(())
}
