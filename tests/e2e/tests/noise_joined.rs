//! Differential privacy where another table has a threshold, and where rows are stored between two questions.

use anyhow::{Result, ensure};
use domicile_harness::{Answer, Cluster, Options, build};

const PEOPLE: &str = r#"schema = 1
name = "people"
primary_key = ["person"]
column = [
  { name = "person", type = "bigint" },
  { name = "country", type = "text" },
  { name = "city", type = "text" },
]
"#;

const VISITS: &str = r#"schema = 1
name = "visits"
primary_key = ["id"]
column = [
  { name = "id", type = "bigint" },
  { name = "person", type = "bigint" },
  { name = "minutes", type = "bigint" },
]
"#;

const PEOPLE_POLICY: &str = r#"schema = 1
dataset = "people"
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
identifier = ["person"]
quasi = ["country", "city"]
[domains]
city = ["Aachen", "Bonn", "Celle", "Dessau"]
[[allow]]
id = "threshold"
from = ["eu-central"]
to = ["us-east"]
form = "aggregate"
functions = ["count", "sum"]
group_by = ["city"]
minimum_entities = 10
difference_checks = false
legal_basis = "test"
"#;

const VISITS_POLICY: &str = r#"schema = 1
dataset = "visits"
version = 1
[residency]
follows = "people"
on = "person"
[classes]
identifier = ["id", "person"]
measure = ["minutes"]
[bounds]
minutes = [0, 30]
[[allow]]
id = "noised"
from = ["eu-central"]
to = ["us-east"]
form = "aggregate"
functions = ["count", "sum"]
measures = ["minutes"]
budget = { questions = 12, days = 30 }
legal_basis = "test"
[allow.differential_privacy]
epsilon = 2
rows_per_entity_max = 1
"#;

/// Of two figures each has half of epsilon: one for each unit. Noise of forty scales, on each of two groups, is met once in
/// e^40 times.
const NOISE_MAX: f64 = 80.0;

fn store(cluster: &Cluster, dataset: &str, rows: &str) -> Result<()> {
    let stored = cluster.edge("eu-central").rows("POST", dataset, &[("Content-Type", "text/csv")], rows.as_bytes())?;
    ensure!(stored.status == 200, "{dataset}: {}", stored.text());
    Ok(())
}

fn world() -> Result<Cluster> {
    let named = |texts: [(&str, &str); 2]| texts.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    let options = Options {
        datasets: named([("people", PEOPLE), ("visits", VISITS)]),
        policies: named([("people", PEOPLE_POLICY), ("visits", VISITS_POLICY)]),
        ..Options::default()
    };
    let cluster = Cluster::for_test(&build::binary(build::Profile::Dev)?, &options)?;
    let city = |person: u32| match person {
        0..300 => "Aachen",
        300..420 => "Bonn",
        420..500 => "Dessau",
        _ => "Celle",
    };
    let people: String = (0..503).map(|person| format!("{person},DE,{}\n", city(person))).collect();
    store(&cluster, "people", &format!("person,country,city\n{people}"))?;
    let visits: String = (0..1006).map(|id| format!("{id},{},10\n", id % 503)).collect();
    store(&cluster, "visits", &format!("id,person,minutes\n{visits}"))?;
    Ok(cluster)
}

const SQL: &str = "SELECT city, count(*) AS n, sum(minutes) AS m FROM people JOIN visits ON people.person = visits.person \
                   GROUP BY city ORDER BY city";

fn ask(cluster: &Cluster, sql: &str) -> Result<Answer> {
    cluster.edge("us-east").query_with(sql, &[("Data-Region", "eu-central")])?.answer()
}

#[test]
fn thresholds_come_first_and_a_new_state_is_a_new_question() -> Result<()> {
    let cluster = world()?;
    let first = ask(&cluster, SQL)?;
    let cells = first.cells();
    // Three persons of Celle are too few, and Dessau goes with them, so that nobody subtracts. Of each person one of two
    // visits counts.
    let mut cities: Vec<&str> = cells.iter().filter_map(|row| row[0].as_deref()).collect();
    cities.sort_unstable();
    assert_eq!(cities, ["Aachen", "Bonn"]);
    assert!((first.sum("n")? - 420.0).abs() < NOISE_MAX && (first.sum("m")? - 4200.0).abs() < NOISE_MAX * 30.0);
    assert_eq!(first.document()["epsilon"]["eu-central"], 2.0);
    assert_eq!(ask(&cluster, SQL)?.cells(), cells);
    // Each time something is stored it may be asked again, with other noise, until the budget ends it. That twelve sums have
    // the same noise is met less than once in 10^19 times.
    let mut answers = vec![first.sum("m")?];
    for _ in 0..11 {
        store(&cluster, "visits", "id,person,minutes\n0,0,10\n")?;
        answers.push(ask(&cluster, SQL)?.sum("m")?);
    }
    assert!(answers.iter().any(|answer| *answer != answers[0]), "{answers:?}");
    store(&cluster, "visits", "id,person,minutes\n0,0,10\n")?;
    let over = cluster.edge("us-east").query_with(SQL, &[("Data-Region", "eu-central")])?;
    assert_eq!(over.status, 429, "{}", over.text());
    Ok(())
}
