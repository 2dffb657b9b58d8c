//! Named endpoints: a mapper asked with its own default aggregation.

use std::collections::BTreeMap;

use domicile_sandbox::MapperInterface;

use crate::QueryError;
use crate::plugins::mapper_interface;
use crate::region::Region;
use crate::run::QueryRequest;

/// Name of the column that counts entities in an endpoint's answer.
const COUNT_COLUMN: &str = "entities";

/// Turns `request` into the question that the mapper `name` answers by default: entities and sums for each group of
/// its outputs. `parameters` are the mapper's own.
///
/// # Errors
/// Where there is no such mapper, or it has no such parameter.
pub fn endpoint_request(
    region: &Region,
    name: &str,
    parameters: BTreeMap<String, String>,
    request: QueryRequest,
) -> Result<QueryRequest, QueryError> {
    let plugin = region.plugins().mapper(name)?;
    let sql = question(name, mapper_interface(&plugin)?);
    Ok(QueryRequest { sql, parameters: Some((plugin.id().name.clone(), parameters)), ..request })
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
