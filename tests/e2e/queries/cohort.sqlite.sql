WITH RECURSIVE counted AS (
    SELECT o_custkey AS customer, strftime('%Y-%m-01', o_orderdate) AS month
    FROM orders
    WHERE o_orderdate >= '$from' AND o_orderdate < '$until'
    GROUP BY 1, 2
),
months(month) AS (
    SELECT strftime('%Y-%m-01', '$from')
    UNION ALL
    SELECT date(month, '+1 month') FROM months WHERE date(month, '+1 month') < '$until'
),
firsts AS (
    SELECT customer, min(month) AS cohort FROM counted GROUP BY 1
),
active AS (
    SELECT cohort, month, count(*) AS customers FROM counted JOIN firsts USING (customer) GROUP BY 1, 2
),
sizes AS (
    SELECT cohort, count(*) AS customers FROM firsts GROUP BY 1
)
SELECT
    s.cohort,
    (SELECT count(*) FROM months AS between_them WHERE between_them.month > s.cohort AND between_them.month <= m.month),
    coalesce(a.customers, 0),
    coalesce(a.customers, 0) * 1.0 / s.customers
FROM sizes AS s
JOIN months AS m ON m.month >= s.cohort
LEFT JOIN active AS a ON a.cohort = s.cohort AND a.month = m.month
ORDER BY 1, 2
