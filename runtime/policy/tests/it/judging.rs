//! Verdicts and denials.

use std::collections::BTreeSet;

use domicile_policy::{DenialReason, Form, FragmentFacts, Role};
use domicile_types::Digest;

use crate::world::{aggregate, changed, column, facts, files, judge, name, rows, set};

type Files = Vec<(String, String)>;

/// `Ok`: the threshold, and `dataset/clause` of each dataset. `Err`: the denial's sentence, with `#` for the digest.
#[track_caller]
fn check_as(
    files: &Files,
    facts: &FragmentFacts,
    purpose: Option<&str>,
    today: i32,
    expect: Result<(u64, &str), &str>,
) {
    let set = set(files);
    let got = match judge(&set, facts, "eu", "us", purpose, today) {
        Ok(verdict) => {
            let clauses = verdict.clauses.iter().map(|clause| format!("{}/{}", clause.dataset, clause.clause));
            Ok((verdict.minimum_entities, clauses.collect::<Vec<_>>().join(" ")))
        }
        Err(denial) => {
            Err(set.policies().fold(denial.to_string(), |text, policy| text.replace(&policy.digest.short(), "#")))
        }
    };
    assert_eq!(got, expect.map(|(k, clauses)| (k, clauses.to_owned())).map_err(str::to_owned));
}

#[track_caller]
fn check(facts: &FragmentFacts, expect: Result<(u64, &str), &str>) {
    check_as(&files(), facts, None, 0, expect);
}

#[test]
fn a_listed_aggregate_is_admitted() {
    let sales = aggregate("customer.c_nation", "customer.c_balance", "customer.c_segment", "count sum");
    check(&sales, Ok((10, "customer/sales")));
    check(&aggregate("", "", "", ""), Ok((0, "")));
}

#[test]
fn function_names_ignore_case_on_both_sides() {
    check(&aggregate("customer.c_nation", "customer.c_balance", "", "COUNT Sum"), Ok((10, "customer/sales")));
}

#[test]
fn the_largest_threshold_of_all_datasets_counts() {
    let joined = aggregate("customer.c_nation orders.o_day", "orders.o_price", "", "sum date_trunc");
    check(&joined, Ok((25, "customer/sales orders/orders-sales")));
}

#[test]
fn reference_data_needs_no_permission() {
    check(&aggregate("part.p_group", "part.p_key", "part.p_key", "median"), Ok((0, "")));
    check(&rows("part.p_group part.p_key", ""), Ok((0, "")));
    check(&aggregate("part.p_group customer.c_nation", "", "", "count"), Ok((10, "customer/sales")));
}

#[test]
fn what_stays_in_its_region_crosses_no_border() {
    let set = set(&files());
    let verdict = judge(&set, &rows("customer.c_name item.i_order", ""), "eu", "eu", None, 0).unwrap();
    assert_eq!((verdict.minimum_entities, verdict.clauses.len()), (0, 0));
}

#[test]
fn a_clause_is_named_so_that_an_auditor_finds_it() {
    let set = set(&files());
    let verdict = judge(&set, &aggregate("orders.o_day", "", "", "count"), "eu", "us", None, 0).unwrap();
    let clause = &verdict.clauses[0];
    let policy = set.policy(&name("orders")).unwrap();
    assert_eq!((clause.policy_version, clause.policy_digest), (3, policy.digest));
    assert_eq!(clause.legal_basis, "test orders");
}

#[test]
fn rows_need_a_clause_for_rows() {
    check(
        &rows("customer.c_name customer.c_nation", "customer.c_segment"),
        Err(
            "`customer.c_name`, `customer.c_nation` may not cross from eu to us: policy customer v1 sha256:# admits aggregates only, no rows (clause `sales`)",
        ),
    );
}

