//! What each policy makes of a row.

use domicile_sync::conflict::NoPlugin;
use domicile_types::RowPolicy;

use crate::table::{DELETED, Item, Version, item, resolve, rules, siblings, version};

fn stock(stock: i64) -> Item {
    Item { stock: Some(stock), ..Item::default() }
}

/// What the policy makes of the versions: the stock (none where the row is deleted), which version won, why.
#[track_caller]
fn check(policy: RowPolicy, versions: &[Version], expect: (Option<i64>, Option<&str>, &str)) {
    let rules = rules(policy, &[]);
    for versions in [versions.to_vec(), versions.iter().rev().cloned().collect()] {
        let resolved = resolve(&rules, &siblings(&versions), &NoPlugin);
        let winner = resolved.winner.as_ref().map(ToString::to_string);
        assert_eq!((item(&resolved.row).stock, winner.as_deref(), resolved.explanation().as_str()), expect);
        assert_eq!(resolved.is_tombstone(), expect.0.is_none());
    }
}

#[test]
fn the_last_write_counts() {
    let (eu, us) = (version("eu", 4, 10, stock(1)), version("us", 1, 11, stock(2)));
    check(RowPolicy::Lww, &[eu.clone(), us], (Some(2), Some("us.0:1"), "written last"));
    let tie = version("us", 1, 10, stock(2));
    check(RowPolicy::Lww, &[eu.clone(), tie], (Some(2), Some("us.0:1"), "written last"));
    check(RowPolicy::Lww, std::slice::from_ref(&eu), (Some(1), Some("eu.0:4"), "the only version"));
    check(RowPolicy::Lww, &[eu.clone(), version("us", 1, 11, DELETED)], (None, Some("us.0:1"), "written last"));
    check(RowPolicy::Lww, &[eu, version("us", 1, 9, DELETED)], (Some(1), Some("eu.0:4"), "written last"));
}

#[test]
fn the_first_write_counts() {
    let (eu, us) = (version("eu", 4, 10, stock(1)), version("us", 1, 11, stock(2)));
    let policy = || RowPolicy::FirstWrite;
    check(policy(), &[eu.clone(), us], (Some(1), Some("eu.0:4"), "written first"));
    check(policy(), &[eu.clone(), version("us", 1, 10, DELETED)], (Some(1), Some("eu.0:4"), "written first"));
    check(policy(), &[eu, version("us", 1, 9, DELETED)], (None, Some("us.0:1"), "written first"));
}

#[test]
fn the_first_region_counts() {
    let policy = |regions: &[&str]| RowPolicy::OriginPriority(regions.iter().map(|id| id.parse().unwrap()).collect());
    let (eu, us, ap) = (version("eu", 1, 10, stock(1)), version("us", 1, 11, stock(2)), version("ap", 1, 12, stock(3)));
    let all = [eu.clone(), us.clone(), ap.clone()];
    check(policy(&["us", "eu"]), &all, (Some(2), Some("us.0:1"), "us comes first"));
    check(policy(&["sa", "eu"]), &all, (Some(1), Some("eu.0:1"), "eu comes first"));
    check(policy(&["sa"]), &all, (Some(3), Some("ap.0:1"), "written last"));
    let mut restored = version("us", 1, 13, stock(4));
    restored.0.dot.origin.epoch = 1;
    check(policy(&["us"]), &[eu, us, restored, ap.clone()], (Some(4), Some("us.1:1"), "us comes first"));
    check(policy(&["us"]), &[ap, version("us", 1, 1, DELETED)], (None, Some("us.0:1"), "us comes first"));
}

#[test]
fn the_last_write_counts_until_somebody_decides() {
    let versions = [version("eu", 4, 10, stock(1)), version("us", 1, 11, stock(2))];
    check(RowPolicy::Manual, &versions, (Some(2), Some("us.0:1"), "not decided yet; written last"));
}

