//! Clauses that mask columns, and those that say what holds over several questions: what is refused, what is admitted,
//! what is told.

use std::collections::BTreeMap;

use domicile_policy::{DenialReason, Form, Mask, PolicySet};
use domicile_types::Digest;

use crate::world::{aggregate, changed, datasets, facts, judge, name, rows, set};

/// Behind the world's clause `sales`: its keys start in line 40, its columns in line 41.
fn with_masked(keys: &str, columns: &str) -> Vec<(String, String)> {
    let clause = format!(
        "legal_basis = \"test\"\n[[allow]]\nid = \"cut\"\nfrom = [\"eu\"]\nto = [\"us\"]\nform = \"masked\"\nlegal_basis = \
         \"masked\"\n{keys}\n{columns}"
    );
    changed("customer.toml", "legal_basis = \"test\"", &clause)
}

const COLUMNS: &str = "[allow.columns]
c_key = \"hmac\"
c_name = { prefix = 1 }
c_nation = \"plain\"
c_balance = { multiple_of = 1000 }
";

#[track_caller]
fn refused(keys: &str, columns: &str, expect: &str) {
    let refused = PolicySet::load(&datasets(), &with_masked(keys, columns)).map(|_| ());
    assert_eq!(refused.unwrap_err().to_string(), format!("customer.toml:{expect}"));
}

/// `[allow.columns]` with one line, in line 42.
#[track_caller]
fn refused_mask(line: &str, expect: &str) {
    refused("", &format!("[allow.columns]\n{line}"), expect);
}

#[test]
fn a_mask_fits_its_column() {
    let fits = |mask: &str, column: &str, types: &str| {
        format!("mask `{mask}` does not fit `{column}`; it is for columns of type {types}")
    };
    let numbers = "bigint, integer, double or decimal";
    for (line, place, problem) in [
        ("c_balance = \"hmac\"", "42:13", fits("hmac", "c_balance", "text, bigint or integer")),
        ("c_key = { prefix = 2 }", "42:9", fits("prefix 2", "c_key", "text")),
        ("c_segment = { multiple_of = 2 }", "42:13", fits("multiple_of 2", "c_segment", numbers)),
        ("c_segment = \"year\"", "42:13", fits("year", "c_segment", "date")),
        ("c_nation = \"quarter\"", "42:12", fits("quarter", "c_nation", "date")),
        ("c_balance = \"month\"", "42:13", fits("month", "c_balance", "date")),
    ] {
        refused_mask(line, &format!("{place}: {problem}"));
    }
    let days = "[[allow]]\nid = \"days\"\nfrom = [\"eu\"]\nto = [\"us\"]\nform = \"masked\"\nlegal_basis = \"x\"\n\
                columns = { o_day = \"hmac\" }\n[[allow]]\nid = \"orders-sales\"";
    let files = changed("orders.toml", "[[allow]]\nid = \"orders-sales\"", days);
    let refused = PolicySet::load(&datasets(), &files).unwrap_err().to_string();
    assert_eq!(refused, format!("orders.toml:17:21: {}", fits("hmac", "o_day", "text, bigint or integer")));
}

#[test]
fn a_mask_says_something_that_exists() {
    refused_mask("c_nmae = \"null\"", "42:10: dataset `customer` has no column `c_nmae`; did you mean `c_name`?");
    refused_mask(
        "c_name = \"plain\"",
        "42:10: `c_name` is an identifier and may not cross as it is; mask it, for example with `hmac` or `null`",
    );
    refused_mask("c_name = \"hmca\"", "42:10: unknown value `hmca`; did you mean `hmac`?");
    refused_mask("c_name = { sufix = 2 }", "42:12: unknown value `sufix`; did you mean `prefix`?");
    for (line, place, key, range) in [
        ("c_name = { prefix = 0 }", "42:10", "prefix", "1 to 255"),
        ("c_name = { prefix = 256 }", "42:10", "prefix", "1 to 255"),
        ("c_key = { multiple_of = 1 }", "42:9", "multiple_of", "2 to 1000000000"),
        ("c_balance = { multiple_of = 0 }", "42:13", "multiple_of", "1 to 1000000000"),
        ("c_balance = { multiple_of = 1000000001 }", "42:13", "multiple_of", "1 to 1000000000"),
    ] {
        refused_mask(line, &format!("{place}: clause `cut` needs `{key}` from {range}"));
    }
    let none = "35:6: clause `cut` masks no column; list each one that may be used, and its mask, in `[allow.columns]`";
    refused("", "", none);
    refused("", "[allow.columns]", none);
}

