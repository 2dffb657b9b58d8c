//! One region stopped, and plugins asked: an error that names it, or the answer of the homes that there are, which says
//! so. What is expected is what SQLite says of the rows of those homes.

use std::collections::BTreeSet;
use std::thread;

use anyhow::{Result, anyhow, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Answer, Edge, Options, Response};
use domicile_tests::check::{by_first_column, problem, same_rows};
use domicile_tests::oracle::oracle;
use domicile_tests::quantiles::{check_quantiles, sorted};
use domicile_tests::world::{World, digest};
use serde_json::{Value, json};

const PARTIAL: (&str, &str) = ("Require-Coverage", "partial");

const QUESTIONS: [Question; 5] = [
    Question { ask: Ask::Endpoint("confides?segment=MACHINERY&least=5000"), check: customers },
    Question { ask: Ask::Endpoint("cohort?from=1996-01-15&until=1997-04-01"), check: cohorts },
    Question { ask: Ask::Endpoint("basket?minimum_orders=2&top=300"), check: baskets },
    Question {
        ask: Ask::Sql(
            "SELECT o_orderpriority, approx_quantile(o_totalprice, 0.75) AS q FROM orders GROUP BY 1 ORDER BY 1",
        ),
        check: quantiles,
    },
    Question {
        ask: Ask::Sql(
            "SELECT c_mktsegment, approx_quantile(l_extendedprice, 0.5) AS q FROM lineitem \
             JOIN orders ON l_orderkey = o_orderkey JOIN customer ON o_custkey = c_custkey GROUP BY 1 ORDER BY 1",
        ),
        check: joined_quantiles,
    },
];

/// A question, and how its answer over some homes is checked.
struct Question {
    ask: Ask,
    check: fn(&Answer, &str) -> Result<()>,
}

enum Ask {
    Endpoint(&'static str),
    Sql(&'static str),
}

impl Question {
    fn ask(&self, edge: &Edge, headers: &[(&str, &str)]) -> Result<Response> {
        match self.ask {
            Ask::Endpoint(path) => edge.send("GET", &format!("/v1/endpoints/{path}"), headers, b""),
            Ask::Sql(sql) => edge.query_with(sql, headers),
        }
    }

    /// The answer is whole, and that of these homes.
    #[track_caller]
    fn check_full(&self, edge: &Edge, homes: &[&str]) -> Result<()> {
        let answer = self.ask(edge, &[("Data-Region", &homes.join(","))])?.answer()?;
        assert!(answer.is_full() && answer.missing().is_empty(), "{}", answer.document()["coverage"]);
        (self.check)(&answer, &listed(homes))
    }

    /// The answer is refused, and the refusal names the missing regions.
    #[track_caller]
    fn check_refused(&self, edge: &Edge, missing: &[&str]) -> Result<()> {
        for headers in [&[][..], &[("Require-Coverage", "full")]] {
            let texts = [missing, &["Require-Coverage: partial"]].concat();
            let refused = problem(&self.ask(edge, headers)?, 503, Some("coverage-unmet"), &texts);
            let named = refused["missing"].as_array().into_iter().flatten();
            let named: BTreeSet<_> = named.filter_map(|missing| missing["region"].as_str()).collect();
            assert_eq!(named, missing.iter().copied().collect(), "{refused}");
            assert_eq!(refused.get("rows"), None, "{refused}");
        }
        Ok(())
    }

    /// The partial answer is that of these homes, and says so wherever it speaks of regions.
    #[track_caller]
    fn check_partial(&self, edge: &Edge, own: &str, answering: &[&str], missing: &[&str]) -> Result<()> {
        let response = self.ask(edge, &[PARTIAL])?;
        let answer = response.answer()?;
        assert!(!answer.is_full());
        let document = answer.document();
        let regions: BTreeSet<_> = answering.iter().copied().collect();
        assert_eq!(answer.missing().iter().map(String::as_str).collect::<BTreeSet<_>>(), names(missing));
        assert_eq!(texts(&document["coverage"]["answered"]), regions, "{document}");
        let as_of = document["as_of"].as_object().into_iter().flatten().map(|(region, _)| region.as_str());
        assert_eq!(as_of.collect::<BTreeSet<_>>(), regions, "{document}");
        let receipts = document["receipts"].as_array().into_iter().flatten();
        let crossed: BTreeSet<_> = receipts.filter_map(|receipt| receipt["region"].as_str()).collect();
        assert_eq!(crossed, regions.into_iter().filter(|region| *region != own).collect(), "{document}");
        let header = response.header("coverage").unwrap_or_default();
        assert!(header.starts_with("partial") && missing.iter().all(|region| header.contains(region)), "{header}");
        (self.check)(&answer, &listed(answering))
    }
}

fn names<'a>(regions: &[&'a str]) -> BTreeSet<&'a str> {
    regions.iter().copied().collect()
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Homes as SQL lists them.
fn listed(homes: &[&str]) -> String {
    homes.iter().map(|home| format!("'{home}'")).collect::<Vec<_>>().join(", ")
}