#[test]
fn unlisted_columns_are_named_with_their_role() {
    check(
        &aggregate("customer.c_segment customer.c_name", "customer.c_nation", "customer.c_balance", "count"),
        Err(
            "`customer.c_segment`, `customer.c_name`, `customer.c_nation`, `customer.c_balance` may not cross from eu to us: policy customer v1 sha256:# (clause `sales`) does not admit `c_segment` as a group key, identifier `c_name` as a group key, `c_nation` as a measure, `c_balance` as a filter",
        ),
    );
}

#[test]
fn an_aggregate_that_shows_a_plain_column_groups_by_it() {
    let shown = |column: &str| facts(Form::Aggregate, [column, "", "", ""], "count");
    check(&shown("customer.c_nation"), Ok((10, "customer/sales")));
    check(
        &shown("customer.c_balance"),
        Err(
            "`customer.c_balance` may not cross from eu to us: policy customer v1 sha256:# (clause `sales`) does not admit `c_balance` as a group key",
        ),
    );
}

#[test]
fn unlisted_functions_are_named() {
    check(
        &aggregate("customer.c_nation", "customer.c_balance", "", "max sum median"),
        Err(
            "this use of `customer` may not cross from eu to us: policy customer v1 sha256:# (clause `sales`) does not admit function `max`, function `median`",
        ),
    );
}

#[test]
fn without_a_clause_nothing_crosses() {
    check(
        &aggregate("item.i_line", "", "", "count"),
        Err("`item.i_line` may not cross from eu to us: policy item v1 sha256:# has no clause for this border"),
    );
    let back = set(&files());
    let denial = judge(&back, &aggregate("orders.o_day", "", "", "count"), "us", "eu", None, 0).unwrap_err();
    assert_eq!(denial.reason, DenialReason::NoClause);
}

#[test]
fn unknown_datasets_and_columns_are_denied() {
    check(
        &aggregate("nowhere.x", "", "", "count"),
        Err("`nowhere.x` may not cross from eu to us: no policy covers this dataset"),
    );
    check(
        &aggregate("customer.c_typo", "", "", "count"),
        Err(
            "`customer.c_typo` may not cross from eu to us: policy customer v1 sha256:# (clause `sales`) does not admit `c_typo` as a group key",
        ),
    );
}

#[test]
fn a_dataset_that_only_a_column_names_is_judged_too() {
    let mut forgotten = aggregate("", "", "item.i_line", "count");
    forgotten.datasets.clear();
    check(
        &forgotten,
        Err("`item.i_line` may not cross from eu to us: policy item v1 sha256:# has no clause for this border"),
    );
}

#[test]
fn purposes_are_stated() {
    let files = changed("customer.toml", "legal_basis", "purposes = [\"fraud\", \"reporting\"]\nlegal_basis");
    let sales = aggregate("customer.c_nation", "", "", "count");
    check_as(&files, &sales, Some("reporting"), 0, Ok((10, "customer/sales")));
    let denied = |end| {
        format!(
            "`customer.c_nation` may not cross from eu to us: policy customer v1 sha256:# admits purpose `fraud`, `reporting` (clause `sales`), and {end}"
        )
    };
    check_as(&files, &sales, None, 0, Err(&denied("none was stated")));
    check_as(&files, &sales, Some("fun"), 0, Err(&denied("`fun` was stated")));
}

#[test]
fn the_last_day_still_counts() {
    let files = changed("customer.toml", "legal_basis", "expires = \"1970-01-11\"\nlegal_basis");
    let sales = aggregate("customer.c_nation", "", "", "count");
    check_as(&files, &sales, None, 10, Ok((10, "customer/sales")));
    check_as(
        &files,
        &sales,
        None,
        11,
        Err(
            "`customer.c_nation` may not cross from eu to us: policy customer v1 sha256:# has clause `sales`, which expired after 1970-01-11",
        ),
    );
}

const REPLICATE: &str = r#"legal_basis = "test"
[[allow]]
id = "copy"
from = ["eu"]
to = ["us"]
form = "replicate"
legal_basis = "adequacy"
"#;

