//! Query plugins: an endpoint whose input each home runs over its own rows, with code over what comes of it there, and
//! code over the contributions where these meet.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, cast, col};
use datafusion::prelude::SessionContext;
use domicile_sandbox::{Field as PluginField, Interface, Plugin, QueryInterface, QuerySession, SandboxError, Value};
use domicile_types::PluginName;
use domicile_types::limits::{ANSWER_ROWS_MAX, FRAGMENT_ROWS_MAX};
use futures::TryStreamExt;

use crate::QueryError;
use crate::admit::{AdmittedPlan, admit_input, admit_own_input};
use crate::bind::Binder;
use crate::client::Destination;
use crate::compute::rows;
use crate::leaf::{Released, crossing};
use crate::parse::parse_with;
use crate::parts::Parts;
use crate::plugin_sql::blocking;
use crate::plugins::PluginSet;
use crate::recheck::Recheck;
use crate::reference::without_rows;
use crate::region::Region;
use crate::remote::{Done, Question};
use crate::run::{Answer, Query};

/// The query that a plugin answers.
pub(crate) fn query_interface(plugin: &Plugin) -> Result<&QueryInterface, QueryError> {
    match plugin.interface() {
        Interface::Query(query) => Ok(query),
        _ => Err(QueryError::unknown("query", plugin.id().name.as_str(), [])),
    }
}

/// The plan of the plugin's input with the values of its parameters, one for each. Its SQL sees datasets only.
///
/// # Errors
/// Where the SQL is not one `SELECT` over datasets, or its columns do not fit those that the plugin declares.
pub(crate) async fn input_plan(
    query: &QueryInterface,
    values: &[Value],
    session: &SessionContext,
) -> Result<LogicalPlan, QueryError> {
    let names = query.parameters.iter().map(|parameter| parameter.name.clone());
    let bound = names.zip(values.iter().map(scalar)).collect();
    let plan = parse_with(session, &query.input, bound).await?;
    fit(&plan, &query.columns)?;
    Ok(plan)
}

fn fit(plan: &LogicalPlan, declared: &[PluginField]) -> Result<(), QueryError> {
    let given = plan.schema().fields();
    if given.len() != declared.len() {
        let message = format!("the input gives {} columns where the plugin declares {}", given.len(), declared.len());
        return Err(QueryError::sql(&message, None));
    }
    for (given, declared) in given.iter().zip(declared) {
        if !arrow_cast::can_cast_types(given.data_type(), &declared.kind.arrow_type()) {
            let (name, kind) = (given.name(), given.data_type());
            let message = format!("column `{name}` of the input is of type {kind}, no {} as declared", declared.kind);
            return Err(QueryError::sql(&message, None));
        }
    }
    Ok(())
}

/// The value as SQL has it.
pub(crate) fn scalar(value: &Value) -> ScalarValue {
    match value {
        Value::Null => ScalarValue::Null,
        Value::BigInt(number) => ScalarValue::Int64(Some(*number)),
        Value::Double(number) => ScalarValue::Float64(Some(*number)),
        Value::Text(text) => ScalarValue::Utf8(Some(text.clone())),
        Value::Date(days) => ScalarValue::Date32(Some(*days)),
        Value::Boolean(truth) => ScalarValue::Boolean(Some(*truth)),
        Value::Bytes(bytes) => ScalarValue::Binary(Some(bytes.clone())),
    }
}

