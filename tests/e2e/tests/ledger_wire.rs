//! The ledgers against meters between the regions: to the byte, nothing crosses that no receipt covers, and no receipt
//! covers what did not cross.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Exchange, Options, questions};
use domicile_tests::world::World;
use serde_json::Value;

/// Asked at each region. Some are refused before anything is asked of others, some by those who are asked.
const QUESTIONS: [&str; 20] = [
    questions::REVENUE,
    questions::PRICE_BANDS,
    questions::GERMAN_CUSTOMERS,
    "SELECT count(*) FROM customer",
    "SELECT c_mktsegment, count(*), sum(c_acctbal) FROM customer GROUP BY 1",
    "SELECT n_name, count(*) FROM customer JOIN nation ON c_nationkey = n_nationkey GROUP BY 1",
    "SELECT date_trunc('month', o_orderdate) AS month, count(*) FROM orders GROUP BY 1 ORDER BY 1",
    "SELECT o_orderpriority, avg(o_totalprice) FROM orders GROUP BY 1 HAVING count(*) > 10",
    "SELECT l_shipmode, sum(l_quantity) FROM lineitem GROUP BY 1",
    "SELECT count(*) FROM orders WHERE o_orderdate < DATE '1990-01-01'",
    "SELECT o_orderdate, count(*) FROM orders GROUP BY 1",
    "SELECT c_name, count(*) FROM customer GROUP BY 1",
    "SELECT max(o_totalprice) FROM orders",
    "SELECT median(c_acctbal) FROM customer",
    "SELECT count(*) FROM part",
    "SELECT c_nationkey, count(*) FROM customer WHERE c_nationkey = 7 GROUP BY 1",
    "SELECT sum(c_acctbal), (SELECT count(*) FROM nation) FROM customer",
    "SELECT 'a', count(*) FROM orders UNION ALL SELECT 'b', count(*) FROM lineitem",
    "EXPLAIN SELECT c_mktsegment, count(*) FROM customer GROUP BY 1",
    "SELECT this is no question",
];
/// Of the plugin whose mapper every region runs over its own rows.
const ENDPOINTS: [&str; 2] = ["/v1/endpoints/rfm?as_of=1998-08-02", "/v1/endpoints/rfm?as_of=1997-01-01"];

/// What the workload was answered.
#[derive(Debug, Default)]
struct Answered {
    /// `Border-Bytes` of the answers, by query.
    border_bytes: BTreeMap<String, u64>,
    answers: usize,
    refusals: usize,
}

fn ask_all(world: &World) -> Result<Answered> {
    let mut answered = Answered::default();
    for region in REGIONS {
        let edge = world.edge(region);
        let partial = [("Require-Coverage", "partial"), ("Purpose", "reporting")];
        let questions = QUESTIONS.iter().map(|sql| edge.query(sql)).chain([edge.query_with(QUESTIONS[3], &partial)]);
        for response in questions.chain(ENDPOINTS.iter().map(|path| edge.get(path))) {
            let response = response?;
            if response.status == 200 {
                answered.answers += 1;
                let bytes = response.header("border-bytes").context("an answer without Border-Bytes")?.parse()?;
                let query = response.header("query-id").context("an answer without Query-Id")?;
                answered.border_bytes.insert(query.to_owned(), bytes);
            } else {
                answered.refusals += 1;
            }
        }
    }
    Ok(answered)
}

/// A metered exchange that asked for rows of a fragment.
struct Fragment {
    query: String,
    exchange: Exchange,
}

fn fragments(world: &World) -> Result<Vec<Fragment>> {
    let fragment = |exchange: Exchange| {
        let question: Value = serde_json::from_slice(&exchange.question).ok()?;
        let asks_for_rows = question["sql"].is_string() && question["explain"] != true;
        Some(Fragment { query: question["query_id"].as_str().filter(|_| asks_for_rows)?.to_owned(), exchange })
    };
    Ok(world.cluster.metered()?.into_iter().filter_map(fragment).collect())
}

