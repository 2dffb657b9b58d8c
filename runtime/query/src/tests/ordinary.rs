//! Ordinary questions: what they become, and what of them still does not leave.

use super::{WORLD, catalog_without, check, check_over};

#[test]
fn conditions_inside_aggregates_become_groups() {
    check(
        "SELECT o_orderstatus, sum(CASE WHEN o_orderpriority = '1-URGENT' THEN o_totalprice ELSE 0 END) FROM orders GROUP BY 1",
        &format!(
            "{WORLD}: SELECT orders.o_orderstatus AS g0, (orders.o_orderpriority = '1-URGENT') AS g1, \
             sum(CAST(orders.o_totalprice AS DECIMAL(22,2))) AS a0 FROM orders \
             GROUP BY orders.o_orderstatus, (orders.o_orderpriority = '1-URGENT')"
        ),
    );
    check(
        "SELECT count(*), count(*) FILTER (WHERE c_mktsegment = 'BUILDING') FROM customer",
        &format!(
            "{WORLD}: SELECT (customer.c_mktsegment = 'BUILDING') AS g0, count(1) AS a0 FROM customer \
             GROUP BY (customer.c_mktsegment = 'BUILDING')"
        ),
    );
    // What is a key already is no other.
    check(
        "SELECT c_mktsegment = 'BUILDING', sum(CASE WHEN c_mktsegment = 'BUILDING' THEN 1 END) FROM customer GROUP BY 1",
        &format!(
            "{WORLD}: SELECT (customer.c_mktsegment = 'BUILDING') AS g0, sum(1) AS a0 FROM customer \
             GROUP BY (customer.c_mktsegment = 'BUILDING')"
        ),
    );
}

#[test]
fn too_many_conditions_are_no_groups() {
    let sums = (1..=7).map(|day| format!("sum(CASE WHEN o_orderpriority = '{day}' THEN 1 END) AS d{day}"));
    let sums = sums.collect::<Vec<_>>().join(", ");
    check(&format!("SELECT {sums} FROM orders"), "refused: this use of `orders` may not cross");
    let few = (1..=6).map(|day| format!("sum(CASE WHEN o_orderpriority = '{day}' THEN 1 END) AS d{day}"));
    let few = few.collect::<Vec<_>>().join(", ");
    let keys = (1..=6).map(|day| format!("(orders.o_orderpriority = '{day}')")).collect::<Vec<_>>();
    let named = keys.iter().enumerate().map(|(index, key)| format!("{key} AS g{index}")).collect::<Vec<_>>();
    check(
        &format!("SELECT {few} FROM orders"),
        &format!("{WORLD}: SELECT {}, sum(1) AS a0 FROM orders GROUP BY {}", named.join(", "), keys.join(", ")),
    );
}

#[test]
fn conditions_on_what_may_not_be_grouped_by_are_refused() {
    for sql in [
        "SELECT sum(CASE WHEN c_name < 'M' THEN 1 ELSE 0 END) FROM customer",
        "SELECT count(*) FILTER (WHERE c_custkey = 7) FROM customer",
        "SELECT sum(CASE WHEN c_custkey = 7 THEN c_acctbal ELSE 0 END) FROM customer",
        "SELECT avg(CAST(c_name = 'x' AS INT)) FROM customer",
    ] {
        check(sql, "refused: `customer.");
    }
    check(
        "SELECT count(DISTINCT CASE WHEN o_clerk = 'x' THEN o_custkey END) FROM orders",
        "refused: `orders.o_clerk` may not cross",
    );
    check(
        "SELECT sum(x) FROM (SELECT CASE WHEN c_mktsegment = 'BUILDING' THEN c_acctbal END AS x FROM customer) AS t",
        "refused: this use of `customer` may not cross",
    );
}

#[test]
fn what_is_looked_up_by_a_column_makes_it_a_group_key() {
    check_over(
        catalog_without("lookup"),
        "SELECT sum(c_acctbal * n_regionkey) FROM customer JOIN nation ON c_nationkey = n_nationkey",
        &format!(
            "{WORLD}: SELECT customer.c_nationkey AS g0, \
             sum((customer.c_acctbal * CAST(nation.n_regionkey AS DECIMAL(20,0)))) AS a0 \
             FROM customer INNER JOIN nation ON (customer.c_nationkey = nation.n_nationkey) \
             GROUP BY customer.c_nationkey"
        ),
    );
}

