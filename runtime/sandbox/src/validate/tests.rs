//! Descriptors that make sense, and others.

use domicile_types::Digest;

use super::*;
use crate::FunctionKind;
use crate::wit::{Bounds, OutputKind as Kind};

fn field(name: &str) -> Field {
    Field { name: name.to_owned(), kind: ValueType::Double }
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
        parameters: vec![wit::Parameter { name: "scale".to_owned(), default: Value::Double(1.0) }],
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
    check(|m| m.outputs[0] = category("size", &["small", "small"]), "output `size` wrongly: `small` is declared twice");
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
    check(|m| m.parameters[0].default = Value::Null, untyped);
    check(|m| m.parameters[0].default = Value::Boolean(true), untyped);
    check(
        |m| m.parameters[0].default = Value::Double(f64::NAN),
        "parameter `scale` wrongly: its default is not finite",
    );
    check(
        |m| m.parameters[0].default = Value::Text("x".repeat(257)),
        "parameter `scale` wrongly: its default exceeds 256 bytes",
    );
    check(|m| m.parameters[0].default = Value::Date(1), "mapper");
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
    let function = |name: &str, arguments: Vec<Field>| FunctionSignature {
        name: name.to_owned(),
        kind: FunctionKind::Scalar,
        arguments,
        returns: ValueType::Text,
    };
    let check = |functions: Vec<FunctionSignature>, expect: &str| {
        assert_eq!(validated(|validator| validator.functions(functions)), expect);
    };
    check(vec![function("f", vec![]), function("g", vec![field("x")])], "functions");
    check(vec![], "the functions wrongly: there are 0, from 1 to 64 are accepted");
    check(vec![function("f", vec![]), function("f", vec![])], "function wrongly: `f` is declared twice");
    check(vec![function("f", vec![field("x"), field("x")])], "argument of `f` wrongly: `x` is declared twice");
    let long = "f".repeat(64);
    let expect = "use 1 to 63 lower-case letters, digits and `_`, starting with a letter";
    check(vec![function(&long, vec![])], &format!("function `{long}` wrongly: {expect}"));
}
