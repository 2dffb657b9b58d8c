//! The shape of the project: who may know whom, how long things may get, what does not belong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace;
use serde_json::Value;

/// The steps of the house. A crate knows only crates on lower steps; those on one step do not know each other.
const STEPS: [&[&str]; 6] = [
    &["domicile-types"],
    &["domicile-config"],
    &["domicile-policy", "domicile-wire", "domicile-store", "domicile-sandbox"],
    &["domicile-query", "domicile-sync"],
    &["domicile-edge", "domicile-author"],
    &["domicile"],
];

/// Crates that stand outside: they meet the runtime at its public faces only, and know each other in this order.
const OUTSIDE: [&str; 6] =
    ["domicile-harness", "domicile-tpch", "xtask", "domicile-tests", "domicile-utility", "domicile-attacks"];

/// What a crate does not know: dependencies that start with one of these.
const UNKNOWN_TO: [(&str, &[&str]); 10] = [
    ("domicile-types", &["tokio", "serde", "arrow", "datafusion"]),
    ("domicile-config", &["tokio", "arrow", "datafusion", "hyper"]),
    ("domicile-policy", &["tokio", "arrow", "datafusion", "hyper", "chrono", "getrandom", "reqwest"]),
    ("domicile-wire", &["datafusion", "wasmtime", "axum"]),
    ("domicile-store", &["datafusion", "wasmtime", "hyper", "axum", "tokio"]),
    ("domicile-sandbox", &["datafusion", "hyper", "axum"]),
    ("domicile-query", &["hyper", "axum", "wasmtime"]),
    ("domicile-sync", &["datafusion", "wasmtime", "axum", "hyper", "tokio"]),
    ("domicile-edge", &["datafusion", "wasmtime"]),
    ("domicile-author", &["datafusion", "wasmtime", "hyper", "axum", "tokio"]),
];

/// Calls that a crate does not make: what they give is passed in.
const UNCALLED_IN: [(&str, &[&str]); 3] = [
    ("runtime/policy", &["std::fs", "std::net", "SystemTime::now", "Instant::now", "thread::spawn"]),
    ("runtime/store", &["SystemTime::now", "Instant::now", "thread::spawn", "Uuid::new_v4", "Uuid::now_v7"]),
    ("runtime/sync", &["std::fs", "std::net", "SystemTime::now", "Instant::now", "thread::spawn"]),
];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// The direct, normal dependencies of each package of the workspace.
fn dependencies() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let metadata = workspace::metadata(&workspace::root().join("Cargo.toml"))?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let of = |package: &Value| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
        normal.filter_map(|dependency| Some(dependency["name"].as_str()?.to_owned())).collect()
    };
    Ok(packages.iter().map(|package| (package["name"].as_str().unwrap_or_default().to_owned(), of(package))).collect())
}

fn step_of(package: &str) -> Option<usize> {
    STEPS.iter().position(|step| step.contains(&package))
}

#[test]
fn dependencies_point_one_way() -> Result<()> {
    for (package, known) in dependencies()? {
        if let Some(place) = OUTSIDE.iter().position(|outside| *outside == package) {
            let within = known.iter().find(|name| step_of(name).is_some());
            assert_eq!(within, None, "{package} is to meet the runtime at its public faces");
            let later = known.iter().find(|name| OUTSIDE[place..].contains(&name.as_str()));
            assert_eq!(later, None, "{package} is not to know it");
            continue;
        }
        let step = step_of(&package).with_context(|| format!("give {package} a step in {}", file!()))?;
        for name in &known {
            assert!(!OUTSIDE.contains(&name.as_str()), "{package} knows {name}");
            if let Some(other) = step_of(name) {
                assert!(other < step, "{package} knows {name}, which is not on a lower step");
            }
        }
    }
    Ok(())
}

#[test]
fn nobody_knows_what_is_not_its_business() -> Result<()> {
    let dependencies = dependencies()?;
    for (package, unknown) in UNKNOWN_TO {
        let known = dependencies.get(package).with_context(|| format!("there is no {package}"))?;
        let wrong: Vec<_> = known.iter().filter(|name| unknown.iter().any(|prefix| name.starts_with(prefix))).collect();
        assert!(wrong.is_empty(), "{package} knows {wrong:?}");
    }
    Ok(())
}

