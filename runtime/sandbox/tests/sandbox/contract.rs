//! The contract and its released versions: what was released never changes, and plugins built for it go on working.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, new_null_array};
use domicile_sandbox::{CONTRACT_VERSION, Field, FunctionKind, Interface, Plugin, RowVersion, Value};
use wit_parser::{Function, PackageId, Resolve, Type, TypeDefKind, TypeId, TypeOwner, WorldItem, WorldKey};

use crate::guest::{VERSION, sandbox};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The items of a package by their names: what they are, down to types that have no name.
fn items(text: &str) -> BTreeMap<String, String> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", text).unwrap();
    let mut items = BTreeMap::new();
    for (name, interface) in &resolve.packages[package].interfaces {
        let interface = &resolve.interfaces[*interface];
        for (item, id) in &interface.types {
            items.insert(format!("type {name}.{item}"), kind(&resolve, *id));
        }
        for (item, function) in &interface.functions {
            items.insert(format!("function {name}.{item}"), signature(&resolve, function));
        }
    }
    worlds(&resolve, package, &mut items);
    items
}

fn worlds(resolve: &Resolve, package: PackageId, items: &mut BTreeMap<String, String>) {
    let interface = |key: &WorldKey, item: &WorldItem| match item {
        WorldItem::Interface { id, .. } => resolve.interfaces[*id].name.clone().unwrap(),
        _ => panic!("teach this test what {key:?} is"),
    };
    for (name, world) in &resolve.packages[package].worlds {
        let world = &resolve.worlds[*world];
        for (key, item) in &world.imports {
            items.insert(format!("world {name} imports {}", interface(key, item)), String::new());
        }
        // A world never exports more than it did: plugins of older versions do not have it.
        let exports: Vec<_> = world.exports.iter().map(|(key, item)| interface(key, item)).collect();
        items.insert(format!("exports of world {name}"), exports.join(", "));
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params = function.params.iter().map(|param| format!("{}: {}", param.name, named(resolve, &param.ty)));
    let result = function.result.as_ref().map(|result| named(resolve, result));
    format!("({}) -> {result:?}", params.collect::<Vec<_>>().join(", "))
}

/// A type as it is used: by its name where it has one.
fn named(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else { return format!("{ty:?}") };
    let definition = &resolve.types[*id];
    match (&definition.name, definition.owner) {
        (Some(name), TypeOwner::Interface(owner)) => {
            format!("{}.{name}", resolve.interfaces[owner].name.as_deref().unwrap())
        }
        _ => kind(resolve, *id),
    }
}

fn kind(resolve: &Resolve, id: TypeId) -> String {
    let of = |ty: &Option<Type>| ty.as_ref().map(|ty| named(resolve, ty)).unwrap_or_default();
    let list = |parts: Vec<String>| parts.join(", ");
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            let field = |field: &wit_parser::Field| format!("{}: {}", field.name, named(resolve, &field.ty));
            format!("record {{{}}}", list(record.fields.iter().map(field).collect()))
        }
        TypeDefKind::Variant(variant) => {
            let case = |case: &wit_parser::Case| format!("{}({})", case.name, of(&case.ty));
            format!("variant {{{}}}", list(variant.cases.iter().map(case).collect()))
        }
        TypeDefKind::Enum(cases) => {
            format!("enum {{{}}}", list(cases.cases.iter().map(|case| case.name.clone()).collect()))
        }
        TypeDefKind::Option(ty) => format!("option<{}>", named(resolve, ty)),
        TypeDefKind::List(ty) => format!("list<{}>", named(resolve, ty)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", of(&result.ok), of(&result.err)),
        TypeDefKind::Handle(wit_parser::Handle::Own(id)) => format!("own<{}>", named(resolve, &Type::Id(*id))),
        TypeDefKind::Handle(wit_parser::Handle::Borrow(id)) => format!("borrow<{}>", named(resolve, &Type::Id(*id))),
        TypeDefKind::Resource => "resource".to_owned(),
        TypeDefKind::Type(ty) => format!("alias of {}", named(resolve, ty)),
        other => panic!("teach this test what {other:?} is"),
    }
}

