//! What a plugin is checked for when it is deployed, beyond what the sandbox knows of.

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use domicile_sandbox::{FunctionKind, Interface, MapperInterface, Plugin, QueryInterface, Value};
use domicile_types::limits::THREAD_STACK_BYTES;

use crate::QueryError;
use crate::aggregate::{MERGE_SUFFIX, STATE_SUFFIX};
use crate::catalog::Catalog;
use crate::plugins::PluginSet;
use crate::query_plugin::input_plan;

/// Checks that what the plugin reads exists here, and that its functions can be called.
///
/// # Errors
/// Names what does not fit.
pub(crate) fn check(catalog: &Catalog, plugin: &Plugin) -> Result<(), QueryError> {
    match plugin.interface() {
        Interface::Functions(functions) => functions.iter().try_for_each(|function| {
            let reserved = [STATE_SUFFIX, MERGE_SUFFIX].into_iter().find(|suffix| function.name.ends_with(suffix));
            if let Some(suffix) = reserved {
                let taken_by = format!("a part of an aggregate, as every name that ends in `{suffix}`");
                return Err(QueryError::NameTaken { name: function.name.clone(), taken_by });
            }
            if function.kind == FunctionKind::Aggregate && function.arguments.is_empty() {
                let message = format!("aggregate `{}` takes no argument; SQL has no rows to give it", function.name);
                return Err(QueryError::sql(&message, None));
            }
            Ok(())
        }),
        Interface::Mapper(mapper) => mapper_inputs(catalog, mapper),
        Interface::Query(query) => query_input(catalog, query),
        Interface::Merge(_) => Ok(()),
    }
}

fn mapper_inputs(catalog: &Catalog, mapper: &MapperInterface) -> Result<(), QueryError> {
    let spec = catalog.spec(mapper.dataset.as_str())?;
    if !spec.residency.is_resident() {
        return Err(QueryError::Parameter {
            name: "dataset".to_owned(),
            expected: "a dataset whose rows belong to entities".to_owned(),
            value: mapper.dataset.to_string(),
        });
    }
    for input in &mapper.inputs {
        let known = spec.dataset.columns.iter().map(|column| column.name.as_str());
        if spec.dataset.column(&input.name).is_err() {
            return Err(QueryError::unknown("column", &input.name, known));
        }
    }
    Ok(())
}

/// Planning recurses deeper than the stack of any thread that may check a plugin.
fn query_input(catalog: &Catalog, query: &QueryInterface) -> Result<(), QueryError> {
    let session = catalog.planning_session(&PluginSet::default(), &Arc::new(RuntimeEnv::default()))?;
    let values: Vec<Value> = query.parameters.iter().map(|parameter| parameter.default.clone()).collect();
    let plan = || futures::executor::block_on(input_plan(query, &values, &session)).map(drop);
    let stopped = |detail: String| QueryError::Execution(format!("the input cannot be planned: {detail}"));
    std::thread::scope(|scope| {
        let planner = std::thread::Builder::new().stack_size(THREAD_STACK_BYTES).spawn_scoped(scope, plan);
        let planned = planner.map_err(|error| stopped(error.to_string()))?.join();
        planned.map_err(|_| stopped("its thread ended".to_owned()))?
    })
}
