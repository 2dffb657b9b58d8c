//! Rows by a seed.

use std::sync::Arc;

use anyhow::Result;
use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};

/// Keys of groups.
const KEYS: u64 = 1000;
/// Orders of a customer, at most.
const ORDERS_MAX: u64 = 30;

/// A generator without a cycle that matters here (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// The columns of the question, so many rows.
pub(crate) fn line_items(random: &mut Random, rows: usize) -> Result<RecordBatch> {
    let quantity: Vec<f64> = (0..rows).map(|_| (1 + random.below(50)) as f64).collect();
    let price: Vec<f64> = (0..rows).map(|_| random.below(10_000_000) as f64 / 100.0).collect();
    let discount: Vec<f64> = (0..rows).map(|_| random.below(11) as f64 / 100.0).collect();
    let key: Vec<i64> = (0..rows).map(|_| random.below(KEYS) as i64).collect();
    let text: Vec<String> = price.iter().map(|price| format!("{price:.2}")).collect();
    let columns: [(&str, ArrayRef); 5] = [
        ("quantity", Arc::new(Float64Array::from(quantity))),
        ("price", Arc::new(Float64Array::from(price))),
        ("discount", Arc::new(Float64Array::from(discount))),
        ("key", Arc::new(Int64Array::from(key))),
        ("text", Arc::new(StringArray::from(text))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// Orders by customer.
pub(crate) struct Orders {
    pub(crate) ends: Vec<u32>,
    pub(crate) dates: Vec<i32>,
    pub(crate) prices: Vec<f64>,
}

impl Orders {
    /// About so many rows.
    pub(crate) fn new(random: &mut Random, rows: usize) -> Self {
        let mut orders = Self { ends: Vec::new(), dates: Vec::new(), prices: Vec::new() };
        while orders.dates.len() < rows {
            for _ in 0..=random.below(ORDERS_MAX) {
                orders.dates.push(8_000 + random.below(2_600) as i32);
                orders.prices.push(random.below(30_000_000) as f64 / 100.0);
            }
            orders.ends.push(orders.dates.len() as u32);
        }
        orders
    }

    pub(crate) fn columns(&self) -> [ArrayRef; 2] {
        [Arc::new(Date32Array::from(self.dates.clone())), Arc::new(Float64Array::from(self.prices.clone()))]
    }
}