fn customers(answer: &Answer, homes: &str) -> Result<()> {
    let expected = oracle().rows(&format!(
        "SELECT c_name, c_acctbal FROM customer WHERE c_mktsegment = 'MACHINERY' AND c_acctbal >= 5000 \
         AND home IN ({homes}) ORDER BY c_name"
    ))?;
    ensure!(!expected.is_empty());
    same_rows(&by_first_column(answer)?, &expected);
    Ok(())
}

/// The orders of customers with these homes.
fn orders_of(homes: &str) -> String {
    format!("(SELECT orders.* FROM orders JOIN customer ON o_custkey = c_custkey WHERE home IN ({homes})) AS orders")
}

fn cohorts(answer: &Answer, homes: &str) -> Result<()> {
    let sql =
        include_str!("../queries/cohort.sqlite.sql").replace("FROM orders", &format!("FROM {}", orders_of(homes)));
    let expected = oracle().rows(&sql.replace("$from", "1996-01-15").replace("$until", "1997-04-01"))?;
    ensure!(!expected.is_empty());
    same_rows(answer, &expected);
    Ok(())
}

fn baskets(answer: &Answer, homes: &str) -> Result<()> {
    let lines = format!("FROM lineitem JOIN {} ON l_orderkey = o_orderkey", orders_of(homes));
    let sql = include_str!("../queries/basket.sqlite.sql").replace("FROM lineitem", &lines);
    let expected = oracle().rows(&sql.replace("$minimum", "2").replace("$top", "300"))?;
    ensure!(!expected.is_empty());
    same_rows(answer, &expected);
    Ok(())
}

fn quantiles(answer: &Answer, homes: &str) -> Result<()> {
    let orders = orders_of(homes);
    check_quantiles(
        answer,
        0.75,
        &sorted(&format!("SELECT o_orderpriority, o_totalprice FROM {orders} ORDER BY 1, 2"))?,
    )
}

fn joined_quantiles(answer: &Answer, homes: &str) -> Result<()> {
    let sorted = sorted(&format!(
        "SELECT c_mktsegment, l_extendedprice FROM lineitem JOIN orders ON l_orderkey = o_orderkey \
         JOIN customer ON o_custkey = c_custkey WHERE home IN ({homes}) ORDER BY 1, 2"
    ))?;
    check_quantiles(answer, 0.5, &sorted)
}

const COMPONENTS: [(&str, &str); 4] =
    [("hostile_confides", "confides"), ("cohort", "cohort"), ("basket", "basket"), ("quantile_sketch", "quantiles")];

fn start(limits: &[(&str, i64)]) -> Result<World> {
    let approved = COMPONENTS.iter().map(|(component, _)| digest(component)).collect::<Result<_>>()?;
    let limits = limits.iter().map(|(name, limit)| ((*name).to_owned(), *limit)).collect();
    let world = World::start(&Options { approved, limits, ..Options::permissive() })?;
    for (component, name) in COMPONENTS {
        let response = world.deploy("us-east", component, name, "1.0.0")?;
        ensure!(response.status == 200, "{component}: {}", response.text());
    }
    Ok(world)
}

