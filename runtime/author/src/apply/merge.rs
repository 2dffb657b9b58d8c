//! Conflicts between versions of rows, resolved.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use domicile_sandbox::{MergeInterface, Plugin, RowVersion, Value, ValueType};

use super::{Groups, Prepared, Request, Strictness, batch};
use crate::files::{LocalRows, of_values};
use crate::{AuthorError, Check};

const WRITTEN_AT: &str = "written_at";
const ORIGIN: &str = "origin";

pub(super) struct Merge {
    plugin: Arc<Plugin>,
    interface: MergeInterface,
    row: Option<String>,
    rows: Option<Groups>,
    /// The versions of each row, as the host orders them.
    versions: Vec<Vec<RowVersion>>,
}

impl Merge {
    pub(super) fn new(
        plugin: &Arc<Plugin>,
        interface: &MergeInterface,
        request: &Request,
        input: &LocalRows,
    ) -> Result<Self, AuthorError> {
        let rows = request.row.as_deref().map(|column| input.keys(column)).transpose()?;
        let rows = rows.map(|keys| Groups::of(&keys));
        let mut versions = vec![Vec::new(); rows.as_ref().map_or(1, Groups::keys_len)];
        for (place, version) in read(interface, input)?.into_iter().enumerate() {
            versions[rows.as_ref().map_or(0, |rows| rows.of_row[place] as usize)].push((place, version));
        }
        let mut ordered = Vec::new();
        for mut versions in versions {
            versions.sort_by(|(_, a), (_, b)| (a.written_at, &a.origin).cmp(&(b.written_at, &b.origin)));
            let same = versions
                .windows(2)
                .find(|pair| (pair[0].1.written_at, &pair[0].1.origin) == (pair[1].1.written_at, &pair[1].1.origin));
            if let Some(pair) = same {
                let problem = "the same region wrote another version of the row at the same moment".to_owned();
                let (path, column) = (input.path().to_path_buf(), WRITTEN_AT.to_owned());
                return Err(AuthorError::Cell { path, row: pair[1].0 + 1, column, problem });
            }
            ordered.push(versions.into_iter().map(|(_, version)| version).collect());
        }
        let interface = interface.clone();
        Ok(Self { plugin: Arc::clone(plugin), interface, row: request.row.clone(), rows, versions: ordered })
    }

    fn answered(&self, rows: &[Vec<Value>]) -> Result<RecordBatch, AuthorError> {
        let column = |(index, field): (usize, &domicile_sandbox::Field)| {
            let values: Vec<Value> = rows.iter().map(|row| row[index].clone()).collect();
            (field.name.clone(), of_values(&values, field.kind))
        };
        let columns = self.interface.columns.iter().enumerate().map(column);
        let key = self.row.clone().zip(self.rows.as_ref());
        let key = key.map(|(name, rows)| (name, Arc::new(rows.keys.clone()) as ArrayRef));
        batch(key.into_iter().chain(columns).collect())
    }

    /// A row that was written once has no conflict, and the plugin is not asked.
    fn resolve(
        &self,
        instance: &mut domicile_sandbox::MergeInstance,
        versions: &[RowVersion],
    ) -> Result<Vec<Value>, AuthorError> {
        match versions {
            [] => Ok(vec![Value::Null; self.interface.columns.len()]),
            [only] => Ok(only.values.clone()),
            several => Ok(instance.resolve(several)?),
        }
    }

    fn resolved(&self, of: impl Fn(&[RowVersion]) -> Vec<RowVersion>) -> Result<RecordBatch, AuthorError> {
        let mut merge = self.plugin.merge()?;
        let resolve = |versions: &Vec<RowVersion>| self.resolve(&mut merge, &of(versions));
        self.answered(&self.versions.iter().map(resolve).collect::<Result<Vec<_>, _>>()?)
    }
}

impl Prepared for Merge {
    fn answer(&self) -> Result<RecordBatch, AuthorError> {
        self.resolved(<[RowVersion]>::to_vec)
    }

    fn checks(&self, answer: &RecordBatch, strictness: Strictness) -> Result<Vec<Check>, AuthorError> {
        let mut checks = Vec::new();
        let turns = self.versions.iter().map(Vec::len).max().unwrap_or(0);
        for turn in 1..if strictness.any_order { turns } else { 0 } {
            let turned = self.resolved(|versions| turned(versions, turn));
            checks.push(Check::same("the versions written in another order", answer, turned, 0.0)?);
        }
        Ok(checks)
    }
}

/// The same values, written in another order: the moments and regions stay in place, the values move on.
fn turned(versions: &[RowVersion], turn: usize) -> Vec<RowVersion> {
    let values = versions.iter().cycle().skip(turn).map(|version| version.values.clone());
    versions.iter().zip(values).map(|(version, values)| RowVersion { values, ..version.clone() }).collect()
}

fn read(interface: &MergeInterface, input: &LocalRows) -> Result<Vec<RowVersion>, AuthorError> {
    let written_at = input.column(WRITTEN_AT, ValueType::BigInt)?;
    let origins = input.keys(ORIGIN)?;
    let columns = interface.columns.iter().map(|field| input.column(&field.name, field.kind));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let cell = |row: usize, column: &str, problem: &str| AuthorError::Cell {
        path: input.path().to_path_buf(),
        row: row + 1,
        column: column.to_owned(),
        problem: problem.to_owned(),
    };
    let version = |row: usize| {
        let moment = written_at.is_valid(row).then(|| written_at.as_primitive::<Int64Type>().value(row));
        let moment = moment.and_then(|moment| u64::try_from(moment).ok());
        let values = columns.iter().map(|column| Value::at(column, row).unwrap_or(Value::Null)).collect();
        Ok(RowVersion {
            written_at: moment.ok_or_else(|| cell(row, WRITTEN_AT, "it is to be a number of 0 or more"))?,
            origin: match origins.is_valid(row) {
                true => origins.value(row).to_owned(),
                false => return Err(cell(row, ORIGIN, "it is to name the region that wrote the version")),
            },
            values,
        })
    };
    (0..input.rows()).map(version).collect()
}
