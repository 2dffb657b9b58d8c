//! A scalar function over the rows of a file.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;
use domicile_sandbox::{Interface, Plugin, ValueType};

use super::{ALONE_MAX, BATCH_ROWS, Prepared, Request, Strictness, batch, batches, none_of, slices};
use crate::files::LocalRows;
use crate::{AuthorError, Check};

pub(super) struct Scalar {
    plugin: Arc<Plugin>,
    index: usize,
    arguments: Vec<(String, ArrayRef)>,
    rows: usize,
}

impl Scalar {
    pub(super) fn new(
        plugin: &Arc<Plugin>,
        index: usize,
        arguments: Vec<(String, ArrayRef)>,
        request: &Request,
        rows: &LocalRows,
    ) -> Result<Self, AuthorError> {
        if request.group_by.is_some() {
            return Err(AuthorError::setting("`group_by` is for aggregate functions; this one answers row by row"));
        }
        Ok(Self { plugin: Arc::clone(plugin), index, arguments, rows: rows.rows() })
    }

    fn signature(&self) -> (String, ValueType) {
        match self.plugin.interface() {
            Interface::Functions(functions) => {
                let function = &functions[self.index];
                (function.name.clone(), function.returns)
            }
            _ => (String::new(), ValueType::Text),
        }
    }

    fn call(&self, rows: usize, size: usize) -> Result<ArrayRef, AuthorError> {
        let calls = self.plugin.functions()?;
        let columns: Vec<ArrayRef> = self.arguments.iter().map(|(_, array)| Arc::clone(array)).collect();
        let call = |(start, rows)| Ok(calls.call(self.index, &slices(&columns, start, rows), rows)?);
        let mut parts = batches(rows, size).map(call).collect::<Result<Vec<_>, AuthorError>>()?;
        parts.push(none_of(self.signature().1));
        Ok(concat(&parts.iter().map(|part| part.as_ref() as &dyn Array).collect::<Vec<_>>())?)
    }

    fn answered(&self, answer: ArrayRef) -> Result<RecordBatch, AuthorError> {
        let arguments = self.arguments.iter().map(|(name, array)| (name.clone(), array.slice(0, answer.len())));
        batch(arguments.chain([(self.signature().0, Arc::clone(&answer))]).collect())
    }
}

impl Prepared for Scalar {
    fn answer(&self) -> Result<RecordBatch, AuthorError> {
        self.answered(self.call(self.rows, BATCH_ROWS)?)
    }

    fn checks(&self, answer: &RecordBatch, _: Strictness) -> Result<Vec<Check>, AuthorError> {
        let rows = self.rows.min(ALONE_MAX);
        let alone = self.call(rows, 1).and_then(|alone| self.answered(alone));
        Ok(vec![Check::same("one row at a time", &answer.slice(0, rows), alone, 0.0)?])
    }
}
