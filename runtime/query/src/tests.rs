//! Plans over the world: which fragments a question becomes, and which questions become none.

mod definitions;
mod random;
mod recheck;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use domicile_config::load_region;
use domicile_policy::PolicySet;
use domicile_store::DatasetSpec;
use domicile_types::RegionId;

use crate::admit::{AdmittedPlan, Asking, admit};
use crate::catalog::Catalog;
use crate::client::{Client, ClientTrust};
use crate::fragment::Fragment;
use crate::parse::parse;
use crate::plugins::PluginSet;
use crate::{QueryError, plugin_sql};

fn catalog() -> Catalog {
    catalog_without("")
}

/// The shipped one, with policies that do not permit this function.
fn catalog_without(function: &str) -> Catalog {
    let region = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../regions/us-east.toml");
    let files = load_region(&region).unwrap();
    let datasets: Vec<_> = files.datasets.iter().map(|file| (file.dataset.clone(), file.reference)).collect();
    let mut texts = files.policy_texts;
    texts.iter_mut().for_each(|(_, text)| *text = text.replace(&format!("\"{function}\", "), ""));
    let policies = PolicySet::load(&datasets, &texts).unwrap();
    let spec = |dataset: &domicile_types::Dataset| DatasetSpec {
        dataset: dataset.clone(),
        residency: policies.residency(&dataset.name).unwrap().clone(),
    };
    let specs = datasets.iter().map(|(dataset, _)| spec(dataset)).collect();
    Catalog::new(specs, policies)
}

/// Somebody without a token at this edge.
fn anonymous(edge: &RegionId) -> Client {
    let trust = ClientTrust { allow_anonymous: true, ..ClientTrust::default() };
    trust.client(edge, edge, None, 0).unwrap()
}

async fn admitted(sql: &str, catalog: Catalog) -> Result<AdmittedPlan, QueryError> {
    let session = catalog.planning_session(&PluginSet::default(), &Arc::new(RuntimeEnv::default()))?;
    assert!(plugin_sql::functions(&PluginSet::default()).is_empty());
    let plan = parse(&session, sql).await?;
    let here: RegionId = "us-east".parse().unwrap();
    let client = anonymous(&here);
    let asking = Asking { here: &here, client: &client, scope: None, purpose: None, today: 20_000 };
    let admitted = admit(plan, &catalog, asking)?;
    // The region that a fragment is sent to has to see in its text what the asking region saw in its plan.
    for (text, _) in &admitted.fragments {
        let plan = parse(&session, &text.sql).await?;
        let (recognized, _) = Fragment::recognize(&plan, &catalog)?;
        assert_eq!(recognized.facts, text.fragment.facts, "{}", text.sql);
    }
    Ok(admitted)
}

/// `expect` is one line a fragment, `homes: SQL`; or, after `refused: `, how the refusal starts.
#[track_caller]
fn check(sql: &str, expect: &str) {
    check_over(catalog(), sql, expect);
}

#[track_caller]
fn check_over(catalog: Catalog, sql: &str, expect: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let got = match runtime.block_on(admitted(sql, catalog)) {
        Ok(admitted) => {
            let line = |homes: &BTreeSet<RegionId>, sql: &str| {
                let homes: Vec<&str> = homes.iter().map(RegionId::as_str).collect();
                format!("{}: {sql}", homes.join(","))
            };
            let lines: Vec<String> = admitted.fragments.iter().map(|(text, homes)| line(homes, &text.sql)).collect();
            lines.join("\n")
        }
        Err(error) => format!("refused: {error}"),
    };
    if expect.starts_with("refused: ") {
        assert!(got.starts_with(expect), "{got}");
    } else {
        assert_eq!(got, expect);
    }
}

const WORLD: &str = "ap-south,eu-central,us-east";

#[test]
fn an_aggregate_becomes_one_fragment_for_all_homes() {
    check(
        "SELECT o_orderpriority, count(*) FROM orders GROUP BY o_orderpriority ORDER BY 2 DESC LIMIT 3",
        &format!(
            "{WORLD}: SELECT orders.o_orderpriority AS g0, count(1) AS a0 FROM orders GROUP BY orders.o_orderpriority"
        ),
    );
}

#[test]
fn an_average_travels_as_sum_and_count() {
    check(
        "SELECT avg(c_acctbal), sum(c_acctbal) FROM customer",
        &format!("{WORLD}: SELECT sum(customer.c_acctbal) AS a0, count(customer.c_acctbal) AS a1 FROM customer"),
    );
}

#[test]
fn reference_data_needs_no_fragment() {
    check("SELECT n_name, r_name FROM nation JOIN region ON n_regionkey = r_regionkey", "");
}

#[test]
fn a_residency_column_prunes_homes() {
    let fragment = "SELECT count(1) AS a0 FROM customer WHERE (customer.c_nationkey = 7)";
    check("SELECT count(*) FROM customer WHERE c_nationkey = 7", &format!("eu-central: {fragment}"));
    check(
        "SELECT c_name FROM customer WHERE c_nationkey IN (1, 24)",
        "us-east: SELECT customer.c_name AS r0 FROM (SELECT customer.c_name FROM customer WHERE customer.c_nationkey IN (1, 24))",
    );
    check(
        "SELECT c_name FROM customer WHERE c_nationkey IN (7, 24)",
        "refused: `customer.c_name` may not cross from eu-central to us-east",
    );
}

