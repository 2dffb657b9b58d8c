//! Which groups are defined the same, whatever rows there are.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use datafusion::execution::runtime_env::RuntimeEnv;

use super::catalog;
use crate::definition::Definition;
use crate::fragment::{Fragment, Shape};
use crate::guard::MarkKey;
use crate::parse::parse;
use crate::plugins::PluginSet;

/// The definition of the group with these keys, which are texts, of a question.
fn defined(sql: &str, keys: &[&str]) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let catalog = catalog();
        let session = catalog.planning_session(&PluginSet::default(), &Arc::new(RuntimeEnv::default())).unwrap();
        let plan = parse(&session, sql).await.unwrap();
        let (fragment, _) = Fragment::recognize(&plan, &catalog).unwrap();
        let Shape::Groups { input, group, .. } = fragment.shape else { panic!("`{sql}` has no groups") };
        let definition = Definition::of(MarkKey(7), &input, &group).unwrap();
        let columns: Vec<ArrayRef> =
            keys.iter().map(|key| Arc::new(StringArray::from(vec![*key])) as ArrayRef).collect();
        definition.group(&columns.iter().enumerate().collect::<Vec<_>>(), 0).unwrap()
    })
}

#[track_caller]
fn check(one: (&str, &[&str]), other: (&str, &[&str]), same: bool) {
    assert_eq!(defined(one.0, one.1) == defined(other.0, other.1), same, "{one:?} and {other:?}");
}

#[test]
fn what_is_put_in_other_words_is_the_same() {
    let segments = "SELECT c_mktsegment, count(*) FROM customer GROUP BY c_mktsegment";
    check((segments, &["BUILDING"]), ("SELECT count(*) FROM customer WHERE c_mktsegment = 'BUILDING'", &[]), true);
    check(
        (segments, &["BUILDING"]),
        ("SELECT sum(c_acctbal) FROM customer WHERE 'BUILDING' = c_mktsegment", &[]),
        true,
    );
    check((segments, &[]), ("SELECT avg(c.c_acctbal) FROM (SELECT * FROM customer) AS c", &[]), true);
    check(
        ("SELECT count(*) FROM customer WHERE c_mktsegment = 'A' AND c_acctbal > 0", &[]),
        ("SELECT count(*) FROM (SELECT * FROM customer AS x WHERE c_acctbal > 0) AS y WHERE c_mktsegment = 'A'", &[]),
        true,
    );
    check(
        ("SELECT count(*) FROM customer JOIN orders ON c_custkey = o_custkey", &[]),
        ("SELECT count(*) FROM orders AS o JOIN customer ON o.o_custkey = c_custkey", &[]),
        true,
    );
}

#[test]
fn what_could_differ_by_somebody_is_not() {
    let all = ("SELECT count(*) FROM customer", [].as_slice());
    for other in [
        "SELECT count(*) FROM customer WHERE c_acctbal > -1000000",
        "SELECT count(*) FROM customer WHERE c_mktsegment IS NOT NULL",
        "SELECT count(*) FROM customer JOIN orders ON c_custkey = o_custkey",
        "SELECT count(*) FROM customer LEFT JOIN orders ON c_custkey = o_custkey",
        "SELECT count(*) FROM customer JOIN nation ON c_nationkey = n_nationkey",
        "SELECT count(*) FROM customer WHERE c_custkey IN (SELECT o_custkey FROM orders)",
        "SELECT count(*) FROM (SELECT DISTINCT c_custkey FROM customer) AS t",
    ] {
        check(all, (other, &[]), false);
    }
    check(
        ("SELECT count(*) FROM customer WHERE c_mktsegment = 'A'", &[]),
        ("SELECT count(*) FROM customer WHERE c_mktsegment = 'B'", &[]),
        false,
    );
    check(
        ("SELECT count(*) FROM customer LEFT JOIN orders ON c_custkey = o_custkey", &[]),
        ("SELECT count(*) FROM customer JOIN orders ON c_custkey = o_custkey", &[]),
        false,
    );
    for [one, other] in [
        [
            "c_custkey IN (SELECT o_custkey FROM orders)",
            "c_custkey IN (SELECT o_custkey FROM orders WHERE o_orderkey > 5)",
        ],
        [
            "NOT EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey AND o_orderstatus = 'F')",
            "NOT EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey AND o_orderstatus = 'O')",
        ],
        ["c_nationkey > (SELECT min(n_nationkey) FROM nation)", "c_nationkey > (SELECT max(n_nationkey) FROM nation)"],
    ] {
        let [one, other] = [one, other].map(|condition| format!("SELECT count(*) FROM customer WHERE {condition}"));
        check((&one, &[]), (&other, &[]), false);
        check((&one, &[]), (&one, &[]), true);
    }
    // A value that reads like another condition.
    check(
        ("SELECT count(*) FROM customer WHERE c_mktsegment <> 'A' AND c_acctbal > 0", &[]),
        ("SELECT count(*) FROM customer WHERE c_mktsegment <> 'A\ncustomer.c_acctbal > 0'", &[]),
        false,
    );
    check(
        ("SELECT count(*) FROM customer WHERE c_acctbal = 5", &[]),
        ("SELECT count(*) FROM customer WHERE CAST(c_acctbal AS INT) = 5", &[]),
        false,
    );
    check(
        ("SELECT count(*) FROM customer WHERE c_acctbal > 0 OR c_mktsegment = 'A'", &[]),
        ("SELECT count(*) FROM customer WHERE c_acctbal > 0 AND c_mktsegment = 'A'", &[]),
        false,
    );
}

#[test]
fn what_grows_from_query_to_query_stays_short() {
    let nested = |levels: usize, last: &str| {
        let mut sql = "SELECT c_acctbal AS a FROM customer".to_owned();
        for level in 0..levels {
            let terms = if level + 1 == levels { last } else { "a + a + a + a + a + a + a + a + a + a" };
            sql = format!("SELECT {terms} AS a FROM ({sql}) AS t{level}");
        }
        format!("SELECT count(*) FROM ({sql}) AS t WHERE a > 0")
    };
    let (one, same, other) = (nested(4, "a + a"), nested(4, "a + a"), nested(4, "a - a"));
    check((&one, &[]), (&same, &[]), true);
    check((&one, &[]), (&other, &[]), false);
}
