//! Damaged segments: the question that needs them fails and says why, others are answered.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use domicile_query::QueryError;
use serde_json::json;

use crate::data;
use crate::world::{World, Writing};

/// `whole` has one damaged segment, `pairs` a good one.
fn damaged() -> World {
    let mut writing = Writing::start(data::datasets());
    let rows: Vec<_> = (0..30).map(|k| json!({"k": format!("key {k}"), "w": k})).collect();
    writing.upsert("whole", &rows);
    writing.flush();
    let world = writing.read();
    for path in world.segment_files() {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&[0x55; 64], 20).unwrap();
    }
    world
}

#[test]
fn damage_is_an_error_that_names_the_file() {
    let world = damaged();
    for sql in [
        "SELECT sum(w) FROM whole",
        "SELECT * FROM whole WHERE w > 3 ORDER BY w",
        "SELECT x.k FROM whole AS x JOIN whole AS y ON x.w = y.w",
        "SELECT count(DISTINCT k) FROM whole",
    ] {
        let error = world.ask(sql).unwrap_err();
        assert!(matches!(error, QueryError::Read(_)), "{sql}: {error:?}");
        assert!(error.to_string().contains(".parquet"), "{error}");
    }
    assert_eq!(world.rows("SELECT count(*) FROM pairs"), [["0.0000"]]);
}

#[test]
fn a_missing_file_is_an_error() {
    let world = damaged();
    world.segment_files().iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let error = world.ask("SELECT max(k) FROM whole").unwrap_err();
    assert!(matches!(error, QueryError::Read(_)), "{error:?}");
}
