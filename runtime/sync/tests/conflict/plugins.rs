//! Rows that plugins make.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use domicile_sync::conflict::{MergeFailure, MergePlugin, Merged, NoPlugin, Reason, Rules, Siblings, Unavailable};
use domicile_types::{ColumnPolicy, ConflictPolicy, Residency, RowPolicy};

use crate::table::{DELETED, Item, Version, batch, dataset, item, resolve, siblings, version};

/// A plugin that is a function of the versions' rows.
struct Of<F>(F);

impl<F> fmt::Debug for Of<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a function")
    }
}

impl<F: Fn(&Siblings) -> Result<Merged, MergeFailure> + Send + Sync> MergePlugin for Of<F> {
    fn merge(&self, siblings: &Siblings) -> Result<Result<Merged, MergeFailure>, Unavailable> {
        Ok((self.0)(siblings))
    }
}

fn stock(stock: i64) -> Item {
    Item { stock: Some(stock), ordered: Some(1), ..Item::default() }
}

/// Rules with a plugin; `stock` must have a value, and says whom the row is about where `homes`.
fn rules(columns: &[(&str, ColumnPolicy)], homes: bool) -> Rules {
    let mut dataset = dataset();
    dataset.columns[1].nullable = false;
    let columns = columns.iter().map(|(name, policy)| ((*name).to_owned(), *policy)).collect();
    let policy = ConflictPolicy { row: RowPolicy::Wasm("rule".parse().unwrap()), columns };
    let follows = Residency::Follows { dataset: "customer".parse().unwrap(), column: "stock".to_owned() };
    Rules::new(&policy, &dataset, if homes { &follows } else { &Residency::Reference }).unwrap()
}

fn versions() -> [Version; 3] {
    [version("us", 1, 9, DELETED), version("eu", 1, 10, stock(3)), version("us", 2, 11, stock(4))]
}

#[test]
fn a_plugin_makes_the_row() {
    let plugin = Of(|siblings: &Siblings| {
        assert!(siblings.version(0).is_tombstone() && siblings.count() == 3);
        let hlcs: Vec<_> = siblings.marks().iter().map(|mark| mark.hlc.0).collect();
        assert_eq!(hlcs, [9, 10, 11]);
        Ok(Merged::Row(batch(&[Item { ordered: Some(7), tags: Some("[]".to_owned()), ..stock(5) }])))
    });
    let resolved = resolve(&rules(&[], false), &siblings(&versions()), &plugin);
    assert_eq!(item(&resolved.row), Item { ordered: Some(7), tags: Some("[]".to_owned()), ..stock(5) });
    assert_eq!((resolved.winner.clone(), resolved.explanation().as_str()), (None, "made by plugin `rule`"));
    // Columns with a policy of their own have it all the same.
    let resolved = resolve(&rules(&[("stock", ColumnPolicy::Min)], false), &siblings(&versions()), &plugin);
    assert_eq!(item(&resolved.row).stock, Some(3));
    assert_eq!(resolved.explanation(), "made by plugin `rule`; smallest value of `stock`");
}

#[test]
fn a_plugin_may_delete() {
    let deleting = Of(|_: &Siblings| Ok(Merged::Tombstone));
    let resolved = resolve(&rules(&[("stock", ColumnPolicy::Max)], false), &siblings(&versions()), &deleting);
    assert_eq!(resolved.row, batch(&[DELETED]));
    assert!(resolved.is_tombstone() && resolved.winner.is_none());
}

#[test]
fn a_plugin_that_keeps_a_row_beats_a_later_deletion() {
    let keeping = Of(|siblings: &Siblings| Ok(Merged::Row(siblings.rows().slice(0, 1))));
    let all = [version("eu", 1, 10, stock(3)), version("us", 1, 11, DELETED)];
    let resolved = resolve(&rules(&[], false), &siblings(&all), &keeping);
    assert_eq!(item(&resolved.row), stock(3));
}

/// The version that was written last counts where the plugin answers like this.
#[track_caller]
fn check_failure(homes: bool, answer: Result<Merged, MergeFailure>, expect: &str) {
    let plugin = Of(|_: &Siblings| answer.clone());
    let resolved = resolve(&rules(&[], homes), &siblings(&versions()), &plugin);
    assert_eq!(item(&resolved.row), stock(4));
    assert_eq!(resolved.winner.unwrap().to_string(), "us.0:2");
    let Reason::PluginFailed { plugin, problem } = &resolved.reason else { panic!("{:?}", resolved.reason) };
    assert_eq!((plugin.as_str(), problem.as_str()), ("rule", expect));
    assert_eq!(resolved.reason.to_string(), "plugin `rule` failed; written last");
}

fn replaced(column: &str, value: ArrayRef) -> Result<Merged, MergeFailure> {
    let good = batch(&[stock(5)]);
    let schema = good.schema();
    let columns = schema.fields().iter().zip(good.columns());
    let columns = columns.map(|(field, old)| {
        let value = if field.name() == column { Arc::clone(&value) } else { Arc::clone(old) };
        (field.name().clone(), value)
    });
    Ok(Merged::Row(RecordBatch::try_from_iter(columns).unwrap()))
}

#[test]
fn whatever_a_plugin_does_the_last_write_is_there() {
    check_failure(false, Err(MergeFailure { problem: "unreachable".to_owned() }), "unreachable");
    check_failure(false, Ok(Merged::Row(batch(&[]))), "it made 0 rows, and is to make one");
    check_failure(false, Ok(Merged::Row(batch(&[stock(1), stock(2)]))), "it made 2 rows, and is to make one");
    let other = || -> ArrayRef { Arc::new(Int64Array::from(vec![2])) };
    check_failure(false, replaced("id", other()), "it changed `id`, which belongs to the key");
    check_failure(false, replaced("tags", other()), "it made a Int64 of column `tags`");
    let none = Arc::new(Int64Array::from(vec![None]));
    check_failure(false, replaced("stock", none), "it left `stock` without a value, which must have one");
    let part = batch(&[stock(5)]).project(&[0, 1]).unwrap();
    check_failure(false, Ok(Merged::Row(part)), "it left out column `ordered`");
    check_failure(true, Ok(Merged::Row(batch(&[stock(5)]))), "it gave `stock` a value that no version has");
    let resolved =
        resolve(&rules(&[], true), &siblings(&versions()), &Of(|_: &Siblings| Ok(Merged::Row(batch(&[stock(3)])))));
    assert_eq!(item(&resolved.row), stock(3), "a value that a version has");
}

#[test]
fn further_columns_of_a_plugin_are_ignored() {
    let forged: ArrayRef = Arc::new(StringArray::from(vec!["{}"]));
    let Ok(Merged::Row(row)) = replaced("_merge", forged) else { panic!("a row") };
    assert!(row.column_by_name("_merge").unwrap().is_valid(0));
    let plugin = Of(|_: &Siblings| Ok(Merged::Row(row.clone())));
    let resolved = resolve(&rules(&[], false), &siblings(&versions()), &plugin);
    assert_eq!(item(&resolved.row), stock(5));
}

#[test]
fn versions_wait_for_a_plugin_that_is_not_there() {
    let wait =
        |versions: &[Version]| domicile_sync::conflict::resolve(&rules(&[], false), &siblings(versions), &NoPlugin);
    let unavailable = Unavailable { problem: "there is no such plugin here; load it".to_owned() };
    assert_eq!(wait(&versions()), Err(unavailable));
    assert_eq!(item(&wait(&versions()[2..]).unwrap().row), stock(4), "nobody needs to be asked");
}
