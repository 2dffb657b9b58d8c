//! Differential privacy over three regions: numbers have noise at their source, the same question gets the same numbers,
//! what cannot be noised is denied, and the budget ends it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use domicile_harness::{Answer, Cluster, Options, Response, build};
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
  { name = "items", type = "integer" },
  { name = "weight", type = "bigint" },
]
"#;

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
measure = ["amount", "points", "items", "weight"]
[bounds]
amount = [0, 20]
points = [0, 20]
items = [0, 20]
[domains]
city = ["Aachen", "Bonn", "Celle", "Dessau"]
[[allow]]
id = "noised"
purposes = ["noised"]
budget = { questions = 1000, days = 30 }
COMMON
[allow.differential_privacy]
epsilon = 0.5
rows_per_entity_max = 2
[[allow]]
id = "few"
purposes = ["few"]
budget = { questions = 2, days = 30 }
COMMON
[allow.differential_privacy]
epsilon = 0.5
rows_per_entity_max = 2
[[allow]]
id = "exact"
purposes = ["exact"]
minimum_entities = 1
difference_checks = false
COMMON
"#;

const COMMON: &str = r#"functions = ["count", "sum", "avg"]
from = ["eu-central", "us-east", "ap-south"]
to = ["eu-central", "us-east", "ap-south"]
form = "aggregate"
group_by = ["city"]
filter_by = ["city", "country"]
measures = ["amount", "points", "items", "weight"]
legal_basis = "test"
"#;

/// A city, and how many persons live there; each pays once. One more, in Bonn, pays five hundred times.
const CITIES: [(&str, u32); 2] = [("Aachen", 4000), ("Bonn", 3000)];
const GIANT_ROWS: u32 = 500;
/// Draws of noise of this many scales or more are met once in e^40 times.
const SCALES: f64 = 40.0;

fn rows() -> String {
    let mut rows = String::from("id,person,country,city,amount,points,items,weight\n");
    let persons = CITIES.iter().flat_map(|(city, persons)| (0..*persons).map(move |_| *city));
    let all: Vec<(usize, &str)> = persons.enumerate().chain((0..GIANT_ROWS).map(|_| (999_999, "Bonn"))).collect();
    for (id, (person, city)) in all.iter().enumerate() {
        rows.push_str(&format!("{id},{person},DE,{city},10.00,1.5,2,3\n"));
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
        let rows = rows();
        let loaded =
            cluster.edge("eu-central").rows("POST", "payments", &[("Content-Type", "text/csv")], rows.as_bytes())?;
        ensure!(loaded.status == 200, "{}", loaded.text());
        let elsewhere: String = (0..500).map(|id| format!("{id},{id},IN,Celle,10.00,1.5,2,3\n")).collect();
        let elsewhere = format!("id,person,country,city,amount,points,items,weight\n{elsewhere}");
        let loaded =
            cluster.edge("ap-south").rows("POST", "payments", &[("Content-Type", "text/csv")], elsewhere.as_bytes())?;
        ensure!(loaded.status == 200, "{}", loaded.text());
        Ok(cluster)
    })
}

fn asked(purpose: &str, sql: &str) -> Result<Response> {
    cluster().edge("us-east").query_with(sql, &[("Purpose", purpose), ("Data-Region", "eu-central")])
}

fn ask(purpose: &str, sql: &str) -> Result<Answer> {
    asked(purpose, sql)?.answer()
}

/// The numbers of each group, by its first column.
fn numbers(answer: &Answer) -> BTreeMap<String, Vec<f64>> {
    let number = |cell: &Option<String>| cell.as_deref().and_then(|cell| cell.parse().ok()).unwrap_or(f64::NAN);
    let row = |row: Vec<Option<String>>| (row[0].clone().unwrap_or_default(), row[1..].iter().map(number).collect());
    answer.cells().into_iter().map(row).collect()
}

