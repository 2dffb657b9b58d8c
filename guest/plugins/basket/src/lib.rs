//! Items that are bought together, and how much more often than by chance.
//!
//! Two parameters, both bigint: pairs in fewer than `minimum_orders` orders are left out (at least 1, by default 10),
//! and of the rest the answer has the `top` ones (1 to [`TOP_MAX`], by default 20).
//!
//! An order *has* an item if any of its lines has; lines without an order or an item do not count. Of two different
//! items `a < b`, let `n(a)`, `n(b)` and `n(ab)` be the numbers of orders that have the one, the other and both, and
//! `n` the number of all orders with an item:
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `item_a`, `item_b` | bigint | the pair, the smaller number first |
//! | `orders` | bigint | `n(ab)` |
//! | `support` | double | `n(ab) / n`; null where `n` is 0 |
//! | `confidence` | double | `n(ab) / n(a)`: of the orders with `item_a`, the fraction that has `item_b` too |
//! | `lift` | double | `(n(ab) * n) / (n(a) * n(b))`, both products in binary64; 1 where the two do not depend on each other |
//!
//! Rows are ordered by `lift`, the highest first, then by `orders`, the highest first, then by `item_a` and `item_b`; a
//! row without a lift comes last.
//!
//! # What is exact
//!
//! Within these bounds, everything is:
//!
//! - A region counts at most [`LINES_MAX`] lines; with more the question fails there.
//! - Of an order with more than [`ORDER_ITEMS_MAX`] items, only pairs of the [`ORDER_ITEMS_MAX`] smallest item numbers
//!   are counted; its items are all counted.
//! - A region contributes its [`PAIRS_MAX`] most frequent pairs and its [`ITEMS_MAX`] most frequent items, the smaller
//!   numbers first where they are equally frequent; it counts exactly before it cuts off. What was cut off is missing
//!   from the sums: `orders` can then be too low by at most the count of the least frequent pair that was kept, for
//!   each region that cut. An item that no region contributed makes `confidence` and `lift` null.
//! - What a region contributes can be the count of a single order; nothing is left out for being rare but what is cut
//!   off.
//! - Contributions may together have at most [`MERGED_MAX`] different pairs and as many different items; with more the
//!   question fails.

mod count;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use domicile_sdk::{Parameters, Query, Row, Rows, Table};

/// Rows that the answer may have.
pub const TOP_MAX: i64 = 10_000;
/// Lines that one region counts.
pub const LINES_MAX: usize = 1 << 20;
/// Items of one order that make pairs.
pub const ORDER_ITEMS_MAX: usize = 256;
/// Pairs that one region contributes.
pub const PAIRS_MAX: usize = 50_000;
/// Items that one region contributes.
pub const ITEMS_MAX: usize = 100_000;
/// Different pairs, and different items, of all contributions.
pub const MERGED_MAX: usize = 400_000;

#[derive(Parameters)]
struct Settings {
    #[parameter(default = 10)]
    minimum_orders: i64,
    #[parameter(default = 20)]
    top: i64,
}

#[derive(Row)]
struct Line {
    order_key: Option<i64>,
    item: Option<i64>,
}

/// How many orders have both items; only `item_a` where there is one; or are there at all, where there is none.
#[derive(Row, Debug, Clone, Copy, PartialEq)]
struct Count {
    item_a: Option<i64>,
    item_b: Option<i64>,
    orders: i64,
}

#[derive(Row, Debug, Clone, PartialEq)]
struct Pair {
    item_a: i64,
    item_b: i64,
    orders: i64,
    support: Option<f64>,
    confidence: Option<f64>,
    lift: Option<f64>,
}

struct Basket {
    settings: Settings,
    lines: Vec<(i64, i64)>,
    orders: i64,
    items: BTreeMap<i64, i64>,
    pairs: BTreeMap<(i64, i64), i64>,
}

#[domicile_sdk::query]
impl Query for Basket {
    type Parameters = Settings;
    type Input = Line;
    type Partial = Count;
    type Output = Pair;
    const INPUT: &str = "SELECT l_orderkey AS order_key, l_partkey AS item FROM lineitem GROUP BY 1, 2";

    fn open(settings: Settings) -> Result<Self, String> {
        if settings.minimum_orders < 1 {
            return Err("`minimum_orders` has to be at least 1".to_owned());
        }
        if !(1..=TOP_MAX).contains(&settings.top) {
            return Err(format!("`top` has to be from 1 to {TOP_MAX}"));
        }
        Ok(Self { settings, lines: Vec::new(), orders: 0, items: BTreeMap::new(), pairs: BTreeMap::new() })
    }

    fn input(&mut self, rows: Rows<'_, Line>) -> Result<(), String> {
        if self.lines.len() + rows.len() > LINES_MAX {
            return Err(format!(
                "there are more than {LINES_MAX} lines in this region, which is all that `basket` counts"
            ));
        }
        self.lines.extend(rows.iter().filter_map(|line| line.order_key.zip(line.item)));
        Ok(())
    }

