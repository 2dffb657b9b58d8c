//! Differential privacy: what a clause may say of it, what is told of it, and what holds where several do.

use domicile_policy::{Border, DifferentialPrivacy, Form, PolicyError, PolicySet, Unnoised, Verdict};

use crate::world::{CUSTOMER, aggregate, changed, datasets, judge, region, set};

/// Customers' clause with noise: `{}` stands for what is tried.
fn noised(functions: &str, further: &str, noise: &str) -> Vec<(String, String)> {
    let text = CUSTOMER
        .replace("\"count\", \"SUM\", \"date_trunc\"", functions)
        .replace("[[allow]]", "[domains]\nc_nation = [6, 7, 24]\n\n[[allow]]")
        .replace(
            "minimum_entities = 10\nlegal_basis = \"test\"\n",
            &format!("legal_basis = \"test\"\n{further}{noise}"),
        );
    changed("customer.toml", CUSTOMER, &text)
}

const FUNCTIONS: &str = "\"count\", \"SUM\", \"avg\"";
const BUDGET: &str = "budget = { questions = 50, days = 30 }\n";
const NOISE: &str = "[allow.differential_privacy]\nepsilon = 0.5\nrows_per_entity_max = 20\n";

fn load(files: &[(String, String)]) -> Result<PolicySet, PolicyError> {
    PolicySet::load(&datasets(), files)
}

#[track_caller]
fn check(functions: &str, further: &str, noise: &str, expect: &str) {
    let files = noised(functions, further, noise);
    let error = load(&files).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some(expect));
}

#[test]
fn what_contradicts_noise_is_refused_where_it_stands() {
    let epsilon = |number: &str| NOISE.replace("0.5", number);
    for number in ["0", "-1.0", "10.000001", "inf", "nan", "0.0000001", "0.5000001"] {
        check(
            FUNCTIONS,
            BUDGET,
            &epsilon(number),
            "customer.toml:38:11: clause `sales` needs an `epsilon` above 0 and at most 10, in steps of 0.000001",
        );
    }
    check(
        FUNCTIONS,
        BUDGET,
        &NOISE.replace("= 20", "= 0"),
        "customer.toml:39:23: clause `sales` needs `rows_per_entity_max` from 1 to 1000000",
    );
    check(
        FUNCTIONS,
        "",
        NOISE,
        "customer.toml:36:1: clause `sales` spends epsilon with each question, so it needs a `budget`, as \
         `budget = { questions = 50, days = 30 }`",
    );
    check(
        "\"count\", \"min\"",
        BUDGET,
        NOISE,
        "customer.toml:31:13: clause `sales` has differential privacy and admits `min`: it is not known how much one \
         entity changes that; list `count`, `sum` and `avg` only",
    );
    for (key, value) in [
        ("minimum_entities", "5"),
        ("dominance_percent", "80"),
        ("difference_checks", "true"),
        ("strict_differences", "true"),
        ("plugins", "[]"),
    ] {
        let (column, further) = (key.len() + 4, format!("{key} = {value}\n{BUDGET}"));
        let expect = format!(
            "customer.toml:36:{column}: clause `sales` has differential privacy: noise protects, and `{key}` would not; \
             remove it"
        );
        check(FUNCTIONS, &further, NOISE, &expect);
    }
}

#[test]
fn group_keys_need_their_values_listed() {
    let files = noised(FUNCTIONS, BUDGET, NOISE);
    let text = files[0].1.replace("group_by = [\"c_nation\"]", "group_by = [\"c_nation\", \"c_segment\"]");
    let files = changed("customer.toml", CUSTOMER, &text);
    assert_eq!(
        load(&files).unwrap_err().to_string(),
        "customer.toml:32:25: clause `sales` has differential privacy, so every group that there can be is released; list \
         the values of `c_segment` under [domains], or do not group by it"
    );
}

#[test]
fn rows_and_masked_rows_have_no_noise() {
    for (form, told) in [("replicate", "whole rows (form `replicate`)"), ("masked", "masked rows (form `masked`)")] {
        let columns = if form == "masked" { "[allow.columns]\nc_nation = \"plain\"\n" } else { "" };
        let clause = format!(
            "[[allow]]\nid = \"rows\"\nfrom = [\"eu\"]\nto = [\"us\"]\nform = \"{form}\"\nlegal_basis = \"test\"\n{NOISE}{columns}"
        );
        let files = changed("customer.toml", CUSTOMER, &format!("{CUSTOMER}{clause}"));
        let error = load(&files).unwrap_err().to_string();
        let expect = format!("clause `rows` admits {told}, so `differential_privacy` would limit nothing; remove it");
        assert!(error.ends_with(&expect), "{error}");
    }
}

