//! The egress guard: what leaves of groups, and what nobody gets back by arithmetic. Each check has its control: the same
//! question for a purpose whose clause lacks the guard shows what the guard keeps.

use std::sync::OnceLock;

use anyhow::{Result, ensure};
use domicile_harness::{Answer, Cluster, Options, build};
use domicile_tests::world::shared;

const DATASET: &str = r#"schema = 1
name = "payments"
primary_key = ["id"]
column = [
  { name = "id", type = "bigint" },
  { name = "person", type = "bigint" },
  { name = "country", type = "text" },
  { name = "city", type = "text" },
  { name = "amount", type = "decimal(15,2)" },
  { name = "points", type = "double" },
  { name = "items", type = "bigint" },
]
"#;

/// Purposes stand for clauses with more and more of the guard.
const POLICY: &str = r#"schema = 1
dataset = "payments"
version = 1
[residency]
entity = "person"
column = "country"
[[residency.home]]
region = "eu-central"
values = ["DE"]
[[residency.home]]
region = "us-east"
values = ["US"]
[[residency.home]]
region = "ap-south"
values = ["IN"]
[classes]
identifier = ["id", "person"]
quasi = ["country", "city"]
measure = ["amount", "points", "items"]
[bounds]
amount = [-50, 100]
[[allow]]
id = "nothing"
purposes = ["nothing"]
minimum_entities = 1
functions = ["count", "sum", "avg", "min", "max"]
COMMON
[[allow]]
id = "threshold"
purposes = ["threshold"]
minimum_entities = 10
functions = ["count", "sum", "avg"]
COMMON
[[allow]]
id = "dominance"
purposes = ["dominance"]
minimum_entities = 10
dominance_percent = 80
functions = ["count", "sum", "avg"]
COMMON
[[allow]]
id = "rounding"
purposes = ["rounding"]
minimum_entities = 1
round_to = 100
functions = ["count", "sum", "avg", "min", "max"]
COMMON
"#;

const COMMON: &str = r#"from = ["eu-central", "us-east", "ap-south"]
to = ["eu-central", "us-east", "ap-south"]
form = "aggregate"
group_by = ["city"]
filter_by = ["city"]
measures = ["amount", "points", "items"]
difference_checks = false
legal_basis = "test"
"#;

/// A city, its persons, and what each of them pays; the last one may pay otherwise.
const CITIES: [(&str, u32, f64, f64); 5] = [
    ("Aachen", 12, 10.0, 10.0),
    ("Bonn", 3, 10.0, 10.0),
    ("Celle", 15, 1.0, 1000.0),
    ("Dresden", 30, 5.0, 5.0),
    ("Essen", 40, 7.0, 7.0),
];

fn rows() -> String {
    let mut rows = String::from("id,person,country,city,amount,points,items\n");
    let mut id = 0;
    for (city, persons, amount, last) in CITIES {
        for person in 1..=persons {
            id += 1;
            let amount = if person == persons { last } else { amount };
            rows.push_str(&format!("{id},{id},DE,{city},{amount},{},{}\n", amount * 1.5, amount));
        }
    }
    rows
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    shared(&CLUSTER, || {
        let options = Options {
            datasets: vec![("payments".to_owned(), DATASET.to_owned())],
            policies: vec![("payments".to_owned(), POLICY.replace("COMMON\n", COMMON))],
            ..Options::default()
        };
        let cluster = Cluster::for_test(&build::binary(build::Profile::Dev)?, &options)?;
        let loaded =
            cluster.edge("eu-central").rows("POST", "payments", &[("Content-Type", "text/csv")], rows().as_bytes())?;
        ensure!(loaded.status == 200, "{}", loaded.text());
        Ok(cluster)
    })
}

fn ask(purpose: &str, sql: &str) -> Result<Answer> {
    cluster().edge("us-east").query_with(sql, &[("Purpose", purpose)])?.answer()
}

