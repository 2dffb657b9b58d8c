//! A scalar function over the rows of a file.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;

use super::function::Function;
use super::{ALONE_MAX, BATCH_ROWS, Prepared, Request, Strictness, batch, batches, none_of, slices};
use crate::{AuthorError, Check};

pub(super) struct Scalar(Function);

impl Scalar {
    pub(super) fn new(function: Function, request: &Request) -> Result<Self, AuthorError> {
        if request.group_by.is_some() {
            return Err(AuthorError::setting("`group_by` is for aggregate functions; this one answers row by row"));
        }
        Ok(Self(function))
    }

    fn call(&self, rows: usize, size: usize) -> Result<ArrayRef, AuthorError> {
        let Function { plugin, index, signature, arguments, .. } = &self.0;
        let calls = plugin.functions()?;
        let call = |(start, rows)| Ok(calls.call(*index, &slices(arguments, start, rows), rows)?);
        let mut parts = batches(rows, size).map(call).collect::<Result<Vec<_>, AuthorError>>()?;
        parts.push(none_of(signature.returns));
        Ok(concat(&parts.iter().map(|part| part.as_ref() as &dyn Array).collect::<Vec<_>>())?)
    }

    fn answered(&self, answer: ArrayRef) -> Result<RecordBatch, AuthorError> {
        let Function { signature, arguments, .. } = &self.0;
        let given = slices(arguments, 0, answer.len());
        let arguments = signature.arguments.iter().map(|argument| argument.name.clone()).zip(given);
        batch(arguments.chain([(signature.name.clone(), answer)]).collect())
    }
}

impl Prepared for Scalar {
    fn answer(&self) -> Result<RecordBatch, AuthorError> {
        self.answered(self.call(self.0.rows, BATCH_ROWS)?)
    }

    fn checks(&self, answer: &RecordBatch, _: Strictness) -> Result<Vec<Check>, AuthorError> {
        let rows = self.0.rows.min(ALONE_MAX);
        let alone = self.call(rows, 1).and_then(|alone| self.answered(alone));
        Ok(vec![Check::same("one row at a time", &answer.slice(0, rows), alone, 0.0)?])
    }
}
