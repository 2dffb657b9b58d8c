//! Physical plans that do more than was admitted are not run.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{LogicalPlan, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterPushdownResult, ChildPushdownResult, FilterPushdownPhase, PushedDown,
};
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::prelude::SessionContext;
use domicile_store::{Batch, Format, Operation, Source, Store, StoreParts};
use domicile_types::{RegionId, Secret};
use tempfile::TempDir;

use super::catalog;
use crate::QueryError;
use crate::admit::{AdmittedFragment, admit_fragment};
use crate::bind::Binder;
use crate::catalog::Catalog;
use crate::client::Destination;
use crate::fragment::Fragment;
use crate::guard::MarkKey;
use crate::leaf;
use crate::parse::parse;
use crate::plugins::PluginSet;
use crate::recheck::Recheck;

/// A region with one customer.
struct World {
    catalog: Catalog,
    store: Store,
    _dir: TempDir,
}

/// A fragment, admitted, with the plan that would run.
struct Planned {
    recheck: Option<Arc<Recheck>>,
    physical: Arc<dyn ExecutionPlan>,
    session: SessionContext,
}

impl World {
    fn new() -> Self {
        let (catalog, dir) = (catalog(), TempDir::new().unwrap());
        let specs = catalog.specs().cloned().collect();
        let mut store =
            Store::open(StoreParts::local(dir.path().join("store"), "us-east".parse().unwrap(), specs)).unwrap();
        let rows =
            "c_custkey,c_name,c_address,c_nationkey,c_phone,c_acctbal,c_mktsegment,c_comment\n1,n,a,24,p,1.00,s,c\n";
        // Twice, so that scans merge the two versions, and use filters on keys.
        for now_ms in [1, 2] {
            let source = Source::Stream(Box::new(Cursor::new(rows.as_bytes().to_vec())));
            let dataset = "customer".parse().unwrap();
            let batch = Batch { dataset, operation: Operation::Upsert, format: Format::Csv, idempotency_key: None };
            let prepared = store.preparer().prepare(batch, source, now_ms).unwrap();
            store.commit(vec![prepared], now_ms).into_iter().for_each(|ack| assert_eq!(ack.unwrap().rows, 1));
        }
        Self { catalog, store, _dir: dir }
    }

    /// How the region `us-east` would compute `sql` for `to`.
    async fn planned(&self, sql: &str, to: &str) -> Result<Planned, QueryError> {
        let plugins = PluginSet::default();
        let session = self.catalog.fragment_session(&plugins, &Arc::new(RuntimeEnv::default()))?;
        let plan = parse(&session, sql).await?;
        let (fragment, names) = Fragment::recognize(&plan, &self.catalog)?;
        let (here, edge): (RegionId, RegionId) = ("us-east".parse().unwrap(), to.parse().unwrap());
        let to = Destination::of(&here, &edge, &super::anonymous(&edge))?;
        let admitted = admit_fragment(fragment, &self.catalog, &here, &to, None, 20_000)?;
        let plan = self.bound(&admitted, &names, &plugins, &session)?;
        let physical = session.state().create_physical_plan(&plan).await?;
        Ok(Planned { recheck: Recheck::of(&admitted)?, physical, session })
    }

    fn bound(
        &self,
        admitted: &AdmittedFragment,
        names: &[(usize, String)],
        plugins: &PluginSet,
        session: &SessionContext,
    ) -> Result<LogicalPlan, QueryError> {
        let (reader, snapshot) = (self.store.reader(), self.store.reader().snapshot());
        let none = BTreeMap::new();
        let binder = Binder::new(&admitted.admission, &self.catalog, &reader, &snapshot, plugins, session, none);
        leaf::plan(
            admitted,
            names,
            &binder.of(admitted, &Secret::new(vec![7; 32]))?,
            MarkKey(7),
            &"eu-central".parse().unwrap(),
        )
    }
}

const ADMITTED: &str = "SELECT c_mktsegment AS g0, count(1) AS a0 FROM customer GROUP BY c_mktsegment";

/// Whether what was admitted as the first question may run as the plan of the second.
async fn may_run(admitted: &str, run: &str) -> bool {
    let world = World::new();
    let recheck = world.planned(admitted, "eu-central").await.unwrap().recheck.unwrap();
    refused_or_not(&recheck, &world.planned(run, "eu-central").await.unwrap().physical)
}

