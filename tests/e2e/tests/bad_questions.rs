//! Questions and requests that cannot be answered: what each gets, and that the region goes on serving.

use std::net::TcpListener;
use std::sync::OnceLock;
use std::thread;

use anyhow::Result;
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cli, Options, Response};
use domicile_tests::check::problem;
use domicile_tests::world::{World, shared};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    shared(&WORLD, || World::with_plugins(&Options::default()))
}

fn query(sql: &str) -> Result<Response> {
    world().edge("us-east").query(sql)
}

#[track_caller]
fn check_still_serving() -> Result<()> {
    let answer = world().ask("us-east", "SELECT count(*) AS orders FROM orders")?;
    assert_eq!(answer.cells(), [[Some("15000".to_owned())]]);
    for region in REGIONS {
        let log = world().cluster.log(region)?;
        assert!(!log.contains("panicked"), "{region} panicked:\n{log}");
    }
    Ok(())
}

/// Invalid SQL gets 400 with the place of the mistake.
#[track_caller]
fn check_invalid(sql: &str, place: (u64, u64)) -> Result<()> {
    let invalid = problem(&query(sql)?, 400, Some("sql-invalid"), &[]);
    assert_eq!((invalid["line"].as_u64(), invalid["column"].as_u64()), (Some(place.0), Some(place.1)), "{invalid}");
    Ok(())
}

#[test]
fn invalid_sql_has_a_line_and_a_column() -> Result<()> {
    check_invalid("SELEC 1", (1, 1))?;
    check_invalid("SELECT count(*)\nFROM orders\nGROUP BYE 1", (3, 1))?;
    check_invalid("SELECT (1 FROM orders", (1, 11))?;
    check_invalid("SELECT count(*) FROM orders WHERE c_foo =", (1, 42))?;
    check_still_serving()
}

#[test]
fn statements_that_are_no_question() -> Result<()> {
    for sql in [
        "",
        "   ",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "DELETE FROM customer",
        "INSERT INTO region VALUES (9, 'x', 'y')",
        "DROP TABLE customer",
        "CREATE TABLE x (y INT)",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "COPY customer TO '/tmp/stolen.csv'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM information_schema.tables",
    ] {
        let response = query(sql)?;
        assert!([400, 403, 404].contains(&response.status), "{sql}: {} {}", response.status, response.text());
        problem(&response, response.status, None, &[]);
    }
    check_still_serving()
}

/// An unknown name gets the status, and the nearest known name.
#[track_caller]
fn check_unknown(response: &Response, status: u16, nearest: &str) {
    let unknown = problem(response, status, None, &[]);
    assert!(unknown["nearest"].to_string().contains(nearest), "{nearest} in {unknown}");
}

#[test]
fn unknown_names_get_the_nearest() -> Result<()> {
    let edge = world().edge("us-east");
    check_unknown(&query("SELECT count(*) FROM custommer")?, 404, "customer");
    for (sql, nearest) in [
        ("SELECT count(*) FROM orders WHERE o_orderdat = DATE '1995-01-01'", "Did you mean 'orders.o_orderdate'"),
        ("SELECT sum(net_revenu(l_extendedprice, l_discount)) FROM lineitem", "Did you mean 'net_revenue'"),
    ] {
        problem(&query(sql)?, 400, Some("sql-invalid"), &[nearest]);
    }
    check_unknown(&edge.get("/v1/endpoints/rfn")?, 404, "rfm");
    check_unknown(&edge.get("/v1/endpoints/rfm?as_off=1998-08-02")?, 400, "as_of");
    check_unknown(&edge.query_with("SELECT 1", &[("Data-Region", "us-eest")])?, 400, "us-east");
    check_unknown(
        &edge.send("POST", "/v1/datasets/ordrs/rows", &[("Content-Type", "text/csv")], b"a\n1\n")?,
        404,
        "orders",
    );
    check_still_serving()
}

#[test]
fn values_that_do_not_fit() -> Result<()> {
    let edge = world().edge("us-east");
    problem(&edge.get("/v1/endpoints/rfm?as_of=yesterday")?, 400, None, &["as_of"]);
    for (name, value) in [("Query-Timeout", "soon"), ("Query-Timeout", "0"), ("Require-Coverage", "most")] {
        let response = edge.query_with("SELECT count(*) FROM orders", &[(name, value)])?;
        problem(&response, 400, None, &[]);
    }
    let types = problem(&edge.query("SELECT sum(c_mktsegment) FROM customer")?, 400, Some("sql-invalid"), &["sum"]);
    assert!(!types.to_string().contains("Internal error"), "{types}");
    check_still_serving()
}

