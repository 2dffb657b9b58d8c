//! The dataset files and policy files of worlds: what is kept, and what of it may cross for which purpose.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use domicile_harness::Cluster;

/// A column: its name, its type, and what it holds where a world says nothing; `#` stands for the person's number.
pub(crate) type Column = (&'static str, &'static str, &'static str);

/// What is known of a person.
pub(crate) const PERSONS: [Column; 14] = [
    ("person", "bigint", "#"),
    ("country", "text", "DE"),
    ("city", "text", "Aachen"),
    ("age", "bigint", "40"),
    ("job", "text", "clerk"),
    ("status", "text", "well"),
    ("joined", "date", "2026-01-15"),
    ("amount", "decimal(15,2)", "10"),
    ("points", "double", "1.5"),
    ("items", "bigint", "1"),
    ("grade", "bigint", ""),
    ("name", "text", "Person #"),
    ("email", "text", "p#@example.org"),
    ("note", "text", "none"),
];

/// What a person ordered; `orders` in a world says how often.
pub(crate) const ORDERS: [Column; 6] = [
    ("id", "bigint", ""),
    ("person", "bigint", "#"),
    ("kind", "text", "book"),
    ("ordered", "date", "2026-02-01"),
    ("price", "decimal(15,2)", "10"),
    ("quantity", "bigint", "1"),
];

/// The homes of rows, by region and country.
pub(crate) const HOMES: [(&str, &[&str]); 3] =
    [("eu-central", &["DE", "FR"]), ("us-east", &["US"]), ("ap-south", &["IN"])];

/// What a purpose allows, as keys of a clause. All but those of `form` have the same lists of columns, unless they list
/// all of them.
struct Purpose {
    name: &'static str,
    minimum_entities: u64,
    dominance_percent: Option<u64>,
    functions: &'static str,
    all_columns: bool,
    further: &'static str,
}

const STATISTICS: &str = r#""count", "sum", "avg", "date_trunc", "date_part", "upper", "lower", "net_revenue""#;
const FACTORS: &str = r#""count", "sum", "avg", "power", "product", "lookup", "within""#;
const ANY: &str = r#""count", "sum", "avg", "date_trunc", "date_part", "upper", "lower", "net_revenue",
  "price_band", "panics", "fails", "prints", "aborts", "faints", "remembers", "recalls", "abs", "sqrt", "power",
  "product", "lookup",
  "round", "floor", "ceil", "trunc", "signum", "ln", "log", "exp", "substr", "substring", "strpos", "character_length",
  "length", "left", "right", "concat", "regexp_like", "regexp_replace", "regexp_match", "starts_with",
  "md5", "sha256", "ascii", "greatest",
  "least", "to_date", "to_timestamp", "to_char", "array_element", "make_array", "repeat", "replace", "trim", "btrim",
  "split_part", "arrow_cast", "&", "|", "^", "<<", ">>", "||", "chr", "factorial", "gcd", "lcm",
  "isnan", "nanvl", "levenshtein",
  "date_bin", "random", "encode", "decode", "bit_length", "octet_length", "reverse", "rpad", "lpad",
  "translate", "to_hex""#;
const CONDITIONS: &str = r#", "case", "cast", "/", "%", "nullif", "coalesce", "nvl", "min", "max", "within""#;

/// The purposes that a question may state. `guarded` is what the policies of a careful owner are like; in each other
/// one something is missing.
const PURPOSES: [Purpose; 12] = [
    Purpose {
        name: "guarded",
        minimum_entities: 10,
        dominance_percent: Some(80),
        functions: STATISTICS,
        all_columns: false,
        further: "strict_differences = true",
    },
    Purpose {
        name: "without-threshold",
        minimum_entities: 1,
        dominance_percent: Some(80),
        functions: STATISTICS,
        all_columns: false,
        further: "",
    },
    Purpose {
        name: "without-dominance",
        minimum_entities: 10,
        dominance_percent: None,
        functions: STATISTICS,
        all_columns: false,
        further: "",
    },
    Purpose {
        name: "without-guard",
        minimum_entities: 1,
        dominance_percent: None,
        functions: STATISTICS,
        all_columns: false,
        further: "",
    },
    Purpose {
        name: "without-lists",
        minimum_entities: 1,
        dominance_percent: None,
        functions: ANY,
        all_columns: true,
        further: "identifiers = true",
    },
    Purpose {
        name: "without-differences",
        minimum_entities: 10,
        dominance_percent: Some(80),
        functions: STATISTICS,
        all_columns: false,
        further: "difference_checks = false",
    },
    Purpose {
        name: "without-strictness",
        minimum_entities: 10,
        dominance_percent: Some(80),
        functions: STATISTICS,
        all_columns: false,
        further: "",
    },
    Purpose {
        name: "with-factors",
        minimum_entities: 10,
        dominance_percent: Some(80),
        functions: FACTORS,
        all_columns: false,
        further: "",
    },
    Purpose {
        name: "with-plugins",
        minimum_entities: 10,
        dominance_percent: Some(80),
        functions: r#""count", "sum", "panics", "fails""#,
        all_columns: false,
        further: "",
    },
    Purpose {
        name: "budgeted",
        minimum_entities: 10,
        dominance_percent: Some(80),
        functions: STATISTICS,
        all_columns: false,
        further: "budget = { questions = 2, days = 1 }",
    },
    Purpose {
        name: "rounded",
        minimum_entities: 10,
        dominance_percent: Some(80),
        functions: STATISTICS,
        all_columns: false,
        further: "round_to = 100",
    },
    Purpose {
        name: "expired",
        minimum_entities: 1,
        dominance_percent: None,
        functions: ANY,
        all_columns: true,
        further: "identifiers = true\nexpires = \"2020-01-01\"",
    },
];

/// A dataset file and a policy file, each with the name of its dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The dataset's name.
    pub name: String,
    /// The text of the dataset file.
    pub dataset: String,
    /// The text of the policy file.
    pub policy: String,
}

