//! The work that is measured: the same source for plugins and for the machine itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Sums that are kept side by side, so that neither side waits for one addition before the next.
const LANES: usize = 8;

/// Sum of `price * (1 - discount)` over the rows whose quantity is below a bound, as one writes it down: row by row, with
/// a branch. All columns have equally many rows.
#[inline(never)]
pub fn revenue(quantity: &[f64], price: &[f64], discount: &[f64], below: f64) -> f64 {
    let mut sum = 0.0;
    for ((quantity, price), discount) in quantity.iter().zip(price).zip(discount) {
        if *quantity < below {
            sum += price * (1.0 - discount);
        }
    }
    sum
}

/// The same sum for vector instructions: without a branch, and with sums side by side.
#[inline(never)]
pub fn revenue_by_vectors(quantity: &[f64], price: &[f64], discount: &[f64], below: f64) -> f64 {
    let product = |quantity: f64, price: f64, discount: f64| {
        // All bits where the row counts, and none where it does not.
        let mask = 0_u64.wrapping_sub(u64::from(quantity < below));
        f64::from_bits((price * (1.0 - discount)).to_bits() & mask)
    };
    let mut sums = [0.0; LANES];
    let (quantities, prices, discounts) =
        (quantity.as_chunks::<LANES>(), price.as_chunks::<LANES>(), discount.as_chunks::<LANES>());
    for ((quantity, price), discount) in quantities.0.iter().zip(prices.0).zip(discounts.0) {
        for lane in 0..LANES {
            sums[lane] += product(quantity[lane], price[lane], discount[lane]);
        }
    }
    let rest = quantities.1.iter().zip(prices.1).zip(discounts.1);
    sums.iter().sum::<f64>() + rest.map(|((quantity, price), discount)| product(*quantity, *price, *discount)).sum::<f64>()
}

/// The sum of texts that are numbers; others are left out. Row `i` is `bytes[offsets[i]..offsets[i + 1]]`.
pub fn parsed(offsets: &[i32], bytes: &[u8]) -> f64 {
    let text = |pair: &[i32; 2]| bytes.get(pair[0] as usize..pair[1] as usize);
    let number = |pair: &[i32; 2]| std::str::from_utf8(text(pair)?).ok()?.parse::<f64>().ok();
    offsets.array_windows::<2>().filter_map(number).sum()
}

/// Counts and sums by key.
pub type Groups = HashMap<i64, (i64, f64), BuildHasherDefault<Mixer>>;

/// Adds rows to the groups of their keys.
pub fn group(groups: &mut Groups, keys: &[i64], values: &[f64]) {
    for (key, value) in keys.iter().zip(values) {
        let (count, sum) = groups.entry(*key).or_default();
        *count += 1;
        *sum += value;
    }
}

/// Groups in one number, whatever their order.
pub fn digest(groups: &Groups) -> f64 {
    groups.iter().map(|(key, (count, sum))| (*key as f64 + 1.0) * *count as f64 + sum).sum()
}

/// Multiplies. Plugins have no randomness to seed a hash with, and keys of a benchmark attack nobody.
#[derive(Debug, Default)]
pub struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word as u64);
    }
}

/// The texts of the segments.
pub const SEGMENTS: [&str; 7] =
    ["champions", "loyal", "promising", "needs_attention", "at_risk", "hibernating", "prospect"];

/// What one customer's orders come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Customer {
    /// The last order's day; the least there is where no order counts.
    pub last: i32,
    /// Orders that count.
    pub orders: i64,
    /// Their prices together.
    pub revenue: f64,
}

impl Customer {
    /// Sums up the orders up to a day.
    pub fn of(dates: &[i32], prices: &[f64], as_of: i32) -> Self {
        let mut customer = Self { last: i32::MIN, orders: 0, revenue: 0.0 };
        for (date, price) in dates.iter().zip(prices) {
            if *date <= as_of {
                customer.last = customer.last.max(*date);
                customer.orders += 1;
                customer.revenue += price;
            }
        }
        customer
    }

    /// The position of the customer's segment in [`SEGMENTS`].
    pub fn segment(&self, as_of: i32) -> usize {
        if self.orders == 0 {
            return 6;
        }
        let days = as_of.wrapping_sub(self.last);
        let recency = 5 - [30, 90, 180, 365].iter().filter(|step| days > **step).count();
        let frequency = 1 + [20, 16, 12, 8].iter().filter(|step| self.orders >= **step).count();
        let monetary = 1 + [3e6, 2.4e6, 1.8e6, 1e6].iter().filter(|step| self.revenue >= **step).count();
        match (recency, frequency, monetary) {
            (4.., 4.., 4..) => 0,
            (3.., 3.., _) => 1,
            (4.., _, _) => 2,
            (3, _, _) => 3,
            (_, 3.., _) | (_, _, 3..) => 4,
            _ => 5,
        }
    }
}

/// What is made of each entity: its rows end where `ends` says.
pub fn customers(ends: &[u32], dates: &[i32], prices: &[f64], as_of: i32) -> Vec<Customer> {
    let mut start = 0;
    let mut next = |end: &u32| {
        let rows = start..*end as usize;
        start = *end as usize;
        Customer::of(&dates[rows.clone()], &prices[rows], as_of)
    };
    ends.iter().map(&mut next).collect()
}

/// What is left of a price.
pub fn net_revenue(price: f64, discount: f64) -> f64 {
    price * (1.0 - discount)
}

/// The greatest common divisor.
pub fn gcd(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
