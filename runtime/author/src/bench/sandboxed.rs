//! Calls into the sandbox, timed.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use domicile_sandbox::{Field, FunctionKind, Interface, Plugin, RowVersion, Value};

use super::columns::{Seeded, columns};
use crate::AuthorError;
use crate::files::LocalRows;

/// Rows of an entity that a mapper is called with; the native runner takes as many.
const ENTITY_ROWS: u32 = 8;

/// Something to measure: a function, or what a plugin of another world does with rows.
pub(super) struct Workload {
    /// The place of the function; 0 in other worlds.
    pub(super) index: usize,
    pub(super) name: String,
    fields: Vec<Field>,
    pub(super) columns: Vec<ArrayRef>,
}

/// What there is to measure in a plugin, with columns of `rows` rows for each.
pub(super) fn workloads(
    plugin: &Plugin,
    rows: usize,
    given: Option<&LocalRows>,
    seed: u64,
) -> Result<Vec<Workload>, AuthorError> {
    let parts: Vec<(String, Vec<Field>)> = match plugin.interface() {
        Interface::Functions(functions) => {
            functions.iter().map(|function| (function.name.clone(), function.arguments.clone())).collect()
        }
        Interface::Mapper(mapper) => vec![("map".to_owned(), mapper.inputs.clone())],
        Interface::Query(query) => vec![("input".to_owned(), query.columns.clone())],
        Interface::Merge(merge) => vec![("resolve".to_owned(), merge.columns.clone())],
    };
    let mut seeded = Seeded(seed);
    let workload = |(index, (name, fields)): (usize, (String, Vec<Field>))| {
        Ok(Workload { index, name, columns: columns(&fields, rows, given, &mut seeded)?, fields })
    };
    parts.into_iter().enumerate().map(workload).collect()
}

/// How often a call is made, spread over sessions whose states cannot grow without end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls {
    pub(super) calls: usize,
    pub(super) per_session: usize,
}

impl Workload {
    /// How long calls with the first `rows` rows take, without the starts of instances.
    pub(super) fn round(&self, plugin: &Arc<Plugin>, rows: usize, calls: Calls) -> Result<Duration, AuthorError> {
        let batch: Vec<ArrayRef> = self.columns.iter().map(|column| column.slice(0, rows)).collect();
        let once = Calls { per_session: calls.calls, ..calls };
        match plugin.interface() {
            Interface::Functions(functions) if functions[self.index].kind == FunctionKind::Aggregate => {
                timed(calls, || Ok(plugin.accumulator(self.index)?), |a| Ok(a.update(&batch, rows, &[], 1)?))
            }
            Interface::Functions(_) => {
                let open = || {
                    let calls = plugin.functions()?;
                    calls.call(self.index, &batch, rows)?;
                    Ok(calls)
                };
                timed(once, open, |calls| {
                    black_box(calls.call(self.index, &batch, rows)?);
                    Ok(())
                })
            }
            Interface::Mapper(mapper) => {
                let last = rows as u32;
                let ends: Vec<u32> = (1..=last).filter(|end| end % ENTITY_ROWS == 0 || *end == last).collect();
                timed(
                    calls,
                    || Ok(plugin.mapper(&mapper.defaults())?),
                    |instance| {
                        black_box(instance.map(&batch, &ends)?);
                        Ok(())
                    },
                )
            }
            Interface::Query(query) => {
                let schema = Schema::new(self.fields.iter().map(Field::arrow_field).collect::<Vec<_>>());
                let batch = RecordBatch::try_new(Arc::new(schema), batch)?;
                timed(calls, || Ok(plugin.query(&query.defaults())?), |session| Ok(session.input(&batch)?))
            }
            Interface::Merge(_) => {
                let versions: Vec<RowVersion> = (0..rows).map(|row| version(&batch, row)).collect();
                timed(
                    once,
                    || Ok(plugin.merge()?),
                    |instance| {
                        black_box(instance.resolve(&versions)?);
                        Ok(())
                    },
                )
            }
        }
    }

    /// How long a fresh instance and its first call take.
    pub(super) fn start(&self, plugin: &Arc<Plugin>, rows: usize) -> Result<Duration, AuthorError> {
        let batch: Vec<ArrayRef> = self.columns.iter().map(|column| column.slice(0, rows)).collect();
        let start = Instant::now();
        match plugin.interface() {
            Interface::Functions(functions) if functions[self.index].kind == FunctionKind::Aggregate => {
                plugin.accumulator(self.index)?.update(&batch, rows, &[], 1)?;
            }
            Interface::Functions(_) => drop(plugin.functions()?.call(self.index, &batch, rows)?),
            Interface::Mapper(mapper) => drop(plugin.mapper(&mapper.defaults())?.map(&batch, &[rows as u32])?),
            Interface::Query(query) => {
                let schema = Schema::new(self.fields.iter().map(Field::arrow_field).collect::<Vec<_>>());
                plugin.query(&query.defaults())?.input(&RecordBatch::try_new(Arc::new(schema), batch)?)?;
            }
            Interface::Merge(_) => {
                let versions: Vec<RowVersion> = (0..rows).map(|row| version(&batch, row)).collect();
                drop(plugin.merge()?.resolve(&versions)?);
            }
        }
        Ok(start.elapsed())
    }
}

fn version(columns: &[ArrayRef], row: usize) -> RowVersion {
    let values = columns.iter().map(|column| Value::at(column, row).unwrap_or(Value::Null)).collect();
    RowVersion { written_at: row as u64 + 1, origin: format!("region-{}", row % 3), values }
}

fn timed<S>(
    calls: Calls,
    open: impl Fn() -> Result<S, AuthorError>,
    call: impl Fn(&mut S) -> Result<(), AuthorError>,
) -> Result<Duration, AuthorError> {
    let (mut elapsed, mut left) = (Duration::ZERO, calls.calls);
    while left > 0 {
        let mut session = open()?;
        let now = left.min(calls.per_session.max(1));
        let start = Instant::now();
        (0..now).try_for_each(|_| call(&mut session))?;
        elapsed += start.elapsed();
        left -= now;
    }
    Ok(elapsed)
}
