WITH lines AS (
    SELECT DISTINCT l_orderkey AS ordered, l_partkey AS item FROM lineitem
),
items AS (
    SELECT item, count(*) AS orders FROM lines GROUP BY 1
),
pairs AS (
    SELECT a.item AS item_a, b.item AS item_b, count(*) AS orders
    FROM lines AS a JOIN lines AS b ON a.ordered = b.ordered AND a.item < b.item
    GROUP BY 1, 2
    HAVING count(*) >= $minimum
),
everything AS (
    SELECT count(DISTINCT ordered) AS orders FROM lines
)
SELECT
    p.item_a,
    p.item_b,
    p.orders,
    p.orders * 1.0 / n.orders,
    p.orders * 1.0 / a.orders,
    (p.orders * 1.0 * n.orders) / (a.orders * 1.0 * b.orders) AS lift
FROM pairs AS p
CROSS JOIN everything AS n
JOIN items AS a ON a.item = p.item_a
JOIN items AS b ON b.item = p.item_b
ORDER BY lift DESC, p.orders DESC, p.item_a, p.item_b
LIMIT $top
