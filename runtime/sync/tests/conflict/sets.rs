//! Sets of versions, whatever is in them and however they came together.

use arrow::array::RecordBatch;
use domicile_sync::conflict::{Resolved, Rules, Siblings, SiblingsError};
use domicile_types::Mark;
use proptest::prelude::*;

use crate::table::{DELETED, Item, Version, after, batch, item, resolve, siblings, version};
use crate::world::{Failing, Picking, any_rules};

fn dots(siblings: &Siblings) -> Vec<String> {
    siblings.marks().iter().map(|mark| mark.dot.to_string()).collect()
}

fn stock(stock: i64) -> Item {
    Item { stock: Some(stock), ..Item::default() }
}

#[test]
fn what_another_one_follows_is_gone() {
    let (eu, us) = (version("eu", 1, 10, stock(1)), version("us", 1, 11, stock(2)));
    let both = siblings(&[us.clone(), eu.clone(), us.clone()]);
    assert_eq!(dots(&both), ["eu.0:1", "us.0:1"]);
    let ap = after(version("ap", 1, 12, stock(3)), "eu", 4);
    let with = both.with(&batch(std::slice::from_ref(&ap.1)), std::slice::from_ref(&ap.0)).unwrap();
    assert_eq!(dots(&with), ["us.0:1", "ap.0:1"]);
    assert_eq!(item(&with.rows().slice(1, 1)), stock(3));
    let late = with.with(&batch(&[stock(1)]), std::slice::from_ref(&eu.0)).unwrap();
    assert_eq!(late, with, "what was gone does not come back");
    let circle = siblings(&[after(eu, "us", 1), after(us, "eu", 1)]);
    assert_eq!(dots(&circle), ["us.0:1"], "one stays, whatever the marks say");
}

#[test]
fn versions_that_are_none_are_refused() {
    let mark = |seq| version("eu", seq, 10, stock(1)).0;
    let refused = |rows: &RecordBatch, marks: &[Mark]| Siblings::new(rows, marks).unwrap_err().to_string();
    assert!(matches!(Siblings::new(&batch(&[]), &[]), Err(SiblingsError::None)));
    assert_eq!(refused(&batch(&[stock(1)]), &[mark(1), mark(2)]), "1 versions have 2 marks; pass one for each");
    assert_eq!(
        refused(&batch(&[stock(1), stock(2)]), &[mark(1), mark(1)]),
        "two versions of a row are both entry eu.0:1, and differ; fetch the entry again from the region that wrote it"
    );
    let later = version("eu", 1, 11, stock(1)).0;
    assert!(matches!(
        Siblings::new(&batch(&[stock(1), stock(1)]), &[mark(1), later]),
        Err(SiblingsError::Differ { .. })
    ));
    let rows = batch(&[stock(1)]);
    let without = rows.project(&(0..rows.num_columns() - 1).collect::<Vec<_>>()).unwrap();
    assert!(matches!(Siblings::new(&without, &[mark(1)]), Err(SiblingsError::Operation)));
    let good = siblings(&[version("eu", 1, 10, stock(1))]);
    assert!(matches!(good.with(&without, &[mark(2)]), Err(SiblingsError::Columns)));
}

fn any_weight() -> impl Strategy<Value = f64> {
    let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -f64::MAX, 0.1, 0.2];
    let nans = [0x7ff8_0000_0000_0001, 0xfff8_0000_0000_0000, 0x7ff0_0000_0000_0001].map(f64::from_bits);
    prop_oneof![proptest::sample::select(special.to_vec()), proptest::sample::select(nans.to_vec()), any::<f64>()]
}