/// Columns as Arrow has them.
fn schema(fields: &[PluginField]) -> SchemaRef {
    let fields = fields.iter().map(|field| Field::new(&field.name, field.kind.arrow_type(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What this region contributes to a query plugin's answer.
///
/// # Errors
/// Where the question is not the plugin's, its result may not go to `to`, or the plugin fails.
pub(crate) async fn contribute(
    region: &Region,
    to: &Destination,
    question: &Question<'_>,
    name: &str,
) -> Result<Done, QueryError> {
    let plugins = question.plugins(region)?;
    let plugin = plugins.endpoint(name)?;
    let query = query_interface(&plugin)?;
    if query.input != question.sql {
        let message = format!("the question is not the input of plugin `{name}` with that sha256");
        return Err(QueryError::sql(&message, None));
    }
    let values = plugins.parameters_of(&plugin)?;
    let none = PluginSet::default();
    let catalog = question.catalog;
    let session = catalog.planning_session(&none, &region.runtime)?;
    let plan = input_plan(query, &values, &session).await?;
    let (here, today) = (&region.id, region.today());
    let admitted = admit_own_input(plan, plugin.id(), catalog, here, to, question.purpose, today)?;
    if let Some(verdict) = admitted.verdict.as_ref().filter(|verdict| !verdict.budgets.is_empty()) {
        let asked = region.asked(verdict, &question.recipient(to.tenant()));
        region.history.run(move |history| history.count(&asked)).await??;
    }
    let snapshot = region.snapshot_for(admitted.verdict.as_ref());
    let partials = Default::default();
    let binder = Binder::new(&admitted.admission, catalog, &region.reader, &snapshot, &none, &session, partials)
        .of(&admitted, region.secret())?;
    let plan = declared(crossing(&admitted, &binder)?, &query.columns)?;
    let partial = partial_of(region, &plugin, values, session.state(), plan, binder.recheck()).await?;
    let rows = partial.num_rows() as u64;
    let released = Released { schema: partial.schema(), batches: vec![partial], rows, suppressed: 0 };
    let without_rows = without_rows(&admitted.fragment, &region.reader, &snapshot)?;
    Ok(Done { released, as_of: snapshot.version, copy_of_ms: None, admitted, minimum_entities: 0, without_rows })
}

/// What the plugin makes of the rows of a bound plan.
async fn partial_of(
    region: &Region,
    plugin: &Arc<Plugin>,
    values: Vec<Value>,
    state: SessionState,
    plan: LogicalPlan,
    recheck: Option<Arc<Recheck>>,
) -> Result<RecordBatch, QueryError> {
    let (plugin, pool) = (Arc::clone(plugin), Arc::clone(&region.runtime.memory_pool));
    let work = async move {
        let mut query = Charged::open(&plugin, &values, &pool)?;
        let mut rows = rows(&state, plan, recheck.as_deref()).await?;
        while let Some(batch) = rows.try_next().await? {
            query.call(|session| session.input(&batch))?;
        }
        query.call(QuerySession::partial)
    };
    let partial = region.compute.run(work).await?;
    if partial.num_rows() > FRAGMENT_ROWS_MAX {
        return Err(QueryError::TooLarge { what: "a region's contribution", limit: FRAGMENT_ROWS_MAX, unit: "rows" });
    }
    Ok(partial)
}

/// A plugin at work on a question, whose memory counts as that of queries. What one call takes is counted once it
/// returns; until then the limit of one plugin holds.
struct Charged {
    session: QuerySession,
    charge: MemoryReservation,
}

impl Charged {
    fn open(plugin: &Arc<Plugin>, values: &[Value], pool: &Arc<dyn MemoryPool>) -> Result<Self, QueryError> {
        let charge = MemoryConsumer::new(format!("plugin `{}`", plugin.id().name)).register(pool);
        let session = blocking(|| plugin.query(values))?;
        charge.try_resize(session.memory_bytes())?;
        Ok(Self { session, charge })
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut QuerySession) -> Result<T, SandboxError>) -> Result<T, QueryError> {
        let answer = blocking(|| call(&mut self.session))?;
        self.charge.try_resize(self.session.memory_bytes())?;
        Ok(answer)
    }
}

/// The plan's columns under the names and types that the plugin declares.
fn declared(plan: LogicalPlan, columns: &[PluginField]) -> Result<LogicalPlan, QueryError> {
    let given = plan.schema().columns().into_iter().zip(columns);
    let exprs: Vec<_> =
        given.map(|(column, declared)| cast(col(column), declared.kind.arrow_type()).alias(&declared.name)).collect();
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}

impl Query<'_> {
    /// Answers as the query plugin of that name does.
    ///
    /// # Errors
    /// Where there is none, a policy is against it, a home does not answer, or the plugin fails.
    pub(crate) async fn answer_of(self, name: &PluginName) -> Result<Answer, QueryError> {
        let plugin = self.plugins.endpoint(name.as_str())?;
        let admitted = self.admit_input_of(&plugin).await?;
        let parts = self.ask(&admitted, Some(name.as_str())).await?;
        self.merged_by(plugin, parts).await
    }

    async fn admit_input_of(&self, plugin: &Plugin) -> Result<AdmittedPlan, QueryError> {
        let query = query_interface(plugin)?;
        let values = self.plugins.parameters_of(plugin)?;
        let catalog = &self.catalog;
        let session = catalog.planning_session(&PluginSet::default(), &self.region.runtime)?;
        let plan = input_plan(query, &values, &session).await?;
        let question = (query.input.clone(), schema(&query.partial));
        match admit_input(plan, plugin.id(), question, catalog, self.asking()) {
            Err(QueryError::Denied(denial)) => Err(QueryError::Denied(self.rewriter().checked(denial).await)),
            done => done,
        }
    }

    /// The contributions merged in the order of the regions' names.
    async fn merged_by(self, plugin: Arc<Plugin>, parts: Parts) -> Result<Answer, QueryError> {
        let values = self.plugins.parameters_of(&plugin)?;
        let contributions = parts.batches_by_home(0);
        let pool = Arc::clone(&self.region.runtime.memory_pool);
        let work = async move {
            let mut query = Charged::open(&plugin, &values, &pool)?;
            contributions.iter().try_for_each(|batch| query.call(|session| session.merge(batch)))?;
            query.call(QuerySession::finish)
        };
        let answer: RecordBatch = self.region.compute.run(work).await?;
        if answer.num_rows() > ANSWER_ROWS_MAX {
            return Err(QueryError::TooLarge { what: "the answer", limit: ANSWER_ROWS_MAX, unit: "rows" });
        }
        Ok(self.answer(answer.schema(), vec![answer], parts))
    }
}
