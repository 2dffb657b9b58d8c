//! The world `query`.

use std::collections::BTreeMap;
use std::fs;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Date32Type;
use domicile_author::{InputSql, Progress, Request, RunOptions, Table, World};
use domicile_sandbox::Value;

use crate::project::{Project, csv};

/// Answers the template's question, and no other.
struct Since;

impl InputSql for Since {
    fn select(&self, sql: &str, tables: &[Table], parameters: &[(String, Value)]) -> Result<Vec<RecordBatch>, String> {
        assert_eq!(sql, "SELECT o_orderpriority, o_totalprice FROM orders WHERE o_orderdate >= $since");
        let [(name, Value::Date(since))] = parameters else { panic!("{parameters:?}") };
        assert_eq!((name.as_str(), tables[0].name.as_str()), ("since", "orders"));
        let dates = tables[0].rows.column_by_name("o_orderdate").ok_or("no dates")?;
        let mask = dates.as_primitive::<Date32Type>().iter().map(|date| date.map(|date| date >= *since)).collect();
        let rows = filter_record_batch(&tables[0].rows, &mask).map_err(|error| error.to_string())?;
        let columns = ["o_orderpriority", "o_totalprice"].map(|name| rows.schema().index_of(name).unwrap());
        Ok(vec![rows.project(&columns).map_err(|error| error.to_string())?])
    }
}

#[test]
fn a_query_goes_through_the_loop() {
    let project = Project::new("revenue", World::Query);
    project.test_natively();
    let built = project.build("query");
    assert!(built.provides.contains(&"parameters since date = 1992-01-01".to_owned()), "{built}");
    project.passes();
    project.differs_where_spoiled("tests/revenue/expected.csv", "2-HIGH,2", "2-HIGH,3", ["2", "orders", "3", "2"]);
    assert_eq!(project.bench().workloads[0].name, "input");

    for regions in [1, 3] {
        let request = Request { regions, ..Request::default() };
        let answer = project.run(&built.path, "tests/revenue/input.csv", request).unwrap();
        assert_eq!(answer, "priority,orders,revenue\n1-URGENT,2,100.5\n2-HIGH,2,21.0\nunknown,1,7.0\n");
    }
    let orders = project.folder.join("orders.csv");
    let rows = "o_orderkey,o_orderdate,o_orderpriority,o_totalprice\n1,1998-01-01,2-HIGH,5\n2,1998-01-02,2-HIGH,7.5\n";
    fs::write(&orders, rows).unwrap();
    let request =
        Request { parameters: BTreeMap::from([("since".to_owned(), "1998-01-02".to_owned())]), ..Request::default() };
    let tables = vec![("orders".to_owned(), orders)];
    let options = RunOptions { plugin: built.path, input: None, tables, request };
    let answer = csv(domicile_author::run(&options, &Since, Progress::Quiet).unwrap()).unwrap();
    assert_eq!(answer, "priority,orders,revenue\n2-HIGH,1,7.5\n");

    // Contributions that replace each other instead of adding up are right in one region only.
    project.change("tests/revenue/case.toml", "regions = 2", "regions = 1");
    project.change(
        "src/lib.rs",
        "self.add(total.priority,",
        "self.0.remove(total.priority);\n            self.add(total.priority,",
    );
    assert_eq!(project.failing_checks(), ["spread over three regions"]);
}