#[test]
fn what_is_looked_up_by_other_columns_is_refused() {
    let customer = "refused: this use of `customer` may not cross";
    // By what is computed, over reference data in between, in either order, by a comma and by an inequality.
    for from in [
        "(SELECT c_acctbal, c_nationkey + 1 AS k FROM customer) AS c JOIN nation ON k = n_nationkey",
        "(SELECT c_acctbal, c_nationkey + 1 AS k FROM customer) AS c JOIN region ON k > r_regionkey \
         JOIN nation ON n_regionkey = r_regionkey",
        "region JOIN nation ON n_regionkey = r_regionkey \
         JOIN (SELECT c_acctbal, c_nationkey + 1 AS k FROM customer) AS c ON k = r_regionkey",
        "(SELECT c_acctbal, c_nationkey + 1 AS k FROM customer) AS c, nation WHERE k < n_nationkey + n_regionkey",
    ] {
        for value in
            ["sum(c_acctbal * n_regionkey)", "sum(n_regionkey)", "count(n_name)", "avg(c_acctbal + n_nationkey)"]
        {
            check_over(catalog_without("lookup"), &format!("SELECT {value} FROM {from}"), customer);
        }
    }
    // Where a policy lets numbers be looked up they are factors once.
    let profit = |cost: &str| {
        format!(
            "SELECT sum(l_quantity * {cost}) FROM lineitem JOIN partsupp ON ps_partkey = l_partkey AND ps_suppkey = l_suppkey"
        )
    };
    check(
        &profit("ps_supplycost"),
        &format!(
            "{WORLD}: SELECT sum((lineitem.l_quantity * partsupp.ps_supplycost)) AS a0 FROM lineitem \
             INNER JOIN partsupp ON ((partsupp.ps_partkey = lineitem.l_partkey) AND (partsupp.ps_suppkey = lineitem.l_suppkey))"
        ),
    );
    let refused = "refused: this use of `lineitem` may not cross";
    check_over(catalog_without("power"), &profit("ps_supplycost * ps_supplycost"), refused);
}

#[test]
fn constants_that_tell_values_apart_are_refused() {
    let refused = |sql: &str| check(sql, "refused: this use of");
    // Beyond what doubles, decimals and factors of them may be added to, in any order, and by other words.
    for value in [
        "CAST(c_acctbal AS double) + 4e17 - 4e17",
        "CAST(c_acctbal AS double) - 20000.0e0",
        "c_acctbal + 10000000000",
        "c_acctbal * 1e5",
        "c_acctbal * 100 * 1000",
        "c_acctbal / 1e-5",
        "c_acctbal * 1e-5",
        "(c_acctbal * 1e-4 + 10) * 1e4",
        "c_acctbal + (c_acctbal * 1e-4) * 1e9",
        "c_acctbal + big - big",
    ] {
        refused(&format!("SELECT sum({value}) FROM customer CROSS JOIN (SELECT 4e17 AS big) AS t"));
    }
    let within = |sql: &str| check_over(catalog_without("within"), sql, "refused: this use of");
    within("SELECT sum(x) FROM (SELECT o_custkey, avg(o_totalprice) AS x FROM orders GROUP BY o_custkey) AS t");
    within("SELECT sum(x) FROM (SELECT o_custkey, min(o_totalprice) AS x FROM orders GROUP BY o_custkey) AS t");
    check_over(
        catalog_without("product"),
        "SELECT sum(l_extendedprice * l_quantity) FROM lineitem",
        "refused: this use of `lineitem` may not cross",
    );
}

#[test]
fn constants_of_reports_are_not() {
    for (value, asked) in [
        (
            "l_extendedprice * (1 - l_discount) * 1.19",
            "(CAST((lineitem.l_extendedprice * (CAST(1 AS DECIMAL(20,0)) - lineitem.l_discount)) AS DOUBLE) * 1.19)",
        ),
        (
            "l_extendedprice * (100 - l_discount) / 100",
            "((lineitem.l_extendedprice * (CAST(100 AS DECIMAL(20,0)) - lineitem.l_discount)) / CAST(100 AS DECIMAL(20,0)))",
        ),
        (
            "l_extendedprice / 1000 + 5",
            "((lineitem.l_extendedprice / CAST(1000 AS DECIMAL(20,0))) + CAST(5 AS DECIMAL(20,0)))",
        ),
    ] {
        let expect = format!("{WORLD}: SELECT sum({asked}) AS a0 FROM lineitem");
        check(&format!("SELECT sum({value}) FROM lineitem"), &expect);
    }
}