#[test]
fn a_stopped_region_is_named_or_left_out() -> Result<()> {
    let mut world = start(&[])?;
    let edge = world.edge("us-east");
    for question in &QUESTIONS {
        question.check_full(&edge, &REGIONS)?;
    }
    world.cluster.stop("ap-south")?;
    for question in &QUESTIONS {
        question.check_refused(&edge, &["ap-south"])?;
        question.check_partial(&edge, "us-east", &["eu-central", "us-east"], &["ap-south"])?;
        // A home that was not asked for is not missing.
        question.check_full(&edge, &["eu-central", "us-east"])?;
        let wrong = question.ask(&edge, &[("Require-Coverage", "most")])?;
        problem(&wrong, 400, None, &["Require-Coverage", "most"]);
    }
    let posted = edge.send(
        "POST",
        "/v1/endpoints/confides",
        &[PARTIAL, ("Content-Type", "application/json")],
        json!({"segment": "MACHINERY", "least": 5000}).to_string().as_bytes(),
    )?;
    assert_eq!(posted.answer()?.missing(), ["ap-south"]);
    let cli = world.cluster.cli("eu-central");
    let refused = cli.run(&["endpoint", "confides"])?;
    assert!(refused.code == 1 && refused.stderr.contains("ap-south"), "{}{}", refused.stdout, refused.stderr);
    let partial = cli.run(&["endpoint", "confides", "--coverage", "partial"])?.success()?.stdout;
    assert!(partial.contains("missing: ap-south") && partial.contains("eu-central, us-east"), "{partial}");

    world.cluster.resume("ap-south")?;
    for question in &QUESTIONS {
        question.check_full(&edge, &REGIONS)?;
    }
    Ok(())
}

#[test]
fn an_edge_alone_answers_of_its_own_rows() -> Result<()> {
    let mut world = start(&[])?;
    world.cluster.kill("us-east")?;
    world.cluster.kill("ap-south")?;
    let edge = world.edge("eu-central");
    for question in &QUESTIONS {
        question.check_refused(&edge, &["us-east", "ap-south"])?;
        question.check_partial(&edge, "eu-central", &["eu-central"], &["us-east", "ap-south"])?;
        question.check_full(&edge, &["eu-central"])?;
        // Where no home answers there is nothing to say, and that is what is said.
        let elsewhere = [("Data-Region", "us-east,ap-south"), PARTIAL];
        let answer = question.ask(&edge, &elsewhere)?.answer()?;
        assert_eq!((answer.rows(), answer.missing().len(), answer.border_bytes()), (&[][..], 2, 0));
        assert_eq!(answer.document()["coverage"]["answered"], json!([]), "{}", answer.document());
    }
    Ok(())
}

#[test]
fn a_region_that_hangs_is_named_or_left_out_in_time() -> Result<()> {
    let world = start(&[("query_timeout_ms", 20_000)])?;
    world.cluster.freeze("ap-south")?;
    let edge = world.edge("us-east");
    let left_out =
        |question: &Question| question.check_partial(&edge, "us-east", &["eu-central", "us-east"], &["ap-south"]);
    let named = |question: &Question| {
        problem(&question.ask(&edge, &[])?, 503, Some("coverage-unmet"), &["ap-south", "did not answer within"]);
        Ok(())
    };
    // Each waits for most of the time that it has: all at once.
    thread::scope(|scope| {
        let questions = [&QUESTIONS[1], &QUESTIONS[3]];
        let asked: Vec<_> = questions
            .into_iter()
            .flat_map(|question| [scope.spawn(move || left_out(question)), scope.spawn(move || named(question))])
            .collect();
        asked.into_iter().try_for_each(|asked| asked.join().map_err(|_| anyhow!("a check failed"))?)
    })
}