#[test]
fn rows_do_not_cross() {
    check("SELECT c_name, c_phone FROM customer", "refused: `customer.c_name`, `customer.c_phone` may not cross");
    check("SELECT * FROM orders LIMIT 1", "refused: ");
    check("SELECT row_number() OVER (ORDER BY c_acctbal) FROM customer", "refused: ");
    check("SELECT DISTINCT c_phone FROM customer", "refused: `customer.c_phone` may not cross");
    check("SELECT c_name AS n_name FROM customer UNION SELECT n_name FROM nation", "refused: ");
    check("SELECT x.n FROM (SELECT c_name AS n FROM customer) AS x", "refused: `customer.c_name` may not cross");
}

#[test]
fn identifiers_do_not_cross_by_way_of_conditions() {
    for sql in [
        "SELECT count(*) FROM customer WHERE c_name = 'Customer#000000001'",
        "SELECT c_mktsegment, count(*) FROM customer WHERE c_phone LIKE '1%' GROUP BY 1",
        "SELECT sum(CASE WHEN c_name < 'M' THEN 1 ELSE 0 END) FROM customer",
        "SELECT count(*) FILTER (WHERE c_name < 'M') FROM customer",
        "SELECT count(*) FROM customer JOIN nation ON c_name = n_name",
        "SELECT sum(x) FROM (SELECT CASE WHEN c_name < 'M' THEN 1 ELSE 0 END AS x FROM customer) AS t",
        "SELECT length(c_name), count(*) FROM customer GROUP BY 1",
        "SELECT c_mktsegment, count(*) FROM customer GROUP BY 1, c_name",
        "SELECT max(c_name) FROM customer",
        "SELECT count(c_phone) FROM customer",
        "SELECT c_mktsegment, sum(c_acctbal) FROM customer WHERE c_custkey IN (SELECT n_nationkey FROM nation) GROUP BY 1",
    ] {
        check(sql, "refused: ");
    }
}

#[test]
fn what_does_not_merge_is_refused() {
    check("SELECT count(DISTINCT o_orderpriority) FROM orders", "refused: count(DISTINCT …) cannot be answered across");
    check("SELECT median(c_acctbal) FROM customer", "refused: `median` cannot be answered across regions");
    check(
        "SELECT count(*) FROM customer JOIN orders ON c_nationkey = o_shippriority",
        "refused: a join of `customer` with `orders` on other columns than the key",
    );
    check(
        "SELECT count(*) FROM customer WHERE c_acctbal > (SELECT avg(c_acctbal) FROM customer)",
        "refused: a subquery over resident data",
    );
    check("SELECT count(*) FROM nation LEFT JOIN customer ON c_nationkey = n_nationkey", "refused: ");
}

#[test]
fn detours_around_the_threshold_are_refused() {
    let quantified = "SELECT count(*) FROM lineitem WHERE l_quantity = ANY (SELECT c_custkey FROM customer)";
    check(quantified, "refused: ");
    check(
        "SELECT sum(p_size) FROM part WHERE p_partkey = ANY (SELECT c_custkey FROM customer WHERE c_name = 'x')",
        "refused: ",
    );
    // The condition drops no row of its side, so it ties nothing together: every pair of orders would be a row.
    check(
        "SELECT b.o_orderstatus, count(*) FROM (orders a CROSS JOIN orders b) LEFT JOIN region r ON a.o_custkey = b.o_custkey GROUP BY 1",
        "refused: a join of `orders` with `orders`",
    );
    check(
        "SELECT sum(CASE WHEN c_acctbal > 0 THEN 1 ELSE length(c_name) END) FROM customer",
        "refused: `customer.c_name`",
    );
    check("SELECT sum(CAST(c_acctbal / 1000 AS BIGINT)) FROM customer", "refused: ");
    check("SELECT sum(l_partkey % 1000) FROM lineitem", "refused: ");
    check(
        "SELECT count(*) FROM customer c FULL JOIN nation n ON c.c_nationkey = n.n_nationkey",
        "refused: a Full join",
    );
    check("SELECT count(*) FROM customer TABLESAMPLE (1 PERCENT)", "refused: samples");
}

#[test]
fn a_filter_on_the_side_that_an_outer_join_may_leave_empty_prunes_no_home() {
    let sql = "SELECT count(*) FROM orders o LEFT JOIN (SELECT * FROM customer WHERE c_nationkey = 7) c ON o.o_custkey = c.c_custkey";
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let admitted = runtime.block_on(admitted(sql, catalog())).unwrap();
    let homes: Vec<&str> = admitted.fragments[0].1.iter().map(RegionId::as_str).collect();
    assert_eq!(homes.join(","), WORLD);
}

#[test]
fn two_aggregates_are_two_fragments() {
    check(
        "SELECT a.n, b.n AS m FROM (SELECT count(*) AS n FROM customer) AS a CROSS JOIN (SELECT count(*) AS n FROM orders) AS b",
        &format!("{WORLD}: SELECT count(1) AS a0 FROM customer\n{WORLD}: SELECT count(1) AS a0 FROM orders"),
    );
}

#[test]
fn mistakes_are_located() {
    let place = |sql: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        match runtime.block_on(admitted(sql, catalog())) {
            Err(QueryError::Sql { place, .. }) => place,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(place("SELECT count(*\n  FROM customer"), Some((2, 3)));
    assert_eq!(place("SELECT c_nam FROM customer"), Some((1, 8)));
    assert_eq!(place("DROP TABLE customer"), None);
    check("SELECT 1 FROM custommer", "refused: there is no dataset `custommer`; did you mean `customer`?");
    check("SELECT _entity FROM customer", "refused: ");
    check("SELECT 1; SELECT 2", "refused: ");
    check("COPY (SELECT 1) TO '/tmp/x.csv'", "refused: only queries");
    check("SELECT * FROM information_schema.tables", "refused: ");
}

mod ordinary;
