//! What policies say to people: the whole text for a shipped policy, and each sentence that others have.

use crate::regions::load;
use crate::world::{changed, files, set};

const CUSTOMER: &str = "\
customer v1 sha256:#
  A row is about the one that its `c_custkey` names. Thresholds count these: the entities.
  It lives where its `c_nationkey` says:
    ap-south, for 4, 8, 9, 10, 11, 12, 13, 18, 20 and 21.
    eu-central, for 0, 5, 6, 7, 14, 15, 16, 19, 22 and 23.
    us-east, for 1, 2, 3, 17 and 24.
  Clause `world-reporting`:
    Of each other's rows, ap-south, eu-central and us-east may get aggregates: numbers over groups of rows, and no rows.
    Groups may be made by `c_nationkey`, `c_mktsegment` and `c_acctbal`.
    Rows may be filtered and joined by `c_nationkey`, `c_mktsegment` and `c_acctbal`.
    Numbers may be computed from `c_acctbal`.
    Functions that may be called: `avg`, `count`, `date_part`, `date_trunc`, `lookup`, `net_revenue`, `power`, `price_band`, \
`product`, `rfm`, `sum`, `to_char` and `within`.
    A group that fewer than 10 entities stand behind is held back.
    So is one where a single entity makes up more than 80 percent of a count or sum.
    Whether a group exists that is too small may show: by `c_nationkey`, `c_mktsegment` or `c_acctbal`.
    In what is computed, `c_acctbal` below -1000 counts as -1000, and above 10000 as 10000.
    Numbers are not rounded.
    Each answer is compared with what its tenant got earlier, so that no two differ by fewer than 10 entities.
    That two answers are about the very same rows is told: who asks may learn that a filter leaves nobody out.
    It holds for any purpose, and for none.
    It has no last day.
    Legal basis: Art. 6(1)(f) GDPR, statistics for the company's own planning
  No clause mentions `c_address`, `c_comment`, `c_custkey`, `c_name` and `c_phone`: they never leave.";

/// The explanation of a dataset's policy, with `#` for the digest.
fn explained(files: &[(String, String)], dataset: &str) -> String {
    let explained = set(files).explain();
    let one = explained.iter().find(|one| one.dataset == dataset).unwrap();
    one.to_string().replace(&one.sha256[..12], "#")
}

/// That customers' policy, with `from` replaced by `to`, has the sentences that `with` has, and none of `without`.
#[track_caller]
fn check(from: &str, to: &str, with: &[&str], without: &[&str]) {
    let text = explained(&changed("customer.toml", from, to), "customer");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    with.iter().for_each(|sentence| assert!(lines.contains(sentence), "{sentence} in {text}"));
    without.iter().for_each(|sentence| assert!(!lines.contains(sentence), "{sentence} in {text}"));
}

#[test]
fn the_shipped_policy_of_customers() {
    let (_, set) = load("eu-central");
    let explained = set.explain();
    assert_eq!(explained[0].to_string().replace(&explained[0].sha256[..12], "#"), CUSTOMER);
    assert_eq!(explained[0].sha256, set.policies().next().unwrap().digest.to_string());
}

#[test]
fn followers_are_about_the_entity_of_their_root() {
    let expect = "orders v3 sha256:#
  A row is about the one that `c_key` of its `customer` names. Thresholds count these: the entities.
  It lives where the row of `customer` does that its `o_customer` names: in eu or us.
  Clause `orders-sales`:
    Of rows that live in eu, us may get aggregates: numbers over groups of rows, and no rows.
    Groups may be made by `o_day`.";
    assert!(explained(&files(), "orders").starts_with(expect), "{}", explained(&files(), "orders"));
}

#[test]
fn without_a_clause_nothing_leaves() {
    let expect = "item v1 sha256:#
  A row is about the one that `c_key` of its `customer` names. Thresholds count these: the entities.
  It lives where the row of `orders` does that its `i_order` names: in eu or us.
  Nothing about these rows crosses a border: there is no clause.
  No clause mentions `i_line` and `i_order`: they never leave.";
    assert_eq!(explained(&files(), "item"), expect);
}