#[test]
fn what_the_engine_says_is_put_for_people() -> Result<()> {
    let far =
        problem(&query("SELECT random_number(o_orderkey) FROM orders")?, 400, Some("sql-invalid"), &["random_number"]);
    assert!(!far.to_string().contains("Did you mean"), "{far}");
    problem(
        &query("SELECT dat_trunc('month', o_orderdate) FROM orders")?,
        400,
        Some("sql-invalid"),
        &["Did you mean 'date"],
    );
    let all =
        problem(&query("SELECT *, count(*) FROM orders")?, 400, Some("sql-invalid"), &["`*` stands for all columns"]);
    assert!(!all.to_string().contains("wildcard"), "{all}");
    for document in [far, all] {
        let detail = document["detail"].as_str().unwrap_or_default();
        assert!(!detail.is_empty() && !detail.contains('\n'), "{detail:?}");
    }
    check_still_serving()
}

#[test]
fn a_quotient_by_nothing_is_null_across_regions() -> Result<()> {
    let edge = world().edge("us-east");
    let null = edge.query("SELECT sum(l_quantity) / 0 AS by_zero, count(*) % 0 AS rest FROM lineitem")?.answer()?;
    assert_eq!(null.cells(), [[None, None]]);
    // At the rows' own region, and from nowhere else, the failure shows.
    let own = [("Data-Region", "us-east")];
    problem(&edge.query_with("SELECT count(*) % 0 AS rest FROM lineitem", &own)?, 422, Some("data-unfit"), &[]);
    check_still_serving()
}

#[test]
fn types_without_such_an_operation_are_a_mistake_of_the_sql() -> Result<()> {
    for homes in [None, Some(("Data-Region", "us-east"))] {
        let headers: Vec<(&str, &str)> = homes.into_iter().collect();
        let spans =
            world().edge("us-east").query_with("SELECT CAST(count(*) AS INTERVAL) AS span FROM orders", &headers)?;
        let told = problem(&spans, 400, Some("sql-invalid"), &["cannot be computed here", "from Int64 to Interval"]);
        assert!(!told.to_string().contains("not implemented"), "{told}");
    }
    check_still_serving()
}

#[test]
fn bodies_that_are_not_what_they_say() -> Result<()> {
    let edge = world().edge("us-east");
    let post =
        |content_type: &str, body: &[u8]| edge.send("POST", "/v1/query", &[("Content-Type", content_type)], body);
    problem(&post("application/json", b"{\"sql\":")?, 400, None, &[]);
    problem(&post("application/json", b"{\"sequel\":\"SELECT 1\"}")?, 400, None, &["sequel"]);
    for body in [&b"[]"[..], b"[\"SELECT 1\", null]", b"7", b"null"] {
        let refused = problem(&post("application/json", body)?, 400, None, &["sql"]);
        assert!(!refused.to_string().contains("struct"), "{refused}");
    }
    problem(&post("application/sql", b"SELECT '\xff'")?, 400, None, &[]);
    for media_type in ["application/x-www-form-urlencoded", "application/xml", "nonsense"] {
        problem(&post(media_type, b"SELECT 1")?, 415, None, &["application/json", "application/sql"]);
    }
    assert_eq!(post("application/sql; charset=utf-8", b"SELECT 1")?.status, 200);
    problem(&edge.get("/v1/nothing-here")?, 404, None, &[]);
    problem(&edge.send("DELETE", "/v1/query", &[], b"")?, 405, None, &[]);
    check_still_serving()
}

#[test]
fn bodies_over_the_limit() -> Result<()> {
    let megabytes = vec![b' '; 2 * 1024 * 1024];
    let edge = world().edge("us-east");
    problem(&edge.send("POST", "/v1/query", &[("Content-Type", "application/sql")], &megabytes)?, 413, None, &[]);
    let wasm = vec![0; 17 * 1024 * 1024];
    problem(&edge.deploy("large", "1.0.0", &wasm)?, 413, None, &[]);
    let long = format!("SELECT count(*) FROM orders WHERE o_orderstatus <> '{}'", "x".repeat(70 * 1024));
    let response = query(&long)?;
    assert!([400, 413].contains(&response.status), "{}", response.status);
    check_still_serving()
}

#[test]
fn questions_that_would_exhaust_the_region() -> Result<()> {
    let depth = 10_000;
    let deep = [
        format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth)),
        format!("SELECT {}1", "-".repeat(depth).replace("--", "- -")),
        format!("SELECT count(*) FROM orders WHERE {}", vec!["o_shippriority = 1"; 3_000].join(" OR ")),
        format!("{}SELECT 1 AS a{}", "SELECT a FROM (".repeat(400), ") AS t".repeat(400)),
    ];
    for sql in &deep {
        let response = query(sql)?;
        assert!([200, 400, 413, 422].contains(&response.status), "{} {}", response.status, response.text());
        if response.status != 200 {
            problem(&response, response.status, None, &[]);
        }
    }
    check_still_serving()
}

