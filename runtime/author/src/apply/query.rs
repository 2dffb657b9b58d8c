//! A query over rows, or over the tables that its SQL reads, as if in several regions.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Field as ArrowField, Schema};
use domicile_sandbox::{Field, Parameter, Plugin, QueryInterface, Value};

use super::{BATCH_ROWS, Input, PARTS, Prepared, Request, Strictness, batches, parameters};
use crate::files::LocalRows;
use crate::{AuthorError, Check, InputSql, Table};

pub(super) struct Query {
    plugin: Arc<Plugin>,
    parameters: Vec<Value>,
    rows: RecordBatch,
    regions: usize,
}

impl Query {
    pub(super) fn new(
        plugin: &Arc<Plugin>,
        interface: &QueryInterface,
        request: &Request,
        input: &Input<'_>,
    ) -> Result<Self, AuthorError> {
        let parameters = parameters(&interface.parameters, &request.parameters)?;
        let rows = match input {
            Input::Rows(rows) => declared(&interface.columns, rows, None)?,
            Input::Tables(tables, sql) => selected(interface, tables, *sql, &parameters)?,
        };
        Ok(Self { plugin: Arc::clone(plugin), parameters, rows, regions: request.regions.max(1) })
    }

    /// What one region contributes: of the rows, each `regions`-th from `region` on.
    fn partial(&self, region: usize, regions: usize) -> Result<RecordBatch, AuthorError> {
        let mut session = self.plugin.query(&self.parameters)?;
        let rows: UInt32Array =
            (region as u32..self.rows.num_rows() as u32).step_by(regions).collect::<Vec<_>>().into();
        let rows = take_record_batch(&self.rows, &rows)?;
        for (start, length) in batches(rows.num_rows(), BATCH_ROWS) {
            session.input(&rows.slice(start, length))?;
        }
        Ok(session.partial()?)
    }

    fn over(&self, regions: usize) -> Result<RecordBatch, AuthorError> {
        let partials = (0..regions).map(|region| self.partial(region, regions)).collect::<Result<Vec<_>, _>>()?;
        let mut session = self.plugin.query(&self.parameters)?;
        for partial in &partials {
            session.merge(partial)?;
        }
        Ok(session.finish()?)
    }
}

impl Prepared for Query {
    fn answer(&self) -> Result<RecordBatch, AuthorError> {
        self.over(self.regions)
    }

    fn checks(&self, answer: &RecordBatch, strictness: Strictness) -> Result<Vec<Check>, AuthorError> {
        let (name, regions) =
            if self.regions == 1 { ("spread over three regions", PARTS) } else { ("all rows in one region", 1) };
        Ok(vec![Check::same(name, answer, self.over(regions), strictness.reordered())?])
    }
}

/// The declared columns of the rows, found by name, or by place where an SQL engine named them.
fn declared(fields: &[Field], rows: &LocalRows, places: Option<&[String]>) -> Result<RecordBatch, AuthorError> {
    let column = |(index, field): (usize, &Field)| {
        rows.column(places.map_or(field.name.as_str(), |names| names[index].as_str()), field.kind)
    };
    let columns = fields.iter().enumerate().map(column).collect::<Result<Vec<ArrayRef>, _>>()?;
    let schema = fields.iter().map(|field| ArrowField::new(&field.name, field.kind.arrow_type(), true));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(schema.collect::<Vec<_>>())), columns)?)
}

/// The rows that the plugin's SQL gives over the tables.
fn selected(
    interface: &QueryInterface,
    tables: &[Table],
    sql: &dyn InputSql,
    values: &[Value],
) -> Result<RecordBatch, AuthorError> {
    let named = |(parameter, value): (&Parameter, &Value)| (parameter.name.clone(), value.clone());
    let parameters: Vec<_> = interface.parameters.iter().zip(values).map(named).collect();
    let failed = |detail: String| AuthorError::InputSql { detail };
    let batches = sql.select(&interface.input, tables, &parameters).map_err(failed)?;
    let Some(first) = batches.first() else {
        return Err(failed("it gave no batch, not even an empty one".to_owned()));
    };
    let (found, wanted) = (first.num_columns(), interface.columns.len());
    if found != wanted {
        return Err(failed(format!("it gives {found} columns, the plugin declares {wanted}")));
    }
    let places: Vec<String> = (0..found).map(|place| format!("column {}", place + 1)).collect();
    let fields = first.schema_ref().fields().iter().zip(&places);
    let fields = fields.map(|(field, place)| field.as_ref().clone().with_name(place).with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let renamed = |batch: &RecordBatch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec());
    let batches = batches.iter().map(renamed).collect::<Result<Vec<_>, _>>()?;
    let rows = LocalRows::of(Path::new("the plugin's input"), concat_batches(&schema, &batches)?);
    declared(&interface.columns, &rows, Some(&places))
}
