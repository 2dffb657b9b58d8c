//! Verdicts that hold together.

use std::collections::BTreeMap;

use domicile_policy::{Budget, ClauseRef, Form, Mask, Verdict};
use domicile_types::Digest;

use crate::world::{aggregate, files, judge, name, set};

fn masked(columns: &[(&str, Mask)]) -> Verdict {
    let columns = columns.iter().map(|(column, mask)| ((*column).to_owned(), *mask)).collect();
    Verdict { masks: BTreeMap::from([(name("customer"), columns)]), ..Verdict::unconditional(Form::Masked) }
}

fn rounded(round_to: u64) -> Verdict {
    Verdict { round_to, ..Verdict::unconditional(Form::Aggregate) }
}

fn clause(dataset: &str, id: &str) -> ClauseRef {
    ClauseRef {
        dataset: name(dataset),
        clause: id.to_owned(),
        policy_version: 1,
        policy_digest: Digest([1; 32]),
        legal_basis: "test".to_owned(),
    }
}

fn budget(dataset: &str, questions: u64) -> Budget {
    Budget { dataset: name(dataset), clause: "sales".to_owned(), questions, days: 7 }
}

#[test]
fn steps_meet_at_their_least_common_multiple() {
    for (one, other, expect) in [
        (0, 0, 0),
        (0, 15, 15),
        (10, 15, 30),
        (100, 10, 100),
        (7, 7, 7),
        (1, 9, 9),
        (500_000_000, 1_000_000_000, 1_000_000_000),
        // Multiples that nothing would be left of: the larger step.
        (999_999_999, 1_000_000_000, 1_000_000_000),
        (u64::MAX, u64::MAX - 1, u64::MAX),
    ] {
        assert_eq!(rounded(one).and(rounded(other)).round_to, expect, "{one} and {other}");
        assert_eq!(rounded(other).and(rounded(one)).round_to, expect, "{other} and {one}");
    }
}

#[test]
fn the_stricter_of_each_condition_counts() {
    let one = Verdict {
        minimum_entities: 10,
        dominance_percent: 80,
        difference_checks: true,
        snapshot_hours: 24,
        budgets: vec![budget("orders", 5)],
        clauses: vec![clause("customer", "sales"), clause("orders", "sales")],
        ..Verdict::unconditional(Form::Rows)
    };
    let other = Verdict {
        minimum_entities: 25,
        dominance_percent: 90,
        snapshot_hours: 1,
        budgets: vec![budget("customer", 9), budget("orders", 5), budget("orders", 6)],
        clauses: vec![clause("customer", "other"), clause("orders", "sales")],
        ..Verdict::unconditional(Form::Aggregate)
    };
    let both = one.and(other);
    assert_eq!(
        both,
        Verdict {
            minimum_entities: 25,
            dominance_percent: 80,
            difference_checks: true,
            snapshot_hours: 24,
            budgets: vec![budget("customer", 9), budget("orders", 5), budget("orders", 6)],
            clauses: vec![clause("customer", "sales"), clause("customer", "other"), clause("orders", "sales")],
            ..Verdict::unconditional(Form::Aggregate)
        }
    );
}

#[test]
fn what_two_mask_differently_is_missing() {
    let one = masked(&[("a", Mask::Plain), ("b", Mask::Hmac), ("c", Mask::Prefix(2)), ("d", Mask::Month)]);
    let other = masked(&[("a", Mask::Hmac), ("b", Mask::Hmac), ("c", Mask::Prefix(3)), ("e", Mask::Plain)]);
    let expect =
        masked(&[("a", Mask::Hmac), ("b", Mask::Hmac), ("c", Mask::Null), ("d", Mask::Month), ("e", Mask::Plain)]);
    assert_eq!(one.clone().and(other.clone()), expect);
    assert_eq!(other.and(one.clone()), expect);
    // Where only one of two destinations gets masked rows, both do.
    assert_eq!(Verdict::unconditional(Form::Rows).and(one.clone()), one);
}

#[test]
fn what_needs_no_permission_changes_nothing() {
    let set = set(&files());
    let asked = aggregate("customer.c_nation orders.o_day", "", "", "count");
    let verdict = judge(&set, &asked, "eu", "us", None, 0).unwrap();
    assert!(verdict.difference_checks);
    let free = judge(&set, &asked, "eu", "eu", None, 0).unwrap();
    assert_eq!(free, Verdict::unconditional(Form::Aggregate));
    assert_eq!(verdict.clone().and(free.clone()), verdict);
    assert_eq!(free.and(verdict.clone()), verdict);
    assert_eq!(verdict.clone().and(verdict.clone()), verdict);
}

#[test]
fn the_version_of_a_policy_is_no_condition() {
    let verdict = Verdict {
        minimum_entities: 10,
        clauses: vec![clause("customer", "sales"), clause("orders", "sales")],
        ..Verdict::unconditional(Form::Aggregate)
    };
    let with = |change: &dyn Fn(&mut Verdict)| {
        let mut other = verdict.clone();
        change(&mut other);
        assert_eq!(other.is_the_same_permission(&verdict), verdict.is_the_same_permission(&other));
        other.is_the_same_permission(&verdict)
    };
    assert!(with(&|_| {}));
    assert!(with(&|other| {
        other.clauses[1].policy_version = 2;
        other.clauses[1].policy_digest = Digest([2; 32]);
    }));
    let changes: [&dyn Fn(&mut Verdict); 11] = [
        &|other| other.clauses[0].clause = "other".to_owned(),
        &|other| other.clauses[0].legal_basis = "other".to_owned(),
        &|other| other.clauses.truncate(1),
        &|other| other.form = Form::Rows,
        &|other| other.minimum_entities = 9,
        &|other| other.dominance_percent = 99,
        &|other| other.round_to = 10,
        &|other| other.masks = masked(&[("a", Mask::Plain)]).masks,
        &|other| other.budgets.push(budget("orders", 5)),
        &|other| other.difference_checks = true,
        &|other| other.snapshot_hours = 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert!(!with(change), "change {number}");
    }
}