#[test]
fn questions_that_grow_within_themselves() -> Result<()> {
    let sum = ["a"; 10].join(" + ");
    let within = |levels: usize, each: &str, last: &str| {
        let first = "SELECT o_custkey, o_totalprice AS a FROM orders".to_owned();
        (0..levels).fold(first, |sql, level| format!("SELECT o_custkey, {each} AS a FROM ({sql}) AS t{level}{last}"))
    };
    let nested = |levels: usize, each: &str, last: &str| {
        format!("SELECT count(*) AS n, sum(a) AS a FROM ({}) AS t", within(levels, each, last))
    };
    // What conditions are made of is put in their place.
    let long = within(17, &sum, "");
    for sql in [
        format!("{} WHERE a > 1", nested(17, &sum, "")),
        format!("SELECT count(*) AS n FROM ({long}) AS t JOIN nation ON a = n_nationkey"),
        format!("SELECT count(*) AS n FROM nation WHERE n_nationkey IN (SELECT a FROM ({long}) AS t WHERE a > 1)"),
    ] {
        problem(&query(&sql)?, 413, Some("too-large"), &["an expression of the question", "10000 parts"]);
    }
    let questions = [
        nested(17, &sum, ""),
        nested(12, &format!("sum({sum})"), " GROUP BY o_custkey"),
        nested(12, "sum(a)", " GROUP BY o_custkey"),
    ];
    for sql in &questions {
        let response = query(sql)?;
        assert!([200, 400, 403, 413, 422].contains(&response.status), "{} {}", response.status, response.text());
    }
    check_still_serving()
}

#[test]
fn joins_without_end_do_not_hold_up_others() -> Result<()> {
    let cross = "SELECT count(*) FROM lineitem a, lineitem b, lineitem c WHERE a.l_tax + b.l_tax + c.l_tax > 0.1";
    let headers = [("Query-Timeout", "300"), ("Data-Region", "us-east")];
    problem(&world().edge("us-east").query_with(cross, &headers)?, 413, Some("too-large"), &["without an equality"]);
    // Each pair of rows has one flag of three in common.
    let flags = "SELECT sum(a.l_tax * b.l_tax * c.l_tax) FROM lineitem a JOIN lineitem b \
                 ON a.l_returnflag = b.l_returnflag JOIN lineitem c ON b.l_returnflag = c.l_returnflag";
    let endless: Vec<_> =
        (0..4).map(|_| thread::spawn(move || world().edge("us-east").query_with(flags, &headers))).collect();
    for _ in 0..10 {
        check_still_serving()?;
    }
    for asked in endless {
        let response = asked.join().map_err(|_| anyhow::anyhow!("the asking thread panicked"))??;
        problem(&response, 504, Some("deadline"), &["300 ms", "Query-Timeout"]);
    }
    check_still_serving()
}

#[test]
fn exit_codes_of_the_command_line() -> Result<()> {
    let cli = world().cluster.cli("us-east");
    let code = |arguments: &[&str]| anyhow::Ok(cli.run(arguments)?.code);
    assert_eq!(code(&["query", "SELECT count(*) FROM orders"])?, 0);
    assert_eq!(code(&["query", "SELECT count(*) FROM ordrs"])?, 1);
    assert_eq!(code(&["query"])?, 2);
    assert_eq!(code(&["qery", "SELECT 1"])?, 2);
    assert_eq!(code(&["serve", "--config", "/nonexistent.toml"])?, 2);
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let nobody = Cli::new(world().cluster.binary(), &format!("http://{free}"));
    let ran = nobody.run(&["query", "SELECT 1"])?;
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains(&free.to_string()), "{}", ran.stderr);
    Ok(())
}

#[test]
fn a_refusal_on_the_command_line_says_what_to_do() -> Result<()> {
    let ran = world().cluster.cli("us-east").run(&["query", "SELECT count(*) FROM custommer"])?;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("customer"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    Ok(())
}

#[test]
fn the_command_line_counts_and_advises_in_words() -> Result<()> {
    let cli = world().cluster.cli("us-east");
    let one = cli.run(&["query", "SELECT 1 AS one"])?.success()?.stdout;
    assert!(one.lines().any(|line| line.starts_with("1 row from ")), "{one}");
    let told = cli.run(&["query", "--explain", "residency", "SELECT count(*) AS n FROM orders"])?.success()?.stdout;
    for said in ["aggregate of no column: count", "at most about "] {
        assert!(told.contains(said), "{said} in {told}");
    }
    let across =
        problem(&query("SELECT count(DISTINCT c_mktsegment) AS n FROM customer")?, 422, Some("across-regions"), &[]);
    let detail = across["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("count, sum or avg") && !detail.contains("max"),
        "the shipped policies admit no max: {detail}"
    );

    let rows = "r_regionkey,r_name,r_comment\nx,A,a\ny,B,b\n";
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("rows.csv");
    std::fs::write(&file, rows)?;
    let refused = cli.run(&["data", "load", "region", &file.display().to_string()])?.stderr;
    assert_eq!(refused.lines().filter(|line| line.starts_with("  rows 1, 2, r_regionkey: ")).count(), 1, "{refused}");
    assert!(refused.contains("2 rows were refused; first: row 1"), "{refused}");
    Ok(())
}