#[test]
fn each_form_has_its_own_keys() {
    for (key, value) in [
        ("functions", "[\"count\"]"),
        ("plugins", "[]"),
        ("group_by", "[]"),
        ("filter_by", "[]"),
        ("measures", "[]"),
        ("minimum_entities", "10"),
        ("dominance_percent", "50"),
        ("round_to", "10"),
        ("budget", "{ questions = 1, days = 1 }"),
        ("difference_checks", "true"),
        ("snapshot_hours", "1"),
        ("identifiers", "true"),
    ] {
        let place = format!("40:{}", key.len() + 4);
        let admits = |form: &str| format!("clause `cut` admits {form}, so `{key}` would limit nothing; remove it");
        refused(&format!("{key} = {value}"), COLUMNS, &format!("{place}: {}", admits("masked rows (form `masked`)")));
        if key != "identifiers" {
            let mut files = with_masked(&format!("{key} = {value}"), "");
            files[0].1 = files[0].1.replace("\"masked\"\nlegal", "\"replicate\"\nlegal");
            let refused = PolicySet::load(&datasets(), &files).unwrap_err().to_string();
            assert_eq!(refused, format!("customer.toml:{place}: {}", admits("whole rows (form `replicate`)")));
        }
    }
    for (form, admits) in
        [("replicate", "whole rows (form `replicate`)"), ("aggregate", "aggregates (form `aggregate`)")]
    {
        let mut files = with_masked("", COLUMNS);
        files[0].1 = files[0].1.replace("\"masked\"\nlegal", &format!("\"{form}\"\nlegal"));
        let refused = PolicySet::load(&datasets(), &files).unwrap_err().to_string();
        let expect =
            format!("customer.toml:41:1: clause `cut` admits {admits}, so `columns` would limit nothing; remove it");
        assert_eq!(refused, expect);
    }
}

#[test]
fn what_holds_over_several_questions_has_its_range() {
    let check = |line: &str, expect: Option<&str>| {
        let files = changed("customer.toml", "minimum_entities = 10", &format!("minimum_entities = 10\n{line}"));
        let refused = PolicySet::load(&datasets(), &files).err().map(|error| error.to_string());
        assert_eq!(refused, expect.map(|expect| format!("customer.toml:33:{expect}")));
    };
    let needs = |at: u32, key: &str, largest: u32| format!("{at}: clause `sales` needs `{key}` from 1 to {largest}");
    for number in [0, 1_000_001] {
        let line = format!("budget = {{ questions = {number}, days = 1 }}");
        check(&line, Some(&needs(24, "questions", 1_000_000)));
    }
    for number in [0, 367] {
        let line = format!("budget = {{ questions = 1, days = {number} }}");
        check(&line, Some(&needs(34, "days", 366)));
    }
    for number in [0, 745] {
        check(&format!("snapshot_hours = {number}"), Some(&needs(18, "snapshot_hours", 744)));
    }
    check("budget = { questions = 1 }", Some("10: key `days` is missing in this table"));
    check(
        "budget = { questions = 1, days = 1, hours = 1 }",
        Some("37: unknown key `hours`; keys here: questions, days"),
    );
    check("budget = { questions = 1000000, days = 366 }\nsnapshot_hours = 744\ndifference_checks = false", None);
    check("budget = { questions = 1, days = 1 }\nsnapshot_hours = 1\ndifference_checks = true", None);
}

#[test]
fn masked_columns_may_be_used_in_any_role_and_others_in_none() {
    let set = set(&with_masked("", COLUMNS));
    let used = "customer.c_key customer.c_name customer.c_nation customer.c_balance";
    let verdict = judge(&set, &rows(used, used), "eu", "us", None, 0).unwrap();
    let masks = BTreeMap::from([
        ("c_key".to_owned(), Mask::Hmac),
        ("c_name".to_owned(), Mask::Prefix(1)),
        ("c_nation".to_owned(), Mask::Plain),
        ("c_balance".to_owned(), Mask::MultipleOf(1000)),
    ]);
    assert_eq!((verdict.form, &verdict.masks), (Form::Masked, &BTreeMap::from([(name("customer"), masks)])));
    assert_eq!((verdict.minimum_entities, verdict.clauses[0].clause.as_str()), (0, "cut"));
    // Whatever is called, and whatever a plugin makes of it: all of it sees masked values.
    let mut computed = aggregate("customer.c_key", "customer.c_name", "customer.c_balance", "max median rfm");
    computed.plugins.insert(Digest([7; 32]));
    let verdict = judge(&set, &computed, "eu", "us", None, 0).unwrap();
    assert_eq!((verdict.form, verdict.masks.len(), verdict.difference_checks), (Form::Aggregate, 1, false));
    for role in 0..4 {
        let mut lists = [""; 4];
        lists[role] = "customer.c_segment";
        let denial = judge(&set, &facts(Form::Rows, lists, ""), "eu", "us", None, 0).unwrap_err();
        let DenialReason::NotListed { clause, columns, .. } = &denial.reason else { panic!("{denial}") };
        assert_eq!((clause.as_str(), columns.len(), denial.columns.len()), ("cut", 1, 1));
    }
}

