//! Clauses that could never apply, or that another one makes needless, are refused where they stand.

use domicile_policy::PolicySet;

use crate::world::{changed, datasets, files};

/// Of the world's clause `sales`.
const SALES: &str = "[[allow]]
id = \"sales\"
from = [\"eu\", \"us\"]
to = [\"eu\", \"us\"]
form = \"aggregate\"
functions = [\"count\", \"SUM\", \"date_trunc\"]
group_by = [\"c_nation\"]
filter_by = [\"c_nation\", \"c_segment\"]
measures = [\"c_balance\"]
minimum_entities = 10
legal_basis = \"test\"
";

/// What `sales` covers, and what it does not where one of the lines is another one.
const NARROW: &str = "[[allow]]
id = \"narrow\"
from = [\"eu\"]
to = [\"us\", \"eu\"]
form = \"aggregate\"
functions = [\"sum\"]
group_by = [\"c_nation\"]
measures = [\"c_balance\"]
minimum_entities = 20
dominance_percent = 50
round_to = 10
purposes = [\"fraud\"]
legal_basis = \"narrow\"
expires = \"2030-12-31\"
";

const REPLICATE: &str = "[[allow]]
id = \"copy\"
from = [\"eu\"]
to = [\"us\"]
form = \"replicate\"
legal_basis = \"copy\"
";

/// The refusal of customers' policy with these clauses.
fn refusal(clauses: &str) -> Option<String> {
    let files = changed("customer.toml", SALES, clauses);
    PolicySet::load(&datasets(), &files).err().map(|error| error.to_string())
}

/// `clauses` with one line replaced.
#[track_caller]
fn with(clauses: &str, line: &str, other: &str) -> String {
    assert_eq!(clauses.matches(line).count(), 1, "{line}");
    clauses.replace(line, other)
}

#[track_caller]
fn check(clauses: &str, expect: Option<(usize, &str, &str, usize)>) {
    let sentence = |(line, clause, by, by_line)| {
        format!(
            "customer.toml:{line}:6: clause `{clause}` adds nothing: clause `{by}` (line {by_line}) allows all that it \
             does, and asks for no more; remove one of them, or let `{by}` allow less"
        )
    };
    assert_eq!(refusal(clauses), expect.map(sentence));
}

#[test]
fn a_clause_that_another_covers_is_named_with_that_one() {
    check(&format!("{SALES}{NARROW}"), Some((35, "narrow", "sales", 24)));
    check(&format!("{NARROW}{SALES}"), Some((24, "narrow", "sales", 38)));
    // Of two that say the same, the later one.
    check(&format!("{SALES}{}", with(SALES, "\"sales\"", "\"again\"")), Some((35, "again", "sales", 24)));
}

#[test]
fn a_clause_that_allows_anything_more_stays() {
    for (line, other) in [
        ("\"us\", \"eu\"", "\"us\", \"ap\""),
        ("[\"sum\"]", "[\"sum\", \"avg\"]"),
        ("group_by = [\"c_nation\"]", "group_by = [\"c_nation\", \"c_segment\"]"),
        ("measures = [\"c_balance\"]", "measures = [\"c_balance\", \"c_nation\"]"),
        ("round_to = 10", "filter_by = [\"c_balance\"]"),
        ("minimum_entities = 20", "minimum_entities = 9"),
        ("round_to = 10", "plugins = [\"abababababababababababababababababababababababababababababababab\"]"),
    ] {
        let narrow = with(NARROW, line, other);
        check(&format!("{SALES}{narrow}"), None);
        check(&format!("{narrow}{SALES}"), None);
    }
}

#[test]
fn a_clause_that_asks_for_less_stays() {
    let sales = SALES.replace(
        "legal_basis",
        "dominance_percent = 50\nround_to = 10\npurposes = [\"fraud\", \"audit\"]\nexpires = \"2030-12-31\"\nlegal_basis",
    );
    check(&format!("{sales}{NARROW}"), Some((39, "narrow", "sales", 24)));
    for (line, other) in [
        ("dominance_percent = 50", "dominance_percent = 51"),
        ("dominance_percent = 50", ""),
        ("round_to = 10", "round_to = 9"),
        ("round_to = 10", ""),
        ("purposes = [\"fraud\"]", ""),
        ("purposes = [\"fraud\"]", "purposes = [\"fraud\", \"reporting\"]"),
        ("expires = \"2030-12-31\"", "expires = \"2031-01-01\""),
        ("expires = \"2030-12-31\"", ""),
    ] {
        check(&format!("{sales}{}", with(NARROW, line, other)), None);
    }
}

#[test]
fn rows_cover_aggregates_of_the_same_columns() {
    let narrow = with(NARROW, "measures", "identifiers = true\nmeasures");
    check(&format!("{narrow}{REPLICATE}"), Some((24, "narrow", "copy", 39)));
    let named = with(&narrow, "measures = [\"c_balance\"]", "measures = [\"c_key\"]");
    check(&format!("{named}{REPLICATE}"), None);
    let all = with(REPLICATE, "legal_basis", "identifiers = true\nlegal_basis");
    check(&format!("{named}{all}"), Some((24, "narrow", "copy", 39)));
    check(&format!("{all}{}", with(REPLICATE, "id = \"copy\"", "id = \"less\"")), Some((31, "less", "copy", 24)));
    check(&format!("{REPLICATE}{}", with(&all, "id = \"copy\"", "id = \"more\"")), Some((24, "copy", "more", 30)));
    check(&format!("{SALES}{REPLICATE}"), None);
}

#[test]
fn masks_cover_what_has_the_same_ones() {
    let masked = |id: &str, columns: &str| {
        let clause = with(&with(REPLICATE, "\"copy\"\nfrom", &format!("\"{id}\"\nfrom")), "replicate", "masked");
        format!("{clause}columns = {{ {columns} }}\n")
    };
    let wide = masked("wide", "c_key = \"hmac\", c_nation = \"plain\", c_balance = { multiple_of = 10 }");
    let same = masked("same", "c_key = \"hmac\", c_balance = { multiple_of = 10 }");
    check(&format!("{wide}{same}"), Some((31, "same", "wide", 24)));
    for other in ["c_key = \"null\"", "c_key = \"hmac\", c_name = \"hmac\"", "c_balance = { multiple_of = 20 }"] {
        check(&format!("{wide}{}", masked("other", other)), None);
        check(&format!("{}{wide}", masked("other", other)), None);
    }
    // Numbers that are computed of masked rows are no substitute for exact ones, and aggregates none for rows.
    check(&format!("{wide}{SALES}"), None);
    check(&format!("{SALES}{wide}"), None);
    // Copies are preferred to masked rows, where they admit the same columns.
    check(&format!("{}{REPLICATE}", masked("cut", "c_nation = \"plain\"")), Some((24, "cut", "copy", 31)));
    check(&format!("{wide}{REPLICATE}"), None);
    check(&format!("{REPLICATE}{wide}"), None);
}

#[test]
fn what_holds_over_several_questions_is_a_reason_to_stay() {
    let budget = "budget = { questions = 10, days = 7 }\nsnapshot_hours = 24\nlegal_basis";
    let sales = SALES.replace("legal_basis", budget);
    let narrow = |line: &str| with(NARROW, "round_to = 10", &format!("round_to = 10\n{line}"));
    let same = "budget = { questions = 10, days = 7 }\nsnapshot_hours = 24";
    check(&format!("{sales}{}", narrow(same)), Some((37, "narrow", "sales", 24)));
    for other in [
        "",
        "snapshot_hours = 24",
        "budget = { questions = 10, days = 7 }",
        "budget = { questions = 11, days = 7 }\nsnapshot_hours = 24",
        "budget = { questions = 10, days = 6 }\nsnapshot_hours = 24",
        "budget = { questions = 10, days = 7 }\nsnapshot_hours = 23",
        "difference_checks = false\nbudget = { questions = 10, days = 7 }\nsnapshot_hours = 24",
    ] {
        check(&format!("{sales}{}", narrow(other)), None);
    }
    for stricter in ["budget = { questions = 9, days = 8 }\nsnapshot_hours = 48", same] {
        check(&format!("{sales}{}", narrow(stricter)), Some((37, "narrow", "sales", 24)));
    }
    // Of two that ask the same the first has a budget of its own, as long as it comes first.
    let first = sales.replace("\"sales\"", "\"first\"").replace("\"c_nation\", \"c_segment\"", "\"c_nation\"");
    check(&format!("{first}{sales}"), None);
    check(&format!("{sales}{first}"), Some((37, "first", "sales", 24)));
}

#[test]
fn a_legal_basis_that_receipts_name_is_a_reason_to_stay() {
    let first = NARROW.replace("minimum_entities = 20\ndominance_percent = 50\nround_to = 10", "minimum_entities = 10");
    check(&format!("{first}{SALES}"), None);
    check(&format!("{}{SALES}", with(&first, "\"narrow\"\nexp", "\"test\"\nexp")), Some((24, "narrow", "sales", 36)));
    // Never named, because the other one comes first.
    check(&format!("{SALES}{first}"), Some((35, "narrow", "sales", 24)));
}

#[test]
fn clauses_are_about_a_home_and_a_border() {
    let lives =
        "would never apply: rows of `customer` live in `eu`, `us` only; name one of these, or remove the clause";
    let stays =
        "would never apply: what goes from `eu` to `eu` crosses no border; name another region, or remove the clause";
    let from = |regions: &str| with(NARROW, "from = [\"eu\"]", &format!("from = [{regions}]"));
    assert_eq!(refusal(&from("\"ap\"")), Some(format!("customer.toml:25:8: clause `narrow` {lives}")));
    assert_eq!(refusal(&from("\"ap\", \"us\"")), None);
    let to = |clause: &str| with(clause, "to = [\"us\", \"eu\"]", "to = [\"eu\"]");
    assert_eq!(refusal(&to(NARROW)), Some(format!("customer.toml:26:6: clause `narrow` {stays}")));
    // No row lives in `ap`, so none goes from there.
    assert_eq!(refusal(&to(&from("\"ap\", \"eu\""))), Some(format!("customer.toml:26:6: clause `narrow` {stays}")));
    assert_eq!(refusal(&to(&from("\"us\", \"eu\""))), None);
}

#[test]
fn followers_have_the_homes_of_their_root() {
    let files = changed("orders.toml", "from = [\"eu\"]", "from = [\"ap\"]");
    let refused = PolicySet::load(&datasets(), &files).unwrap_err().to_string();
    let expect = "orders.toml:13:8: clause `orders-sales` would never apply: rows of `orders` live in `eu`, `us` only; \
                  name one of these, or remove the clause";
    assert_eq!(refused, expect);
    assert!(PolicySet::load(&datasets(), &self::files()).is_ok());
}

#[test]
fn columns_are_listed_once() {
    for (line, place, list) in [
        ("group_by = [\"c_nation\"]", "29:25", "group_by"),
        ("filter_by = [\"c_nation\", \"c_segment\"]", "30:39", "filter_by"),
        ("measures = [\"c_balance\"]", "31:26", "measures"),
    ] {
        let column = if list == "measures" { "c_balance" } else { "c_nation" };
        let repeated = with(SALES, line, &line.replace(']', &format!(", \"{column}\"]")));
        let expect = format!("customer.toml:{place}: `{column}` stands in this `{list}` already; list it once");
        assert_eq!(refusal(&repeated), Some(expect));
    }
}

#[test]
fn extremes_and_a_threshold_exclude_each_other() {
    for function in ["min", "Max"] {
        let extreme = with(SALES, "\"SUM\"", &format!("\"{function}\""));
        let expect = format!(
            "customer.toml:28:13: clause `sales` admits `{}` with `minimum_entities = 10`: it shows the value of a \
             single row, however many entities stand behind the group; leave it out, or say `minimum_entities = 1`",
            function.to_lowercase()
        );
        assert_eq!(refusal(&extreme), Some(expect));
        assert_eq!(refusal(&with(&extreme, "minimum_entities = 10", "minimum_entities = 1")), None);
    }
}
