//! A region's file and the folders it names, on a disk.

use std::fs;
use std::path::Path;

use domicile_config::load_region;
use tempfile::TempDir;

const REGION: &str = r#"schema = 1
datasets_dir = "datasets"
policies_dir = "policies"
data_dir = "data"
[region]
id = "eu-central"
name = "Frankfurt"
jurisdictions = ["EU"]
latitude = 50.1
longitude = 8.7
secret_file = "own.secret"
[listen]
http = "127.0.0.1:0"
"#;

fn dataset(name: &str) -> String {
    format!("schema = 1\nname = \"{name}\"\n[[column]]\nname = \"id\"\ntype = \"bigint\"\n")
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn refusal(folder: &Path) -> String {
    let error = load_region(&folder.join("eu.toml")).unwrap_err().to_string();
    error.replace(&folder.display().to_string(), "DIR")
}

#[test]
fn files_are_read_in_the_order_of_their_names() {
    let folder = folder(&[
        ("eu.toml", REGION),
        ("datasets/b.toml", &dataset("first")),
        ("datasets/a.toml", &dataset("second")),
        ("datasets/README.md", "not a dataset"),
        ("datasets/.#a.toml", "an editor's lock"),
        ("policies/z.toml", "z"),
        ("policies/y.toml", "y"),
    ]);
    let files = load_region(&folder.path().join("eu.toml")).unwrap();
    let names: Vec<_> = files.datasets.iter().map(|file| file.dataset.name.as_str()).collect();
    assert_eq!(names, ["second", "first"]);
    let path = |name: &str| folder.path().join("policies").join(name).display().to_string();
    assert_eq!(files.policy_texts, [(path("y.toml"), "y".to_owned()), (path("z.toml"), "z".to_owned())]);
}

#[test]
fn a_signature_stands_beside_its_file() {
    let folder = folder(&[
        ("eu.toml", REGION),
        ("datasets/a.toml", &dataset("first")),
        ("policies/y.toml", "y"),
        ("policies/z.toml", "z"),
        ("policies/z.toml.sig", "signed"),
        ("policies/gone.toml.sig", "of a file that is gone"),
    ]);
    let files = load_region(&folder.path().join("eu.toml")).unwrap();
    let name = folder.path().join("policies/z.toml").display().to_string();
    assert_eq!(files.policy_texts.len(), 2);
    assert_eq!(files.policy_signatures, [(name, b"signed".to_vec())].into());
    let signature = |bytes: usize| {
        fs::write(folder.path().join("policies/z.toml.sig"), "x".repeat(bytes)).unwrap();
    };
    signature(64 * 1024);
    assert!(load_region(&folder.path().join("eu.toml")).is_ok());
    signature(64 * 1024 + 1);
    let refused = refusal(folder.path());
    assert!(refused.starts_with("cannot read DIR/policies/z.toml.sig: ") && refused.contains("65536"), "{refused}");
}

#[test]
fn one_dataset_has_one_file() {
    let folder = folder(&[
        ("eu.toml", REGION),
        ("datasets/a.toml", &dataset("same")),
        ("datasets/b.toml", &dataset("same")),
        ("policies/.keep", ""),
    ]);
    assert_eq!(
        refusal(folder.path()),
        "DIR/datasets/b.toml: dataset `same` is already described in DIR/datasets/a.toml; remove one"
    );
}

#[test]
fn a_wrong_file_is_named_with_its_folder() {
    let folder = folder(&[("eu.toml", REGION), ("datasets/a.toml", "schema = 1\nnmae = 1"), ("policies/.keep", "")]);
    assert_eq!(refusal(folder.path()), "DIR/datasets/a.toml:2:1: unknown key `nmae`; did you mean `name`?");
}

#[test]
fn what_cannot_be_read_is_named() {
    let empty = folder(&[]);
    assert_eq!(refusal(empty.path()), "cannot read DIR/eu.toml: No such file or directory (os error 2)");
    let without = folder(&[("eu.toml", REGION)]);
    assert_eq!(refusal(without.path()), "cannot read DIR/datasets: No such file or directory (os error 2)");
}

#[test]
fn old_partitions_need_somewhere_to_go() {
    let tiered = dataset("events").replace(
        "[[column]]",
        "[partition]\ntime = { column = \"day\", every = \"day\" }\n[lifecycle]\ntier_after_days = 9\n[[column]]",
    ) + "[[column]]\nname = \"day\"\ntype = \"date\"\n";
    let files = [("datasets/events.toml", tiered.as_str()), ("policies/none.toml.off", "")];
    let without = folder(&[&[("eu.toml", REGION)], files.as_slice()].concat());
    assert_eq!(
        refusal(without.path()),
        "DIR/eu.toml: dataset `events` has `tier_after_days`, and this region has no cold storage; give it `cold_url` in [storage]"
    );
    let region = format!("{REGION}[storage]\ncold_url = \"cold\"\n");
    let with = folder(&[&[("eu.toml", region.as_str())], files.as_slice()].concat());
    let cold = load_region(&with.path().join("eu.toml")).unwrap().config.storage.cold_url.unwrap();
    assert_eq!(cold.as_str(), format!("file://{}/cold", with.path().display()));
}
