//! What a plugin is to SQL: the names it has there, and the values of its parameters.

use std::collections::BTreeMap;

use domicile_sandbox::{Field, Interface, MapperInterface, Parameter, Plugin, Value, ValueType};

use crate::QueryError;

/// The names that a plugin has in SQL and among the endpoints.
pub(crate) fn provides(plugin: &Plugin) -> Vec<String> {
    match plugin.interface() {
        Interface::Functions(functions) => functions.iter().map(|function| function.name.clone()).collect(),
        Interface::Mapper(_) | Interface::Query(_) => vec![plugin.id().name.to_string()],
        Interface::Merge(_) => Vec::new(),
    }
}

pub(crate) fn mapper_interface(plugin: &Plugin) -> Result<&MapperInterface, QueryError> {
    match plugin.interface() {
        Interface::Mapper(mapper) => Ok(mapper),
        _ => Err(QueryError::unknown("mapper", plugin.id().name.as_str(), [])),
    }
}

/// The parameters that a mapper or a query declares.
pub(super) fn parameters(plugin: &Plugin) -> Result<&[Parameter], QueryError> {
    match plugin.interface() {
        Interface::Mapper(mapper) => Ok(&mapper.parameters),
        Interface::Query(query) => Ok(&query.parameters),
        Interface::Functions(_) | Interface::Merge(_) => {
            Err(QueryError::unknown("endpoint", plugin.id().name.as_str(), []))
        }
    }
}

pub(super) fn values(declared: &[Parameter], given: &BTreeMap<String, String>) -> Result<Vec<Value>, QueryError> {
    for name in given.keys() {
        if !declared.iter().any(|parameter| &parameter.name == name) {
            return Err(QueryError::unknown("parameter", name, declared.iter().map(|p| p.name.as_str())));
        }
    }
    let value = |parameter: &Parameter| match given.get(&parameter.name) {
        None => Ok(parameter.default.clone()),
        Some(text) => parse(parameter.kind, text).ok_or_else(|| QueryError::Parameter {
            name: parameter.name.clone(),
            expected: match parameter.kind {
                ValueType::Date => "a date as YYYY-MM-DD".to_owned(),
                kind => format!("a value of type {kind}"),
            },
            value: text.clone(),
        }),
    };
    declared.iter().map(value).collect()
}

fn parse(kind: ValueType, text: &str) -> Option<Value> {
    use arrow::datatypes::Date32Type;
    use arrow_cast::parse::Parser;
    match kind {
        ValueType::BigInt => text.parse().ok().map(Value::BigInt),
        ValueType::Double => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Double),
        ValueType::Text => Some(Value::Text(text.to_owned())),
        ValueType::Date => Date32Type::parse(text).map(Value::Date),
        ValueType::Boolean => text.parse().ok().map(Value::Boolean),
        ValueType::Bytes => None,
    }
}

/// What callers may use, for people.
pub(crate) fn shown(plugin: &Plugin) -> Vec<String> {
    let name = &plugin.id().name;
    match plugin.interface() {
        Interface::Functions(functions) => functions
            .iter()
            .map(|function| format!("{}({}) -> {}", function.name, columns(&function.arguments), function.returns))
            .collect(),
        Interface::Mapper(mapper) => {
            let outputs: Vec<String> =
                mapper.outputs.iter().map(|o| format!("{} {}", o.name, o.value_type())).collect();
            vec![format!("{name}({}) over {}", outputs.join(", "), mapper.dataset)]
        }
        Interface::Query(query) => vec![format!("{name}({})", columns(&query.outputs))],
        Interface::Merge(merge) => vec![format!("{name}({})", columns(&merge.columns))],
    }
}

fn columns(fields: &[Field]) -> String {
    fields.iter().map(|field| format!("{} {}", field.name, field.kind)).collect::<Vec<_>>().join(", ")
}