fn version_of(path: &Path) -> [u64; 3] {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let numbers: Vec<u64> = stem.split('.').map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

/// The released versions, oldest first, with their texts.
fn released() -> Vec<([u64; 3], String)> {
    let folder = std::fs::read_dir(root().join("wit/released")).unwrap();
    let mut released: Vec<_> = folder
        .map(|file| {
            let path = file.unwrap().path();
            (version_of(&path), std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    released.sort();
    released
}

#[test]
fn the_contract_is_its_released_version() {
    let contract = std::fs::read_to_string(root().join("wit/plugin.wit")).unwrap();
    assert!(contract.starts_with(&format!("package domicile:plugin@{CONTRACT_VERSION};")));
    let released = std::fs::read_to_string(root().join(format!("wit/released/{CONTRACT_VERSION}.wit"))).unwrap();
    assert_eq!(contract, released, "a change of the contract needs a new version");
}

#[test]
fn a_minor_version_only_adds() {
    let released = released();
    assert!(released.len() >= 2);
    for pair in released.windows(2) {
        let ([older, newer], true) = (pair, pair[0].0[0] == pair[1].0[0]) else { continue };
        let kept = items(&newer.1);
        for (name, item) in items(&older.1) {
            assert_eq!(kept.get(&name), Some(&item), "{name} of {:?} in {:?}", older.0, newer.0);
        }
    }
}

#[test]
fn a_change_is_noticed() {
    let newest = released().pop().unwrap().1;
    let before = items(&newest);
    assert!(before.len() > 60, "{}", before.len());
    let changes = [
        ("min: f64,\n        max: f64,", "max: f64,\n        min: f64,"),
        ("rows: func(column: column) -> u32;", "rows: func(column: column) -> u64;"),
        ("finish: func(groups: u32)", "finish: func(count: u32)"),
        ("        /// True or false.\n        boolean,", "        boolean,\n        decimal,"),
        ("    export merge;", "    export merge;\n    export mapper;"),
        ("constructor(function: u32);", "constructor();"),
    ];
    for (from, to) in changes {
        assert!(newest.contains(from), "{from}");
        let after = items(&newest.replacen(from, to, 1));
        assert!(before.iter().any(|(name, item)| after.get(name) != Some(item)), "{to} was not noticed");
    }
}

fn nulls(fields: &[Field], rows: usize) -> Vec<ArrayRef> {
    fields.iter().map(|field| new_null_array(&field.kind.arrow_type(), rows)).collect()
}

fn table(fields: &[Field]) -> RecordBatch {
    let columns = fields.iter().zip(nulls(fields, 2)).map(|(field, array)| (field.name.clone(), array, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Uses a plugin as its world is used, with rows that have no values. A plugin may say that it cannot work on these.
fn exercise(plugin: &Arc<Plugin>) {
    let said = |error: domicile_sandbox::SandboxError| {
        assert!(matches!(error, domicile_sandbox::SandboxError::Returned { .. }), "{error}");
    };
    match plugin.interface() {
        Interface::Functions(functions) => {
            for (index, function) in functions.iter().enumerate() {
                let arguments = nulls(&function.arguments, 2);
                if function.kind == FunctionKind::Scalar {
                    plugin.functions().unwrap().call(index, &arguments, 2).map_or_else(said, drop);
                } else {
                    let mut accumulator = plugin.accumulator(index).unwrap();
                    accumulator.update(&arguments, 2, &[0, 1], 2).unwrap();
                    let states: BinaryArray = accumulator.state(2).unwrap();
                    accumulator.merge(&states, &[0, 0], 1).unwrap();
                    assert_eq!(accumulator.finish(1).unwrap().len(), 1);
                }
            }
        }
        Interface::Mapper(mapper) => {
            let mut instance = plugin.mapper(&mapper.defaults()).unwrap();
            instance.map(&nulls(&mapper.inputs, 2), &[1, 2]).map_or_else(said, drop);
        }
        Interface::Query(query) => {
            let mut session = plugin.query(&query.defaults()).unwrap();
            session.input(&table(&query.columns)).map_or_else(said, drop);
            let partial = session.partial().unwrap();
            let mut session = plugin.query(&query.defaults()).unwrap();
            session.merge(&partial).unwrap();
            session.finish().unwrap();
        }
        Interface::Merge(merge) => {
            let version = |written_at| RowVersion {
                written_at,
                origin: "us-east".to_owned(),
                values: vec![Value::Null; merge.columns.len()],
            };
            plugin.merge().unwrap().resolve(&[version(1), version(2)]).map_or_else(said, drop);
        }
    }
}

#[test]
fn plugins_built_for_released_versions_go_on_working() {
    let sandbox = sandbox();
    let mut worlds = BTreeMap::<String, Vec<&str>>::new();
    for version in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/released")).unwrap() {
        let version = version.unwrap().path();
        for file in std::fs::read_dir(&version).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|kind| kind != "wasm") {
                continue;
            }
            let name = path.file_stem().unwrap().to_str().unwrap();
            let plugin = sandbox.load(name.parse().unwrap(), VERSION, &std::fs::read(&path).unwrap());
            let plugin = plugin.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            exercise(&plugin);
            let version = version.file_name().unwrap().to_str().unwrap().to_owned();
            worlds.entry(version).or_default().push(plugin.interface().world());
        }
    }
    assert!(!worlds.is_empty());
    for (version, worlds) in worlds {
        let missing = ["functions", "mapper", "query", "merge"].iter().find(|world| !worlds.contains(world));
        assert_eq!(missing, None, "{version} is to have a plugin of this world");
    }
}
