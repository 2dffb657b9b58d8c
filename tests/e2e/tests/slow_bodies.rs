//! Bodies that do not come, or hardly: whoever sends them is told, and keeps nobody else out.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Result;
use domicile_harness::{Cluster, Edge, Options, build};
use domicile_tests::check::problem;
use domicile_tests::world::shared;

const CSV: &str = "text/csv";
const PARQUET: &str = "application/vnd.apache.parquet";
const ROWS: &str = "/v1/datasets/slow/rows";
/// More than are read at once.
const SENDERS: usize = 32;
const DATASET: &str = "schema = 1\nname = \"slow\"\nreference = true\nprimary_key = []\n\
                       [[column]]\nname = \"id\"\ntype = \"bigint\"\nnullable = false\n";

fn edge() -> Edge {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let start = || {
        let limits = vec![("body_silence_ms".to_owned(), 500)];
        let datasets = vec![("slow".to_owned(), DATASET.to_owned())];
        Cluster::for_test(&build::binary(build::Profile::Dev)?, &Options { limits, datasets, ..Options::default() })
    };
    shared(&CLUSTER, start).edge("us-east")
}

#[test]
fn senders_that_are_silent_keep_nobody_out() -> Result<()> {
    for kind in [PARQUET, CSV] {
        let silent: Vec<_> = (0..SENDERS).map(|_| edge().begin(ROWS, kind, 1000)).collect::<Result<_>>()?;
        let loaded = edge().rows("POST", "slow", &[("Content-Type", CSV)], b"id\n1\n")?;
        assert_eq!(loaded.status, 200, "{}", loaded.text());
        for sending in silent {
            problem(&sending.answer()?, 408, Some("too-slow"), &["0 bytes"]);
        }
    }
    Ok(())
}

#[test]
fn a_byte_now_and_then_is_not_enough() -> Result<()> {
    for kind in [PARQUET, CSV] {
        let mut sending = edge().begin(ROWS, kind, 1_000_000)?;
        while !sending.is_answered(Duration::from_millis(20))? {
            sending.send(b"i");
        }
        problem(&sending.answer()?, 408, Some("too-slow"), &["65536 bytes a second"]);
    }
    Ok(())
}

#[test]
fn a_question_has_to_come_as_well() -> Result<()> {
    let sending = edge().begin("/v1/query", "application/sql", 100)?;
    problem(&sending.answer()?, 408, Some("too-slow"), &[]);
    Ok(())
}
