//! Named endpoints: a mapper asked with its own default aggregation, or a query plugin.

use std::collections::BTreeMap;

use domicile_sandbox::{Interface, MapperInterface};

use crate::QueryError;
use crate::plugins::mapper_interface;
use crate::region::Region;
use crate::run::QueryRequest;

/// Name of the column that counts entities in an endpoint's answer.
const COUNT_COLUMN: &str = "entities";

/// Turns `request` into the question that the endpoint `name` answers: of a mapper, entities and sums for each group
/// of its outputs; of a query plugin, what it was made for. `parameters` are the endpoint's own.
///
/// # Errors
/// Where there is no such endpoint, or it has no such parameter.
pub fn endpoint_request(
    region: &Region,
    name: &str,
    parameters: BTreeMap<String, String>,
    request: QueryRequest,
) -> Result<QueryRequest, QueryError> {
    let plugin = region.plugins().picked_for(&request.id).endpoint(name)?;
    let plugin_name = plugin.id().name.clone();
    let (sql, query_plugin) = match plugin.interface() {
        Interface::Query(query) => (query.input.clone(), Some(plugin_name.clone())),
        _ => (question(name, mapper_interface(&plugin)?), None),
    };
    Ok(QueryRequest { sql, parameters: Some((plugin_name, parameters)), query_plugin, ..request })
}

fn question(name: &str, mapper: &MapperInterface) -> String {
    let quoted = |name: &String| format!("\"{name}\"");
    let groups: Vec<String> = mapper.endpoint.group_by.iter().map(quoted).collect();
    let mut outputs = groups.clone();
    outputs.push(format!("count(*) AS {COUNT_COLUMN}"));
    outputs.extend(mapper.endpoint.sum.iter().map(|name| format!("sum(\"{name}\") AS \"{name}\"")));
    let mut sql = format!("SELECT {} FROM \"{name}\"", outputs.join(", "));
    if !groups.is_empty() {
        let groups = groups.join(", ");
        sql.push_str(&format!(" GROUP BY {groups} ORDER BY {groups}"));
    }
    sql
}
