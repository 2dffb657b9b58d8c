//! A question with a name, at work.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use wasmtime::component::ResourceAny;

use crate::exports::{Exports, GiveRows, Session, TakeRows};
use crate::frame::{Frame, bytes_of};
use crate::functions::column;
use crate::instance::{Instance, Unanswered, argument_numbers};
use crate::limit::Limit;
use crate::mapper::{check_parameters, refused};
use crate::unchecked::Bound;
use crate::wit::{TableIn, TableOut};
use crate::{Field, Interface, Plugin, QueryInterface, SandboxError, SandboxLimits, Value, columns};

/// One question, in an instance of its own. After an error it is not to be used again.
///
/// In a region: [`input`](Self::input) for each batch, then [`partial`](Self::partial). Where the answers meet:
/// [`merge`](Self::merge) for each batch of each region's contribution, in the order of the regions' names, then
/// [`finish`](Self::finish). Every method blocks for at most the time limit.
pub struct QuerySession {
    plugin: Arc<Plugin>,
    instance: Instance<Session>,
    handle: ResourceAny,
    done: bool,
}

impl QuerySession {
    pub(crate) fn new(plugin: &Arc<Plugin>, parameters: &[Value]) -> Result<Self, SandboxError> {
        let (Interface::Query(interface), Exports::Query(exports)) = (&plugin.interface, &plugin.exports) else {
            return Err(plugin.origin.wrong_world("query"));
        };
        check_parameters(plugin, &interface.parameters, parameters)?;
        let mut instance = Instance::<Session>::new(&plugin.origin, exports)?;
        let Instance { started, uses } = &mut instance;
        let open = |store: &mut _| uses.open.call(store, (parameters,));
        let (opened,) = started.call("open", &[], 0, open, |answer, _| Ok(answer))?;
        let handle = opened.map_err(|message| refused(plugin, message))?;
        Ok(Self { plugin: Arc::clone(plugin), instance, handle, done: false })
    }

    /// Linear memory of the instance, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.instance.started.store.data().memory_bytes()
    }

    /// Takes in rows that the declared `input` gave: the declared `columns`, in order.
    ///
    /// # Errors
    /// Where the columns do not fit, or the plugin fails or exceeds a limit.
    pub fn input(&mut self, rows: &RecordBatch) -> Result<(), SandboxError> {
        self.take("input", rows, |interface| &interface.columns, |uses| &uses.input)
    }

    /// What this region contributes: the declared `partial` columns. Ends the session.
    ///
    /// # Errors
    /// Where the plugin fails, exceeds a limit or returns something that it did not declare.
    pub fn partial(&mut self) -> Result<RecordBatch, SandboxError> {
        self.give("partial", |interface| &interface.partial, |uses| &uses.partial)
    }

    /// Takes in what a region contributed: the declared `partial` columns, in order.
    ///
    /// # Errors
    /// Where the columns do not fit, or the plugin fails, refuses the rows or exceeds a limit.
    pub fn merge(&mut self, rows: &RecordBatch) -> Result<(), SandboxError> {
        self.take("merge", rows, |interface| &interface.partial, |uses| &uses.merge)
    }

    /// The answer: the declared `outputs`. Ends the session.
    ///
    /// # Errors
    /// Where the plugin fails, exceeds a limit or returns something that it did not declare.
    pub fn finish(&mut self) -> Result<RecordBatch, SandboxError> {
        self.give("finish", |interface| &interface.outputs, |uses| &uses.finish)
    }

    fn take(
        &mut self,
        function: &str,
        batch: &RecordBatch,
        fields: impl Fn(&QueryInterface) -> &[Field],
        ask: impl Fn(&Session) -> &Bound<TakeRows>,
    ) -> Result<(), SandboxError> {
        let interface = self.interface(function)?;
        let rows = batch.num_rows();
        let row_count = u32::try_from(rows).map_err(|_| format!("{rows} rows are more than one call can have"));
        let fitting = columns::check(batch.columns(), fields(interface), rows).and(row_count);
        let rows = fitting.map_err(|detail| self.plugin.origin.unfit(function, detail))?;
        let Instance { started, uses } = &mut self.instance;
        let table = TableIn { rows, columns: argument_numbers(batch.num_columns()) };
        started.call(
            function,
            batch.columns(),
            batch.num_rows(),
            |store| ask(uses).call(store, (self.handle, table)),
            |(done,), _| done.map_err(Unanswered::Said),
        )
    }

    fn give(
        &mut self,
        function: &str,
        fields: impl Fn(&QueryInterface) -> &[Field],
        ask: impl Fn(&Session) -> &Bound<GiveRows>,
    ) -> Result<RecordBatch, SandboxError> {
        let declared = fields(self.interface(function)?).to_vec();
        self.done = true;
        let limits = Arc::clone(&self.plugin.origin.runtime.limits);
        let Instance { started, uses } = &mut self.instance;
        started.call(
            function,
            &[],
            0,
            |store| ask(uses).call(store, (self.handle,)),
            |(answer,), frame| batch(frame, &answer.map_err(Unanswered::Said)?, &declared, &limits),
        )
    }

    fn interface(&self, function: &str) -> Result<&QueryInterface, SandboxError> {
        if self.done {
            return Err(self.plugin.origin.unfit(function, "the session has ended".to_owned()));
        }
        match &self.plugin.interface {
            Interface::Query(interface) => Ok(interface),
            _ => Err(self.plugin.origin.wrong_world("query")),
        }
    }
}

/// A table that a plugin answers with, if it is what was declared.
fn batch(
    frame: &Frame,
    table: &TableOut,
    declared: &[Field],
    limits: &SandboxLimits,
) -> Result<RecordBatch, Unanswered> {
    let rows = usize::try_from(table.rows).unwrap_or(usize::MAX);
    if rows > limits.output_rows_max {
        return Err(Unanswered::Limit(Limit::OutputRows(limits.output_rows_max)));
    }
    if table.columns.len() != declared.len() {
        let (found, declared) = (table.columns.len(), declared.len());
        return Err(Unanswered::Invalid(format!("{found} columns where {declared} are declared")));
    }
    let arrays = declared.iter().zip(&table.columns).map(|(field, number)| {
        column(frame, *number, field.kind, rows, limits).map_err(|unanswered| match unanswered {
            Unanswered::Invalid(detail) => Unanswered::Invalid(format!("for `{}`: {detail}", field.name)),
            other => other,
        })
    });
    let arrays = arrays.collect::<Result<Vec<ArrayRef>, _>>()?;
    if arrays.iter().map(bytes_of).fold(0, usize::saturating_add) > limits.output_bytes_max {
        return Err(Unanswered::Limit(Limit::OutputBytes(limits.output_bytes_max)));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema(declared), arrays, &options)
        .map_err(|error| Unanswered::Invalid(error.to_string()))
}

/// The schema of declared columns.
fn schema(fields: &[Field]) -> SchemaRef {
    Arc::new(Schema::new(fields.iter().map(Field::arrow_field).collect::<Vec<_>>()))
}
