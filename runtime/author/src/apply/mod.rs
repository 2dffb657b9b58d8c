//! One question to a plugin over local rows: what `run` and `test` share.

mod aggregate;
mod function;
mod mapper;
mod merge;
mod query;
mod scalar;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use domicile_sandbox::{FunctionKind, Interface, Parameter, Plugin, Value, ValueType};
use domicile_types::nearest;

use self::function::Function;
pub(crate) use self::function::index_of;
use crate::files::{LocalRows, parse_value};
use crate::{AuthorError, Check, InputSql, Table};

/// Rows of one call, as SQL cuts them.
pub(crate) const BATCH_ROWS: usize = 8192;
/// Rows or entities that are also tried one at a time.
const ALONE_MAX: usize = 64;
/// Parts that rows are spread over to see whether partial results merge.
const PARTS: usize = 3;
/// How far sums of doubles may be apart that were added up in another order.
const REORDERED_TOLERANCE: f64 = 1e-9;

/// What a plugin is asked. Which of these mean something depends on its world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// World `functions`: the function; needed where the plugin has several.
    pub function: Option<String>,
    /// World `functions`: columns of the input for arguments of another name.
    pub columns: BTreeMap<String, String>,
    /// An aggregate function's groups: the column that tells them apart. All rows are one group without it.
    pub group_by: Option<String>,
    /// World `mapper`: the column that tells entities apart.
    pub entity: Option<String>,
    /// World `merge`: the column that tells rows apart. All versions are of one row without it.
    pub row: Option<String>,
    /// Worlds `mapper` and `query`: parameters that differ from their defaults, as text.
    pub parameters: BTreeMap<String, String>,
    /// World `query`: regions that the rows are spread over; 0 counts as 1.
    pub regions: usize,
}

/// What a plugin is asked about.
pub(crate) enum Input<'a> {
    /// Rows: in the world `query`, those that its SQL would give.
    Rows(&'a LocalRows),
    /// World `query`: the tables that its SQL reads, and who runs it.
    Tables(&'a [Table], &'a dyn InputSql),
}

impl<'a> Input<'a> {
    fn rows(&self) -> Result<&'a LocalRows, AuthorError> {
        match self {
            Self::Rows(rows) => Ok(rows),
            Self::Tables(..) => Err(AuthorError::setting("only a plugin of the world `query` reads tables; give rows")),
        }
    }
}

/// A question whose rows were read and found to be of the declared types.
pub(crate) trait Prepared {
    /// The plugin's answer: key columns first, where there are any.
    fn answer(&self) -> Result<RecordBatch, AuthorError>;

    /// What has to hold beside the answer being right: that it does not depend on how the host cuts the rows.
    fn checks(&self, answer: &RecordBatch, strictness: Strictness) -> Result<Vec<Check>, AuthorError>;
}

/// What checks hold a plugin to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strictness {
    /// How far doubles may be apart: of the larger one's size where that is above 1.
    pub(crate) tolerance: f64,
    /// World `merge`: which version was written first does not matter.
    pub(crate) any_order: bool,
}

impl Strictness {
    /// The tolerance where sums may have been added up in another order.
    fn reordered(self) -> f64 {
        self.tolerance.max(REORDERED_TOLERANCE)
    }
}

pub(crate) fn prepare(
    plugin: &Arc<Plugin>,
    request: &Request,
    input: &Input<'_>,
) -> Result<Box<dyn Prepared>, AuthorError> {
    only_what_means_something(plugin.interface(), request)?;
    Ok(match plugin.interface() {
        Interface::Functions(functions) => {
            let function = Function::new(plugin, functions, request, input.rows()?)?;
            match function.signature.kind {
                FunctionKind::Scalar => Box::new(scalar::Scalar::new(function, request)?),
                FunctionKind::Aggregate => Box::new(aggregate::Aggregate::new(function, request, input.rows()?)?),
            }
        }
        Interface::Mapper(interface) => Box::new(mapper::Mapper::new(plugin, interface, request, input.rows()?)?),
        Interface::Query(interface) => Box::new(query::Query::new(plugin, interface, request, input)?),
        Interface::Merge(interface) => Box::new(merge::Merge::new(plugin, interface, request, input.rows()?)?),
    })
}

/// Refuses settings that would have no effect: whoever gave them expects one.
fn only_what_means_something(interface: &Interface, request: &Request) -> Result<(), AuthorError> {
    let world = interface.world();
    let given = [
        ("function", request.function.is_some(), &["functions"][..]),
        ("columns", !request.columns.is_empty(), &["functions"]),
        ("group_by", request.group_by.is_some(), &["functions"]),
        ("entity", request.entity.is_some(), &["mapper"]),
        ("row", request.row.is_some(), &["merge"]),
        ("parameters", !request.parameters.is_empty(), &["mapper", "query"]),
        ("regions", request.regions > 1, &["query"]),
    ];
    match given.iter().find(|(_, given, worlds)| *given && !worlds.contains(&world)) {
        None => Ok(()),
        Some((name, _, worlds)) => {
            let worlds = worlds.join("` and `");
            let problem = format!("`{name}` is for the world `{worlds}`; this plugin is of the world `{world}`");
            Err(AuthorError::setting(problem))
        }
    }
}

fn unknown<'a>(what: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> AuthorError {
    AuthorError::Unknown { what, name: name.to_owned(), nearest: nearest(name, known).map(str::to_owned) }
}

/// The values of all parameters: what is given as text, or the default.
pub(crate) fn parameters(declared: &[Parameter], given: &BTreeMap<String, String>) -> Result<Vec<Value>, AuthorError> {
    let names = || declared.iter().map(|parameter| parameter.name.as_str());
    if let Some(name) = given.keys().find(|name| !names().any(|known| known == *name)) {
        return Err(unknown("parameter", name, names()));
    }
    let value = |parameter: &Parameter| match given.get(&parameter.name) {
        None => Ok(parameter.default.clone()),
        Some(text) => parse_value(text, parameter.kind)
            .map_err(|problem| AuthorError::Parameter { parameter: parameter.name.clone(), problem }),
    };
    declared.iter().map(value).collect()
}

/// Columns of keys and answers as rows.
fn batch(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch, AuthorError> {
    Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?)
}

/// Starts and lengths of the batches that rows are cut into.
fn batches(rows: usize, size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(size).map(move |start| (start, size.min(rows - start)))
}

fn slices(columns: &[ArrayRef], start: usize, rows: usize) -> Vec<ArrayRef> {
    columns.iter().map(|column| column.slice(start, rows)).collect()
}

/// Numbers for keys in the order in which they first appear, and the keys; rows without one are a group of their own.
struct Groups {
    of_row: Vec<u32>,
    keys: StringArray,
}

impl Groups {
    fn of(keys: &StringArray) -> Self {
        let mut known: BTreeMap<Option<&str>, u32> = BTreeMap::new();
        let mut first = Vec::new();
        let number = |key| {
            *known.entry(key).or_insert_with(|| {
                first.push(key);
                first.len() as u32 - 1
            })
        };
        let of_row = keys.iter().map(number).collect();
        Self { of_row, keys: first.into_iter().collect() }
    }

    fn len(&self) -> u32 {
        self.keys_len() as u32
    }

    fn keys_len(&self) -> usize {
        arrow::array::Array::len(&self.keys)
    }
}

/// An array without rows.
fn none_of(kind: ValueType) -> ArrayRef {
    arrow::array::new_empty_array(&kind.arrow_type())
}