#[test]
fn the_last_change_of_each_column_counts() {
    let noted = |item: Item, merge: &str| Item { merge: Some(merge.to_owned()), ..item };
    let row = |stock, sold| Item { stock: Some(stock), sold: Some(sold), ..Item::default() };
    // Both started from (1, false), which `eu.0:1` wrote at 5; one changed the stock and the other sold it.
    let others = r#""ordered","price","weight","tags","since""#;
    let changed =
        |by: &str, new: &str, old: &str| format!(r#"{{"changed":{{"{by}":["{new}"],"eu.0:1@5":["{old}",{others}]}}}}"#);
    let sold = version("us", 1, 10, noted(row(1, true), &changed("us.0:1@10", "sold", "stock")));
    let stocked = version("ap", 7, 11, noted(row(2, false), &changed("ap.0:7@11", "stock", "sold")));
    let rules = rules(RowPolicy::ColumnLww, &[]);
    let resolved = resolve(&rules, &siblings(&[sold.clone(), stocked.clone()]), &NoPlugin);
    let merge = r#"{"changed":{"ap.0:7@11":["stock"],"eu.0:1@5":["ordered","price","since","tags","weight"],"us.0:1@10":["sold"]}}"#;
    assert_eq!(item(&resolved.row), noted(row(2, true), merge));
    assert_eq!((resolved.winner, resolved.reason.to_string().as_str()), (None, "last change of each column"));
    let deleted = version("eu", 2, 12, DELETED);
    check(RowPolicy::ColumnLww, &[sold.clone(), stocked.clone(), deleted], (None, Some("eu.0:2"), "written last"));
    let deleted = version("eu", 2, 10, DELETED);
    check(RowPolicy::ColumnLww, &[sold, stocked, deleted], (Some(2), None, "last change of each column"));
}

/// Stock and sold of rows with notes under `column_lww`, by regions in the order in which they were written, from 10;
/// `own` is the version that says it.
#[track_caller]
fn check_columns(rows: &[Option<(i64, bool, &str)>], expect: (i64, bool)) {
    let item = |(stock, sold, merge): (i64, bool, &str)| Item {
        stock: Some(stock),
        sold: Some(sold),
        merge: (!merge.is_empty()).then(|| format!(r#"{{"changed":{{{merge}}}}}"#)),
        ..Item::default()
    };
    let place = |(index, row): (usize, &Option<_>)| {
        let (region, hlc) = (["ap", "eu", "us"][index], 10 + index as u64);
        let mut row = row.map_or(DELETED, item);
        row.merge = row.merge.map(|merge| merge.replace("own", &format!("{region}.0:1@{hlc}")));
        version(region, 1, hlc, row)
    };
    let versions: Vec<Version> = rows.iter().enumerate().map(place).collect();
    let row = resolve(&rules(RowPolicy::ColumnLww, &[]), &siblings(&versions), &NoPlugin).row;
    let row = crate::table::item(&row);
    assert_eq!((row.stock, row.sold), (Some(expect.0), Some(expect.1)));
}

#[test]
fn changes_are_compared_by_their_moments() {
    let both = r#""own":["sold","stock"]"#;
    let (stock, sold) = (r#""own":["stock"],"sa.0:3@5":["sold"]"#, r#""own":["sold"],"sa.0:3@5":["stock"]"#);
    check_columns(&[Some((1, true, both)), Some((2, false, both))], (2, false));
    check_columns(&[Some((1, true, sold)), Some((2, false, stock))], (2, true));
    check_columns(&[Some((1, true, stock)), Some((2, false, sold))], (1, false));
    // A deletion changes nothing in a row that is there all the same.
    check_columns(&[None, Some((2, false, stock))], (2, false));
    check_columns(&[Some((1, true, stock)), None, Some((3, false, sold))], (1, false));
    // A version without notes, or none that are understood, changed everything.
    for none in ["", r#""?":["stock"]"#, r#""own":["ghost"]"#] {
        check_columns(&[Some((1, true, both)), Some((2, false, none))], (2, false));
        check_columns(&[Some((1, true, none)), Some((2, false, stock))], (2, true));
    }
    // What nobody said to have changed yields to what somebody changed, and of two the last counts.
    let silent = r#""own":["stock"]"#;
    check_columns(&[Some((1, true, sold)), Some((2, false, silent))], (2, true));
    check_columns(&[Some((1, true, silent)), Some((2, false, silent))], (2, false));
    let twice = r#""own":["stock"],"sa.0:1@30":["stock"],"sa.0:2@20":["sold","stock"]"#;
    check_columns(&[Some((1, true, twice)), Some((2, false, r#""sa.0:9@25":["sold","stock"]"#))], (1, false));
}

#[test]
fn deletions_of_all_are_a_deletion() {
    let versions = [version("eu", 4, 10, DELETED), version("us", 1, 11, DELETED)];
    for policy in [RowPolicy::Lww, RowPolicy::ColumnLww, RowPolicy::Wasm("x".parse().unwrap())] {
        check(policy, &versions, (None, Some("us.0:1"), "written last"));
    }
}
