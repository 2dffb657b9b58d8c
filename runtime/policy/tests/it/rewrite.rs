//! The rewrite that a denial offers is itself admitted, and keeps what it can.

use domicile_policy::{Change, FragmentFacts};

use crate::world::{aggregate, changed, files, judge, read_back, rows, set};

#[track_caller]
fn check_in(files: &[(String, String)], asked: &FragmentFacts, expect: Option<&str>) {
    let set = set(files);
    let denial = judge(&set, asked, "eu", "us", None, 0).unwrap_err();
    assert_eq!(denial.rewrites.first().map(|rewrite| rewrite.sql.as_str()), expect);
    if let Some(sql) = expect {
        let facts = read_back(sql);
        assert!(facts.datasets.contains(&denial.dataset), "{sql} is about another dataset");
        assert!(judge(&set, &facts, "eu", "us", None, 0).is_ok(), "{sql} is denied itself");
    }
}

#[track_caller]
fn check(asked: &FragmentFacts, expect: Option<&str>) {
    check_in(&files(), asked, expect);
}

#[test]
fn rows_become_counts_and_sums_of_what_was_asked() {
    check(&rows("customer.c_name", ""), Some("SELECT c_nation, count(*) AS rows FROM customer GROUP BY c_nation"));
    check(
        &rows("customer.c_balance customer.c_nation customer.c_balance", "customer.c_key"),
        Some("SELECT c_nation, count(*) AS rows, sum(c_balance) AS sum_c_balance FROM customer GROUP BY c_nation"),
    );
}

#[test]
fn aggregates_keep_their_admitted_parts() {
    check(
        &aggregate("customer.c_nation customer.c_segment", "customer.c_balance customer.c_name", "", "max"),
        Some("SELECT c_nation, count(*) AS rows, sum(c_balance) AS sum_c_balance FROM customer GROUP BY c_nation"),
    );
    check(
        &aggregate("orders.o_customer", "orders.o_price", "", "sum"),
        Some(
            "SELECT date_trunc('month', o_day) AS o_day_month, count(*) AS rows, sum(o_price) AS sum_o_price FROM orders GROUP BY date_trunc('month', o_day)",
        ),
    );
}

#[test]
fn the_rewrite_is_about_the_dataset_that_the_denial_is_about() {
    check(
        &rows("orders.o_price customer.c_name", ""),
        Some(
            "SELECT date_trunc('month', o_day) AS o_day_month, count(*) AS rows, sum(o_price) AS sum_o_price FROM orders GROUP BY date_trunc('month', o_day)",
        ),
    );
}

#[test]
fn only_admitted_functions_are_used() {
    let asked = aggregate("customer.c_segment", "customer.c_balance", "", "sum");
    let change = |functions: &str| changed("customer.toml", "[\"count\", \"SUM\", \"date_trunc\"]", functions);
    check_in(
        &change("[\"sum\"]"),
        &aggregate("customer.c_segment", "", "", "count"),
        Some("SELECT c_nation, sum(c_balance) AS sum_c_balance FROM customer GROUP BY c_nation"),
    );
    check_in(&change("[\"count\"]"), &asked, Some("SELECT c_nation, count(*) AS rows FROM customer GROUP BY c_nation"));
    check_in(&change("[\"avg\"]"), &asked, None);
}

#[test]
fn without_group_columns_the_whole_is_counted() {
    check_in(
        &changed("customer.toml", "group_by = [\"c_nation\"]", "group_by = []"),
        &rows("customer.c_name", ""),
        Some("SELECT count(*) AS rows FROM customer"),
    );
}

#[test]
fn where_rows_may_cross_the_rewrite_has_rows() {
    let replicate = "legal_basis = \"test\"\n[[allow]]\nid = \"copy\"\nfrom = [\"eu\"]\nto = [\"us\"]\nform = \"replicate\"\nlegal_basis = \"x\"";
    check_in(
        &changed("customer.toml", "legal_basis = \"test\"", replicate),
        &rows("customer.c_name customer.c_balance customer.c_segment", ""),
        Some("SELECT c_balance, c_segment FROM customer"),
    );
}

#[test]
fn where_no_clause_applies_there_is_none() {
    check(&aggregate("item.i_line", "", "", "count"), None);
    check(&rows("nowhere.x", ""), None);
    let expired = changed("customer.toml", "legal_basis", "expires = \"1969-12-31\"\nlegal_basis");
    check_in(&expired, &rows("customer.c_name", ""), None);
    let purpose = changed("customer.toml", "legal_basis", "purposes = [\"fraud\"]\nlegal_basis");
    check_in(&purpose, &rows("customer.c_name", ""), None);
}

#[test]
fn dates_are_cut_as_coarsely_as_the_threshold_wants_where_they_may_be() {
    let sql = |files: &[(String, String)]| {
        let denial = judge(&set(files), &rows("orders.o_day", ""), "eu", "us", None, 0).unwrap_err();
        denial.rewrites.into_iter().map(|rewrite| rewrite.sql).collect::<Vec<_>>().join("; ")
    };
    let asked = sql(&changed("orders.toml", "minimum_entities = 25", "minimum_entities = 26"));
    assert!(asked.contains("GROUP BY date_trunc('quarter', o_day)"), "{asked}");
    let asked = sql(&changed("orders.toml", "\"sum\", \"date_trunc\"", "\"sum\""));
    assert!(asked.ends_with(" GROUP BY o_day"), "{asked}");
}

#[test]
fn a_rewrite_says_what_it_changes_and_there_are_few() {
    let more: String = (0..5)
        .map(|number| {
            let lists = format!("group_by = [\"c_nation\"]\nmeasures = [\"c_balance\"]\nfunctions = [\"{}\"]", ["count", "sum", "avg", "min", "x"][number]);
            format!("[[allow]]\nid = \"more{number}\"\nfrom = [\"eu\"]\nto = [\"us\"]\nform = \"aggregate\"\n{lists}\nminimum_entities = 1\nlegal_basis = \"x{number}\"\n")
        })
        .collect();
    let files = changed("customer.toml", "legal_basis = \"test\"\n", &format!("legal_basis = \"test\"\n{more}"));
    let denial = judge(&set(&files), &rows("customer.c_name", ""), "eu", "us", None, 0).unwrap_err();
    assert!((2..=3).contains(&denial.rewrites.len()), "{:?}", denial.rewrites);
    assert!(denial.rewrites.iter().all(|rewrite| rewrite.change == Change::Aggregate));
    let asked = aggregate("customer.c_name", "", "", "count");
    let denial = judge(&set(&crate::world::files()), &asked, "eu", "us", None, 0).unwrap_err();
    assert!(denial.rewrites.iter().all(|rewrite| rewrite.change == Change::Coarser) && !denial.rewrites.is_empty());
}
