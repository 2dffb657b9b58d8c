//! How long it takes to compare an answer with 10,000 groups that a tenant was given before: answers of a few groups of
//! random persons, one at a time, in the same table. Prints one line of JSON.

use std::time::Instant;

use domicile_policy::{Difference, Needs, Released, Releases, TRACE_PLACES, Trace, mark};

const RELEASED: usize = 10_000;
const PERSONS: u64 = 100_000;
/// Groups of one answer, and the persons in each.
const GROUPS: u64 = 12;
const GROUP_PERSONS: u64 = 2_000;
const ANSWERS: usize = 200;
const NEEDS: Needs = Needs { minimum_entities: 10, dominance_percent: 80, strict: true };
const TENANT: &str = "reports";

/// A sequence of numbers that looks random and is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn group(&mut self) -> Released {
        let definition = self.0;
        let person = |_| {
            let hash = self.below(PERSONS).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((hash >> 40) as u16 % TRACE_PLACES as u16, mark(hash), 1.0)
        };
        let trace = Trace::weighed((0..GROUP_PERSONS).map(person));
        Released { pool: "orders.price".to_owned(), definition, trace }
    }
}

fn main() {
    let mut numbers = Numbers(7);
    let mut releases = Releases::new(2 * RELEASED);
    for _ in 0..RELEASED {
        releases.remember(TENANT, numbers.group(), NEEDS.minimum_entities);
    }
    let (mut times_ms, mut near) = (Vec::with_capacity(ANSWERS), 0);
    for _ in 0..ANSWERS {
        let answer: Vec<Released> = (0..GROUPS).map(|_| numbers.group()).collect();
        let start = Instant::now();
        let compared = answer.iter().map(|group| releases.compare(TENANT, group, NEEDS));
        near += compared.filter(|difference| *difference == Difference::TooFew).count();
        times_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times_ms.sort_by(f64::total_cmp);
    let percentile = |percent: usize| times_ms[times_ms.len() * percent / 100];
    println!(
        "{{\"check_p50_ms\":{:.3},\"check_p99_ms\":{:.3},\"released\":{RELEASED},\"groups\":{GROUPS},\"answers\":{ANSWERS},\"near\":{near}}}",
        percentile(50),
        percentile(99)
    );
}