    fn partial(self) -> Result<Table<Count>, String> {
        let counts = count::count(self.lines);
        let all = Count { item_a: None, item_b: None, orders: i64::from(counts.orders) };
        let item = |(item, orders): (i64, u32)| Count { item_a: Some(item), item_b: None, orders: i64::from(orders) };
        let pair = |(a, b, orders): (i64, i64, u32)| {
            let [item_a, item_b] = [Some(a), Some(b)];
            Count { item_a, item_b, orders: i64::from(orders) }
        };
        let rows = std::iter::once(all).chain(counts.items.into_iter().map(item));
        Ok(rows.chain(counts.pairs.into_iter().map(pair)).collect())
    }

    fn merge(&mut self, rows: Rows<'_, Count>) -> Result<(), String> {
        for Count { item_a, item_b, orders } in rows.iter() {
            let sum = match (item_a, item_b) {
                (None, _) => &mut self.orders,
                (Some(item), None) => self.items.entry(item).or_default(),
                (Some(a), Some(b)) => self.pairs.entry((a, b)).or_default(),
            };
            *sum = sum.saturating_add(orders);
        }
        match self.items.len().max(self.pairs.len()) > MERGED_MAX {
            true => Err(format!("the regions contributed more than {MERGED_MAX} different pairs or items")),
            false => Ok(()),
        }
    }

    fn finish(self) -> Result<Table<Pair>, String> {
        let frequent = self.pairs.iter().filter(|(_, orders)| **orders >= self.settings.minimum_orders);
        let mut pairs: Vec<Pair> = frequent.map(|((a, b), orders)| self.pair(*a, *b, *orders)).collect();
        pairs.sort_by(rank);
        pairs.truncate(usize::try_from(self.settings.top).unwrap_or(0));
        Ok(pairs.into_iter().collect())
    }
}

impl Basket {
    fn pair(&self, item_a: i64, item_b: i64, orders: i64) -> Pair {
        let of = |item| self.items.get(&item).filter(|count| **count > 0).map(|count| *count as f64);
        let (both, all) = (orders as f64, self.orders as f64);
        let support = (self.orders > 0).then(|| both / all);
        let lift = of(item_a).zip(of(item_b)).map(|(a, b)| (both * all) / (a * b));
        Pair { item_a, item_b, orders, support, confidence: of(item_a).map(|a| both / a), lift }
    }
}

fn rank(left: &Pair, right: &Pair) -> Ordering {
    let lift = |pair: &Pair| pair.lift.unwrap_or(f64::NEG_INFINITY);
    let ascending = (left.item_a, left.item_b).cmp(&(right.item_a, right.item_b));
    lift(right).total_cmp(&lift(left)).then(right.orders.cmp(&left.orders)).then(ascending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(minimum_orders: i64, top: i64) -> Result<Basket, String> {
        Basket::open(Settings { minimum_orders, top })
    }

    fn region(lines: &[(i64, i64)]) -> Table<Count> {
        let mut basket = open(1, 1).expect("the settings are fine");
        for (order, item) in lines {
            let line = Line { order_key: Some(*order), item: Some(*item) };
            basket.input([line].into_iter().collect::<Table<_>>().rows()).expect("it is one line");
        }
        basket.partial().expect("there are counts")
    }

    #[test]
    fn regions_together_count_as_one() {
        // Orders: {1,2} {1,2,3} | {1,2} {3} {1,3}, of which the last one has a line twice.
        let east = region(&[(10, 1), (11, 3), (10, 2), (11, 1), (11, 2)]);
        let south = region(&[(20, 2), (20, 1), (21, 3), (22, 3), (22, 1), (22, 3)]);
        let mut basket = open(2, 10).expect("the settings are fine");
        basket.merge(east.rows()).expect("it is a contribution");
        basket.merge(south.rows()).expect("it is a contribution");
        let answer: Vec<Pair> = basket.finish().expect("there is an answer").rows().iter().collect();
        let pair = |item_a, item_b, orders, support, confidence, lift| {
            let [support, confidence, lift] = [support, confidence, lift].map(Some);
            Pair { item_a, item_b, orders, support, confidence, lift }
        };
        let (n, one, two, three) = (5.0, 4.0, 3.0, 3.0);
        let expect = [
            pair(1, 2, 3, 3.0 / n, 3.0 / one, 3.0 * n / (one * two)),
            pair(1, 3, 2, 2.0 / n, 2.0 / one, 2.0 * n / (one * three)),
        ];
        assert_eq!(answer, expect);
    }

    #[test]
    fn the_answer_is_cut_at_the_top() {
        let mut basket = open(1, 1).expect("the settings are fine");
        basket.merge(region(&[(1, 1), (1, 2), (1, 3), (2, 3)]).rows()).expect("it is a contribution");
        let answer: Vec<Pair> = basket.finish().expect("there is an answer").rows().iter().collect();
        assert_eq!(answer.iter().map(|pair| (pair.item_a, pair.item_b)).collect::<Vec<_>>(), [(1, 2)]);
    }

    #[test]
    fn settings_have_bounds() {
        assert!(open(0, 1).is_err() && open(1, 0).is_err() && open(1, TOP_MAX + 1).is_err());
        assert!(open(1, TOP_MAX).is_ok());
    }
}
