//! What a set of policies is refused for.

use domicile_policy::PolicySet;

use crate::world::{CUSTOMER, ITEM, ORDERS, changed, datasets, name, set};

/// The refusal of the good files with `from` replaced by `to` in one of them.
#[track_caller]
fn check(file: &str, from: &str, to: &str, expect: &str) {
    let got = PolicySet::load(&datasets(), &changed(file, from, to));
    assert_eq!(got.unwrap_err().to_string(), expect);
}

#[track_caller]
fn check_files(files: &[(&str, &str)], expect: &str) {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(PolicySet::load(&datasets(), &files).unwrap_err().to_string(), expect);
}

#[test]
fn files_are_strict() {
    check(
        "customer.toml",
        "group_by",
        "grup_by",
        "customer.toml:29:1: unknown key `grup_by`; did you mean `group_by`?",
    );
    check(
        "customer.toml",
        "\"aggregate\"",
        "\"mask\"",
        "customer.toml:27:8: unknown value `mask`; did you mean `masked`?",
    );
    check(
        "customer.toml",
        "legal_basis = \"test\"\n",
        "",
        "customer.toml:23:1: key `legal_basis` is missing in this table",
    );
    check(
        "customer.toml",
        "[24]",
        "[2.5]",
        "customer.toml:16:11: invalid type: floating point `2.5`, expected an integer or a text",
    );
    check(
        "customer.toml",
        "legal_basis",
        "expires = \"2030-02-30\"\nlegal_basis",
        "customer.toml:33:11: `2030-02-30` is not a day; write it as 2030-12-31",
    );
    check(
        "customer.toml",
        "legal_basis",
        "plugins = [\"sha256:ab\"]\nlegal_basis",
        "customer.toml:33:12: a SHA-256 digest has 64 hexadecimal digits",
    );
    check(
        "customer.toml",
        "region = \"us\"",
        "region = \"US\"",
        "customer.toml:15:10: `US` is not a region id: use lower-case letters, digits and `-`, starting with a letter",
    );
}

#[test]
fn datasets_are_known_and_resident() {
    check(
        "customer.toml",
        "\"customer\"",
        "\"custmer\"",
        "customer.toml:2:11: there is no dataset `custmer`; did you mean `customer`?",
    );
    check(
        "customer.toml",
        "\"customer\"",
        "\"part\"",
        "customer.toml:2:11: `part` is reference data, which has no policy; remove this file, or `reference = true` from the dataset's",
    );
    check(
        "item.toml",
        "\"item\"",
        "\"customer\"",
        "item.toml:2:11: `customer` already has its policy in customer.toml; remove one",
    );
    check_files(
        &[("customer.toml", CUSTOMER), ("orders.toml", ORDERS)],
        "dataset `item` has no policy; write its file, or set `reference = true` in the dataset's",
    );
}

#[test]
fn every_column_has_one_class() {
    check(
        "customer.toml",
        "measure = [\"c_balance\"]",
        "measure = [\"c_balanc\"]",
        "customer.toml:21:12: dataset `customer` has no column `c_balanc`; did you mean `c_balance`?",
    );
    check(
        "customer.toml",
        "measure = [\"c_balance\"]",
        "measure = [\"c_balance\", \"c_name\"]",
        "customer.toml:21:25: column `c_name` is already classed as identifier; list it once",
    );
    check(
        "customer.toml",
        "quasi = [\"c_nation\", \"c_segment\"]",
        "quasi = []",
        "customer.toml:18:1: no class for `c_nation`, `c_segment`; list every column of `customer` once (`identifier` where in doubt)",
    );
}

#[test]
fn residency_says_one_thing() {
    let shape = |place| {
        format!(
            "{place}: say where rows live: either `entity`, `column` and at least one [[residency.home]], or `follows` and `on`"
        )
    };
    check("customer.toml", "entity = \"c_key\"\n", "", &shape("customer.toml:5:1"));
    check(
        "customer.toml",
        "entity = \"c_key\"",
        "entity = \"c_key\"\nfollows = \"orders\"",
        &shape("customer.toml:5:1"),
    );
    check("orders.toml", "on = \"o_customer\"\n", "", &shape("orders.toml:4:1"));
    check(
        "orders.toml",
        "follows = \"customer\"\non = \"o_customer\"",
        "entity = \"o_customer\"\ncolumn = \"o_key\"",
        &shape("orders.toml:4:1"),
    );
}

