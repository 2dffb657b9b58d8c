//! Customer segments from recency, frequency and monetary value, made of a customer's orders.
//!
//! Only orders up to and including the day `as_of` count; an order without a date never does. Each score is from `1`
//! to `5`, five being the best:
//!
//! | score | recency: days since the last order | frequency: orders | monetary: sum of their prices |
//! |---|---|---|---|
//! | 5 | at most 30 | at least 20 | at least 3,000,000 |
//! | 4 | at most 90 | at least 16 | at least 2,400,000 |
//! | 3 | at most 180 | at least 12 | at least 1,800,000 |
//! | 2 | at most 365 | at least 8 | at least 1,000,000 |
//! | 1 | more | fewer | less |
//!
//! The first rule that fits gives the segment:
//!
//! | segment | rule |
//! |---|---|
//! | `prospect` | no order counts; the scores are null |
//! | `champions` | all three scores at least 4 |
//! | `loyal` | recency at least 3 and frequency at least 3 |
//! | `promising` | recency at least 4 |
//! | `needs_attention` | recency 3 |
//! | `at_risk` | frequency or monetary at least 3 |
//! | `hibernating` | everything else |
//!
//! `revenue` is the sum of the prices of the orders that count, an order without a price adding nothing.

use domicile_sdk::{Date, Interface, Mapper, Parameters, Rows, Value, ValueType};

const SCORES: [&str; 5] = ["1", "2", "3", "4", "5"];
const SEGMENTS: [&str; 7] =
    ["champions", "loyal", "promising", "needs_attention", "at_risk", "hibernating", "prospect"];
const RECENCY_DAYS_AT_MOST: [i64; 4] = [30, 90, 180, 365];
const ORDERS_AT_LEAST: [i64; 4] = [20, 16, 12, 8];
const REVENUE_AT_LEAST: [f64; 4] = [3_000_000.0, 2_400_000.0, 1_800_000.0, 1_000_000.0];
/// Bounds how much one customer can move a published sum, and so how much a sum can tell about one customer.
const REVENUE_MAX: f64 = 10_000_000.0;

struct Rfm {
    as_of: Date,
}

impl Mapper for Rfm {
    fn interface() -> Interface {
        Interface::of("orders")
            .input("o_orderdate", ValueType::Date)
            .input("o_totalprice", ValueType::Double)
            .parameter("as_of", Date::of(1998, 8, 2))
            .category("recency", &SCORES)
            .category("frequency", &SCORES)
            .category("monetary", &SCORES)
            .category("segment", &SEGMENTS)
            .measure("revenue", 0.0, REVENUE_MAX)
            .group_by("segment")
            .sum("revenue")
    }

    fn new(parameters: &Parameters) -> Result<Self, String> {
        Ok(Self { as_of: parameters.date(0)? })
    }

    fn map(&self, rows: &Rows) -> Result<Vec<Value>, String> {
        let dates = rows.column(0)?.dates()?;
        let prices = rows.column(1)?.doubles()?;
        let mut last: Option<Date> = None;
        let (mut orders, mut revenue) = (0, 0.0);
        for (date, price) in dates.iter().zip(prices.iter()) {
            let Some(date) = date.filter(|date| *date <= self.as_of) else { continue };
            last = last.max(Some(date));
            orders += 1;
            revenue += price.unwrap_or(0.0);
        }
        let Some(last) = last else {
            return Ok(vec![Value::Null, Value::Null, Value::Null, "prospect".into(), 0.0.into()]);
        };
        let days = self.as_of.days_since(last);
        let recency = score(|step| days <= RECENCY_DAYS_AT_MOST[step]);
        let frequency = score(|step| orders >= ORDERS_AT_LEAST[step]);
        let monetary = score(|step| revenue >= REVENUE_AT_LEAST[step]);
        let segment = segment(recency, frequency, monetary);
        let [recency, frequency, monetary] = [recency, frequency, monetary].map(|score| SCORES[score - 1].into());
        Ok(vec![recency, frequency, monetary, segment.into(), revenue.into()])
    }
}

/// Five less the number of steps that are not reached, the highest first.
fn score(reached: impl Fn(usize) -> bool) -> usize {
    (0..4).find(|step| reached(*step)).map_or(1, |step| 5 - step)
}

fn segment(recency: usize, frequency: usize, monetary: usize) -> &'static str {
    match (recency, frequency, monetary) {
        (4.., 4.., 4..) => "champions",
        (3.., 3.., _) => "loyal",
        (4.., _, _) => "promising",
        (3, _, _) => "needs_attention",
        (_, 3.., _) | (_, _, 3..) => "at_risk",
        _ => "hibernating",
    }
}

domicile_sdk::mapper!(Rfm);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_has_a_segment() {
        for recency in 1..=5 {
            for frequency in 1..=5 {
                for monetary in 1..=5 {
                    assert!(SEGMENTS.contains(&segment(recency, frequency, monetary)));
                }
            }
        }
        assert_eq!(segment(5, 4, 4), "champions");
        assert_eq!(segment(2, 5, 5), "at_risk");
        assert_eq!(segment(1, 1, 1), "hibernating");
    }

    #[test]
    fn scores_count_the_steps_reached() {
        assert_eq!(score(|_| true), 5);
        assert_eq!(score(|step| step == 3), 2);
        assert_eq!(score(|_| false), 1);
    }
}
