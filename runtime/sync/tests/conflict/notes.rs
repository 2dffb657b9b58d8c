//! What writers say of their changes.

use domicile_sync::conflict::{NoPlugin, RowRef, Rules, note};
use domicile_types::{ColumnPolicy, RowPolicy};

use crate::table::{DELETED, Item, batch, item, resolve, rules, siblings, version};

/// The note of `written` as `sa.0:9` at 90 over `replaced`, under a policy of rows and counters.
fn noted(row: RowPolicy, counters: &[&str], written: &Item, replaced: Option<&Item>) -> Option<String> {
    let columns: Vec<_> = counters.iter().map(|column| (*column, ColumnPolicy::Counter)).collect();
    written_over(&rules(row, &columns), written, replaced)
}

fn written_over(rules: &Rules, written: &Item, replaced: Option<&Item>) -> Option<String> {
    let rows = batch(&[written.clone(), replaced.cloned().unwrap_or(DELETED)]);
    let row_ref = |index| RowRef { rows: &rows, index };
    let (mark, _) = version("sa", 9, 90, DELETED);
    note(rules, &mark, row_ref(0), replaced.map(|_| row_ref(1)))
}

#[track_caller]
fn check_counter(before: Option<Item>, stock: Option<i64>, expect: &str) {
    let written = Item { stock, merge: Some("not looked at".to_owned()), ..Item::default() };
    let got = noted(RowPolicy::Lww, &["stock"], &written, before.as_ref());
    let expect = expect.replace("own", "sa.0:9");
    assert_eq!(got.as_deref(), Some(format!(r#"{{"counted":{{"stock":{{{expect}}}}}}}"#).as_str()));
}

fn counted(stock: Option<i64>, said: &str) -> Item {
    let merge = Some(format!(r#"{{"counted":{{"stock":{{{said}}}}}}}"#));
    Item { stock, merge, ..Item::default() }
}

#[test]
fn a_counter_says_what_was_added() {
    check_counter(None, Some(7), r#""own":"7""#);
    check_counter(None, Some(0), r#""own":"0""#);
    check_counter(None, None, "");
    check_counter(Some(DELETED), Some(7), r#""own":"7""#);
    check_counter(Some(counted(Some(5), r#""eu.0:3":"5""#)), Some(7), r#""eu.0:3":"5","own":"2""#);
    check_counter(Some(counted(Some(5), r#""eu.0:3":"5""#)), Some(5), r#""eu.0:3":"5""#);
    check_counter(Some(counted(Some(5), r#""eu.0:3":"5""#)), None, r#""eu.0:3":"5","own":"-5""#);
    let several = r#""eu.0:3":"3","us.2:9":"6""#;
    check_counter(Some(counted(Some(9), several)), Some(4), r#""eu.0:3":"3","own":"-5","us.2:9":"6""#);
    // What the same region had added before.
    let several = r#""eu.0:3":"3","sa.0:7":"6","us.2:9":"-1""#;
    check_counter(Some(counted(Some(8), several)), Some(10), r#""eu.0:3":"3","own":"8","us.2:9":"-1""#);
    // A row that does not say where it has it from.
    check_counter(Some(Item { stock: Some(5), ..Item::default() }), Some(6), r#""own":"6""#);
}

#[test]
fn a_counter_adds_to_the_sum_that_did_not_fit() {
    let max = i64::MAX;
    let said = format!(r#""eu.0:1":"{max}","us.0:1":"{max}""#);
    // 10 less the sum of both.
    let expect = format!(r#""eu.0:1":"{max}","own":"-18446744073709551604","us.0:1":"{max}""#);
    check_counter(Some(counted(Some(max), &said)), Some(10), &expect);
}

#[test]
fn what_is_not_finite_starts_anew() {
    let weight = |weight, said: &str| Item {
        weight: Some(weight),
        merge: (!said.is_empty()).then(|| format!(r#"{{"counted":{{"weight":{{{said}}}}}}}"#)),
        ..Item::default()
    };
    let check = |before: Item, after: f64, expect: &str| {
        let got = noted(RowPolicy::Lww, &["weight"], &weight(after, ""), Some(&before)).unwrap();
        assert_eq!(Some(got), weight(after, &expect.replace("own", "sa.0:9")).merge);
    };
    check(weight(1.5, r#""us.0:1":"1.5""#), 2.0, r#""own":"0.5","us.0:1":"1.5""#);
    check(weight(1.5, r#""us.0:1":"1.5""#), f64::NAN, r#""own":"NaN""#);
    check(weight(f64::NAN, r#""us.0:1":"NaN""#), 2.0, r#""own":"2.0""#);
    check(weight(f64::INFINITY, r#""us.0:1":"inf""#), f64::INFINITY, r#""own":"inf""#);
    check(
        weight(-f64::MAX, &format!(r#""eu.0:3":"{:?}""#, -f64::MAX)),
        f64::MAX,
        &format!(r#""own":"{:?}""#, f64::MAX),
    );
}

/// The note of a row under `column_lww`, in which the columns that stay missing have policies of their own.
#[track_caller]
fn check(before: Option<Item>, written: Item, expect: &str) {
    let own = ["stock", "ordered", "price", "since"].map(|column| (column, ColumnPolicy::Max));
    let got = written_over(&rules(RowPolicy::ColumnLww, &own), &written, before.as_ref());
    let expect = expect.replace("own", "sa.0:9@90");
    assert_eq!(got, Some(format!(r#"{{"changed":{{{expect}}}}}"#)));
}

#[test]
fn each_column_has_its_last_change() {
    let row = |weight: f64, tags: &str, sold: bool| Item {
        weight: Some(weight),
        tags: Some(tags.to_owned()),
        sold: Some(sold),
        ..Item::default()
    };
    let noted = |item: Item, changed: &str| Item { merge: Some(format!(r#"{{"changed":{{{changed}}}}}"#)), ..item };
    check(None, row(1.0, "a", true), r#""own":["sold","tags","weight"]"#);
    let first = noted(row(1.0, "a", true), r#""eu.0:3@30":["sold","tags","weight"]"#);
    check(Some(first.clone()), row(1.0, "b", true), r#""eu.0:3@30":["sold","weight"],"own":["tags"]"#);
    check(Some(first.clone()), row(1.0, "a", true), r#""eu.0:3@30":["sold","tags","weight"]"#);
    let second = noted(row(1.0, "b", true), r#""eu.0:3@30":["sold","weight"],"us.0:8@40":["tags"]"#);
    check(Some(second), row(1.0, "b", false), r#""eu.0:3@30":["weight"],"own":["sold"],"us.0:8@40":["tags"]"#);
    check(Some(DELETED), row(1.0, "a", true), r#""own":["sold","tags","weight"]"#);
    let unsold = Item { sold: None, ..row(1.0, "a", true) };
    check(Some(DELETED), unsold, r#""own":["sold","tags","weight"]"#);
    // The bits count: -0 is not 0, and a NaN is the same as itself.
    let zero = noted(row(0.0, "a", true), r#""eu.0:3@30":["sold","tags","weight"]"#);
    check(Some(zero), row(-0.0, "a", true), r#""eu.0:3@30":["sold","tags"],"own":["weight"]"#);
    let nan = noted(row(f64::NAN, "a", true), r#""eu.0:3@30":["sold","tags","weight"]"#);
    check(Some(nan), row(f64::NAN, "a", true), r#""eu.0:3@30":["sold","tags","weight"]"#);
    // What was never said to have changed stays so.
    let part = noted(row(1.0, "a", true), r#""eu.0:3@30":["tags"]"#);
    check(Some(part), row(1.0, "a", false), r#""eu.0:3@30":["tags"],"own":["sold"]"#);
}

#[test]
fn nothing_is_said_where_nobody_asks() {
    let written = Item { stock: Some(7), ..Item::default() };
    for row in [RowPolicy::Lww, RowPolicy::FirstWrite, RowPolicy::Manual] {
        assert_eq!(noted(row, &[], &written, None), None);
    }
    assert_eq!(noted(RowPolicy::ColumnLww, &["stock"], &DELETED, Some(&counted(Some(1), r#""eu.0:3":"1""#))), None);
}

#[test]
fn writes_go_on_from_what_was_resolved() {
    let rules = rules(RowPolicy::Lww, &[("stock", ColumnPolicy::Counter)]);
    let row = |stock, said: &str| counted(Some(stock), &format!(r#""eu.0:1":"10",{said}"#));
    let both =
        siblings(&[version("us", 1, 20, row(7, r#""us.0:1":"-3""#)), version("ap", 4, 21, row(15, r#""ap.0:4":"5""#))]);
    let resolved = item(&resolve(&rules, &both, &NoPlugin).row);
    assert_eq!(resolved.stock, Some(12));
    check_counter(Some(resolved), Some(11), r#""ap.0:4":"5","eu.0:1":"10","own":"-1","us.0:1":"-3""#);
}