fn refused_or_not(recheck: &Recheck, plan: &Arc<dyn ExecutionPlan>) -> bool {
    match recheck.check(plan) {
        Ok(()) => true,
        Err(QueryError::PlanRefused) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_admitted_runs() {
    let world = World::new();
    for sql in [
        ADMITTED,
        "SELECT count(1) AS a0 FROM customer",
        "SELECT sum(c_acctbal) AS a0, count(c_acctbal) AS a1 FROM customer WHERE c_nationkey = 24 AND c_mktsegment < 'x'",
        "SELECT date_trunc('month', o_orderdate) AS g0, n_name AS g1, sum(l_extendedprice * (1 - l_discount)) AS a0 \
         FROM lineitem JOIN orders ON l_orderkey = o_orderkey JOIN customer ON o_custkey = c_custkey \
         JOIN nation ON c_nationkey = n_nationkey WHERE l_quantity > 3 GROUP BY 1, 2",
        "SELECT count(1) AS a0 FROM customer WHERE c_nationkey IN (SELECT n_nationkey FROM nation WHERE n_regionkey = 1)",
        "SELECT count(1) AS a0 FROM customer WHERE c_nationkey = (SELECT max(n_nationkey) FROM nation)",
        "SELECT count(1) AS a0 FROM customer WHERE c_nationkey IN (SELECT column1 FROM (VALUES (1), (2)))",
        "SELECT count(1) AS a0 FROM customer WHERE c_nationkey IN \
         (SELECT n_nationkey FROM nation UNION SELECT r_regionkey FROM region)",
        "SELECT o_orderstatus AS g0, count(1) AS a0 FROM orders LEFT JOIN customer ON o_custkey = c_custkey GROUP BY 1",
        "SELECT count(1) AS a0 FROM customer WHERE 1 = 2",
    ] {
        let planned = world.planned(sql, "eu-central").await.unwrap();
        assert!(refused_or_not(&planned.recheck.unwrap(), &planned.physical), "{sql}");
    }
    assert!(world.planned("SELECT c_name AS r0 FROM customer", "us-east").await.unwrap().recheck.is_none());
}

#[tokio::test]
async fn another_dataset_is_not_read() {
    assert!(!may_run(ADMITTED, "SELECT o_orderstatus AS g0, count(1) AS a0 FROM orders GROUP BY 1").await);
    assert!(!may_run(ADMITTED, "SELECT count(1) AS a0 FROM customer JOIN nation ON c_nationkey = n_nationkey").await);
    let with_orders =
        "SELECT c_mktsegment AS g0, count(1) AS a0 FROM orders JOIN customer ON o_custkey = c_custkey GROUP BY 1";
    assert!(!may_run(ADMITTED, with_orders).await);
    assert!(may_run(with_orders, with_orders).await && may_run(with_orders, ADMITTED).await);
}

#[tokio::test]
async fn no_column_more_is_read() {
    for run in [
        "SELECT c_nationkey AS g0, count(1) AS a0 FROM customer GROUP BY c_nationkey",
        "SELECT c_mktsegment AS g0, count(1) AS a0 FROM customer WHERE c_nationkey = 24 GROUP BY c_mktsegment",
        "SELECT c_mktsegment AS g0, sum(c_acctbal) AS a0 FROM customer GROUP BY c_mktsegment",
    ] {
        assert!(!may_run(ADMITTED, run).await, "{run}");
        assert!(may_run(run, run).await, "{run}");
    }
    // The same columns in other places: what they are used for, admission has judged.
    assert!(may_run(ADMITTED, "SELECT count(1) AS a0 FROM customer WHERE c_mktsegment = 'x'").await);
    assert!(!may_run("SELECT count(1) AS a0 FROM customer", ADMITTED).await);
}

#[tokio::test]
async fn a_filter_in_a_scan_is_seen() {
    let world = World::new();
    let planned =
        world.planned("SELECT count(1) AS a0 FROM customer WHERE c_mktsegment = 's'", "eu-central").await.unwrap();
    let recheck = planned.recheck.unwrap();
    let mut scan = Arc::clone(&planned.physical);
    while let Some(child) = scan.children().first().map(|child| Arc::clone(child)) {
        scan = child;
    }
    let schema = world.store.reader().stored_schema(&"customer".parse().unwrap()).unwrap();
    let with_filter_on = |name: &str| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(name, schema.index_of(name).unwrap()));
        let value = Arc::new(Literal::new(ScalarValue::Null));
        let filter: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(column, Operator::Eq, value));
        let given = ChildFilterPushdownResult { filter, child_results: vec![PushedDown::No] };
        let given = ChildPushdownResult { parent_filters: vec![given], self_filters: Vec::new() };
        let options = planned.session.copied_config();
        let pushed = scan.handle_child_pushdown_result(FilterPushdownPhase::Pre, given, options.options()).unwrap();
        pushed.updated_node.unwrap()
    };
    assert!(refused_or_not(&recheck, &with_filter_on("c_mktsegment")));
    assert!(!refused_or_not(&recheck, &with_filter_on("c_custkey")), "the key decides which rows are read");
}

#[tokio::test]
async fn operators_and_sources_that_are_not_known_are_refused() {
    let world = World::new();
    let planned = world.planned(ADMITTED, "eu-central").await.unwrap();
    let recheck = planned.recheck.unwrap();
    let schema = planned.physical.schema();
    let unnest = UnnestExec::new(Arc::clone(&planned.physical), Vec::new(), Vec::new(), schema, Default::default());
    let unnest: Arc<dyn ExecutionPlan> = Arc::new(unnest.unwrap());
    assert!(!refused_or_not(&recheck, &unnest));
    let analyzed = planned.session.sql("EXPLAIN ANALYZE SELECT 1").await.unwrap().create_physical_plan().await.unwrap();
    assert!(!refused_or_not(&recheck, &analyzed));
    // Rows in memory are nobody's scan; where the question itself has rows behind VALUES, they are its own.
    let rows = planned.session.sql("VALUES (1), (2)").await.unwrap().create_physical_plan().await.unwrap();
    assert!(!refused_or_not(&recheck, &rows));
    let own = "SELECT count(1) AS a0 FROM customer WHERE c_nationkey IN (SELECT column1 FROM (VALUES (1), (2)))";
    let own = world.planned(own, "eu-central").await.unwrap().recheck.unwrap();
    assert!(refused_or_not(&own, &rows));
}