#[test]
fn every_group_is_there_and_numbers_are_near_and_stay() -> Result<()> {
    let sql =
        "SELECT city, count(*) AS n, sum(amount) AS a, sum(points) AS p, sum(items) AS i FROM payments GROUP BY city";
    let answer = ask("noised", sql)?;
    let got = numbers(&answer);
    assert_eq!(got.keys().map(String::as_str).collect::<Vec<_>>(), ["Aachen", "Bonn", "Celle", "Dessau"]);
    // Two rows of an entity, over an eighth of epsilon: a quarter of a half.
    let scale = 2.0 / 0.125;
    let bounds = [1.0, 20.0, 20.0, 20.0];
    let of_one = [1.0, 10.0, 1.5, 2.0];
    for (city, persons) in [("Aachen", 4000.0), ("Bonn", 3002.0), ("Celle", 0.0), ("Dessau", 0.0)] {
        for (figure, number) in got[city].iter().enumerate() {
            let off = (number - persons * of_one[figure]).abs();
            assert!(off < SCALES * scale * bounds[figure], "{city} {figure}: {number} is off by {off}");
        }
    }
    let exact = [4000.0, 40_000.0, 6000.0, 8000.0];
    assert!(got["Aachen"].iter().zip(exact).any(|(number, exact)| (number - exact).abs() > 1e-9), "{got:?}");
    assert_eq!(answer.document()["epsilon"]["eu-central"], 0.5);
    assert_eq!(numbers(&ask("noised", sql)?), got);
    let other =
        "SELECT city, count(*) AS n, sum(amount) AS a, sum(points) AS p, sum(items) AS i FROM payments GROUP BY 1";
    assert_eq!(numbers(&ask("noised", other)?), got, "the same question in other words");
    Ok(())
}

#[test]
fn regions_add_up_with_noise_of_their_own() -> Result<()> {
    let sql = "SELECT city, count(*) AS n FROM payments GROUP BY city";
    let headers = [("Purpose", "noised"), ("Data-Region", "eu-central, ap-south")];
    let both = cluster().edge("us-east").query_with(sql, &headers)?.answer()?;
    let spent = &both.document()["epsilon"];
    assert_eq!((&spent["eu-central"], &spent["ap-south"]), (&0.5.into(), &0.5.into()));
    let receipts = both.document()["query_id"].as_str().context("no id")?.to_owned();
    let receipts = cluster().edge("us-east").get(&format!("/v1/queries/{receipts}/receipt"))?.json()?;
    let receipts = receipts["receipts"].as_array().context("no receipts")?;
    assert!(receipts.iter().all(|one| one["receipt"]["epsilon_millionths"] == 500_000), "{receipts:?}");
    let (both, one) = (numbers(&both), numbers(&ask("noised", sql)?));
    // Two rows of an entity over a half, from one region only: the other one's numbers are those given before.
    for (city, there) in [("Aachen", 0.0), ("Bonn", 0.0), ("Celle", 500.0), ("Dessau", 0.0)] {
        let off = (both[city][0] - one[city][0] - there).abs();
        assert!(off < SCALES * 4.0, "{city}: {off}");
    }
    Ok(())
}

#[test]
fn averages_are_of_noised_sums_and_counts() -> Result<()> {
    let got = numbers(&ask(
        "noised",
        "SELECT city, avg(amount) AS a, avg(points) AS p, avg(items) AS i FROM payments GROUP BY city",
    )?);
    // Six figures: sums are off by forty scales of 480 at most, of 40,000, 6,000 and 8,000.
    let off = |figure: usize, exact: f64| (got["Aachen"][figure] - exact).abs();
    assert!(off(0, 10.0) < 8.0 && off(1, 1.5) < 6.0 && off(2, 2.0) < 6.0, "{got:?}");
    Ok(())
}

