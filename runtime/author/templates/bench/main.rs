//! Runs a plugin natively: one measured round for each line of standard input.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domicile_sdk::native::{Columns, Plugin};
use domicile_sdk::{Contents, Runs, Value, Values, Version};

fn main() -> Result<(), String> {
    let path = std::env::args().nth(1).ok_or("the first argument is the file with the columns")?;
    let bytes = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let workloads = Reader(&bytes).workloads();
    let plugin = plugin::__domicile_native();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let numbers: Vec<usize> = line.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [workload, rows, calls, calls_per_session] = numbers[..] else {
            return Err(format!("`{line}` is no round"));
        };
        let elapsed = round(&plugin, workload, &workloads[workload], rows, calls, calls_per_session)?;
        println!("{}", elapsed.as_nanos());
        std::io::stdout().flush().map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn round(
    plugin: &Plugin,
    workload: usize,
    columns: &[Contents],
    rows: usize,
    calls: usize,
    calls_per_session: usize,
) -> Result<Duration, String> {
    let batch: Vec<Arc<Contents>> = columns.iter().map(|column| Arc::new(first(column, rows))).collect();
    let (function, count) = (workload as u32, rows as u32);
    match plugin {
        Plugin::Functions(plugin) => match plugin.accumulator(function) {
            Err(_) => timed(calls, calls, || Ok(()), |_| {
                black_box(plugin.call(function, count, black_box(&batch))?);
                Ok(())
            }),
            Ok(_) => timed(calls, calls_per_session, || plugin.accumulator(function), |accumulator| {
                accumulator.update(count, black_box(&batch), &[], 1)
            }),
        },
        Plugin::Mapper(plugin) => {
            let defaults: Vec<Value> = plugin.describe().parameters.into_iter().map(|p| p.default).collect();
            let ends: Vec<u32> = (1..=count).filter(|end| end % 8 == 0 || *end == count).collect();
            timed(calls, calls_per_session, || plugin.configure(&defaults), |mapper| {
                black_box(mapper.map(&ends, black_box(&batch))?);
                Ok(())
            })
        }
        Plugin::Query(plugin) => {
            let defaults: Vec<Value> = plugin.describe().parameters.into_iter().map(|p| p.default).collect();
            let table = Columns { rows: count, columns: batch };
            timed(calls, calls_per_session, || plugin.open(&defaults), |session| session.input(black_box(&table)))
        }
        Plugin::Merge(plugin) => {
            let versions: Vec<Version<Vec<Value>>> = (0..rows).map(|row| version(&batch, row)).collect();
            timed(calls, calls, || Ok(()), |_| {
                black_box(plugin.resolve(black_box(&versions))?);
                Ok(())
            })
        }
    }
}

/// The time that calls take, without that of opening the sessions that they are spread over.
fn timed<S>(
    calls: usize,
    calls_per_session: usize,
    open: impl Fn() -> Result<S, String>,
    call: impl Fn(&mut S) -> Result<(), String>,
) -> Result<Duration, String> {
    let (mut elapsed, mut left) = (Duration::ZERO, calls);
    while left > 0 {
        let mut session = open()?;
        let now = left.min(calls_per_session.max(1));
        let start = Instant::now();
        (0..now).try_for_each(|_| call(&mut session))?;
        elapsed += start.elapsed();
        left -= now;
    }
    Ok(elapsed)
}

fn version(columns: &[Arc<Contents>], row: usize) -> Version<Vec<Value>> {
    let value = |column: &Arc<Contents>| {
        if column.validity.as_ref().is_some_and(|bits| bits[row / 8] >> (row % 8) & 1 == 0) {
            return Value::Null;
        }
        match &column.values {
            Values::Bigint(values) => Value::Bigint(values[row]),
            Values::Double(values) => Value::Double(values[row]),
            Values::Date(values) => Value::Date(values[row]),
            Values::Boolean(values) => Value::Boolean(values[row]),
            Values::Text(runs) => Value::Text(String::from_utf8_lossy(&runs.bytes[run(runs, row)]).into_owned()),
            Values::Bytes(_) | Values::Dictionary(_) => Value::Null,
        }
    };
    let row_values = columns.iter().map(value).collect();
    Version { written_at: row as u64 + 1, origin: format!("region-{}", row % 3), row: row_values }
}

fn run(runs: &Runs, row: usize) -> std::ops::Range<usize> {
    runs.offsets[row] as usize..runs.offsets[row + 1] as usize
}

/// The first rows of a column.
fn first(column: &Contents, rows: usize) -> Contents {
    let values = match &column.values {
        Values::Bigint(values) => Values::Bigint(values[..rows].to_vec()),
        Values::Double(values) => Values::Double(values[..rows].to_vec()),
        Values::Date(values) => Values::Date(values[..rows].to_vec()),
        Values::Boolean(values) => Values::Boolean(values[..rows].to_vec()),
        Values::Text(runs) => Values::Text(Runs {
            offsets: runs.offsets[..=rows].to_vec(),
            bytes: runs.bytes[..runs.offsets[rows] as usize].to_vec(),
        }),
        other => other.clone(),
    };
    let validity = column.validity.as_ref().map(|bits| bits[..rows.div_ceil(8)].to_vec());
    Contents { values, validity }
}

/// Numbers are little-endian; lengths are 32 bits.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn workloads(&mut self) -> Vec<Vec<Contents>> {
        (0..self.length()).map(|_| (0..self.length()).map(|_| self.column()).collect()).collect()
    }

    fn bytes(&mut self, length: usize) -> &[u8] {
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    fn length(&mut self) -> usize {
        self.number(u32::from_le_bytes) as usize
    }

    fn number<T, const N: usize>(&mut self, from: fn([u8; N]) -> T) -> T {
        from(self.bytes(N).try_into().expect("as many bytes as asked for"))
    }

    fn column(&mut self) -> Contents {
        let (kind, rows) = (self.bytes(1)[0], self.length());
        let bits = self.length();
        let validity = Some(self.bytes(bits).to_vec()).filter(|bits| !bits.is_empty());
        let values = match kind {
            b'i' => Values::Bigint((0..rows).map(|_| self.number(i64::from_le_bytes)).collect()),
            b'f' => Values::Double((0..rows).map(|_| self.number(f64::from_le_bytes)).collect()),
            b'd' => Values::Date((0..rows).map(|_| self.number(i32::from_le_bytes)).collect()),
            b'b' => Values::Boolean(self.bytes(rows).iter().map(|byte| *byte == 1).collect()),
            _ => {
                let offsets = (0..=rows).map(|_| self.number(i32::from_le_bytes)).collect();
                let length = self.length();
                Values::Text(Runs { offsets, bytes: self.bytes(length).to_vec() })
            }
        };
        Contents { values, validity }
    }
}
