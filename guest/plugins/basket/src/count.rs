//! Counts orders by pair of items, exactly, in memory that grows with the lines only.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::{ITEMS_MAX, ORDER_ITEMS_MAX, PAIRS_MAX};

/// What a region counted.
pub(crate) struct Counts {
    pub(crate) orders: u32,
    /// The most frequent items, and how many orders have them.
    pub(crate) items: Vec<(i64, u32)>,
    /// The most frequent pairs, and how many orders have them.
    pub(crate) pairs: Vec<(i64, i64, u32)>,
}

/// Counts the items and pairs of lines of an order and an item each.
pub(crate) fn count(mut lines: Vec<(i64, i64)>) -> Counts {
    lines.sort_unstable();
    lines.dedup();
    let mut numbers: Vec<i64> = lines.iter().map(|(_, item)| *item).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let baskets = Baskets::of(&lines, &numbers);
    drop(lines);
    let mut items = Top::new(ITEMS_MAX);
    let mut pairs = Top::new(PAIRS_MAX);
    // How often each item was met beside the one at hand, and which were met.
    let (mut together, mut met) = (vec![0_u32; numbers.len()], Vec::new());
    for item in 0..numbers.len() {
        let lines = baskets.lines_of(item);
        items.offer(lines.len() as u32, item as u32);
        for line in lines {
            for other in baskets.beside(*line) {
                if together[*other as usize] == 0 {
                    met.push(*other);
                }
                together[*other as usize] += 1;
            }
        }
        for other in met.drain(..) {
            pairs.offer(std::mem::take(&mut together[other as usize]), (item as u32, other));
        }
    }
    let number = |item: u32| numbers[item as usize];
    Counts {
        orders: baskets.orders,
        items: items.into_iter().map(|(item, orders)| (number(item), orders)).collect(),
        pairs: pairs.into_iter().map(|((a, b), orders)| (number(a), number(b), orders)).collect(),
    }
}

/// Which orders have which items. Items are positions in their sorted numbers.
struct Baskets {
    orders: u32,
    /// The item of each line.
    items: Vec<u32>,
    /// For each line, where the lines end that make pairs with it.
    ends: Vec<u32>,
    /// The lines by item, and where those of each item begin.
    lines: Vec<u32>,
    begins: Vec<u32>,
}

impl Baskets {
    fn of(lines: &[(i64, i64)], numbers: &[i64]) -> Self {
        let items: Vec<u32> =
            lines.iter().map(|(_, item)| numbers.partition_point(|number| number < item) as u32).collect();
        let (mut ends, mut orders) = (Vec::with_capacity(lines.len()), 0);
        for order in lines.chunk_by(|left, right| left.0 == right.0) {
            let start = ends.len();
            ends.extend((start..start + order.len()).map(|_| (start + order.len().min(ORDER_ITEMS_MAX)) as u32));
            orders += 1;
        }
        let mut begins = vec![0_u32; numbers.len() + 1];
        items.iter().for_each(|item| begins[*item as usize + 1] += 1);
        (1..begins.len()).for_each(|item| begins[item] += begins[item - 1]);
        let (mut next, mut by_item) = (begins.clone(), vec![0_u32; items.len()]);
        for (line, item) in items.iter().enumerate() {
            by_item[next[*item as usize] as usize] = line as u32;
            next[*item as usize] += 1;
        }
        Self { orders, items, ends, lines: by_item, begins }
    }

    fn lines_of(&self, item: usize) -> &[u32] {
        &self.lines[self.begins[item] as usize..self.begins[item + 1] as usize]
    }

    /// The larger items of the line's order.
    fn beside(&self, line: u32) -> &[u32] {
        let end = self.ends[line as usize].max(line + 1);
        &self.items[line as usize + 1..end as usize]
    }
}

/// The most frequent of many, the smallest first where they are equally frequent.
struct Top<T> {
    most: usize,
    heap: BinaryHeap<(Reverse<u32>, T)>,
}

impl<T: Ord> Top<T> {
    fn new(most: usize) -> Self {
        Self { most, heap: BinaryHeap::new() }
    }

    fn offer(&mut self, orders: u32, what: T) {
        if self.heap.len() == self.most {
            // The greatest of the heap is the least frequent, and of those the largest.
            match self.heap.peek() {
                Some(last) if (Reverse(orders), &what) < (last.0, &last.1) => drop(self.heap.pop()),
                _ => return,
            }
        }
        self.heap.push((Reverse(orders), what));
    }

    fn into_iter(self) -> impl Iterator<Item = (T, u32)> {
        self.heap.into_sorted_vec().into_iter().map(|(orders, what)| (what, orders.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Lines without a pattern, some of them twice.
    fn lines() -> Vec<(i64, i64)> {
        let mut state = 11_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as i64 % 300, (state >> 45) as i64 % 40 - 20)
        };
        std::iter::repeat_with(next).take(2_000).collect()
    }

    #[test]
    fn counts_are_those_of_comparing_every_pair_of_every_order() {
        let lines = lines();
        let mut orders = BTreeMap::<i64, BTreeSet<i64>>::new();
        for (order, item) in &lines {
            orders.entry(*order).or_default().insert(*item);
        }
        let mut pairs = BTreeMap::<(i64, i64), u32>::new();
        let mut items = BTreeMap::<i64, u32>::new();
        for order in orders.values() {
            order.iter().for_each(|item| *items.entry(*item).or_default() += 1);
            for a in order {
                order.iter().filter(|b| a < b).for_each(|b| *pairs.entry((*a, *b)).or_default() += 1);
            }
        }
        let counts = count(lines);
        assert_eq!(counts.orders as usize, orders.len());
        assert_eq!(BTreeMap::from_iter(counts.items), items);
        assert_eq!(BTreeMap::from_iter(counts.pairs.into_iter().map(|(a, b, orders)| ((a, b), orders))), pairs);
    }

    #[test]
    fn a_large_order_makes_pairs_of_its_smallest_items_only() {
        let most = ORDER_ITEMS_MAX as i64;
        let counts = count((0..most + 10).map(|item| (1, item)).collect());
        assert_eq!(counts.items.len() as i64, most + 10);
        assert_eq!(counts.pairs.len() as i64, most * (most - 1) / 2);
        assert!(counts.pairs.iter().all(|(a, b, _)| a < b && *b < most));
    }

    #[test]
    fn the_most_frequent_are_kept() {
        let mut top = Top::new(3);
        [(1, 'a'), (5, 'b'), (1, 'c'), (2, 'd'), (2, 'e'), (2, 'f')]
            .into_iter()
            .for_each(|(n, what)| top.offer(n, what));
        assert_eq!(top.into_iter().collect::<Vec<_>>(), [('b', 5), ('d', 2), ('e', 2)]);
    }
}