#[test]
fn totals_and_windows_work_on_noised_numbers() -> Result<()> {
    let got = ask("noised", "SELECT city, count(*) AS n FROM payments GROUP BY ROLLUP(city)")?;
    let of = numbers(&got);
    let parts: f64 = of.iter().filter(|(city, _)| !city.is_empty()).map(|(_, numbers)| numbers[0]).sum();
    assert_eq!(of[""], [parts]);
    let ranked = "SELECT city, rank() OVER (ORDER BY count(*) DESC) AS r FROM payments GROUP BY city";
    assert_eq!(numbers(&ask("noised", ranked)?)["Aachen"], [1.0]);
    Ok(())
}

#[test]
fn without_noise_nothing_is_told_of_it() -> Result<()> {
    let answer = ask("exact", "SELECT city, count(*) AS n FROM payments GROUP BY city")?;
    let got = numbers(&answer);
    assert_eq!((got.len(), &got["Aachen"][..], &got["Bonn"][..]), (2, &[4000.0][..], &[3500.0][..]));
    assert!(answer.document().get("epsilon").is_none());
    Ok(())
}

#[track_caller]
fn check_denied(sql: &str, why: &str) -> Result<()> {
    let response = asked("noised", sql)?;
    assert_eq!(response.status, 403, "{sql}: {}", response.text());
    assert!(response.text().contains(why), "{sql}: {}", response.text());
    Ok(())
}

#[test]
fn what_cannot_be_noised_is_denied_with_the_reason() -> Result<()> {
    check_denied("SELECT max(amount) AS m FROM payments", "how much one entity changes `max` is not known")?;
    check_denied("SELECT min(amount) AS m FROM payments", "ask for count, sum or avg of columns as they are")?;
    check_denied("SELECT count(DISTINCT id) AS n FROM payments", "`count(DISTINCT …)` is not known")?;
    check_denied("SELECT sum(weight) AS w FROM payments", "how much one row adds to a sum of `weight` is not known")?;
    check_denied("SELECT sum(amount * 2) AS a FROM payments", "a sum of something computed is not known")?;
    check_denied("SELECT stddev(amount) AS s FROM payments", "releases numbers with noise")?;
    check_denied(
        "SELECT amount > 5 AS much, count(*) AS n FROM payments GROUP BY 1",
        "may not cross from eu-central to us-east",
    )?;
    check_denied(
        "SELECT count(*) FILTER (WHERE city > 'B') AS n, country FROM payments GROUP BY country",
        "as a group key",
    )
}

#[test]
fn the_budget_ends_it_and_the_same_question_spends_nothing() -> Result<()> {
    let first = "SELECT count(*) AS n FROM payments";
    let answer = ask("few", first)?.cells();
    assert_eq!(ask("few", first)?.cells(), answer);
    let left = |left: &str| -> Result<()> {
        let told = ask("few", &format!("EXPLAIN RESIDENCY {first}"))?.cells();
        let told: Vec<String> = told.into_iter().flatten().flatten().filter(|cell| cell.contains(" left")).collect();
        assert!(!told.is_empty() && told.iter().all(|cell| cell.ends_with(left)), "{left}: {told:?}");
        Ok(())
    };
    left(", 1 left")?;
    ask("few", "SELECT count(*) AS n FROM payments WHERE city = 'Bonn'")?;
    left(", 0 left")?;
    assert_eq!(ask("few", first)?.cells(), answer, "what was given stays");
    let over = asked("few", "SELECT count(*) AS n FROM payments WHERE city = 'Celle'")?;
    assert_eq!(over.status, 429, "{}", over.text());
    Ok(())
}

#[test]
fn it_is_told_before_anything_is_asked() -> Result<()> {
    let explained = ask("noised", "EXPLAIN RESIDENCY SELECT city, count(*) AS n FROM payments GROUP BY city")?;
    let told = explained
        .cells()
        .iter()
        .flatten()
        .flatten()
        .any(|cell| cell == "epsilon 0.5 each question, at most 2 rows of one entity");
    assert!(told, "{:?}", explained.cells());
    Ok(())
}
