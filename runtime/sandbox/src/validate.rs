//! From a plugin's descriptor to an interface that the rest of the runtime can trust.

use std::collections::BTreeSet;
use std::sync::Arc;

use domicile_types::{DatasetName, limits};

use crate::error::clip;
use crate::wit;
use crate::{
    Endpoint, Field, FunctionSignature, Interface, MapperInterface, MergeInterface, Output, OutputKind, Parameter,
    PluginId, QueryInterface, SandboxError, Value, ValueType,
};

/// The checks of one plugin's descriptor.
pub(crate) struct Validator<'a>(pub(crate) &'a Arc<PluginId>);

/// That of a dataset's name: both are names in SQL.
const NAME_BYTES_MAX: usize = 63;

type Checked<T> = Result<T, SandboxError>;

impl Validator<'_> {
    pub(crate) fn functions(&self, functions: Vec<FunctionSignature>) -> Checked<Interface> {
        self.count("functions", functions.len(), 1, limits::PLUGIN_ITEMS_MAX)?;
        self.names("function", functions.iter().map(|function| &function.name))?;
        for function in &functions {
            let (arguments, what) = (&function.arguments, format!("argument of `{}`", function.name));
            self.count(&format!("arguments of `{}`", function.name), arguments.len(), 0, limits::PLUGIN_ITEMS_MAX)?;
            self.names(&what, arguments.iter().map(|argument| &argument.name))?;
            self.no_bytes(&what, arguments)?;
            if function.returns == ValueType::Bytes {
                let problem = "bytes are no type of SQL's here; only states of aggregates have it".to_owned();
                return Err(self.error(format!("the answer of `{}`", function.name), problem));
            }
        }
        Ok(Interface::Functions(functions))
    }

    pub(crate) fn query(&self, descriptor: wit::QueryDescriptor) -> Checked<Interface> {
        let parameters = self.parameters(descriptor.parameters)?;
        let (bytes, limit) = (descriptor.input.len(), limits::PLUGIN_QUERY_BYTES_MAX);
        if bytes == 0 || bytes > limit {
            return Err(
                self.error("the input".to_owned(), format!("it has {bytes} bytes, from 1 to {limit} are accepted"))
            );
        }
        let tables =
            [("column", &descriptor.columns), ("partial", &descriptor.partial), ("output", &descriptor.outputs)];
        for (what, fields) in tables {
            self.count(&format!("{what} fields"), fields.len(), 1, limits::PLUGIN_ITEMS_MAX)?;
            self.names(what, fields.iter().map(|field| &field.name))?;
        }
        self.no_bytes("column", &descriptor.columns)?;
        self.no_bytes("output", &descriptor.outputs)?;
        let wit::QueryDescriptor { input, columns, partial, outputs, .. } = descriptor;
        Ok(Interface::Query(QueryInterface { parameters, input, columns, partial, outputs }))
    }

    pub(crate) fn merge(&self, columns: Vec<Field>) -> Checked<Interface> {
        self.count("columns", columns.len(), 1, limits::PLUGIN_ITEMS_MAX)?;
        self.unique("its columns", columns.iter().map(|column| &column.name))?;
        self.no_bytes("column", &columns)?;
        Ok(Interface::Merge(MergeInterface { columns }))
    }

    fn no_bytes(&self, what: &str, fields: &[Field]) -> Checked<()> {
        match fields.iter().find(|field| field.kind == ValueType::Bytes) {
            None => Ok(()),
            Some(field) => {
                let problem = "it is of bytes, which only states of aggregates and partial fields of queries may be";
                Err(self.error(format!("{what} `{}`", field.name), problem.to_owned()))
            }
        }
    }

    fn parameters(&self, parameters: Vec<wit::Parameter>) -> Checked<Vec<Parameter>> {
        self.count("parameters", parameters.len(), 0, limits::PLUGIN_ITEMS_MAX)?;
        self.names("parameter", parameters.iter().map(|parameter| &parameter.name))?;
        parameters.into_iter().map(|parameter| self.parameter(parameter)).collect()
    }

    pub(crate) fn mapper(&self, descriptor: wit::MapperDescriptor) -> Checked<Interface> {
        let dataset: DatasetName =
            descriptor.dataset.parse().map_err(|problem| self.error("the dataset".to_owned(), format!("{problem}")))?;
        self.count("inputs", descriptor.inputs.len(), 1, limits::PLUGIN_ITEMS_MAX)?;
        let inputs = descriptor.inputs;
        self.no_bytes("input", &inputs)?;
        let parameters = self.parameters(descriptor.parameters)?;
        self.count("outputs", descriptor.outputs.len(), 1, limits::PLUGIN_ITEMS_MAX)?;
        self.names("output", descriptor.outputs.iter().map(|output| &output.name))?;
        let outputs = descriptor.outputs.iter().map(|output| &output.name);
        self.unique("its inputs and outputs", inputs.iter().map(|input| &input.name).chain(outputs))?;
        let outputs = descriptor.outputs.into_iter().map(|o| self.output(o)).collect::<Checked<Vec<_>>>()?;
        let endpoint = self.endpoint(&outputs, descriptor.endpoint)?;
        Ok(Interface::Mapper(MapperInterface { dataset, inputs, parameters, outputs, endpoint }))
    }

    fn parameter(&self, parameter: wit::Parameter) -> Checked<Parameter> {
        let default = parameter.default;
        let problem = |problem: &str| self.error(format!("parameter `{}`", parameter.name), problem.to_owned());
        let kind = match (default.kind(), &default) {
            (Some(ValueType::Boolean | ValueType::Bytes) | None, _) => {
                return Err(problem("its default is not a bigint, double, text or date"));
            }
            (_, Value::Double(value)) if !value.is_finite() => return Err(problem("its default is not finite")),
            (_, Value::Text(text)) if text.len() > limits::PLUGIN_TEXT_BYTES_MAX => {
                return Err(problem(&format!("its default exceeds {} bytes", limits::PLUGIN_TEXT_BYTES_MAX)));
            }
            (Some(kind), _) => kind,
        };
        Ok(Parameter { name: parameter.name, kind, default })
    }

    fn output(&self, output: wit::Output) -> Checked<Output> {
        let item = format!("output `{}`", output.name);
        let kind = match output.kind {
            wit::OutputKind::Category(values) => {
                self.count(&format!("values of {item}"), values.len(), 1, limits::PLUGIN_CATEGORY_VALUES_MAX)?;
                self.unique(&item, values.iter())?;
                if values.iter().any(|value| value.len() > limits::PLUGIN_TEXT_BYTES_MAX) {
                    return Err(self.error(item, format!("a value exceeds {} bytes", limits::PLUGIN_TEXT_BYTES_MAX)));
                }
                OutputKind::Category { values }
            }
            wit::OutputKind::Measure(wit::Bounds { min, max }) => {
                if !(min.is_finite() && max.is_finite() && min < max) {
                    return Err(self.error(item, format!("{min} to {max} are not finite bounds with min below max")));
                }
                OutputKind::Measure { min, max }
            }
        };
        Ok(Output { name: output.name, kind })
    }

    fn endpoint(&self, outputs: &[Output], endpoint: wit::Endpoint) -> Checked<Endpoint> {
        let check = |names: &[String], wanted: ValueType, what: &str| {
            self.unique("the endpoint", names.iter())?;
            match names.iter().find(|name| !outputs.iter().any(|o| o.name == **name && o.value_type() == wanted)) {
                Some(name) => Err(self.error("the endpoint".to_owned(), format!("`{name}` is not a {what}"))),
                None => Ok(()),
            }
        };
        check(&endpoint.group_by, ValueType::Text, "category output")?;
        check(&endpoint.sum, ValueType::Double, "measure output")?;
        Ok(Endpoint { group_by: endpoint.group_by, sum: endpoint.sum })
    }

    fn count(&self, what: &str, found: usize, min: usize, max: usize) -> Checked<()> {
        if (min..=max).contains(&found) {
            return Ok(());
        }
        Err(self.error(format!("the {what}"), format!("there are {found}, from {min} to {max} are accepted")))
    }

    fn names<'n>(&self, what: &str, names: impl Iterator<Item = &'n String> + Clone) -> Checked<()> {
        for name in names.clone() {
            let well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                && name.len() <= NAME_BYTES_MAX;
            if !well_formed {
                let problem = "use 1 to 63 lower-case letters, digits and `_`, starting with a letter";
                return Err(self.error(format!("{what} `{}`", name.escape_default()), problem.to_owned()));
            }
        }
        self.unique(what, names)
    }

    fn unique<'n>(&self, what: &str, names: impl Iterator<Item = &'n String>) -> Checked<()> {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                return Err(self.error(what.to_owned(), format!("`{name}` is declared twice")));
            }
        }
        Ok(())
    }

    fn error(&self, item: String, problem: String) -> SandboxError {
        SandboxError::DescriptorInvalid { plugin: Arc::clone(self.0), item: clip(item), problem: clip(problem) }
    }
}

#[cfg(test)]
mod tests;
