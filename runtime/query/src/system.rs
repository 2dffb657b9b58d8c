//! What a region knows of itself, as tables in SQL: `system.NAME`.
//!
//! They are asked alone, at the region's own edge, by operators who stand there. So nothing of them crosses a border, and
//! no policy is about them.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::datasource::{MemTable, provider_as_source, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use domicile_types::limits::ANSWER_ROWS_MAX;
use domicile_wire::token::Role;

use crate::QueryError;
use crate::catalog::session_state;
use crate::region::Region;
use crate::run::{Answer, Query};

/// The schema that the tables are in.
const SYSTEM: &str = "system";

/// A table that a region has about itself.
pub trait SystemTable: Debug + Send + Sync {
    /// Its name in the schema `system`.
    fn name(&self) -> &'static str;

    /// Its columns, which are always the same.
    fn schema(&self) -> SchemaRef;

    /// The rows as they are now, in these columns. May block.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn rows(&self) -> Result<RecordBatch, QueryError>;
}

/// One of them, to plan over.
#[derive(Debug)]
struct Planned(Arc<dyn SystemTable>);

#[async_trait]
impl TableProvider for Planned {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Err(DataFusionError::Internal("a plan was executed whose tables were not read".to_owned()))
    }
}

/// Lets a session plan over the tables.
pub(crate) fn register(session: &SessionContext, tables: &[Arc<dyn SystemTable>]) -> Result<(), QueryError> {
    let schema = MemorySchemaProvider::new();
    for table in tables {
        schema.register_table(table.name().to_owned(), Arc::new(Planned(Arc::clone(table))))?;
    }
    let default = session.state().config_options().catalog.default_catalog.clone();
    if let Some(catalog) = session.catalog(&default) {
        catalog.register_schema(SYSTEM, Arc::new(schema))?;
    }
    Ok(())
}

fn system_table(scan: &TableScan) -> DataFusionResult<Option<Arc<dyn SystemTable>>> {
    let provider = source_as_provider(&scan.source)?;
    let provider: &dyn Any = provider.as_ref();
    Ok(provider.downcast_ref::<Planned>().map(|Planned(table)| Arc::clone(table)))
}

/// Tables by name.
pub(crate) type Tables = BTreeMap<&'static str, Arc<dyn SystemTable>>;

/// The tables of the region about itself that a plan reads.
///
/// # Errors
/// Where it reads others as well.
pub(crate) fn read_by(plan: &LogicalPlan) -> Result<Tables, QueryError> {
    let (mut tables, mut others) = (Tables::new(), false);
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match system_table(scan)? {
                Some(table) => drop(tables.insert(table.name(), table)),
                None => others = true,
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match tables.keys().next() {
        Some(name) if others => {
            let message = format!(
                "`{SYSTEM}.{name}` is about this region alone, so it cannot be asked together with datasets; ask two questions"
            );
            Err(QueryError::sql(&message, None))
        }
        _ => Ok(tables),
    }
}

impl Region {
    /// The same, with tables about itself.
    #[must_use]
    pub fn with_system_tables(mut self, tables: Vec<Arc<dyn SystemTable>>) -> Self {
        self.system = tables;
        self
    }
}

impl Query<'_> {
    /// Answers from what this region knows of itself.
    ///
    /// # Errors
    /// Where the client is no operator who stands here, or the tables cannot be read.
    pub(crate) async fn of_itself(&self, plan: LogicalPlan, tables: Tables) -> Result<Answer, QueryError> {
        let Self { region, request, .. } = self;
        request.client.check_role(Role::Operate)?;
        request.client.check_stands_at(&region.id)?;
        let read = move || {
            let rows = tables.into_iter().map(|(name, table)| Ok((name, table.rows()?)));
            rows.collect::<Result<BTreeMap<_, _>, QueryError>>()
        };
        let rows =
            tokio::task::spawn_blocking(read).await.map_err(|error| QueryError::Execution(error.to_string()))??;
        let session = SessionContext::new_with_state(session_state(&region.runtime)?);
        let plan = bound(plan, &rows)?;
        let schema = Arc::clone(plan.schema().inner());
        let batches = region.compute.collect(&session, plan, ANSWER_ROWS_MAX, "the answer", None).await??;
        Ok(self.answer(schema, batches, self.no_parts_of(0, true)))
    }
}

/// The plan over the rows of its tables.
fn bound(plan: LogicalPlan, rows: &BTreeMap<&'static str, RecordBatch>) -> Result<LogicalPlan, QueryError> {
    let bound = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => {
            let Some(rows) = system_table(&scan)?.and_then(|table| rows.get(table.name())) else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])?;
            let source = provider_as_source(Arc::new(table));
            Ok(Transformed::yes(LogicalPlanBuilder::scan(scan.table_name, source, scan.projection)?.build()?))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(bound.data)
}