#[test]
fn it_is_told_which_groups_show() {
    let listed = "Whether a group exists that is too small does not show, by `c_nation` as it is.";
    let others = "Whether a group exists that is too small may show: by `c_nation`.";
    check("[[allow]]", "[domains]\nc_nation = [1, 2]\n\n[[allow]]", &[listed], &[others]);
    check("minimum_entities = 10", "minimum_entities = 11", &[others], &[listed]);
    check("minimum_entities = 10", "minimum_entities = 1", &[], &[listed, others]);
}

#[test]
fn limits_are_told() {
    check(
        "minimum_entities = 10",
        "minimum_entities = 1\nround_to = 50\npurposes = [\"fraud\", \"audit\"]\nexpires = \"2030-12-31\"",
        &[
            "A group is released even if one entity alone stands behind it.",
            "Numbers are rounded to multiples of 50.",
            "It holds for questions that state the purpose `audit` or `fraud` only.",
            "Its last day is 2030-12-31.",
        ],
        &["Numbers are not rounded.", "It has no last day.", "It holds for any purpose, and for none."],
    );
    check(
        "minimum_entities = 10",
        "minimum_entities = 10\nstrict_differences = true",
        &["An answer about the very same rows as an earlier one is given only where it is put the same way."],
        &["That two answers are about the very same rows is told: who asks may learn that a filter leaves nobody out."],
    );
    let digest = "ab".repeat(32);
    let plugin = format!("Bytes that only a plugin understands may come from `{digest}`.");
    check("minimum_entities", &format!("plugins = [\"{digest}\"]\nminimum_entities"), &[&plugin], &[]);
}

#[test]
fn empty_lists_and_identifiers_are_told() {
    let lists = "group_by = [\"c_nation\"]\nfilter_by = [\"c_nation\", \"c_segment\"]\nmeasures = [\"c_balance\"]\n";
    check(
        lists,
        "",
        &[
            "No groups may be made.",
            "Rows may be filtered or joined by no column.",
            "Numbers may be computed from no column.",
            "No clause mentions `c_balance`, `c_key`, `c_name`, `c_nation` and `c_segment`: they never leave.",
        ],
        &[],
    );
    check(
        lists,
        &format!("identifiers = true\n{}", lists.replace("[\"c_balance\"]", "[\"c_balance\", \"c_key\"]")),
        &["Among these columns are identifiers: `c_key`.", "No clause mentions `c_name`: it never leaves."],
        &[],
    );
}

#[test]
fn rows_are_told_from_aggregates() {
    let copy = |more: &str| {
        format!(
            "legal_basis = \"test\"\n[[allow]]\nid = \"copy\"\nfrom = [\"eu\", \"ap\"]\nto = [\"us\"]\n{more}form = \
             \"replicate\"\nlegal_basis = \"x\""
        )
    };
    let border = "Of rows that live in eu, us may get copies, and anything computed from them.";
    let kept = "No clause mentions `c_key` and `c_name`: they never leave.";
    let free = "Nothing is held back for being about few entities.";
    check(
        "legal_basis = \"test\"",
        &copy(""),
        &[border, "Rows may show `c_balance`, `c_nation` and `c_segment`.", free, kept],
        &[],
    );
    let all = "Rows may show `c_balance`, `c_key`, `c_name`, `c_nation` and `c_segment`.";
    let identifiers = "Among these columns are identifiers: `c_key` and `c_name`.";
    check("legal_basis = \"test\"", &copy("identifiers = true\n"), &[border, all, identifiers], &[kept]);
}

#[test]
fn texts_of_a_file_cannot_move_the_cursor() {
    check(
        "\"test\"",
        "\"a\\u001b[2Jb\\nClause `all`:\"",
        &["Legal basis: a\\u{1b}[2Jb\\nClause `all`:"],
        &["Clause `all`:"],
    );
}