/// What an attacker brings along: reference data, with a row for each of many numbers.
const WATCHLIST: &str = "schema = 1\nname = \"watchlist\"\nreference = true\nprimary_key = [\"k\"]\n\
    column = [{ name = \"k\", type = \"bigint\" }, { name = \"label\", type = \"text\" }]\n";
const WATCHLIST_ROWS: u64 = 4480;

/// The name and the text of the dataset file of the reference data that attacks join with.
pub fn watchlist() -> (String, String) {
    ("watchlist".to_owned(), WATCHLIST.to_owned())
}

/// Stores the reference data in every region.
///
/// # Errors
/// Where a region refuses it.
pub fn load_watchlist(cluster: &Cluster) -> Result<()> {
    let rows: String = (0..WATCHLIST_ROWS).map(|k| format!("{k},Person {k}\n")).collect();
    let body = format!("k,label\n{rows}");
    for (region, _) in HOMES {
        let stored =
            cluster.edge(region).rows("POST", "watchlist", &[("Content-Type", "text/csv")], body.as_bytes())?;
        ensure!(stored.status == 200, "watchlist in {region}: {}", stored.text());
    }
    Ok(())
}

/// The header row of a dataset, by its name.
pub fn header_row(dataset: &str) -> String {
    let columns = if dataset.ends_with("_orders") { &ORDERS[..] } else { &PERSONS[..] };
    let names: Vec<&str> = columns.iter().map(|(name, _, _)| *name).collect();
    format!("{}\n", names.join(","))
}

/// The files of a dataset of persons.
pub(crate) fn persons(name: &str, cities: &BTreeSet<String>, plugins: &[String]) -> Files {
    let lists = Lists {
        identifier: &["person", "name", "email", "note"],
        quasi: &["country", "city", "age", "job", "status", "joined"],
        measure: &["amount", "points", "items", "grade"],
        group_by: r#""city", "age", "joined""#,
        filter_by: r#""city", "age", "joined", "country""#,
        listed: r#""city""#,
        plugins,
        masks: "person = \"hmac\"\nname = { prefix = 3 }\ncountry = \"plain\"\ncity = \"plain\"\njoined = \"year\"\n\
                age = { multiple_of = 100 }\namount = { multiple_of = 50 }\nitems = { multiple_of = 50 }\n",
    };
    let cities: Vec<&String> = cities.iter().collect();
    let declared = format!("[bounds]\namount = [-100_000, 100_000]\n[domains]\ncity = {cities:?}\n");
    let policy = policy(name, &residency(), &declared, &lists);
    Files { name: name.to_owned(), dataset: dataset(name, "person", &PERSONS), policy }
}

/// The files of a dataset of orders, which live where their persons do.
pub(crate) fn orders(name: &str, persons: &str, plugins: &[String]) -> Files {
    let lists = Lists {
        identifier: &["id", "person"],
        quasi: &["kind", "ordered"],
        measure: &["price", "quantity"],
        group_by: r#""kind", "ordered""#,
        filter_by: r#""kind", "ordered""#,
        listed: "",
        plugins,
        masks: "person = \"hmac\"\nprice = { multiple_of = 50 }\n",
    };
    let policy = policy(name, &format!("follows = \"{persons}\"\non = \"person\"\n"), "", &lists);
    Files { name: name.to_owned(), dataset: dataset(name, "id", &ORDERS), policy }
}

