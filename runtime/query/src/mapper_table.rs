//! A mapper in SQL: a table with one row for each entity.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array, new_empty_array};
use arrow::compute::{concat, concat_batches, partition, take};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{cast, ident};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::prelude::{DataFrame, SessionContext};
use domicile_sandbox::{MapperInstance, MapperInterface, Plugin, SandboxError, Value};
use domicile_store::ENTITY_COLUMN;
use domicile_types::limits::{ENTITY_ROWS_MAX, MAPPER_CALL_ROWS_MAX};
use futures::{StreamExt, TryStreamExt};

use crate::QueryError;
use crate::catalog::Relation;
use crate::mapper_exec::{Given, MapperTable};
use crate::plugin_sql::{blocking, failed};
use crate::plugins::mapper_interface;
use crate::recheck::Recheck;

/// How a mapper's table appears in a plan.
pub(crate) fn mapper_relation(plugin: &Plugin, mapper: &MapperInterface) -> Relation {
    Relation::Mapper {
        name: plugin.id().name.clone(),
        dataset: mapper.dataset.clone(),
        inputs: mapper.inputs.iter().map(|input| input.name.clone()).collect(),
    }
}

/// The columns of a mapper's table.
pub(crate) fn mapper_schema(mapper: &MapperInterface) -> SchemaRef {
    let fields = mapper.outputs.iter().map(|output| Field::new(&output.name, output.value_type().arrow_type(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A mapper's table over the rows of `input`, which has the entity column. The last column is the entity. With
/// `isolated`, each entity is mapped in an instance of its own. `recheck` looks at the plan that reads them.
pub(crate) fn mapper_table(
    session: &SessionContext,
    plugin: &Arc<Plugin>,
    parameters: Vec<Value>,
    input: Arc<dyn TableProvider>,
    isolated: bool,
    recheck: Option<Arc<Recheck>>,
) -> Result<Arc<dyn TableProvider>, QueryError> {
    let mapper = mapper_interface(plugin)?;
    let entity = input.schema().field_with_name(ENTITY_COLUMN).map_err(DataFusionError::from)?.clone();
    let mut columns = vec![ident(ENTITY_COLUMN)];
    columns.extend(mapper.inputs.iter().map(|c| cast(ident(&c.name), c.kind.arrow_type()).alias(&c.name)));
    let sorted = session.read_table(input)?.select(columns)?.sort(vec![ident(ENTITY_COLUMN).sort(true, false)])?;
    let mut fields: Vec<Field> = mapper_schema(mapper).fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(entity);
    let schema = Arc::new(Schema::new(fields));
    let plugin = Arc::clone(plugin);
    let given = Given {
        mapper: plugin.id().name.clone(),
        dataset: mapper.dataset.clone(),
        inputs: mapper.inputs.iter().map(|input| input.name.clone()).collect(),
    };
    let entities = MappedEntities { plugin, parameters, sorted, isolated, recheck, schema: Arc::clone(&schema) };
    Ok(Arc::new(MapperTable { given, schema, entities: Arc::new(entities) }))
}

struct MappedEntities {
    plugin: Arc<Plugin>,
    parameters: Vec<Value>,
    sorted: DataFrame,
    isolated: bool,
    recheck: Option<Arc<Recheck>>,
    schema: SchemaRef,
}

impl std::fmt::Debug for MappedEntities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MappedEntities").field("plugin", &self.plugin.id()).finish_non_exhaustive()
    }
}

impl PartitionStream for MappedEntities {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (sorted, recheck) = (self.sorted.clone(), self.recheck.clone());
        let run = MapperRun {
            plugin: Arc::clone(&self.plugin),
            parameters: self.parameters.clone(),
            isolated: self.isolated,
            instance: None,
            schema: Arc::clone(&self.schema),
            pending: None,
        };
        let opened = async move {
            let context = Arc::new(sorted.task_ctx());
            let plan = sorted.create_physical_plan().await?;
            let checked = recheck.map_or(Ok(()), |recheck| recheck.check(&plan));
            checked.map_err(|error| DataFusionError::External(Box::new(error)))?;
            let rows = execute_stream(plan, context)?.map(Some).chain(futures::stream::iter([None]));
            let mapped = rows.scan(run, |run, batch| {
                let mapped = match batch {
                    Some(batch) => batch.and_then(|batch| run.push(&batch)),
                    None => run.finish(),
                };
                std::future::ready(Some(mapped))
            });
            DataFusionResult::<_>::Ok(mapped)
        };
        let stream = futures::stream::once(opened).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

/// Maps rows sorted by entity.
struct MapperRun {
    plugin: Arc<Plugin>,
    parameters: Vec<Value>,
    isolated: bool,
    /// Maps all entities, where they are not isolated.
    instance: Option<MapperInstance>,
    schema: SchemaRef,
    /// Rows of the last entity seen, which the next batch may continue.
    pending: Option<RecordBatch>,
}

impl MapperRun {
    fn push(&mut self, batch: &RecordBatch) -> DataFusionResult<RecordBatch> {
        let rows = match self.pending.take() {
            Some(pending) => concat_batches(&batch.schema(), [&pending, batch])?,
            None => batch.clone(),
        };
        let mut entities = partition(&rows.columns()[..1])?.ranges();
        if let Some(last) = entities.pop() {
            if last.len() > ENTITY_ROWS_MAX {
                return Err(too_many_rows());
            }
            self.pending = Some(rows.slice(last.start, last.len()));
        }
        self.map(&rows, &entities)
    }

    fn finish(&mut self) -> DataFusionResult<RecordBatch> {
        match self.pending.take() {
            Some(rows) => self.map(&rows, std::slice::from_ref(&(0..rows.num_rows()))),
            None => Ok(RecordBatch::new_empty(Arc::clone(&self.schema))),
        }
    }

    /// The outputs of the entities whose rows these ranges are, one right after the other.
    fn map(&mut self, rows: &RecordBatch, entities: &[Range<usize>]) -> DataFusionResult<RecordBatch> {
        let mut calls: Vec<Vec<ArrayRef>> = Vec::new();
        let mut left = entities;
        while !left.is_empty() {
            let (now, later) = left.split_at(if self.isolated { 1 } else { in_one_call(left) });
            calls.push(blocking(|| self.call(rows, now)).map_err(failed)?);
            left = later;
        }
        let fields = self.schema.fields();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(fields.len());
        for (index, field) in fields.iter().take(fields.len() - 1).enumerate() {
            let parts: Vec<&dyn Array> = calls.iter().map(|outputs| outputs[index].as_ref()).collect();
            columns.push(if parts.is_empty() { new_empty_array(field.data_type()) } else { concat(&parts)? });
        }
        let first: UInt64Array = entities.iter().map(|range| Some(range.start as u64)).collect();
        columns.push(take(rows.column(0), &first, None)?);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    fn call(&mut self, rows: &RecordBatch, entities: &[Range<usize>]) -> Result<Vec<ArrayRef>, SandboxError> {
        let start = entities.first().map_or(0, |range| range.start);
        let end = entities.last().map_or(0, |range| range.end);
        let inputs: Vec<ArrayRef> = rows.columns()[1..].iter().map(|column| column.slice(start, end - start)).collect();
        // A call has at most `MAPPER_CALL_ROWS_MAX` rows or one entity's, so that no end is cut.
        let ends: Vec<u32> = entities.iter().map(|range| (range.end - start) as u32).collect();
        if self.isolated {
            // A fresh instance for each entity: nothing that the code saw of one can reach another's output.
            return self.plugin.mapper(&self.parameters)?.map(&inputs, &ends);
        }
        let instance = match self.instance.as_mut() {
            Some(instance) => instance,
            None => self.instance.insert(self.plugin.mapper(&self.parameters)?),
        };
        instance.map(&inputs, &ends)
    }
}

/// How many of the entities one call takes: as many as have few enough rows together, and at least one.
fn in_one_call(entities: &[Range<usize>]) -> usize {
    let start = entities.first().map_or(0, |range| range.start);
    entities.iter().take_while(|range| range.end - start <= MAPPER_CALL_ROWS_MAX).count().max(1)
}

fn too_many_rows() -> DataFusionError {
    let error = QueryError::TooLarge { what: "an entity for a mapper", limit: ENTITY_ROWS_MAX, unit: "rows" };
    DataFusionError::External(Box::new(error))
}
