//! What a plugin offers, in lines that people read.

use domicile_sandbox::{Field, FunctionKind, FunctionSignature, Interface, Output, OutputKind, Parameter, Value};

/// A line for each function, or for each part of another world's description.
pub(crate) fn provides(interface: &Interface) -> Vec<String> {
    match interface {
        Interface::Functions(functions) => functions.iter().map(function).collect(),
        Interface::Mapper(mapper) => lines([
            ("reads", format!("{}: {}", mapper.dataset, fields(&mapper.inputs))),
            ("parameters", parameters(&mapper.parameters)),
            ("makes", mapper.outputs.iter().map(output).collect::<Vec<_>>().join(", ")),
        ]),
        Interface::Query(query) => lines([
            ("input", query.input.clone()),
            ("parameters", parameters(&query.parameters)),
            ("reads", fields(&query.columns)),
            ("partial", fields(&query.partial)),
            ("answers", fields(&query.outputs)),
        ]),
        Interface::Merge(merge) => lines([("resolves", fields(&merge.columns))]),
    }
}

fn lines<const N: usize>(parts: [(&str, String); N]) -> Vec<String> {
    parts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name} {text}")).collect()
}

fn function(function: &FunctionSignature) -> String {
    let kind = if function.kind == FunctionKind::Aggregate { "aggregate " } else { "" };
    format!("{kind}{}({}) → {}", function.name, fields(&function.arguments), function.returns)
}

fn fields(fields: &[Field]) -> String {
    fields.iter().map(|field| format!("{} {}", field.name, field.kind)).collect::<Vec<_>>().join(", ")
}

fn parameters(parameters: &[Parameter]) -> String {
    let text = |parameter: &Parameter| format!("{} {}{}", parameter.name, parameter.kind, default(&parameter.default));
    parameters.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn default(value: &Value) -> String {
    match value {
        Value::BigInt(number) => format!(" = {number}"),
        Value::Double(number) => format!(" = {number:?}"),
        Value::Text(text) => format!(" = {text:?}"),
        Value::Date(days) => arrow::temporal_conversions::date32_to_datetime(*days)
            .map_or_else(String::new, |moment| format!(" = {}", moment.date())),
        Value::Null | Value::Boolean(_) | Value::Bytes(_) => String::new(),
    }
}

fn output(output: &Output) -> String {
    match &output.kind {
        OutputKind::Category { values } => format!("{} ({})", output.name, values.join(" | ")),
        OutputKind::Measure { min, max } => format!("{} ({min} to {max})", output.name),
    }
}