#[test]
fn replication_admits_rows_and_aggregates_but_no_identifiers() {
    let files = changed("customer.toml", "legal_basis = \"test\"", REPLICATE);
    check_as(&files, &rows("customer.c_nation customer.c_balance", ""), None, 0, Ok((0, "customer/copy")));
    check_as(&files, &aggregate("customer.c_segment", "", "", "median"), None, 0, Ok((0, "customer/copy")));
    check_as(
        &files,
        &rows("customer.c_nation customer.c_name", "customer.c_key"),
        None,
        0,
        Err(
            "`customer.c_name`, `customer.c_key` may not cross from eu to us: policy customer v1 sha256:# (clause `copy`) does not admit identifier `c_name` in a row, identifier `c_key` as a filter",
        ),
    );
    let all = changed(
        "customer.toml",
        "legal_basis = \"test\"",
        &REPLICATE.replace("\"replicate\"", "\"replicate\"\nidentifiers = true"),
    );
    check_as(&all, &rows("customer.c_nation customer.c_name", "customer.c_key"), None, 0, Ok((0, "customer/copy")));
}

#[test]
fn the_smallest_threshold_of_the_clauses_that_admit_counts() {
    let other = |k: u32| {
        format!(
            "legal_basis = \"test\"\n[[allow]]\nid = \"other\"\nfrom = [\"eu\"]\nto = [\"us\"]\nform = \"aggregate\"\nfunctions = [\"count\", \"avg\"]\ngroup_by = [\"c_nation\"]\nminimum_entities = {k}\nlegal_basis = \"x\"\n"
        )
    };
    let with = |k| changed("customer.toml", "legal_basis = \"test\"", &other(k));
    let counted = aggregate("customer.c_nation", "", "", "count");
    check_as(&with(5), &counted, None, 0, Ok((5, "customer/other")));
    check_as(&with(10), &counted, None, 0, Ok((10, "customer/sales")));
    check_as(&with(50), &counted, None, 0, Ok((10, "customer/sales")));
    check_as(&with(5), &aggregate("customer.c_nation", "", "", "sum"), None, 0, Ok((10, "customer/sales")));
}

#[test]
fn the_strictest_dominance_and_rounding_of_all_datasets_count() {
    let with = |dataset: &str, lines: &str, files: &[(String, String)]| {
        let file = files.iter().position(|(name, _)| name == dataset).expect("a file");
        let mut files = files.to_vec();
        files[file].1 = files[file].1.replacen("minimum_entities", &format!("{lines}\nminimum_entities"), 1);
        files
    };
    let conditions = |files: &[(String, String)]| {
        let joined = aggregate("customer.c_nation orders.o_day", "", "", "count");
        let verdict = judge(&set(files), &joined, "eu", "us", None, 0).expect("admitted");
        (verdict.minimum_entities, verdict.dominance_percent, verdict.round_to)
    };
    let plain = files();
    assert_eq!(conditions(&plain), (25, 100, 0), "nothing is limited that no clause limits");
    let customer = with("customer.toml", "dominance_percent = 70\nround_to = 10", &plain);
    assert_eq!(conditions(&customer), (25, 70, 10));
    let both = with("orders.toml", "dominance_percent = 90\nround_to = 50", &customer);
    assert_eq!(conditions(&both), (25, 70, 50));
}

#[test]
fn the_closest_clause_gives_the_reason() {
    let files = changed("customer.toml", "legal_basis = \"test\"", REPLICATE);
    let set = set(&files);
    let names = aggregate("customer.c_nation", "customer.c_name", "", "count");
    let denial = judge(&set, &names, "eu", "us", None, 0).unwrap_err();
    let DenialReason::NotListed { clause, columns, functions, .. } = denial.reason else { panic!("{}", denial.reason) };
    assert_eq!((clause.as_str(), columns.len(), functions.len()), ("sales", 1, 0));
    assert_eq!((&columns[0].column, columns[0].role), (&column("customer.c_name"), Role::Measure));
}