fn dataset(name: &str, key: &str, columns: &[Column]) -> String {
    let column = |(name, kind, default): &Column| {
        let nullable = if default.is_empty() && *name != key { ", nullable = true" } else { "" };
        format!("  {{ name = \"{name}\", type = \"{kind}\"{nullable} }},\n")
    };
    let columns: String = columns.iter().map(column).collect();
    format!("schema = 1\nname = \"{name}\"\nprimary_key = [\"{key}\"]\ncolumn = [\n{columns}]\n")
}

struct Lists<'a> {
    identifier: &'a [&'a str],
    quasi: &'a [&'a str],
    measure: &'a [&'a str],
    group_by: &'a str,
    filter_by: &'a str,
    /// Those of the columns to group by whose values are listed.
    listed: &'a str,
    plugins: &'a [String],
    /// The columns of the clause for masked rows, as TOML.
    masks: &'a str,
}

fn residency() -> String {
    let home = |(region, countries): &(&str, &[&str])| {
        format!("[[residency.home]]\nregion = \"{region}\"\nvalues = {countries:?}\n")
    };
    let homes: String = HOMES.iter().map(home).collect();
    format!("entity = \"person\"\ncolumn = \"country\"\n{homes}")
}

fn policy(name: &str, residency: &str, declared: &str, lists: &Lists<'_>) -> String {
    let Lists { identifier, quasi, measure, .. } = lists;
    let clauses: String = PURPOSES.iter().map(|purpose| clause(purpose, lists)).collect();
    let clauses = clauses
        + &rows("rows", "replicate", "identifiers = true\n")
        + &noised(lists)
        + &rows("masked", "masked", &format!("[allow.columns]\n{}", lists.masks));
    format!(
        "schema = 1\ndataset = \"{name}\"\nversion = 1\n[residency]\n{residency}[classes]\nidentifier = {identifier:?}\n\
         quasi = {quasi:?}\nmeasure = {measure:?}\n{declared}{clauses}"
    )
}

/// A clause with noise. Its epsilon is so small that nobody guesses right by chance: what a test sees is certain.
fn noised(lists: &Lists<'_>) -> String {
    let quoted = |columns: &[&str]| columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "[[allow]]\nid = \"noised\"\npurposes = [\"noised\"]\nfunctions = [\"count\", \"sum\", \"avg\"]\n\
         from = [\"eu-central\", \"us-east\", \"ap-south\"]\nto = [\"eu-central\", \"us-east\", \"ap-south\"]\n\
         form = \"aggregate\"\ngroup_by = [{}]\nfilter_by = [{}]\nmeasures = [{}]\nlegal_basis = \"test\"\n\
         budget = {{ questions = 1000, days = 1 }}\n\
         [allow.differential_privacy]\nepsilon = 0.000001\nrows_per_entity_max = 100\n",
        lists.listed,
        lists.filter_by,
        quoted(lists.measure),
    )
}

/// A clause for rows, as they are or masked.
fn rows(name: &str, form: &str, further: &str) -> String {
    format!(
        "[[allow]]\nid = \"{name}\"\npurposes = [\"{name}\"]\nform = \"{form}\"\nlegal_basis = \"test\"\n\
         from = [\"eu-central\", \"us-east\", \"ap-south\"]\nto = [\"eu-central\", \"us-east\", \"ap-south\"]\n{further}"
    )
}

fn clause(purpose: &Purpose, lists: &Lists<'_>) -> String {
    let Purpose { name, minimum_entities, all_columns, further, .. } = purpose;
    let plugins = if *all_columns { lists.plugins } else { &[] };
    let quoted = |columns: &[&str]| columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
    let every = [lists.identifier, lists.quasi, lists.measure].concat();
    let (group_by, filter_by, measures) = if *all_columns {
        (quoted(&every), quoted(&every), quoted(&every))
    } else {
        (lists.group_by.to_owned(), lists.filter_by.to_owned(), quoted(lists.measure))
    };
    let conditions = if *minimum_entities == 1 { CONDITIONS } else { "" };
    let dominance =
        purpose.dominance_percent.map_or_else(String::new, |share| format!("dominance_percent = {share}\n"));
    // With one entity there is nothing to compare.
    let differences = if *minimum_entities == 1 { "difference_checks = false\n" } else { "" };
    format!(
        "[[allow]]\nid = \"{name}\"\npurposes = [\"{name}\"]\nminimum_entities = {minimum_entities}\n{dominance}\
         functions = [{functions}{conditions}]\n\
         from = [\"eu-central\", \"us-east\", \"ap-south\"]\nto = [\"eu-central\", \"us-east\", \"ap-south\"]\n\
         form = \"aggregate\"\ngroup_by = [{group_by}]\nfilter_by = [{filter_by}]\nmeasures = [{measures}]\nplugins = {plugins:?}\n\
         legal_basis = \"test\"\n{differences}{further}\n",
        functions = purpose.functions,
    )
}