#[test]
fn entities_and_their_rows_are_counted() {
    check(
        "SELECT o_orderstatus, count(DISTINCT o_custkey) FROM orders GROUP BY 1",
        &format!(
            "{WORLD}: SELECT orders.o_orderstatus AS g0, count(DISTINCT orders.o_custkey) AS a0 FROM orders \
             GROUP BY orders.o_orderstatus"
        ),
    );
    check(
        "SELECT count(DISTINCT l_orderkey), approx_distinct(o_custkey), count(c_custkey) FROM lineitem \
         JOIN orders ON l_orderkey = o_orderkey JOIN customer ON o_custkey = c_custkey",
        &format!(
            "{WORLD}: SELECT count(customer.c_custkey) AS a0, count(DISTINCT lineitem.l_orderkey) AS a1, \
             count(DISTINCT orders.o_custkey) AS a2 FROM lineitem \
             INNER JOIN orders ON (lineitem.l_orderkey = orders.o_orderkey) \
             INNER JOIN customer ON (orders.o_custkey = customer.c_custkey)"
        ),
    );
}

#[test]
fn who_is_in_several_groups_is_counted_apart_from_them() {
    let counted = "count(DISTINCT orders.o_custkey) AS a0 FROM orders";
    check(
        "SELECT count(DISTINCT o_custkey), sum(CASE WHEN o_orderstatus = 'F' THEN 1 END), \
         count(DISTINCT CASE WHEN o_orderstatus = 'F' THEN o_custkey END), \
         count(DISTINCT o_custkey) FILTER (WHERE o_orderstatus = 'O') FROM orders",
        &format!(
            "{WORLD}: SELECT (orders.o_orderstatus = 'F') AS g0, sum(1) AS a0, \
             count(DISTINCT orders.o_custkey) AS a1 FROM orders GROUP BY (orders.o_orderstatus = 'F')\n\
             {WORLD}: SELECT {counted}\n\
             {WORLD}: SELECT (orders.o_orderstatus = 'O') AS g0, {counted} GROUP BY (orders.o_orderstatus = 'O')"
        ),
    );
    for sql in [
        "SELECT count(DISTINCT CASE WHEN o_orderstatus = 'F' THEN o_custkey WHEN o_shippriority = 1 THEN o_custkey END) FROM orders",
        "SELECT count(DISTINCT CASE WHEN o_orderstatus = 'F' THEN o_custkey ELSE o_orderkey END) FROM orders",
        "SELECT count(DISTINCT o_orderdate) FROM orders",
        "SELECT count(DISTINCT l_partkey) FROM lineitem",
        "SELECT count(DISTINCT o_custkey + 1) FROM orders",
        "SELECT sum(DISTINCT o_custkey) FROM orders",
    ] {
        check(sql, "refused: ");
    }
    check(
        "SELECT o_orderstatus, count(DISTINCT o_custkey) FROM orders GROUP BY ROLLUP (o_orderstatus)",
        "refused: count(DISTINCT …) with GROUPING SETS",
    );
}

#[test]
fn entities_own_figures_are_grouped() {
    check(
        "SELECT n, count(*) FROM (SELECT o_custkey, count(*) AS n FROM orders GROUP BY o_custkey) AS own GROUP BY n",
        &format!(
            "{WORLD}: SELECT own.n AS g0, count(1) AS a0 FROM (SELECT orders.o_custkey, count(1) AS n FROM orders \
             GROUP BY orders.o_custkey) AS own GROUP BY own.n"
        ),
    );
    // A figure of single rows or of a column that may not be a group stays one, whatever is made of it.
    for (sql, refused) in [
        (
            "SELECT p, count(*) FROM (SELECT o_custkey, max(o_clerk) AS p FROM orders GROUP BY 1) AS own GROUP BY p",
            "refused: `orders.o_clerk`",
        ),
        (
            "SELECT o_orderdate, sum(n) FROM (SELECT o_orderdate, o_totalprice, count(*) AS n FROM orders GROUP BY 1, 2) AS day \
             JOIN customer ON n = c_custkey GROUP BY 1",
            "refused: `customer.c_custkey`",
        ),
        ("SELECT o_custkey, count(*) FROM orders GROUP BY o_custkey", "refused: `orders.o_custkey`"),
        (
            "SELECT max(n) FROM (SELECT o_custkey, count(*) AS n FROM orders GROUP BY 1) AS own",
            "refused: this use of `orders` may not cross",
        ),
        (
            "SELECT sum(n) FROM (SELECT a.o_custkey, count(*) AS n FROM orders AS a CROSS JOIN orders AS b GROUP BY 1) AS own",
            "refused: a join of `orders` with `orders`",
        ),
        (
            "SELECT sum(s) FROM (SELECT o_custkey, sum(c_acctbal) AS s FROM customer LEFT JOIN orders ON c_custkey = o_custkey \
             GROUP BY 1) AS own",
            "refused: `orders.o_custkey` may not cross",
        ),
        (
            "SELECT sum(n) FROM (SELECT o_custkey, count(*) FILTER (WHERE o_orderstatus = 'F') AS n FROM orders GROUP BY 1) AS own",
            "refused: ",
        ),
    ] {
        check(sql, refused);
    }
}

