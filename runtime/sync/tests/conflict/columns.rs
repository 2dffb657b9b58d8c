//! What column policies make of values.

use domicile_sync::conflict::NoPlugin;
use domicile_types::{ColumnPolicy, RowPolicy};

use crate::table::{DELETED, Item, Version, after, batch, item, resolve, rules, siblings, version};

/// Versions of `eu`, `us`, `ap` in the order in which they were written.
fn versions(items: &[Item]) -> Vec<Version> {
    let place = |(index, item): (usize, &Item)| version(["eu", "us", "ap"][index], 1, 10 + index as u64, item.clone());
    items.iter().enumerate().map(place).collect()
}

/// What the policy makes of a column of the versions, whatever the policy of the row, beside the last version's values.
#[track_caller]
fn check(column: &str, policy: ColumnPolicy, items: &[Item], expect: &Item) {
    let versions = versions(items);
    for versions in [versions.clone(), versions.into_iter().rev().collect()] {
        let resolved = resolve(&rules(RowPolicy::Lww, &[(column, policy)]), &siblings(&versions), &NoPlugin);
        let merge = item(&resolved.row).merge;
        assert_eq!(resolved.row, batch(&[Item { merge, ..expect.clone() }]), "{:?}", item(&resolved.row));
    }
}

fn each<T: Copy>(values: &[T], item: impl Fn(T) -> Item) -> Vec<Item> {
    values.iter().map(|value| item(*value)).collect()
}

#[track_caller]
fn check_bounds<T: Copy>(column: &str, values: &[T], of: impl Fn(T) -> Item, min: T, max: T) {
    check(column, ColumnPolicy::Min, &each(values, &of), &of(min));
    check(column, ColumnPolicy::Max, &each(values, &of), &of(max));
}

#[test]
fn the_greatest_and_least_of_every_type() {
    check_bounds("stock", &[3, -5, 1], |stock| Item { stock: Some(stock), ..Item::default() }, -5, 3);
    check_bounds("ordered", &[3, -5, 1], |ordered| Item { ordered: Some(ordered), ..Item::default() }, -5, 3);
    check_bounds("price", &[3, -5, 1], |price| Item { price: Some(price), ..Item::default() }, -5, 3);
    check_bounds("since", &[3, -5, 1], |since| Item { since: Some(since), ..Item::default() }, -5, 3);
    check_bounds("sold", &[true, false], |sold| Item { sold: Some(sold), ..Item::default() }, false, true);
    let tags = |tags: &str| Item { tags: Some(tags.to_owned()), ..Item::default() };
    check_bounds("tags", &["Zoe", "élan", "adam"], tags, "Zoe", "élan");
    let weight = |weight| Item { weight: Some(weight), ..Item::default() };
    check_bounds("weight", &[1.5, f64::NEG_INFINITY, 7.0], weight, f64::NEG_INFINITY, 7.0);
    check_bounds("weight", &[0.0, -0.0], weight, -0.0, 0.0);
    let negative_nan = f64::from_bits(0xfff8_0000_0000_0001);
    check_bounds("weight", &[1.5, negative_nan, 7.0], weight, 1.5, negative_nan);
}

#[test]
fn a_missing_value_is_neither_greatest_nor_least() {
    let of = |stock| Item { stock, ..Item::default() };
    check_bounds("stock", &[Some(3), None], of, Some(3), Some(3));
    check_bounds("stock", &[None, None], of, None, None);
}

#[test]
fn other_columns_are_those_of_the_row() {
    let of = |stock, ordered| Item { stock: Some(stock), ordered: Some(ordered), ..Item::default() };
    check("stock", ColumnPolicy::Max, &[of(9, 1), of(5, 2)], &of(9, 2));
    let resolved = resolve(
        &rules(RowPolicy::FirstWrite, &[("stock", ColumnPolicy::Min)]),
        &siblings(&versions(&[of(9, 1), of(5, 2)])),
        &NoPlugin,
    );
    assert_eq!(item(&resolved.row), of(5, 1));
    assert_eq!(resolved.explanation(), "written first; smallest value of `stock`");
    assert_eq!(resolved.winner.unwrap().to_string(), "eu.0:1");
}

#[test]
fn a_deletion_brings_no_values() {
    let of = |stock, tags: &str| Item { stock: Some(stock), tags: Some(tags.to_owned()), ..Item::default() };
    check("stock", ColumnPolicy::Max, &[of(9, "a"), DELETED, of(5, "b")], &of(9, "b"));
    check("stock", ColumnPolicy::Max, &[of(9, "a"), of(5, "b"), DELETED], &DELETED);
}

#[test]
fn sets_are_united() {
    let tags = |tags: Option<&str>| Item { tags: tags.map(str::to_owned), ..Item::default() };
    let check = |sets: &[Option<&str>], expect| {
        check("tags", ColumnPolicy::SetUnion, &each(sets, tags), &tags(expect));
    };
    check(&[Some("[\"b\"]"), Some("[\"a\", \"b\"]"), None], Some("[\"a\",\"b\"]"));
    check(&[Some("red"), Some("[]")], Some("[\"red\"]"));
    check(&[None, None], None);
}

fn counted(stock: i64, merge: &str) -> Item {
    Item { stock: Some(stock), merge: Some(merge.to_owned()), ..Item::default() }
}

/// The outcome of a counter: its value and notes.
#[track_caller]
fn check_counter(versions: &[Version], expect: &Item) {
    let resolved = resolve(&rules(RowPolicy::Lww, &[("stock", ColumnPolicy::Counter)]), &siblings(versions), &NoPlugin);
    assert_eq!(item(&resolved.row), *expect);
    assert_eq!(resolved.explanation(), "written last; sum of all changes of `stock`");
}