#[test]
fn homes_are_listed_once_and_in_the_columns_type() {
    check("customer.toml", "[24]", "[24, 7]", "customer.toml:16:15: value 7 already has its home in eu; list it once");
    check("customer.toml", "[6, 7]", "[6, 6]", "customer.toml:12:14: value 6 already has its home in eu; list it once");
    check(
        "customer.toml",
        "[24]",
        "[\"US\"]",
        "customer.toml:16:11: 'US' is not a value of column `c_nation`; its type is integer",
    );
    check(
        "customer.toml",
        "column = \"c_nation\"",
        "column = \"c_segment\"",
        "customer.toml:12:11: 6 is not a value of column `c_segment`; its type is text",
    );
    check(
        "customer.toml",
        "column = \"c_nation\"",
        "column = \"c_balance\"",
        "customer.toml:7:10: `c_balance` cannot say where rows live; use a column of type bigint, integer or text",
    );
    check(
        "customer.toml",
        "column = \"c_nation\"",
        "column = \"nation\"",
        "customer.toml:7:10: dataset `customer` has no column `nation`; did you mean `c_nation`?",
    );
    check(
        "customer.toml",
        "entity = \"c_key\"",
        "entity = \"c_segment\"",
        "customer.toml:6:10: `c_segment` is what thresholds count as an entity, so its class is identifier, not quasi",
    );
}

/// A second clause behind the first one.
const SECOND: &str = "legal_basis = \"test\"\n[[allow]]\nid = \"sales\"\nfrom = [\"eu\"]\nto = [\"us\"]\nform = \"replicate\"\nlegal_basis = \"x\"";

#[test]
fn clauses_contradict_nothing() {
    check(
        "customer.toml",
        "legal_basis = \"test\"",
        SECOND,
        "customer.toml:35:6: clause `sales` exists already; give each clause its own id",
    );
    check(
        "customer.toml",
        "group_by = [\"c_nation\"]",
        "group_by = [\"c_nation\", \"c_name\"]",
        "customer.toml:29:25: `c_name` is an identifier and may not stand in `group_by` unless the clause says `identifiers = true`",
    );
    check(
        "customer.toml",
        "measures = [\"c_balance\"]",
        "measures = [\"c_key\"]",
        "customer.toml:31:13: `c_key` is an identifier and may not stand in `measures` unless the clause says `identifiers = true`",
    );
    check(
        "customer.toml",
        "filter_by = [\"c_nation\"",
        "filter_by = [\"c_naton\"",
        "customer.toml:30:14: dataset `customer` has no column `c_naton`; did you mean `c_nation`?",
    );
    check(
        "customer.toml",
        "minimum_entities = 10\n",
        "",
        "customer.toml:24:6: clause `sales` needs `minimum_entities` of at least 1",
    );
    check(
        "customer.toml",
        "minimum_entities = 10",
        "minimum_entities = 0",
        "customer.toml:32:20: clause `sales` needs `minimum_entities` of at least 1",
    );
}

#[test]
fn limits_limit_something() {
    for percent in [0, 100] {
        check(
            "customer.toml",
            "minimum_entities = 10",
            &format!("minimum_entities = 10\ndominance_percent = {percent}"),
            &format!(
                "customer.toml:33:21: clause `sales` has `dominance_percent = {percent}`, and must have 1 to 99: the \
                 largest share of a count or sum that one entity may make up. Leave it out where any share may be released"
            ),
        );
    }
    check(
        "customer.toml",
        "minimum_entities = 10",
        "minimum_entities = 10\nround_to = 0",
        "customer.toml:33:12: clause `sales` needs `round_to` from 1 to 1000000000; leave it out to release exact numbers",
    );
    for (bounds, expect) in [
        (
            "c_segment = [0, 1]",
            "`c_segment` is no measure of this policy, so it has no bounds; list it under `measure`, or remove this",
        ),
        (
            "c_balance = [1, 1]",
            "the bounds of `c_balance` are the least value and then the greatest, and neither is missing",
        ),
        (
            "c_balance = [-inf, 1]",
            "the bounds of `c_balance` are the least value and then the greatest, and neither is missing",
        ),
    ] {
        let text = format!("[bounds]\n{bounds}\n\n[[allow]]");
        check("customer.toml", "[[allow]]", &text, &format!("customer.toml:24:13: {expect}"));
    }
}

#[test]
fn domains_list_what_their_columns_can_have() {
    for (domain, place, expect) in [
        ("c_segment = []", "24:13", "list from 1 to 1024 values of `c_segment`, or remove this"),
        ("c_segment = [\"A\", 1]", "24:19", "`1` is not a text, as every value of `c_segment` is"),
        ("c_segment = [\"A\", \"A\"]", "24:19", "`A` is already among the values of `c_segment`; remove this one"),
        (
            "c_balance = [1]",
            "24:13",
            "the values of `c_balance` cannot be listed: it holds no texts, whole numbers or booleans; remove this",
        ),
    ] {
        let text = format!("[domains]\n{domain}\n\n[[allow]]");
        check("customer.toml", "[[allow]]", &text, &format!("customer.toml:{place}: {expect}"));
    }
    let many: Vec<i64> = (0..1025).collect();
    let text = format!("[domains]\nc_nation = {many:?}\n\n[[allow]]");
    check(
        "customer.toml",
        "[[allow]]",
        &text,
        "customer.toml:24:12: list from 1 to 1024 values of `c_nation`, or remove this",
    );
}