#[test]
fn people_are_told() {
    let explained = set(&noised(FUNCTIONS, BUDGET, NOISE)).explain();
    let text = explained.iter().find(|one| one.dataset == "customer").unwrap().to_string();
    for sentence in [
        "Numbers have noise (differential privacy): each question spends an epsilon of 0.5, at most 25 in 30 days.",
        "Of one entity, at most 20 rows count in a question.",
        "Every group of the listed values is released, also where nobody is in it.",
        "A tenant has 50 questions answered in any 30 days.",
        "Nothing is held back for being about few entities.",
    ] {
        assert!(text.lines().any(|line| line.trim() == sentence), "{sentence} in {text}");
    }
}

fn judged(set: &PolicySet, functions: &str) -> Result<Verdict, String> {
    judge(set, &aggregate("customer.c_nation", "", "", functions), "eu", "us", None, 0)
        .map_err(|denial| denial.to_string())
}

#[test]
fn the_verdict_asks_for_noise_and_no_threshold() {
    let set = set(&noised(FUNCTIONS, BUDGET, NOISE));
    let verdict = judged(&set, "count sum").unwrap();
    let noise = DifferentialPrivacy { epsilon_millionths: 500_000, rows_per_entity_max: 20 };
    assert_eq!(verdict.differential_privacy, Some(noise));
    assert_eq!((verdict.minimum_entities, verdict.difference_checks), (0, false));
    assert_eq!(verdict.budgets.len(), 1);
    let denied = judged(&set, "count min").unwrap_err();
    let why = "(clause `sales`) releases numbers with noise: how much one entity changes `min` is not known; ask for \
               count, sum or avg of columns as they are";
    assert!(denied.ends_with(why), "{denied}");
}

#[test]
fn what_cannot_be_noised_is_denied_by_the_clause_that_asks_for_noise() {
    let set = set(&noised(FUNCTIONS, BUDGET, NOISE));
    let (from, to) = (region("eu"), region("us"));
    let verdict = judged(&set, "count").unwrap();
    let border = Border { from: &from, to: &to, purpose: None, today: 0 };
    let facts = aggregate("customer.c_nation", "", "", "count");
    let denial = set.unnoised(&facts, &border, &verdict, Unnoised::Keys).unwrap();
    assert!(denial.to_string().contains("(clause `sales`) releases numbers with noise: every group"), "{denial}");
    let plain = Verdict::unconditional(Form::Aggregate);
    assert!(set.unnoised(&facts, &border, &plain, Unnoised::Keys).is_none());
}

#[test]
fn exact_numbers_are_preferred_where_both_are_admitted() {
    let (text, plain) = (noised(FUNCTIONS, BUDGET, NOISE), CUSTOMER.split_once("[[allow]]").unwrap().1);
    let both = format!("{}\n[[allow]]{}", text[0].1, plain.replace("\"sales\"", "\"exact\""));
    let set = set(&changed("customer.toml", CUSTOMER, &both));
    let verdict = judged(&set, "count").unwrap();
    assert_eq!(verdict.clauses[0].clause, "exact");
    assert_eq!(verdict.differential_privacy, None);
}

#[test]
fn of_several_the_smallest_hold_and_thresholds_stay() {
    let noise = |epsilon_millionths, rows_per_entity_max| Verdict {
        differential_privacy: Some(DifferentialPrivacy { epsilon_millionths, rows_per_entity_max }),
        ..Verdict::unconditional(Form::Aggregate)
    };
    let threshold =
        Verdict { minimum_entities: 10, difference_checks: true, ..Verdict::unconditional(Form::Aggregate) };
    let all = noise(500_000, 20).and(threshold).and(noise(700_000, 5));
    assert_eq!(
        all.differential_privacy,
        Some(DifferentialPrivacy { epsilon_millionths: 500_000, rows_per_entity_max: 5 })
    );
    assert_eq!((all.minimum_entities, all.difference_checks), (10, true));
    assert!(!all.is_the_same_permission(&noise(500_000, 20)));
}