#[test]
fn what_each_region_added_counts_once() {
    // All had 10 from `eu.0:1`. `us` took 3, `ap` added 5, `eu` added 1 to what it had brought itself.
    let all = [
        version("us", 1, 20, counted(7, r#"{"counted":{"stock":{"eu.0:1":"10","us.0:1":"-3"}}}"#)),
        version("ap", 4, 21, counted(15, r#"{"counted":{"stock":{"eu.0:1":"10","ap.0:4":"5"}}}"#)),
        version("eu", 2, 22, counted(11, r#"{"counted":{"stock":{"eu.0:2":"11"}}}"#)),
    ];
    check_counter(&all, &counted(13, r#"{"counted":{"stock":{"ap.0:4":"5","eu.0:2":"11","us.0:1":"-3"}}}"#));
    check_counter(&all[..2], &counted(12, r#"{"counted":{"stock":{"ap.0:4":"5","eu.0:1":"10","us.0:1":"-3"}}}"#));
    // `eu` saw the first two together, took one, and `ap` went on without seeing that.
    let merged = r#"{"counted":{"stock":{"ap.0:4":"5","eu.0:2":"9","us.0:1":"-3"}}}"#;
    let seen = after(after(version("eu", 2, 30, counted(11, merged)), "us", 1), "ap", 4);
    let more = version("ap", 5, 29, counted(16, r#"{"counted":{"stock":{"ap.0:5":"6","eu.0:1":"10"}}}"#));
    let more = after(more, "ap", 4);
    let all = [all[0].clone(), all[1].clone(), seen, more];
    check_counter(&all, &counted(12, r#"{"counted":{"stock":{"ap.0:5":"6","eu.0:2":"9","us.0:1":"-3"}}}"#));
}

#[test]
fn versions_without_notes_bring_their_whole_value() {
    let plain = |stock| Item { stock: Some(stock), ..Item::default() };
    let merge = r#"{"counted":{"stock":{"eu.0:1":"3","us.0:2":"4"}}}"#;
    for unreadable in [None, Some("?"), Some("{}"), Some(r#"{"counted":{"stock":{"ap.0:1":"x"}}}"#)] {
        let odd = Item { merge: unreadable.map(str::to_owned), ..plain(3) };
        check_counter(&[version("eu", 1, 1, odd), version("us", 2, 2, plain(4))], &counted(7, merge));
    }
}

#[test]
fn what_was_deleted_before_a_write_does_not_come_back() {
    let kept = version("ap", 1, 20, counted(11, r#"{"counted":{"stock":{"eu.0:1":"10","ap.0:1":"1"}}}"#));
    let anew = version("us", 2, 30, counted(2, r#"{"counted":{"stock":{"us.0:2":"2"}}}"#));
    let merge = r#"{"counted":{"stock":{"ap.0:1":"1","us.0:2":"2"}}}"#;
    check_counter(&[kept.clone(), after(anew.clone(), "eu", 1)], &counted(3, merge));
    // A deletion that does not count takes nothing away.
    let deletion = after(version("us", 1, 15, DELETED), "eu", 1);
    let merge_kept = r#"{"counted":{"stock":{"ap.0:1":"1","eu.0:1":"10"}}}"#;
    check_counter(&[kept.clone(), deletion], &counted(11, merge_kept));
    // Whoever did not know of it did not delete it.
    let merge = r#"{"counted":{"stock":{"ap.0:1":"1","eu.0:1":"10","us.0:2":"2"}}}"#;
    check_counter(&[kept, anew], &counted(13, merge));
}

#[test]
fn sums_that_do_not_fit_are_the_nearest_that_do() {
    let resolved = |column: &str, items: &[Item]| {
        let rules = rules(RowPolicy::Lww, &[(column, ColumnPolicy::Counter)]);
        item(&resolve(&rules, &siblings(&versions(items)), &NoPlugin).row)
    };
    let stock = |stock| Item { stock: Some(stock), ..Item::default() };
    let many = resolved("stock", &[stock(i64::MAX), stock(i64::MAX), stock(-1)]);
    assert_eq!(many.stock, Some(i64::MAX));
    // Nothing is lost: the notes still know.
    assert_eq!(
        many.merge.unwrap(),
        r#"{"counted":{"stock":{"ap.0:1":"-1","eu.0:1":"9223372036854775807","us.0:1":"9223372036854775807"}}}"#
    );
    assert_eq!(resolved("stock", &[stock(i64::MIN), stock(-1)]).stock, Some(i64::MIN));
    let ordered = |ordered| Item { ordered: Some(ordered), ..Item::default() };
    assert_eq!(resolved("ordered", &[ordered(i32::MAX), ordered(1)]).ordered, Some(i32::MAX));
    let price = |price| Item { price: Some(price), ..Item::default() };
    assert_eq!(resolved("price", &[price(99_999), price(1)]).price, Some(99_999));
    assert_eq!(resolved("price", &[price(-99_999), price(-1), price(1)]).price, Some(-99_999));
    let weight = |weight| Item { weight: Some(weight), ..Item::default() };
    let sum = resolved("weight", &[weight(f64::MAX), weight(f64::MAX)]).weight.unwrap();
    assert_eq!(sum, f64::INFINITY);
    let odd = resolved("weight", &[weight(f64::INFINITY), weight(f64::NEG_INFINITY)]).weight.unwrap();
    assert_eq!(odd.to_bits(), 0x7ff8_0000_0000_0000);
}
