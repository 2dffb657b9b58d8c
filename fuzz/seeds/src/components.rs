//! Small components: one of each world that does nothing, some by hand that answer, and some that misbehave.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, PackageId, Resolve};

use crate::Seed;

type Failure = Box<dyn std::error::Error>;

/// Core modules by hand: a name, the world, the text.
const BY_HAND: [(&str, &str, &str); 7] = [
    ("writes", "functions-plugin", include_str!("writes.wat")),
    ("merge", "merge-plugin", include_str!("merge.wat")),
    ("function", "functions-plugin", include_str!("function.wat")),
    ("spins", "merge-plugin", include_str!("spins.wat")),
    ("grows", "merge-plugin", include_str!("grows.wat")),
    ("recurses", "merge-plugin", include_str!("recurses.wat")),
    ("garbles", "merge-plugin", include_str!("garbles.wat")),
];

/// The seeds, whole and cut.
pub(crate) fn seeds() -> Result<Vec<Seed>, Failure> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit"))?;
    let mut seeds = Vec::new();
    let mut push = |name: &str, bytes: Vec<u8>| seeds.push(("component_load", name.to_owned(), bytes));
    for world in ["functions-plugin", "mapper-plugin", "query-plugin", "merge-plugin"] {
        let id = resolve.select_world(&[package], Some(world))?;
        let module = dummy_module(&resolve, id, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
        push(&format!("empty-{world}"), component(&resolve, package, world, module)?);
    }
    for (name, world, text) in BY_HAND {
        push(name, component(&resolve, package, world, wat::parse_str(text)?)?);
    }
    let whole = component(&resolve, package, "merge-plugin", wat::parse_str(BY_HAND[1].2)?)?;
    push("cut", whole[..whole.len() / 2].to_vec());
    push("core-module", wat::parse_str("(module (memory 1))")?);
    push("no-exports", wat::parse_str("(component)")?);
    push("asks-for-files", wat::parse_str(r#"(component (import "wasi:filesystem/types@0.2.0" (instance)))"#)?);
    push("text", b"(component)".to_vec());
    Ok(seeds)
}

fn component(resolve: &Resolve, package: PackageId, world: &str, mut module: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let world = resolve.select_world(&[package], Some(world))?;
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)?;
    Ok(ComponentEncoder::default().validate(true).module(&module)?.encode()?)
}