fn bytes<'f>(fragments: impl Iterator<Item = &'f Fragment>) -> u64 {
    fragments.map(|fragment| fragment.exchange.answer_bytes).sum()
}

/// Compares the ledgers with the meters, and the answers with both. Says how many bytes crossed in vain.
fn check(world: &World, answered: &Answered) -> Result<u64> {
    let fragments = fragments(world)?;
    let crossed: Vec<&Fragment> = fragments.iter().filter(|fragment| fragment.exchange.is_ok).collect();
    let refused = fragments.iter().filter(|fragment| !fragment.exchange.is_ok);
    let (mut receipts_bytes, mut of_query) = (0, BTreeMap::<String, u64>::new());
    for region in REGIONS {
        let ledger = world.edge(region).ledger()?;
        let metered = || crossed.iter().copied().filter(|fragment| fragment.exchange.asked == region);
        let mut covered = 0;
        for record in &ledger {
            let bytes = record["receipt"]["bytes"].as_u64().context("a receipt without bytes")?;
            let query = record["receipt"]["query_id"].as_str().context("a receipt without a query")?;
            *of_query.entry(query.to_owned()).or_default() += bytes;
            covered += bytes;
        }
        println!("{region}: {} receipts over {covered} bytes; metered {}", ledger.len(), bytes(metered()));
        assert_eq!(covered, bytes(metered()), "{region}: the ledger and the meter differ");
        assert_eq!(ledger.len(), metered().count(), "{region}: receipts and answers differ in number");
        receipts_bytes += covered;
    }
    for (query, bytes) in &answered.border_bytes {
        assert_eq!(of_query.get(query).copied().unwrap_or(0), *bytes, "query {query}");
    }
    // What crossed for a question that another region refused then: receipts cover it, and no answer tells of it.
    let in_vain: BTreeSet<&String> =
        crossed.iter().map(|one| &one.query).filter(|query| !answered.border_bytes.contains_key(*query)).collect();
    let in_vain_bytes: u64 = in_vain.iter().map(|query| of_query.get(*query).copied().unwrap_or(0)).sum();
    assert_eq!(answered.border_bytes.values().sum::<u64>() + in_vain_bytes, receipts_bytes);
    println!(
        "{} answers with {receipts_bytes} bytes, {in_vain_bytes} of them in vain; {} refusals of peers in {} bytes",
        answered.answers,
        refused.clone().count(),
        bytes(refused),
    );
    Ok(in_vain_bytes)
}

#[test]
fn receipts_cover_what_crossed_to_the_byte() -> Result<()> {
    let world = World::with_plugins(&Options { meter: true, ..Options::default() })?;
    let answered = ask_all(&world)?;
    assert!(answered.answers >= 40 && answered.refusals >= 9, "{answered:?}");
    assert_eq!(check(&world, &answered)?, 0);
    Ok(())
}

#[test]
fn refusals_of_peers_carry_no_rows() -> Result<()> {
    // What two regions would let cross, the third does not: then the second has answered in vain.
    let options = Options { meter: true, permissive: vec!["us-east", "ap-south"], ..Options::default() };
    let world = World::with_plugins(&options)?;
    let answered = ask_all(&world)?;
    assert!(check(&world, &answered)? > 0);
    let fragments = fragments(&world)?;
    let refused: Vec<&Fragment> = fragments.iter().filter(|fragment| !fragment.exchange.is_ok).collect();
    assert!(refused.iter().any(|one| one.exchange.asked == "eu-central" && one.exchange.answer_bytes > 0));
    let edge = world.edge("eu-central");
    let receipted: BTreeSet<String> = edge
        .ledger()?
        .iter()
        .map(|record| record["receipt"]["query_id"].as_str().unwrap_or_default().to_owned())
        .collect();
    for one in refused.iter().filter(|one| one.exchange.asked == "eu-central") {
        assert!(!receipted.contains(&one.query), "{} has a receipt, and was refused", one.query);
    }
    Ok(())
}
