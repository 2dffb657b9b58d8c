//! x
use domicile_tests::oracle::oracle;
#[test]
fn t() {
    let o = oracle();
    for q in ["q01","q03","q05","q06","q10","q12","q14"] {
        let t = std::time::Instant::now();
        let rows = o.ask(&std::fs::read_to_string(format!("queries/{q}.sql")).unwrap()).unwrap();
        println!("{q} {} rows {:?} {:?}", rows.len(), rows.first(), t.elapsed());
    }
    println!("{:?}", o.ask(domicile_harness::questions::REVENUE).unwrap().len());
    for d in ["1998-08-02","1997-01-01","1992-06-30"] {
      println!("{d} {:?}", o.rows(&include_str!("../queries/rfm.sqlite.sql").replace("$as_of", d)).unwrap());
      println!("{:?}", o.rows(&format!("SELECT home, segment, count(*) FROM ({}) JOIN customer ON c_custkey = customer GROUP BY 1,2 HAVING count(*)<10", include_str!("../queries/rfm.sqlite.sql").replace("$as_of", d).replace("segmented AS (\n    SELECT\n", "segmented AS (\n SELECT customer, ").replace("SELECT segment, count(*) AS entities, sum(min(revenue, 10000000.0)) AS revenue\nFROM segmented\nGROUP BY segment\nORDER BY segment","SELECT * FROM segmented"))));
    }
    println!("{:?}", o.rows("select max(s) from (select sum(o_totalprice) s from orders group by o_custkey)"));
    println!("{:?}", o.rows("SELECT o_orderpriority, count(*) FROM orders GROUP BY 1"));
    println!("{:?}", o.rows("SELECT min(n), max(n) from (SELECT home, strftime('%Y-%m',o_orderdate) m, p_mfgr, count(distinct c_custkey) n FROM lineitem join orders on l_orderkey=o_orderkey join customer on c_custkey=o_custkey join part on l_partkey=p_partkey where o_orderdate<'1998-08-01' GROUP BY 1,2,3)"));
}
