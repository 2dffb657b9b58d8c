//! The questions that the demo, the benchmark and the tests ask.

/// Revenue by month and product group over the whole world: [`crate::data::Generator::revenue`] before
/// [`REVENUE_BEFORE`].
pub const REVENUE: &str = "SELECT date_trunc('month', o_orderdate) AS month, p_mfgr AS product_group, \
     sum(l_extendedprice * (1 - l_discount)) AS revenue \
     FROM lineitem JOIN orders ON l_orderkey = o_orderkey JOIN part ON l_partkey = p_partkey \
     WHERE o_orderdate < DATE '1998-08-01' GROUP BY 1, 2 ORDER BY 1, 2";

/// The day before which [`REVENUE`] counts orders.
pub const REVENUE_BEFORE: &str = "1998-08-01";

/// The resident columns that [`REVENUE`] needs: what a centralized copy could not do without.
pub const REVENUE_COLUMNS: [&str; 6] =
    ["o_orderkey", "o_orderdate", "l_orderkey", "l_partkey", "l_extendedprice", "l_discount"];

/// Revenue with the functions of the `pricing` plugin inside SQL.
pub const PRICE_BANDS: &str = "SELECT price_band(o_totalprice) AS band, count(*) AS items, \
     sum(net_revenue(l_extendedprice, l_discount)) AS revenue \
     FROM lineitem JOIN orders ON l_orderkey = o_orderkey GROUP BY 1 ORDER BY 3 DESC";

/// What may not be asked across a border: who the customers of nation 7 are, Germany.
pub const GERMAN_CUSTOMERS: &str = "SELECT c_name, c_phone FROM customer WHERE c_nationkey = 7";

/// A question grouped so finely that, at that scale factor, some groups fall below a threshold of ten customers.
pub fn fine_groups(scale: f64) -> String {
    // 1.5 million orders a scale factor, over 25 nations and 80 months, 343 weeks or 2,406 days: near ten a group.
    let unit = match scale {
        ..0.06 => "month",
        ..0.3 => "week",
        _ => "day",
    };
    format!(
        "SELECT n_name AS nation, date_trunc('{unit}', o_orderdate) AS {unit}, count(*) AS orders \
         FROM orders JOIN customer ON o_custkey = c_custkey JOIN nation ON c_nationkey = n_nationkey \
         GROUP BY 1, 2 ORDER BY 1, 2"
    )
}