fn any_merge() -> impl Strategy<Value = String> {
    let dot = || proptest::sample::select(vec!["eu.0:1", "eu.0:2", "us.0:1", "ap.1:3", "eu.0:x", "x"]);
    let amount = proptest::sample::select(vec!["1", "-7", "0.25", "NaN", "9223372036854775807", "1e308", "?"]);
    let counted = proptest::collection::btree_map(dot(), amount, 0..3);
    let stamp = proptest::sample::select(vec!["eu.0:1@5", "us.0:1@12", "ap.0:2@11", "eu.0:1"]);
    let column = proptest::sample::select(vec!["stock", "weight", "tags", "sold", "ghost"]);
    let changed = proptest::collection::btree_map(stamp, proptest::collection::vec(column.clone(), 0..3), 0..3);
    let text = (changed, proptest::collection::btree_map(column, counted, 0..3))
        .prop_map(|(changed, counted)| format!(r#"{{"changed":{changed:?},"counted":{counted:?}}}"#));
    prop_oneof![4 => text, 1 => ".*"]
}

fn any_item() -> impl Strategy<Value = Item> {
    let numbers = (
        proptest::option::of(prop_oneof![any::<i64>(), -3..3_i64]),
        proptest::option::of(any::<i32>()),
        proptest::option::of(-99_999..100_000_i128),
        proptest::option::of(any_weight()),
    );
    let tags = prop_oneof![
        proptest::sample::select(vec!["[]", "[1,\"a\"]", "[\"b\", 1]", "red"]).prop_map(str::to_owned),
        ".*"
    ];
    let others = (
        proptest::option::of(tags),
        proptest::option::of(any::<i32>()),
        proptest::option::of(any::<bool>()),
        proptest::option::of(any_merge()),
    );
    let row = (numbers, others).prop_map(|((stock, ordered, price, weight), (tags, since, sold, merge))| Item {
        stock,
        ordered,
        price,
        weight,
        tags,
        since,
        sold,
        merge,
        deleted: false,
    });
    prop_oneof![4 => row, 1 => Just(DELETED)]
}

/// Versions of random marks, each of which follows what those follow that it follows.
fn any_versions() -> impl Strategy<Value = Vec<Version>> {
    let region = || proptest::sample::select(vec!["eu", "us", "ap"]);
    let follows = proptest::option::of((region(), 0..3_u64));
    let version =
        (region(), 1..4_u64, 10..14_u64, any_item(), follows).prop_map(|(region, seq, hlc, item, follows)| {
            let plain = version(region, seq, hlc, item);
            follows.into_iter().fold(plain, |version, (region, seq)| after(version, region, seq))
        });
    proptest::collection::vec(version, 1..6).prop_map(|mut versions| {
        versions.sort_by(|(one, _), (other, _)| one.dot.cmp(&other.dot));
        versions.dedup_by(|(one, _), (other, _)| one.dot == other.dot);
        versions.sort_by(|(one, _), (other, _)| one.order().cmp(&other.order()));
        for later in 1..versions.len() {
            let (earlier, (mark, _)) = (versions[..later].to_vec(), &mut versions[later]);
            let followed: Vec<_> = earlier.iter().filter(|(other, _)| mark.follows.contains(&other.dot)).collect();
            followed.into_iter().for_each(|(other, _)| mark.follows.join(&other.follows));
        }
        versions
    })
}

/// Equality down to the bits of doubles.
#[track_caller]
fn check_same(one: &Resolved, other: &Resolved) {
    assert_eq!(one, other);
    let bits = |resolved: &Resolved| item(&resolved.row).weight.map(f64::to_bits);
    assert_eq!(bits(one), bits(other));
}

fn resolved(rules: &Rules, versions: &[Version]) -> Resolved {
    resolve(rules, &siblings(versions), &Picking)
}

proptest! {
    #[test]
    fn the_order_of_arrival_never_matters(
        rules in any_rules(),
        (versions, shuffled) in any_versions().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        repeated in 0..6_usize,
    ) {
        let expect = resolved(&rules, &versions);
        check_same(&resolved(&rules, &shuffled), &expect);
        // One after the other, and one of them twice.
        let mut all = siblings(&shuffled[..1]);
        for (mark, item) in shuffled[1..].iter().chain(shuffled.get(repeated)) {
            all = all.with(&batch(std::slice::from_ref(item)), std::slice::from_ref(mark)).unwrap();
        }
        prop_assert_eq!(&all, &siblings(&versions));
        check_same(&resolve(&rules, &all, &Picking), &expect);
        check_same(&resolve(&rules, &all, &Failing), &resolve(&rules, &siblings(&versions), &Failing));
    }

    #[test]
    fn every_row_has_the_key_and_the_schema_of_its_versions(rules in any_rules(), versions in any_versions()) {
        let all = siblings(&versions);
        let resolved = resolve(&rules, &all, &Picking);
        prop_assert_eq!(resolved.row.schema(), all.rows().schema());
        prop_assert_eq!(resolved.row.num_rows(), 1);
        prop_assert_eq!(resolved.row.column(0), &all.rows().column(0).slice(0, 1));
        if let Some(winner) = &resolved.winner {
            prop_assert!(all.marks().iter().any(|mark| mark.dot == *winner));
        }
    }
}