#[test]
fn what_is_exact_is_preferred() {
    let files = with_masked("", COLUMNS);
    let clause = |files: &[(String, String)], asked| {
        let verdict = judge(&set(files), &asked, "eu", "us", None, 0).unwrap();
        (verdict.clauses[0].clause.clone(), verdict.form, verdict.masks.len())
    };
    let counted = || aggregate("customer.c_nation", "customer.c_balance", "", "sum");
    assert_eq!(clause(&files, counted()), ("sales".to_owned(), Form::Aggregate, 0));
    let named = aggregate("customer.c_name", "customer.c_balance", "", "sum");
    assert_eq!(clause(&files, named), ("cut".to_owned(), Form::Aggregate, 1));
    assert_eq!(clause(&files, rows("customer.c_nation", "")), ("cut".to_owned(), Form::Masked, 1));
    // The copy stands behind the masks, and still comes first where it admits.
    let copy = format!(
        "{COLUMNS}[[allow]]\nid = \"copy\"\nfrom = [\"eu\"]\nto = [\"us\"]\nform = \"replicate\"\nlegal_basis = \"x\""
    );
    let files = with_masked("", &copy);
    assert_eq!(clause(&files, rows("customer.c_nation", "")), ("copy".to_owned(), Form::Rows, 0));
    assert_eq!(clause(&files, rows("customer.c_name", "")), ("cut".to_owned(), Form::Masked, 1));
}

#[test]
fn a_rewrite_shows_what_the_masks_leave() {
    let columns = "[allow.columns]\nc_name = \"null\"\nc_nation = \"plain\"\nc_key = \"hmac\"\n";
    let set = set(&with_masked("", columns));
    let rewrite = |asked| {
        judge(&set, &asked, "eu", "us", None, 0).unwrap_err().rewrites.into_iter().next().map(|rewrite| rewrite.sql)
    };
    let asked = rows("customer.c_segment customer.c_name customer.c_nation", "");
    assert_eq!(rewrite(asked).as_deref(), Some("SELECT c_nation FROM customer"));
    let asked = rows("customer.c_segment customer.c_key customer.c_nation", "");
    assert_eq!(rewrite(asked).as_deref(), Some("SELECT c_key, c_nation FROM customer"));
}

/// The sentences of `sales`, and of `cut` where there is one.
#[track_caller]
fn tells(files: &[(String, String)], with: &[&str], without: &[&str]) {
    let explained = set(files).explain();
    let text = explained.iter().find(|one| one.dataset == "customer").unwrap().to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    with.iter().for_each(|sentence| assert!(lines.contains(sentence), "{sentence} in {text}"));
    without.iter().for_each(|part| assert!(!text.contains(part), "{part} in {text}"));
}

#[test]
fn masks_are_told() {
    tells(
        &with_masked("", COLUMNS),
        &[
            "Of rows that live in eu, us may get masked copies, and anything computed from them.",
            "Rows may show `c_balance`, `c_key`, `c_name` and `c_nation` and no other column.",
            "Seen as they are: `c_nation`.",
            "Replaced by codes, the same for equal values of one region: `c_key`.",
            "Cut after 1 character: `c_name`.",
            "Rounded down to multiples of 1000: `c_balance`.",
            "What is computed from them is not rounded.",
            "Among these columns are identifiers: `c_key` and `c_name`.",
        ],
        &["Missing in every row", "never leave"],
    );
    let missing = "[allow.columns]\nc_name = \"null\"\nc_key = \"null\"\nc_segment = { prefix = 3 }\n";
    tells(
        &with_masked("", missing),
        &["Missing in every row: `c_key` and `c_name`.", "Cut after 3 characters: `c_segment`."],
        &[],
    );
    let json = set(&with_masked("", COLUMNS)).explain().remove(0).clauses.remove(1);
    let masks = json.masks.iter().map(|(column, mask)| format!("{column}: {mask}")).collect::<Vec<_>>();
    assert_eq!(masks, ["c_balance: multiple_of 1000", "c_key: hmac", "c_name: prefix 1", "c_nation: plain"]);
}

#[test]
fn what_holds_over_several_questions_is_told() {
    let with = |lines: &str| changed("customer.toml", "minimum_entities = 10", lines);
    let compared =
        "Each answer is compared with what its tenant got earlier, so that no two differ by fewer than 10 entities.";
    let trusted = "Answers are not compared with earlier ones: who asks is trusted not to subtract one from another.";
    tells(&with("minimum_entities = 10"), &[compared], &["A tenant has", "advances every"]);
    tells(
        &with("minimum_entities = 10\nbudget = { questions = 500, days = 1 }\nsnapshot_hours = 24"),
        &[
            compared,
            "A tenant has 500 questions answered in any 1 day.",
            "Answers come from a state of the rows that advances every 24 hours.",
        ],
        &[trusted],
    );
    tells(&with("minimum_entities = 10\ndifference_checks = false"), &[trusted], &[compared]);
    // Below two entities there is nothing that a difference could tell.
    tells(&with("minimum_entities = 1"), &[], &["compared"]);
}