#[test]
fn clauses_list_what_their_form_and_threshold_can_have() {
    check(
        "customer.toml",
        "functions = [",
        "functions = [\"CASE\", ",
        "customer.toml:28:13: clause `sales` admits `case` with `minimum_entities = 10`: inside an aggregate it picks out \
         single rows after the group was counted; leave it out, or say `minimum_entities = 1`",
    );
    check(
        "customer.toml",
        "form = \"aggregate\"",
        "form = \"replicate\"",
        "customer.toml:28:13: clause `sales` admits whole rows (form `replicate`), so `functions` would limit nothing; remove it",
    );
    check(
        "customer.toml",
        "legal_basis = \"test\"",
        &SECOND.replace("\"sales\"", "\"copy\"").replace("form", &format!("plugins = [\"{}\"]\nform", "ab".repeat(32))),
        "customer.toml:38:11: clause `copy` admits whole rows (form `replicate`), so `plugins` would limit nothing; remove it",
    );
}

#[test]
fn clauses_say_who_where_and_why() {
    for (from, to, place, clause, key) in [
        ("id = \"sales\"", "id = \"\"", "24:6", "", "id"),
        ("from = [\"eu\", \"us\"]", "from = []", "25:8", "sales", "from"),
        ("to = [\"eu\", \"us\"]\nform", "to = []\nform", "26:6", "sales", "to"),
        ("\"test\"", "\" \"", "33:15", "sales", "legal_basis"),
        ("legal_basis", "purposes = []\nlegal_basis", "33:12", "sales", "purposes"),
    ] {
        check(
            "customer.toml",
            from,
            to,
            &format!(
                "customer.toml:{place}: `{key}` is empty, so clause `{clause}` would never apply or never be understood"
            ),
        );
    }
}

#[test]
fn identifiers_may_be_listed_where_the_clause_says_so() {
    let files = changed("customer.toml", "group_by = [\"c_nation\"]", "identifiers = true\ngroup_by = [\"c_name\"]");
    assert_eq!(set(&files).policy(&name("customer")).unwrap().allow[0].group_by, ["c_name"]);
}

#[test]
fn followed_datasets_have_a_home_and_a_key() {
    check(
        "orders.toml",
        "\"customer\"",
        "\"custmer\"",
        "orders.toml:5:11: there is no dataset `custmer`; did you mean `customer`?",
    );
    check(
        "orders.toml",
        "\"customer\"",
        "\"part\"",
        "orders.toml:5:11: `part` is reference data and has no home to follow",
    );
    check(
        "orders.toml",
        "\"customer\"",
        "\"item\"",
        "orders.toml:5:11: `item` cannot be followed: its primary key has 2 columns, and must have one",
    );
    check(
        "orders.toml",
        "\"o_customer\"\n[classes]",
        "\"o_day\"\n[classes]",
        "orders.toml:6:6: `o_day` and the primary key `c_key` of `customer` have different types",
    );
    check(
        "orders.toml",
        "\"o_customer\"\n[classes]",
        "\"o_custmer\"\n[classes]",
        "orders.toml:6:6: dataset `orders` has no column `o_custmer`; did you mean `o_customer`?",
    );
}

#[test]
fn chains_end_at_a_home() {
    check(
        "orders.toml",
        "\"customer\"",
        "\"orders\"",
        "orders.toml:5:11: `orders` follows itself, so no column says where their rows live; give one of them `entity`, `column` and homes",
    );
    let homes = CUSTOMER.split("[classes]").next().unwrap();
    let follower = CUSTOMER.replace(
        homes,
        "schema = 1\ndataset = \"customer\"\nversion = 1\n[residency]\nfollows = \"orders\"\non = \"c_key\"\n",
    );
    check_files(
        &[("orders.toml", ORDERS), ("item.toml", ITEM), ("customer.toml", &follower)],
        "customer.toml:5:11: `customer`, `orders` follow each other in a circle, so no column says where their rows live; give one of them `entity`, `column` and homes",
    );
}

#[test]
fn strict_comparisons_are_refused_where_none_are_made() {
    let strict = "difference_checks = false\nstrict_differences = true\nlegal_basis";
    check(
        "customer.toml",
        "legal_basis",
        strict,
        "customer.toml:34:22: clause `sales` admits answers that are not compared (`difference_checks = false`), so \
         `strict_differences` would limit nothing; remove it",
    );
}

#[test]
fn days_are_texts() {
    check(
        "customer.toml",
        "legal_basis",
        "expires = 2030-12-31\nlegal_basis",
        "customer.toml:33:11: a day is written as a text here: \"2030-12-31\"",
    );
}
