//! The rows: orders of about 100 bytes, the same in every run.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::ipc::writer::StreamWriter;
use domicile_store::DatasetSpec;
use domicile_types::{Column, ColumnType, Dataset, Residency};

use crate::Arguments;

pub(crate) const COLUMNS: [&str; 7] = ["id", "account", "at", "kind", "amount", "quantity", "note"];

const KINDS: [&str; 8] = ["purchase", "refund", "renewal", "upgrade", "downgrade", "credit", "chargeback", "trial"];
const WORDS: [&str; 16] = [
    "blue", "express", "regular", "final", "pending", "special", "account", "request", "silent", "deposit", "ironic",
    "careful", "package", "theory", "pinto", "platelet",
];

/// The dataset, with `id` as its key.
pub(crate) fn spec() -> Result<DatasetSpec> {
    let money = ColumnType::Decimal { precision: 15, scale: 2 };
    let kinds = [
        ColumnType::BigInt,
        ColumnType::BigInt,
        ColumnType::Date,
        ColumnType::Text,
        money,
        ColumnType::Integer,
        ColumnType::Text,
    ];
    let column = |(name, kind): (&str, ColumnType)| Column { name: name.to_owned(), kind, nullable: false };
    let columns = COLUMNS.into_iter().zip(kinds).map(column).collect();
    let dataset = Dataset::new("orders".parse()?, columns, vec!["id".to_owned()])?;
    Ok(DatasetSpec { dataset, residency: Residency::Reference })
}

/// Numbers that look random: SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }
}

fn body(first: u64, count: usize, arguments: Arguments, numbers: &mut Numbers) -> Result<Vec<u8>> {
    // A multiplication with an odd number permutes the integers of 62 bits.
    let id = |at: u64| if arguments.shuffled { at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2 } else { at };
    let ids = Int64Array::from_iter_values((first..).take(count).map(|at| id(at).cast_signed()));
    let mut pick = |most: u64| numbers.next() % most;
    let accounts = Int64Array::from_iter_values((0..count).map(|_| pick(1_000_000) as i64));
    let days = Date32Array::from_iter_values((0..count).map(|_| 19_000 + pick(1_000) as i32));
    let kinds = StringArray::from_iter_values((0..count).map(|_| KINDS[pick(8) as usize]));
    let amounts = Decimal128Array::from_iter_values((0..count).map(|_| i128::from(pick(10_000_000))));
    let quantities = Int32Array::from_iter_values((0..count).map(|_| 1 + pick(50) as i32));
    let notes = StringArray::from_iter_values((0..count).map(|_| {
        let mut note = format!("{:08x}", pick(1 << 32));
        while note.len() < 44 {
            note.push(' ');
            note.push_str(WORDS[pick(16) as usize]);
        }
        note
    }));
    let columns: [ArrayRef; 7] = [
        Arc::new(ids),
        Arc::new(accounts),
        Arc::new(days),
        Arc::new(kinds),
        Arc::new(amounts.with_precision_and_scale(15, 2)?),
        Arc::new(quantities),
        Arc::new(notes),
    ];
    let batch = RecordBatch::try_from_iter(COLUMNS.into_iter().zip(columns))?;
    let mut stream = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
    stream.write(&batch)?;
    Ok(stream.into_inner()?)
}

/// Writes all bodies to a file, each after its length. Gives the bytes of the bodies.
pub(crate) fn write(path: &Path, arguments: Arguments) -> Result<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    let (mut numbers, mut bytes, mut first) = (Numbers(7), 0, 0);
    while first < arguments.rows {
        let count = usize::try_from(arguments.rows - first)?.min(arguments.batch_rows);
        let body = body(first, count, arguments, &mut numbers)?;
        file.write_all(&(body.len() as u64).to_le_bytes())?;
        file.write_all(&body)?;
        bytes += body.len() as u64;
        first += count as u64;
    }
    file.into_inner()?.sync_all()?;
    Ok(bytes)
}

/// The bodies of a file, or of whatever else gives them so, one after the other.
pub(crate) struct Bodies<R>(pub(crate) R);

impl Bodies<File> {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self(File::open(path)?))
    }
}

impl<R: Read> Iterator for Bodies<R> {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut length = [0; 8];
        self.0.read_exact(&mut length).ok()?;
        let mut body = vec![0; usize::try_from(u64::from_le_bytes(length)).ok()?];
        Some(self.0.read_exact(&mut body).map(|()| body).map_err(Into::into))
    }
}
