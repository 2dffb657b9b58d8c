//! From a plugin's descriptor to an interface that the rest of the runtime can trust.

use std::collections::BTreeSet;
use std::sync::Arc;

use domicile_types::{DatasetName, limits};

use crate::error::clip;
use crate::wit;
use crate::{
    Endpoint, Field, FunctionSignature, Interface, MapperInterface, Output, OutputKind, Parameter, PluginId,
    SandboxError, Value, ValueType,
};

/// The checks of one plugin's descriptor.
pub(crate) struct Validator<'a>(pub(crate) &'a Arc<PluginId>);

/// That of a dataset's name: both are names in SQL.
const NAME_BYTES_MAX: usize = 63;

type Checked<T> = Result<T, SandboxError>;

impl Validator<'_> {
    pub(crate) fn functions(&self, descriptor: wit::FunctionsDescriptor) -> Checked<Interface> {
        self.count("functions", descriptor.functions.len(), 1, limits::PLUGIN_ITEMS_MAX)?;
        self.names("function", descriptor.functions.iter().map(|function| &function.name))?;
        let signatures = descriptor.functions.into_iter().map(|function| self.function(function));
        Ok(Interface::Functions(signatures.collect::<Checked<_>>()?))
    }

    fn function(&self, function: wit::FunctionSignature) -> Checked<FunctionSignature> {
        let what = format!("argument of `{}`", function.name);
        self.count(
            &format!("arguments of `{}`", function.name),
            function.arguments.len(),
            0,
            limits::PLUGIN_ITEMS_MAX,
        )?;
        self.names(&what, function.arguments.iter().map(|argument| &argument.name))?;
        let arguments = function.arguments.into_iter().map(field).collect();
        Ok(FunctionSignature { name: function.name, arguments, returns: function.returns.into() })
    }

    pub(crate) fn mapper(&self, descriptor: wit::MapperDescriptor) -> Checked<Interface> {
        let dataset: DatasetName =
            descriptor.dataset.parse().map_err(|problem| self.error("the dataset".to_owned(), format!("{problem}")))?;
        self.count("inputs", descriptor.inputs.len(), 1, limits::PLUGIN_ITEMS_MAX)?;
        let inputs: Vec<Field> = descriptor.inputs.into_iter().map(field).collect();
        self.count("parameters", descriptor.parameters.len(), 0, limits::PLUGIN_ITEMS_MAX)?;
        self.names("parameter", descriptor.parameters.iter().map(|parameter| &parameter.name))?;
        let parameters = descriptor.parameters.into_iter().map(|p| self.parameter(p)).collect::<Checked<_>>()?;
        self.count("outputs", descriptor.outputs.len(), 1, limits::PLUGIN_ITEMS_MAX)?;
        self.names("output", descriptor.outputs.iter().map(|output| &output.name))?;
        let outputs = descriptor.outputs.iter().map(|output| &output.name);
        self.unique("its inputs and outputs", inputs.iter().map(|input| &input.name).chain(outputs))?;
        let outputs = descriptor.outputs.into_iter().map(|o| self.output(o)).collect::<Checked<Vec<_>>>()?;
        let endpoint = self.endpoint(&outputs, descriptor.endpoint)?;
        Ok(Interface::Mapper(MapperInterface { dataset, inputs, parameters, outputs, endpoint }))
    }

    fn parameter(&self, parameter: wit::Parameter) -> Checked<Parameter> {
        let default = Value::from(parameter.default);
        let problem = |problem: &str| self.error(format!("parameter `{}`", parameter.name), problem.to_owned());
        let kind = match (default.kind(), &default) {
            (Some(ValueType::Boolean) | None, _) => {
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

fn field(field: wit::Field) -> Field {
    Field { name: field.name, kind: field.kind.into() }
}

#[cfg(test)]
mod tests {
    use domicile_types::Digest;

    use super::*;
    use crate::wit::{Bounds, OutputKind as Kind, ValueOut};

    fn field(name: &str) -> wit::Field {
        wit::Field { name: name.to_owned(), kind: wit::ValueType::Double }
    }

    fn category(name: &str, values: &[&str]) -> wit::Output {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        wit::Output { name: name.to_owned(), kind: Kind::Category(values) }
    }

    fn measure(name: &str, min: f64, max: f64) -> wit::Output {
        wit::Output { name: name.to_owned(), kind: Kind::Measure(Bounds { min, max }) }
    }

    fn mapper() -> wit::MapperDescriptor {
        wit::MapperDescriptor {
            dataset: "orders".to_owned(),
            inputs: vec![field("o_totalprice")],
            parameters: vec![wit::Parameter { name: "scale".to_owned(), default: ValueOut::Double(1.0) }],
            outputs: vec![category("size", &["small", "large"]), measure("total", 0.0, 9.0)],
            endpoint: wit::Endpoint { group_by: vec!["size".to_owned()], sum: vec!["total".to_owned()] },
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut wit::MapperDescriptor), expect: &str) {
        let mut descriptor = mapper();
        change(&mut descriptor);
        assert_eq!(validated(|validator| validator.mapper(descriptor)), expect);
    }

    fn validated(validate: impl FnOnce(Validator<'_>) -> Checked<Interface>) -> String {
        let name = "demo".parse().expect("a plugin name");
        let plugin = Arc::new(PluginId { name, version: "1.0.0".to_owned(), digest: Digest([0; 32]) });
        match validate(Validator(&plugin)) {
            Ok(interface) => interface.world().to_owned(),
            Err(error) => error.to_string().replace("plugin `demo` 1.0.0 declares ", ""),
        }
    }

    #[test]
    fn mappers() {
        check(|_| (), "mapper");
        check(
            |m| m.dataset = "Orders!".to_owned(),
            "the dataset wrongly: `Orders!` is not a dataset name: use lower-case letters, digits and `_`, starting \
             with a letter",
        );
        check(|m| m.inputs.clear(), "the inputs wrongly: there are 0, from 1 to 64 are accepted");
        check(|m| m.inputs.push(field("total")), "its inputs and outputs wrongly: `total` is declared twice");
        check(
            |m| m.outputs[0].name = "Size".to_owned(),
            "output `Size` wrongly: use 1 to 63 lower-case letters, digits and `_`, starting with a letter",
        );
        check(
            |m| m.outputs[0] = category("size", &["small", "small"]),
            "output `size` wrongly: `small` is declared twice",
        );
        check(
            |m| m.outputs[0] = category("size", &[]),
            "the values of output `size` wrongly: there are 0, from 1 to 256 are accepted",
        );
    }

    #[test]
    fn bounds_are_finite_and_ordered() {
        let expect = "are not finite bounds with min below max";
        let bounds = [(1.0, 1.0), (2.0, 1.0), (0.0, f64::INFINITY), (f64::NEG_INFINITY, 0.0), (f64::NAN, 1.0)];
        for (min, max) in bounds {
            check(
                |m| m.outputs[1] = measure("total", min, max),
                &format!("output `total` wrongly: {min} to {max} {expect}"),
            );
        }
    }

    #[test]
    fn defaults_have_a_type() {
        let untyped = "parameter `scale` wrongly: its default is not a bigint, double, text or date";
        check(|m| m.parameters[0].default = ValueOut::Null, untyped);
        check(|m| m.parameters[0].default = ValueOut::Boolean(true), untyped);
        check(
            |m| m.parameters[0].default = ValueOut::Double(f64::NAN),
            "parameter `scale` wrongly: its default is not finite",
        );
        check(
            |m| m.parameters[0].default = ValueOut::Text("x".repeat(257)),
            "parameter `scale` wrongly: its default exceeds 256 bytes",
        );
        check(|m| m.parameters[0].default = ValueOut::Date(1), "mapper");
    }

    #[test]
    fn endpoints_name_outputs_of_the_right_kind() {
        check(|m| m.endpoint.sum = vec!["size".to_owned()], "the endpoint wrongly: `size` is not a measure output");
        check(
            |m| m.endpoint.group_by = vec!["region".to_owned()],
            "the endpoint wrongly: `region` is not a category output",
        );
        check(|m| m.endpoint.group_by.push("size".to_owned()), "the endpoint wrongly: `size` is declared twice");
    }

    #[test]
    fn functions_have_distinct_names() {
        let function = |name: &str, arguments: Vec<wit::Field>| wit::FunctionSignature {
            name: name.to_owned(),
            arguments,
            returns: wit::ValueType::Text,
        };
        let check = |functions: Vec<wit::FunctionSignature>, expect: &str| {
            assert_eq!(validated(|validator| validator.functions(wit::FunctionsDescriptor { functions })), expect);
        };
        check(vec![function("f", vec![]), function("g", vec![field("x")])], "functions");
        check(vec![], "the functions wrongly: there are 0, from 1 to 64 are accepted");
        check(vec![function("f", vec![]), function("f", vec![])], "function wrongly: `f` is declared twice");
        check(vec![function("f", vec![field("x"), field("x")])], "argument of `f` wrongly: `x` is declared twice");
        let long = "f".repeat(64);
        let expect = "use 1 to 63 lower-case letters, digits and `_`, starting with a letter";
        check(vec![function(&long, vec![])], &format!("function `{long}` wrongly: {expect}"));
    }
}