#[test]
fn who_has_rows_elsewhere_is_a_condition() {
    check(
        "SELECT count(*) FROM customer WHERE EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey AND o_orderstatus = 'F')",
        &format!(
            "{WORLD}: SELECT count(1) AS a0 FROM customer WHERE EXISTS (SELECT 1 FROM orders \
             WHERE ((orders.o_custkey = customer.c_custkey) AND (orders.o_orderstatus = 'F')))"
        ),
    );
    for sql in [
        "SELECT count(*) FROM customer WHERE EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey AND o_clerk = 'x')",
        "SELECT count(*) FROM customer WHERE EXISTS (SELECT 1 FROM orders WHERE o_shippriority = c_nationkey)",
        "SELECT count(*) FROM customer WHERE EXISTS (SELECT 1 FROM orders WHERE o_custkey <> c_custkey)",
        "SELECT count(*) FROM customer WHERE EXISTS (SELECT 1 FROM orders)",
        "SELECT count(*) FROM customer WHERE c_custkey IN (SELECT o_orderkey FROM orders)",
        "SELECT count(*) FROM customer WHERE c_custkey IN (SELECT o_custkey FROM orders) OR c_nationkey = 7",
        "SELECT count(*) FROM customer WHERE c_custkey NOT IN (SELECT o_custkey FROM orders WHERE o_clerk = 'x')",
    ] {
        check(sql, "refused: ");
    }
    let missing = "SELECT count(*) FROM customer LEFT JOIN orders ON c_custkey = o_custkey WHERE o_orderkey IS NULL";
    check(
        missing,
        &format!(
            "{WORLD}: SELECT count(1) AS a0 FROM customer LEFT OUTER JOIN orders \
             ON (customer.c_custkey = orders.o_custkey) WHERE orders.o_orderkey IS NULL"
        ),
    );
    check(&missing.replace("o_orderkey IS", "o_clerk IS"), "refused: `orders.o_clerk`");
}

#[test]
fn subqueries_of_one_value_are_questions_of_their_own() {
    check(
        "SELECT sum(o_totalprice) / (SELECT sum(o_totalprice) FROM orders) AS share FROM orders WHERE o_orderstatus = 'F'",
        &format!(
            "{WORLD}: SELECT sum(orders.o_totalprice) AS a0 FROM orders\n\
             {WORLD}: SELECT sum(orders.o_totalprice) AS a0 FROM orders WHERE (orders.o_orderstatus = 'F')"
        ),
    );
    check("SELECT (SELECT max(c_name) FROM customer) AS last", "refused: `customer.c_name`");
    // Its value would decide on rows before they are groups.
    check("SELECT count(*) FROM customer WHERE c_nationkey > (SELECT count(*) FROM customer)", "refused: a subquery");
}

#[test]
fn totals_are_rolled_up_where_the_question_is_asked() {
    check(
        "SELECT o_orderstatus, o_orderpriority, count(*) FROM orders GROUP BY ROLLUP (o_orderstatus, o_orderpriority)",
        &format!(
            "{WORLD}: SELECT orders.o_orderstatus AS g0, orders.o_orderpriority AS g1, count(1) AS a0 FROM orders \
             GROUP BY orders.o_orderstatus, orders.o_orderpriority"
        ),
    );
    check("SELECT c_name, count(*) FROM customer GROUP BY CUBE (c_name)", "refused: `customer.c_name`");
}

#[test]
fn steps_are_keys_and_no_measures() {
    check(
        "SELECT floor(o_totalprice / 50000), count(*) FROM orders GROUP BY 1",
        &format!(
            "{WORLD}: SELECT floor((orders.o_totalprice / CAST(50000 AS DECIMAL(20,0)))) AS g0, \
             count(1) AS a0 FROM orders GROUP BY \
             floor((orders.o_totalprice / CAST(50000 AS DECIMAL(20,0))))"
        ),
    );
    check("SELECT sum(floor(o_totalprice / 50000)) FROM orders", "refused: ");
    check("SELECT sum(round(o_totalprice, -5)) FROM orders", "refused: ");
}

#[test]
fn spreads_need_their_own_name() {
    let refused = "refused: this use of `customer` may not cross";
    check_over(catalog_without("power"), "SELECT stddev(c_acctbal) FROM customer", refused);
    check("SELECT var_pop(length(c_name)) FROM customer", "refused: `customer.c_name`");
}
