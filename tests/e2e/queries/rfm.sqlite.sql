WITH counted AS (
    SELECT
        o_custkey AS customer,
        max(CASE WHEN o_orderdate <= '$as_of' THEN o_orderdate END) AS last,
        sum(o_orderdate <= '$as_of') AS orders,
        sum(CASE WHEN o_orderdate <= '$as_of' THEN o_totalprice ELSE 0 END) AS revenue
    FROM orders
    GROUP BY o_custkey
),
measured AS (
    SELECT *, julianday('$as_of') - julianday(last) AS days FROM counted
),
scored AS (
    SELECT
        *,
        CASE WHEN days <= 30 THEN 5 WHEN days <= 90 THEN 4 WHEN days <= 180 THEN 3 WHEN days <= 365 THEN 2 ELSE 1 END AS r,
        CASE WHEN orders >= 20 THEN 5 WHEN orders >= 16 THEN 4 WHEN orders >= 12 THEN 3 WHEN orders >= 8 THEN 2 ELSE 1 END AS f,
        CASE WHEN revenue >= 3000000 THEN 5 WHEN revenue >= 2400000 THEN 4 WHEN revenue >= 1800000 THEN 3
            WHEN revenue >= 1000000 THEN 2 ELSE 1 END AS m
    FROM measured
),
segmented AS (
    SELECT
        CASE
            WHEN orders = 0 THEN 'prospect'
            WHEN r >= 4 AND f >= 4 AND m >= 4 THEN 'champions'
            WHEN r >= 3 AND f >= 3 THEN 'loyal'
            WHEN r >= 4 THEN 'promising'
            WHEN r = 3 THEN 'needs_attention'
            WHEN f >= 3 OR m >= 3 THEN 'at_risk'
            ELSE 'hibernating'
        END AS segment,
        revenue
    FROM scored
)
SELECT segment, count(*) AS entities, sum(min(revenue, 10000000.0)) AS revenue
FROM segmented
GROUP BY segment
ORDER BY segment
