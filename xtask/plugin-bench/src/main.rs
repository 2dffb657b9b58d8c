//! What plugins cost: starting them, calling them, and their code against the same code on the machine itself; beside
//! it, in the same rounds, `arrow-udf`. The last line printed is one JSON object.
//!
//! `plugin-bench PLUGINS ROUNDS`, where `PLUGINS` is the folder with the built plugins.

mod calls;
mod data;
mod instances;
mod kernels_bench;
mod times;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use domicile_sandbox::{Compiler, Plugin, Sandbox, SandboxLimits};
use serde_json::{Value, json};

/// Everything that is measured.
struct Bench {
    functions: Arc<Plugin>,
    question: Arc<Plugin>,
    mapper: Arc<Plugin>,
    other: arrow_udf_runtime::wasm::Runtime,
    rounds: usize,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().context("give the folder with the built plugins")?);
    let rounds = arguments.next().map_or(Some(200), |text| text.to_str()?.parse().ok());
    let rounds = rounds.filter(|rounds| *rounds > 0).context("the rounds are a number above 0")?;
    let sandbox = Sandbox::new(SandboxLimits::default(), Compiler::InProcess)?;
    let bench = Bench {
        functions: load(&sandbox, &folder, "functions")?,
        question: load(&sandbox, &folder, "question")?,
        mapper: load(&sandbox, &folder, "mapper")?,
        other: arrow_udf_runtime::wasm::Runtime::new(&component(&folder, "wasm32-wasip1", "arrow_udf_functions")?)?,
        rounds,
    };
    let started = instances::run(&bench)?;
    let called = calls::run(&bench)?;
    let computed = kernels_bench::run(&bench)?;
    println!("{}", figures(&[started, called, computed])?);
    Ok(())
}

fn load(sandbox: &Sandbox, folder: &Path, name: &str) -> Result<Arc<Plugin>> {
    let component = component(folder, "wasm32-wasip2", &format!("bench_{name}"))?;
    Ok(sandbox.load(format!("bench_{name}").parse()?, "1.0.0", &component)?)
}

fn component(folder: &Path, target: &str, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(target).join("plugin").join(format!("{name}.wasm"));
    std::fs::read(&path).with_context(|| path.display().to_string())
}

/// One object of all parts.
fn figures(parts: &[Value]) -> Result<Value> {
    let mut all = json!({ "bench": "plugin" });
    let object = all.as_object_mut().context("not an object")?;
    for part in parts {
        let part = part.as_object().context("not an object")?;
        object.extend(part.iter().map(|(name, figure)| (name.clone(), figure.clone())));
    }
    ensure!(object.len() > 1, "nothing was measured");
    Ok(all)
}