#[test]
fn bytes_that_a_plugin_makes_need_the_approval_of_its_digest() {
    let (approved, other) = (Digest([0xab; 32]), Digest([0xcd; 32]));
    let approving = |dataset: &str, digest: Digest| {
        let key = format!("legal_basis = \"test\"\nplugins = [\"{digest}\"]");
        changed(dataset, "legal_basis = \"test\"", &key)
    };
    let made_by = |digest: Digest, lists: [&str; 2]| FragmentFacts {
        plugins: BTreeSet::from([digest]),
        ..aggregate(lists[0], lists[1], "", "sum")
    };
    let balances = ["customer.c_nation", "customer.c_balance"];
    let files = approving("customer.toml", approved);
    check_as(&files, &made_by(approved, balances), None, 0, Ok((10, "customer/sales")));
    check_as(&files, &aggregate("customer.c_nation", "", "", "sum"), None, 0, Ok((10, "customer/sales")));
    let denied = |dataset: &str, version: u32, clause: &str, digest: Digest| {
        format!(
            "this use of `{dataset}` may not cross from eu to us: policy {dataset} v{version} sha256:# (clause \
             `{clause}`) does not admit bytes that plugin code with sha256 {digest} makes; whoever answers for the data \
             can approve that code by its sha256 under `plugins` of the clause"
        )
    };
    check_as(&files, &made_by(other, balances), None, 0, Err(&denied("customer", 1, "sales", other)));
    // Every dataset that is read has to approve.
    let both = made_by(approved, ["customer.c_nation", "orders.o_price"]);
    check_as(&files, &both, None, 0, Err(&denied("orders", 3, "orders-sales", approved)));
    // Where rows may cross as they are, so may what is computed from them.
    let replicated = changed("customer.toml", "legal_basis = \"test\"", REPLICATE);
    check_as(&replicated, &made_by(other, balances), None, 0, Ok((0, "customer/copy")));
}

#[test]
fn columns_of_all_datasets_are_named_once_in_the_order_of_the_select() {
    let set = set(&files());
    let asked = rows("orders.o_price customer.c_name part.p_key orders.o_key customer.c_name", "orders.o_customer");
    let denial = judge(&set, &asked, "eu", "us", None, 0).unwrap_err();
    let columns: Vec<_> = denial.columns.iter().map(ToString::to_string).collect();
    assert_eq!(columns, ["orders.o_price", "customer.c_name", "orders.o_key", "orders.o_customer"]);
    assert_eq!(denial.dataset, name("orders"));
    assert_eq!(denial.policy, set.policy(&name("orders")).unwrap().label());
    assert_eq!((denial.from.as_str(), denial.to.as_str()), ("eu", "us"));
}

#[test]
fn each_of_many_clauses_is_found() {
    let clause = |number: usize| {
        let to = if number < 100 { "us" } else { "ap" };
        format!(
            "[[allow]]\nid = \"{number}\"\nfrom = [\"eu\"]\nto = [\"{to}\"]\nform = \"replicate\"\npurposes = \
             [\"{number}\"]\nlegal_basis = \"x\"\n"
        )
    };
    let clauses: String = (0..200).map(clause).collect();
    let set = set(&changed("customer.toml", "legal_basis = \"test\"\n", &format!("legal_basis = \"test\"\n{clauses}")));
    for number in 0..200 {
        let purpose = number.to_string();
        for (to, expect) in [("us", number < 100), ("ap", number >= 100)] {
            let got = judge(&set, &rows("customer.c_nation", ""), "eu", to, Some(&purpose), 0);
            let clause = got.ok().map(|verdict| verdict.clauses[0].clause.clone());
            assert_eq!(clause, expect.then(|| purpose.clone()), "{number} to {to}");
        }
    }
}
