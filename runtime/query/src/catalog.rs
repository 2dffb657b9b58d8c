//! Tables as planning sees them: names, schemas and what kind of table each is, but no rows.
//!
//! A plan made over these cannot be executed. Only binding an admitted plan to a snapshot ([`crate::bind`]) gives it
//! tables that can be scanned.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use domicile_policy::PolicySet;
use domicile_store::{DatasetSpec, arrow_schema};
use domicile_types::limits::SQL_NESTING_MAX;
use domicile_types::{DatasetName, PluginName};

use crate::aggregate::{Stage, aggregates};
use crate::plugins::{PluginSet, mapper_interface};
use crate::policies::SignedPolicies;
use crate::{QueryError, mapper_table, plugin_sql};

/// Built-in functions that are not offered: a few bytes of SQL make them write more than any limit on memory sees,
/// without a pause in which a time limit could end them.
const UNBOUNDED_FUNCTIONS: [&str; 8] =
    ["repeat", "lpad", "rpad", "array_repeat", "list_repeat", "range", "generate_series", "array_resize"];

/// What kind of table a scan reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Relation {
    /// The same rows in every region.
    Reference { dataset: DatasetName },
    /// Rows with a home.
    Resident { dataset: DatasetName },
    /// The output of a mapper over the entities of a resident dataset.
    Mapper { name: PluginName, dataset: DatasetName, inputs: Vec<String> },
    /// The partial results of the fragment of that index, once the regions have answered.
    Partial { fragment: usize },
}

/// A table that can be planned over and not scanned.
#[derive(Debug)]
pub(crate) struct PlannedTable {
    pub(crate) relation: Relation,
    pub(crate) schema: SchemaRef,
}

#[async_trait]
impl TableProvider for PlannedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
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
        Err(DataFusionError::Internal("a plan was executed that was not admitted and bound".to_owned()))
    }
}

/// What a scan of a plan that is not bound yet reads.
pub(crate) fn relation(scan: &TableScan) -> Result<Relation, QueryError> {
    let provider = source_as_provider(&scan.source)?;
    let provider: &dyn Any = provider.as_ref();
    provider
        .downcast_ref::<PlannedTable>()
        .map(|table| table.relation.clone())
        .ok_or_else(|| QueryError::AcrossRegions { what: format!("table {}", scan.table_name) })
}

/// The datasets of a region, which are fixed while it runs, and the policies of one moment. A question has one catalog
/// from its plan to its end.
#[derive(Debug)]
pub struct Catalog {
    specs: Arc<BTreeMap<DatasetName, DatasetSpec>>,
    policies: SignedPolicies,
}

impl Catalog {
    /// A catalog of `specs` under `policies`.
    pub fn new(specs: Vec<DatasetSpec>, policies: impl Into<SignedPolicies>) -> Self {
        let specs = specs.into_iter().map(|spec| (spec.dataset.name.clone(), spec)).collect();
        Self { specs: Arc::new(specs), policies: policies.into() }
    }

    /// The same datasets under other policies, with the same residency.
    pub(crate) fn with_policies(&self, policies: SignedPolicies) -> Self {
        Self { specs: Arc::clone(&self.specs), policies }
    }

    /// The policies.
    pub fn policies(&self) -> &PolicySet {
        &self.policies.set
    }

    pub(crate) fn signed_policies(&self) -> &SignedPolicies {
        &self.policies
    }

    /// The trusted key, as text, that signed the dataset's policy; none where no signature is needed.
    pub fn signed_by(&self, dataset: &DatasetName) -> Option<&str> {
        self.policies.signed_by.get(dataset).map(String::as_str)
    }

    /// The dataset of that name.
    ///
    /// # Errors
    /// Where there is none; the error names the nearest.
    pub fn spec(&self, dataset: &str) -> Result<&DatasetSpec, QueryError> {
        let found = self.specs.iter().find(|(name, _)| name.as_str() == dataset).map(|(_, spec)| spec);
        found.ok_or_else(|| QueryError::unknown("dataset", dataset, self.specs.keys().map(DatasetName::as_str)))
    }

    /// Every dataset, by name.
    pub fn specs(&self) -> impl Iterator<Item = &DatasetSpec> {
        self.specs.values()
    }

    /// A session that plans over every dataset and every active plugin.
    pub(crate) fn planning_session(
        &self,
        plugins: &PluginSet,
        runtime: &Arc<RuntimeEnv>,
    ) -> Result<SessionContext, QueryError> {
        let session = SessionContext::new_with_state(session_state(runtime)?);
        UNBOUNDED_FUNCTIONS.into_iter().for_each(|name| session.deregister_udf(name));
        for spec in self.specs.values() {
            let dataset = spec.dataset.name.clone();
            let relation = if spec.residency.is_resident() {
                Relation::Resident { dataset }
            } else {
                Relation::Reference { dataset }
            };
            register(&session, spec.dataset.name.as_str(), PlannedTable { relation, schema: arrow_schema(spec) })?;
        }
        for function in plugin_sql::functions(plugins) {
            session.register_udf(function);
        }
        for aggregate in aggregates(plugins, Stage::Whole) {
            session.register_udaf(aggregate);
        }
        for mapper in plugins.mappers() {
            let interface = mapper_interface(&mapper)?;
            let relation = mapper_table::mapper_relation(&mapper, interface);
            let table = PlannedTable { relation, schema: mapper_table::mapper_schema(interface) };
            register(&session, mapper.id().name.as_str(), table)?;
        }
        Ok(session)
    }

    /// A session that plans fragments: over the same, and with the functions that make the states of aggregates.
    pub(crate) fn fragment_session(
        &self,
        plugins: &PluginSet,
        runtime: &Arc<RuntimeEnv>,
    ) -> Result<SessionContext, QueryError> {
        let session = self.planning_session(plugins, runtime)?;
        for aggregate in aggregates(plugins, Stage::State) {
            session.register_udaf(aggregate);
        }
        Ok(session)
    }
}

fn register(session: &SessionContext, name: &str, table: PlannedTable) -> Result<(), QueryError> {
    session.register_table(name, Arc::new(table))?;
    Ok(())
}

pub(crate) fn session_state(runtime: &Arc<RuntimeEnv>) -> Result<SessionState, QueryError> {
    let mut config = SessionConfig::new();
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    // Plugins and the wire take plain text columns; one text type everywhere keeps fragments comparable.
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.parquet.schema_force_view_types = false;
    options.catalog.information_schema = false;
    // The text of a fragment nests deeper than what was typed: each operator has its parentheses.
    options.sql_parser.recursion_limit = ConfigNonZeroUsize::try_new(SQL_NESTING_MAX.get())?;
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(Arc::clone(runtime))
        .build();
    Ok(state)
}