#[test]
fn clocks_and_chance_are_passed_in() -> Result<()> {
    for (folder, calls) in UNCALLED_IN {
        for file in rust_files(&workspace::root().join(folder).join("src"))? {
            let text = fs::read_to_string(&file)?;
            let own = text.split("#[cfg(test)]").next().unwrap_or_default();
            for call in calls {
                assert!(!own.contains(call), "{} uses {call}", file.display());
            }
        }
    }
    Ok(())
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(files(folder)?.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs")).collect())
}

/// Every file below a folder, but for what builds leave behind, what git keeps, and data.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let root = workspace::root();
    let foreign = ["target", "guest/target", "fuzz/target", "netsim/target", ".git", "data", "secrets"]
        .map(|folder| root.join(folder));
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if foreign.contains(&path) || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    ensure!(!found.is_empty(), "{} has no files", folder.display());
    found.sort();
    Ok(found)
}

#[test]
fn files_and_functions_stay_short() -> Result<()> {
    let mut long = Vec::new();
    for file in rust_files(&workspace::root())? {
        let text = fs::read_to_string(&file)?;
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            long.push(format!("{}: {} lines", file.display(), lines.len()));
        }
        for (start, length) in functions(&lines).into_iter().filter(|(_, length)| *length > FUNCTION_LINES_MAX) {
            long.push(format!("{}:{}: a function of {length} lines", file.display(), start + 1));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
    Ok(())
}

/// Line and length of each function of formatted source: from `fn` to the brace at the same indentation.
fn functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let words = code.replace("pub(crate)", "pub").replace("pub(super)", "pub");
        let is_function = words.split('(').next().is_some_and(|head| head.split(' ').rev().nth(1) == Some("fn"));
        if !is_function || code.starts_with("//") {
            continue;
        }
        let opening = lines[start..].iter().find(|line| line.ends_with(['{', '}', ';'])).copied().unwrap_or_default();
        let end = format!("{}}}", &line[..line.len() - code.len()]);
        let length = lines[start..].iter().position(|other| *other == end).filter(|_| opening.ends_with('{'));
        found.push((start, length.map_or(1, |length| length + 1)));
    }
    found
}

#[test]
fn functions_are_measured() {
    let text = "impl X {\n    pub fn a(&self) -> u8 {\n        1\n    }\n    fn b() {}\n}\nfn c(\n    x: u8,\n) {\n}\nfn d()\nwhere\n    Self: X;\npub(crate) async fn e() {\n}";
    assert_eq!(functions(&text.lines().collect::<Vec<_>>()), [(1, 3), (4, 1), (6, 4), (10, 1), (13, 2)]);
}

#[test]
fn every_file_says_what_it_owns() -> Result<()> {
    for file in rust_files(&workspace::root())? {
        assert!(fs::read_to_string(&file)?.starts_with("//! "), "{} has no //! at its top", file.display());
    }
    Ok(())
}

#[test]
fn nothing_points_outside_the_project() -> Result<()> {
    let foreign = [["/", "root/"], ["/", "home/"], ["/", "Users/"], ["../", "shared"], ["C:", "\\Users"]]
        .map(|parts| parts.concat());
    for file in files(&workspace::root())? {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            for word in &foreign {
                assert!(!line.contains(word.as_str()), "{}:{} has `{word}`", file.display(), number + 1);
            }
        }
    }
    Ok(())
}

#[test]
fn heavy_crates_come_in_one_version() -> Result<()> {
    let lock = fs::read_to_string(workspace::root().join("Cargo.lock"))?;
    for heavy in
        ["arrow", "parquet", "datafusion", "wasmtime", "cranelift-codegen", "tokio", "hyper", "h2", "sqlparser"]
    {
        let versions = lock.lines().filter(|line| *line == format!("name = \"{heavy}\"")).count();
        assert_eq!(versions, 1, "versions of {heavy}");
    }
    Ok(())
}

/// The crates of a build with their features, as `cargo tree` resolves them for a selection of packages.
fn features(selection: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut command = workspace::cargo();
    command.args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}\t{f}"]);
    let output = command.args(selection).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut features = BTreeMap::<String, BTreeSet<String>>::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some((package, list)) = line.split_once('\t') {
            features.entry(package.to_owned()).or_default().insert(list.trim_end_matches(" (*)").to_owned());
        }
    }
    Ok(features)
}

#[test]
fn the_demo_and_the_tests_build_heavy_crates_once() -> Result<()> {
    let demo = features(&["--package", "domicile", "--package", "domicile-tpch"])?;
    let binary = features(&["--package", "domicile"])?;
    let tests = features(&["--workspace"])?;
    let heavy = |name: &str| {
        ["arrow", "parquet", "datafusion", "wasmtime", "cranelift", "tokio ", "hyper "]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    assert!(binary.keys().filter(|name| heavy(name)).count() > 20, "the heavy crates are not recognized");
    for (name, features) in binary.iter().filter(|(name, _)| heavy(name)) {
        assert_eq!(demo.get(name), Some(features), "{name} would be built again for the demo");
        assert_eq!(tests.get(name), Some(features), "{name} would be built again for the tests");
    }
    Ok(())
}
