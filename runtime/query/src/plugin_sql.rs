//! Plugins as SQL sees them: functions as scalar functions, a mapper as a table with one row for each entity.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Builder, RecordBatch, StringBuilder, UInt64Array};
use arrow::compute::{concat_batches, partition, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast, ident,
};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{DataFrame, SessionContext};
use domicile_sandbox::{Interface, MapperInterface, Plugin, SandboxError, Value, ValueType};
use domicile_store::ENTITY_COLUMN;
use futures::{StreamExt, TryStreamExt};

use crate::QueryError;
use crate::catalog::Relation;
use crate::plugins::{PluginSet, mapper_interface};

/// Every active plugin function as a scalar function.
pub(crate) fn functions(plugins: &PluginSet) -> Vec<ScalarUDF> {
    let mut functions = Vec::new();
    for plugin in plugins.active() {
        if let Interface::Functions(signatures) = plugin.interface() {
            functions.extend((0..signatures.len()).map(|index| ScalarUDF::from(PluginFunction::new(plugin, index))));
        }
    }
    functions
}

#[derive(Debug)]
struct PluginFunction {
    plugin: Arc<Plugin>,
    index: usize,
    name: String,
    arguments: Vec<DataType>,
    returns: DataType,
    signature: Signature,
}

impl PluginFunction {
    fn new(plugin: &Arc<Plugin>, index: usize) -> Self {
        let (name, arguments, returns) = match plugin.interface() {
            Interface::Functions(signatures) => {
                let signature = &signatures[index];
                let arguments: Vec<DataType> = signature.arguments.iter().map(|a| a.kind.arrow_type()).collect();
                (signature.name.clone(), arguments, signature.returns.arrow_type())
            }
            Interface::Mapper(_) => (String::new(), Vec::new(), DataType::Null),
        };
        // Plugin functions are pure; they are called volatile so that the planner does not call them to fold constants,
        // outside of the query's time limit.
        let signature = if arguments.is_empty() {
            Signature::nullary(Volatility::Volatile)
        } else {
            Signature::exact(arguments.clone(), Volatility::Volatile)
        };
        Self { plugin: Arc::clone(plugin), index, name, arguments, returns, signature }
    }
}

impl PartialEq for PluginFunction {
    fn eq(&self, other: &Self) -> bool {
        self.plugin.id() == other.plugin.id() && self.index == other.index
    }
}

impl Eq for PluginFunction {}

impl std::hash::Hash for PluginFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.plugin.id().digest.hash(state);
        self.index.hash(state);
    }
}

impl ScalarUDFImpl for PluginFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&call.args)?;
        let mut arguments = Vec::with_capacity(arrays.len());
        for (array, kind) in arrays.iter().zip(&self.arguments) {
            arguments.push(arrow::compute::cast(array, kind)?);
        }
        let rows = arguments.first().map_or(call.number_rows, |array| array.len());
        let run = || self.plugin.call_function(self.index, &arguments, rows);
        blocking(run).map(ColumnarValue::Array).map_err(failed)
    }
}

/// Runs plugin code, which may block up to its time limit, without holding up the tasks of this thread.
fn blocking<R>(run: impl FnOnce() -> R) -> R {
    tokio::task::block_in_place(run)
}

fn failed(error: SandboxError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

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

/// A mapper's table over the rows of `input`, which has the entity column. The last column is the entity.
pub(crate) fn mapper_table(
    session: &SessionContext,
    plugin: &Arc<Plugin>,
    parameters: Vec<Value>,
    input: Arc<dyn TableProvider>,
) -> Result<Arc<dyn TableProvider>, QueryError> {
    let mapper = mapper_interface(plugin)?;
    let entity = input.schema().field_with_name(ENTITY_COLUMN).map_err(DataFusionError::from)?.clone();
    let mut columns = vec![ident(ENTITY_COLUMN)];
    columns.extend(mapper.inputs.iter().map(|c| cast(ident(&c.name), c.kind.arrow_type()).alias(&c.name)));
    let sorted = session.read_table(input)?.select(columns)?.sort(vec![ident(ENTITY_COLUMN).sort(true, false)])?;
    let mut fields: Vec<Field> = mapper_schema(mapper).fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(entity);
    let schema = Arc::new(Schema::new(fields));
    let stream = MappedEntities { plugin: Arc::clone(plugin), parameters, sorted, schema: Arc::clone(&schema) };
    Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(stream)])?))
}

struct MappedEntities {
    plugin: Arc<Plugin>,
    parameters: Vec<Value>,
    sorted: DataFrame,
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
        let sorted = self.sorted.clone();
        let (plugin, parameters, schema) =
            (Arc::clone(&self.plugin), self.parameters.clone(), Arc::clone(&self.schema));
        let opened = async move {
            let run = MapperRun { plugin, parameters, schema, pending: None };
            let rows = sorted.execute_stream().await?.map(Some).chain(futures::stream::iter([None]));
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

/// Maps rows sorted by entity, one entity at a time.
struct MapperRun {
    plugin: Arc<Plugin>,
    parameters: Vec<Value>,
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

    fn map(&self, rows: &RecordBatch, entities: &[Range<usize>]) -> DataFusionResult<RecordBatch> {
        let mapped: Result<Vec<Vec<Value>>, SandboxError> = blocking(|| {
            let one = |range: &Range<usize>| {
                let columns: Vec<ArrayRef> =
                    rows.columns()[1..].iter().map(|column| column.slice(range.start, range.len())).collect();
                // A fresh instance for each entity: nothing that the code saw of one can reach another's output.
                self.plugin.mapper(&self.parameters)?.map(&columns)
            };
            entities.iter().map(one).collect()
        });
        let mapped = mapped.map_err(failed)?;
        let mapper = mapper_interface(&self.plugin).map_err(|e| DataFusionError::External(Box::new(e)))?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(mapper.outputs.len() + 1);
        for (index, output) in mapper.outputs.iter().enumerate() {
            columns.push(column(output.value_type(), mapped.iter().map(|values| &values[index])));
        }
        let first: UInt64Array = entities.iter().map(|range| Some(range.start as u64)).collect();
        columns.push(take(rows.column(0), &first, None)?);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

/// Outputs are texts or doubles, as declared; the sandbox has checked it.
fn column<'v>(kind: ValueType, values: impl Iterator<Item = &'v Value>) -> ArrayRef {
    if kind == ValueType::Text {
        let mut builder = StringBuilder::new();
        values.for_each(|value| builder.append_option(if let Value::Text(text) = value { Some(text) } else { None }));
        return Arc::new(builder.finish());
    }
    let mut builder = Float64Builder::new();
    values
        .for_each(|value| builder.append_option(if let Value::Double(number) = value { Some(*number) } else { None }));
    Arc::new(builder.finish())
}
