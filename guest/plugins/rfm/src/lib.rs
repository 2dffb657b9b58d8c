//! Customer segments from recency, frequency and monetary value, made of a customer's orders.
//!
//! It maps `orders`, of which it reads `o_orderdate` and `o_totalprice`. The parameter `as_of` is a date, by default
//! 1998-08-02.
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
//! `revenue` is the sum of the prices of the orders that count, an order without a price adding nothing. It lies
//! between 0 and 10,000,000: the bounds limit how much one customer can move a published sum.

use domicile_sdk::{Category, Date, Mapper, Outputs, Parameters, Row, Rows};

const RECENCY_DAYS_AT_MOST: [i64; 4] = [30, 90, 180, 365];
const ORDERS_AT_LEAST: [i64; 4] = [20, 16, 12, 8];
const REVENUE_AT_LEAST: [f64; 4] = [3_000_000.0, 2_400_000.0, 1_800_000.0, 1_000_000.0];
/// Bounds how much one customer can move a published sum, and so how much a sum can tell about one customer.
const REVENUE_MAX: f64 = 10_000_000.0;

#[derive(Parameters)]
struct Rfm {
    #[parameter(default = Date::of(1998, 8, 2))]
    as_of: Date,
}

#[derive(Row)]
struct Order {
    o_orderdate: Option<Date>,
    o_totalprice: Option<f64>,
}

#[derive(Category, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Score {
    #[category("1")]
    One,
    #[category("2")]
    Two,
    #[category("3")]
    Three,
    #[category("4")]
    Four,
    #[category("5")]
    Five,
}

#[derive(Category, Debug, Clone, Copy, PartialEq)]
enum Segment {
    Champions,
    Loyal,
    Promising,
    NeedsAttention,
    AtRisk,
    Hibernating,
    Prospect,
}

#[derive(Outputs, Debug, PartialEq)]
struct Customer {
    recency: Option<Score>,
    frequency: Option<Score>,
    monetary: Option<Score>,
    segment: Segment,
    #[measure(min = 0.0, max = REVENUE_MAX)]
    revenue: f64,
}

#[domicile_sdk::mapper]
impl Mapper for Rfm {
    type Input = Order;
    type Output = Customer;
    const DATASET: &str = "orders";
    const GROUP_BY: &[&str] = &["segment"];
    const SUM: &[&str] = &["revenue"];

    fn map(&self, rows: Rows<'_, Order>) -> Result<Customer, String> {
        let mut last: Option<Date> = None;
        let (mut orders, mut revenue) = (0, 0.0);
        for order in rows.iter() {
            let Some(date) = order.o_orderdate.filter(|date| *date <= self.as_of) else { continue };
            last = last.max(Some(date));
            orders += 1;
            revenue += order.o_totalprice.unwrap_or(0.0);
        }
        let Some(last) = last else {
            let [recency, frequency, monetary] = [None; 3];
            return Ok(Customer { recency, frequency, monetary, segment: Segment::Prospect, revenue });
        };
        let days = self.as_of.days_since(last);
        let recency = score(|step| days <= RECENCY_DAYS_AT_MOST[step]);
        let frequency = score(|step| orders >= ORDERS_AT_LEAST[step]);
        let monetary = score(|step| revenue >= REVENUE_AT_LEAST[step]);
        let segment = segment(recency, frequency, monetary);
        let [recency, frequency, monetary] = [recency, frequency, monetary].map(Some);
        Ok(Customer { recency, frequency, monetary, segment, revenue })
    }
}

/// The score of the first step that is reached, the highest coming first.
fn score(reached: impl Fn(usize) -> bool) -> Score {
    let scores = [Score::Five, Score::Four, Score::Three, Score::Two];
    (0..4).find(|step| reached(*step)).map_or(Score::One, |step| scores[step])
}

fn segment(recency: Score, frequency: Score, monetary: Score) -> Segment {
    use Score::{Four, Three};
    if recency >= Four && frequency >= Four && monetary >= Four {
        Segment::Champions
    } else if recency >= Three && frequency >= Three {
        Segment::Loyal
    } else if recency >= Four {
        Segment::Promising
    } else if recency == Three {
        Segment::NeedsAttention
    } else if frequency >= Three || monetary >= Three {
        Segment::AtRisk
    } else {
        Segment::Hibernating
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domicile_sdk::mapper::map_one;

    #[test]
    fn the_first_rule_that_fits_gives_the_segment() {
        use Score::{Five, Four, One, Three, Two};
        let check = |scores: [Score; 3], expect| assert_eq!(segment(scores[0], scores[1], scores[2]), expect);
        check([Five, Four, Four], Segment::Champions);
        check([Five, Four, Three], Segment::Loyal);
        check([Three, Three, One], Segment::Loyal);
        check([Four, Two, Five], Segment::Promising);
        check([Three, Two, Five], Segment::NeedsAttention);
        check([Two, Five, Five], Segment::AtRisk);
        check([Two, Two, Three], Segment::AtRisk);
        check([One, One, One], Segment::Hibernating);
    }

    #[test]
    fn scores_count_the_steps_reached() {
        assert_eq!(score(|_| true), Score::Five);
        assert_eq!(score(|step| step == 3), Score::Two);
        assert_eq!(score(|_| false), Score::One);
    }

    fn order(date: Option<Date>, price: Option<f64>) -> Order {
        Order { o_orderdate: date, o_totalprice: price }
    }

    #[test]
    fn orders_after_the_day_or_without_a_date_do_not_count() {
        let day = Date::of(1998, 8, 2);
        let orders = [order(Some(Date(day.0 + 1)), Some(5.0)), order(None, Some(7.0))].into_iter().collect();
        let customer = map_one(&Rfm::default(), &orders).expect("it maps");
        assert_eq!((customer.segment, customer.recency, customer.revenue), (Segment::Prospect, None, 0.0));

        let orders = [order(Some(day), Some(5.0)), order(Some(Date(day.0 - 400)), None)].into_iter().collect();
        let customer = map_one(&Rfm::default(), &orders).expect("it maps");
        assert_eq!((customer.segment, customer.recency), (Segment::Promising, Some(Score::Five)));
        assert_eq!((customer.frequency, customer.revenue), (Some(Score::One), 5.0));
    }
}
