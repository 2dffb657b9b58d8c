//! What is valid, and probably not meant.

use domicile_policy::PolicySet;

use crate::world::{changed, datasets};

/// What is said of the good files with `from` replaced by `to` in customers' policy, on a day in 2026.
#[track_caller]
fn check(from: &str, to: &str, expect: &[&str]) {
    let set = PolicySet::load(&datasets(), &changed("customer.toml", from, to)).unwrap();
    let today = "2026-06-15".parse().unwrap();
    let functions = ["count", "sum", "date_trunc"].map(str::to_owned).into_iter().collect();
    let notices = set.notices(today, &functions);
    let notices: Vec<String> = notices.iter().map(ToString::to_string).collect();
    assert_eq!(notices, expect);
}

#[test]
fn clauses_whose_last_day_has_gone_by_are_told() {
    let last_day = |day: &str| format!("expires = \"{day}\"\nlegal_basis");
    let gone = "customer.toml:33:11: clause `sales` has admitted nothing since its last day, 2026-06-14; remove it, or \
                set a later day";
    check("legal_basis", &last_day("2026-06-14"), &[gone]);
    check("legal_basis", &last_day("2026-06-15"), &[]);
}

#[test]
fn functions_that_nobody_knows_are_told() {
    let unknown = "customer.toml:28:13: clause `sales` admits `summ`, which is no function of SQL here; did you mean \
                   `sum`, or is a plugin called so?";
    check("\"SUM\"", "\"Summ\"", &[unknown]);
    check("\"SUM\"", "\"Sum\"", &[]);
    check("\"SUM\"", "\"net_revenue\"", &[]);
}

#[test]
fn listed_values_that_leave_out_a_home_are_told() {
    let domain = |values: &str| format!("[domains]\nc_nation = [{values}]\n[classes]");
    let missing = "customer.toml:19:12: the values listed for `c_nation` leave out 7, 24, whose rows live in a region of \
                   this policy; answers grouped by `c_nation` hold these rows back";
    check("[classes]", &domain("6"), &[missing]);
    check("[classes]", &domain("6, 7, 24"), &[]);
}