/// The rows of the answer, values separated by spaces, and the groups that Europe says that it held back.
#[track_caller]
fn check(purpose: &str, sql: &str, expect: &[&str], held: u64) -> Result<()> {
    let answer = ask(purpose, sql)?;
    let cell = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let mut rows: Vec<String> =
        answer.cells().into_iter().map(|row| row.into_iter().map(cell).collect::<Vec<_>>().join(" ")).collect();
    rows.sort();
    assert_eq!(rows, expect, "{purpose}: {sql}");
    assert_eq!(answer.suppressed_groups().get("eu-central").copied().unwrap_or(0), held, "{purpose}: {sql}");
    Ok(())
}

const COUNTS: &str = "SELECT city, count(*) FROM payments GROUP BY city";
const SUMS: &str = "SELECT city, sum(items) FROM payments GROUP BY city";

#[test]
fn a_small_group_takes_the_smallest_other_one_with_it() -> Result<()> {
    check("nothing", COUNTS, &["Aachen 12", "Bonn 3", "Celle 15", "Dresden 30", "Essen 40"], 0)?;
    // All but Bonn are large enough; without Aachen, the total less the groups would be Bonn.
    check("threshold", COUNTS, &["Celle 15", "Dresden 30", "Essen 40"], 10)?;
    check("threshold", "SELECT count(*) FROM payments", &["100"], 0)
}

#[test]
fn a_group_that_one_makes_up_is_held_back() -> Result<()> {
    // Who knows the others of Celle knows the one who paid 1000.
    check("threshold", SUMS, &["Celle 1014", "Dresden 150", "Essen 280"], 10)?;
    // Celle goes with Bonn, and so much with them that the one is no more than 80 % of all that is missing:
    // 1000 of 1014, of 1044 with Bonn, of 1164 with Aachen (and each of these may be the same person), of 1314 with Dresden.
    check("dominance", SUMS, &["Essen 280"], 10)?;
    // Nobody makes up the number of payments.
    check("dominance", COUNTS, &["Celle 15", "Dresden 30", "Essen 40"], 10)?;
    for column in ["points", "items"] {
        let sql = format!("SELECT sum({column}), count(*) FROM payments WHERE city = 'Celle'");
        check("dominance", &sql, &["- 0"], 10)?;
        ensure!(ask("threshold", &sql)?.cells().len() == 1);
    }
    check("dominance", "SELECT avg(items) FROM payments WHERE city = 'Celle'", &["-"], 10)
}

#[test]
fn values_beyond_their_bounds_count_as_the_bounds() -> Result<()> {
    // 14 of 1, and one of 1000, which counts as 100.
    check("nothing", "SELECT sum(amount), max(amount) FROM payments WHERE city = 'Celle'", &["114.0 100.0"], 0)?;
    check("nothing", "SELECT sum(amount + 1) FROM payments WHERE city = 'Celle'", &["129.0"], 0)?;
    // At home nothing crosses, and nothing is changed.
    let sql = "SELECT sum(amount) FROM payments WHERE city = 'Celle'";
    let at_home = cluster().edge("eu-central").query_with(sql, &[("Data-Region", "eu-central")])?.answer()?;
    assert_eq!(at_home.cells(), [[Some("1014.0".to_owned())]]);
    // So it makes up less than 80 % of Bonn and Celle together, and no more than these have to go.
    let sql = "SELECT city, sum(amount) FROM payments GROUP BY city";
    check("dominance", sql, &["Aachen 120.0", "Dresden 150.0", "Essen 280.0"], 10)
}

#[test]
fn numbers_leave_as_multiples_of_what_the_clause_says() -> Result<()> {
    check("rounding", COUNTS, &["Aachen 0", "Bonn 0", "Celle 0", "Dresden 0", "Essen 0"], 0)?;
    let sql = "SELECT city, sum(amount), sum(points), sum(items) FROM payments GROUP BY city";
    let exact = [
        "Aachen 120.0 180.0 120",
        "Bonn 30.0 45.0 30",
        "Celle 114.0 1521.0 1014",
        "Dresden 150.0 225.0 150",
        "Essen 280.0 420.0 280",
    ];
    check("nothing", sql, &exact, 0)?;
    let rounded = [
        "Aachen 100.0 200.0 100",
        "Bonn 0.0 0.0 0",
        "Celle 100.0 1500.0 1000",
        "Dresden 200.0 200.0 200",
        "Essen 300.0 400.0 300",
    ];
    check("rounding", sql, &rounded, 0)
}
