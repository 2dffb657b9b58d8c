//! What is refused before anything is built, and what a refusal says.

use std::fs;
use std::path::{Path, PathBuf};

use domicile_author::{AuthorError, NewOptions, Progress, TestOptions, World};

use crate::project::NoSql;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refusals").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    folder
}

fn create(name: &str, path: &Path) -> Result<PathBuf, AuthorError> {
    domicile_author::create(&NewOptions {
        name: name.to_owned(),
        world: World::Functions,
        path: Some(path.to_path_buf()),
    })
}

#[test]
fn names_are_those_that_a_region_takes() {
    for name in ["", "Prices", "my-plugin", "9lives", "../up"] {
        let path = folder("named");
        let refused = create(name, &path).unwrap_err();
        assert!(matches!(refused, AuthorError::Name(_)), "{name}: {refused}");
        assert!(!path.exists(), "{name}");
    }
}

#[test]
fn what_is_there_stays() {
    let path = folder("there");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("mine"), "kept").unwrap();
    assert!(matches!(create("there", &path), Err(AuthorError::Exists { .. })));
    let left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine"]);
}

#[test]
fn a_plugin_brings_its_sdk_and_knows_no_other_place() {
    let path = folder("vendored");
    for world in World::ALL {
        let path = path.join(world.name());
        let options = NewOptions { name: "sample".to_owned(), world, path: Some(path.clone()) };
        domicile_author::create(&options).unwrap();
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("path = \"vendor/domicile/guest/sdk\""), "{manifest}");
        for file in ["guest/sdk/src/lib.rs", "guest/sdk-macros/src/lib.rs", "wit/plugin.wit"] {
            let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
            let there = fs::read_to_string(path.join("vendor/domicile").join(file)).unwrap();
            assert_eq!(there, fs::read_to_string(here).unwrap(), "{file}");
        }
        let readme = fs::read_to_string(path.join("README.md")).unwrap();
        assert!(readme.starts_with("# sample\n") && !readme.contains("{{"), "{readme}");
    }
}

#[test]
fn a_folder_without_a_package_is_no_plugin() {
    let path = folder("empty");
    fs::create_dir_all(&path).unwrap();
    let refused = domicile_author::build(&path, Progress::Quiet).unwrap_err();
    assert!(matches!(refused, AuthorError::NoPackage { .. }), "{refused}");
    let options = TestOptions { plugin: path.join("sample.wasm"), cases: None, update: false };
    let refused = domicile_author::test(&options, &NoSql, Progress::Quiet).unwrap_err();
    assert!(matches!(refused, AuthorError::Io { .. }), "{refused}");
    fs::write(path.join("sample.wasm"), "no component").unwrap();
    let refused = domicile_author::test(&options, &NoSql, Progress::Quiet).unwrap_err();
    assert!(matches!(refused, AuthorError::Sandbox(_)), "{refused}");
}
