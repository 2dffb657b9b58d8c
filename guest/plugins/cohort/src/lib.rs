//! Retention by month: how many customers came back how many months after their first order.
//!
//! The parameters are two dates: orders from the day `from` until before the day `until` count (by default 1992-01-01
//! and 1999-01-01). They may span at most [`MONTHS_MAX`] calendar months, of which those that they cut count as months.
//!
//! A customer's *cohort* is the calendar month of the customer's first order that counts; not of the first order ever,
//! if that lies before `from`. The customer is *active* in each month with an order that counts. Rows without a
//! customer or a date do not count.
//!
//! Each region contributes, for each cohort and each number of months after it, how many customers are active; a
//! customer is taken to live in one region. Where contributions meet, they are added up. For each cohort that any
//! region names, the answer has a row for every month from the cohort's own to the last one that counts:
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `cohort` | date | the first day of the cohort's month |
//! | `month_offset` | bigint | months after that; from 0 on |
//! | `customers` | bigint | customers of the cohort that are active then |
//! | `retention` | double | `customers` as a fraction of those at `month_offset` 0; null where they are 0 |
//!
//! Rows are ordered by `cohort`, then by `month_offset`.
//!
//! What a region contributes is exact, so it can be the count of a single customer.

use std::collections::BTreeMap;

use domicile_sdk::{Date, Parameters, Query, Row, Rows, Table};

/// Months that a question may span.
pub const MONTHS_MAX: i32 = 120;
/// Customers that a region may have in one question: their months are kept in memory.
pub const CUSTOMERS_MAX: usize = 1_000_000;

#[derive(Parameters)]
struct Window {
    #[parameter(default = Date::of(1992, 1, 1))]
    from: Date,
    #[parameter(default = Date::of(1999, 1, 1))]
    until: Date,
}

#[derive(Row)]
struct Active {
    customer: Option<i64>,
    month: Option<Date>,
}

#[derive(Row, Debug, Clone, PartialEq)]
struct Count {
    cohort: Date,
    month_offset: i64,
    customers: i64,
}

#[derive(Row, Debug, Clone, PartialEq)]
struct Retention {
    cohort: Date,
    month_offset: i64,
    customers: i64,
    retention: Option<f64>,
}

struct Cohort {
    first_month: i32,
    months: i32,
    /// For each customer a bit for each month of the window.
    active: BTreeMap<i64, u128>,
    /// Customers by cohort and offset, both in months of the window.
    counts: BTreeMap<(i32, i32), i64>,
}

#[domicile_sdk::query]
impl Query for Cohort {
    type Parameters = Window;
    type Input = Active;
    type Partial = Count;
    type Output = Retention;
    const INPUT: &str = "\
        SELECT o_custkey AS customer, CAST(date_trunc('month', o_orderdate) AS DATE) AS month \
        FROM orders WHERE o_orderdate >= $from AND o_orderdate < $until GROUP BY 1, 2";

    fn open(window: Window) -> Result<Self, String> {
        if window.from >= window.until {
            return Err("`until` has to be after `from`".to_owned());
        }
        let first_month = month(window.from);
        let months = month(Date(window.until.0 - 1)) - first_month + 1;
        if months > MONTHS_MAX {
            return Err(format!("`from` to `until` spans {months} months; ask for at most {MONTHS_MAX}"));
        }
        Ok(Self { first_month, months, active: BTreeMap::new(), counts: BTreeMap::new() })
    }

    fn input(&mut self, rows: Rows<'_, Active>) -> Result<(), String> {
        for row in rows.iter() {
            let (Some(customer), Some(date)) = (row.customer, row.month) else { continue };
            *self.active.entry(customer).or_default() |= 1 << self.in_window(date)?;
        }
        match self.active.len() > CUSTOMERS_MAX {
            true => Err(format!("more than {CUSTOMERS_MAX} customers ordered in this time; ask for a shorter one")),
            false => Ok(()),
        }
    }

    fn partial(mut self) -> Result<Table<Count>, String> {
        for months in self.active.values() {
            let cohort = months.trailing_zeros() as i32;
            for offset in (0..self.months - cohort).filter(|offset| months >> (cohort + offset) & 1 == 1) {
                *self.counts.entry((cohort, offset)).or_default() += 1;
            }
        }
        Ok(self.counts.iter().map(|((cohort, offset), customers)| self.count(*cohort, *offset, *customers)).collect())
    }

    fn merge(&mut self, rows: Rows<'_, Count>) -> Result<(), String> {
        for row in rows.iter() {
            let cohort = self.in_window(row.cohort)?;
            let offset = i32::try_from(row.month_offset).unwrap_or(-1);
            if !(0..self.months - cohort).contains(&offset) || row.customers < 0 {
                return Err("a region contributed a month that was not asked for".to_owned());
            }
            let customers = self.counts.entry((cohort, offset)).or_default();
            *customers = customers.saturating_add(row.customers);
        }
        Ok(())
    }

    fn finish(self) -> Result<Table<Retention>, String> {
        let customers = |cohort, offset| self.counts.get(&(cohort, offset)).copied().unwrap_or(0);
        let mut cohorts: Vec<i32> = self.counts.keys().map(|(cohort, _)| *cohort).collect();
        cohorts.dedup();
        let rows = cohorts.into_iter().flat_map(|cohort| {
            (0..self.months - cohort)
                .map(move |offset| (cohort, offset, customers(cohort, 0), customers(cohort, offset)))
        });
        let row = |(cohort, offset, all, active): (i32, i32, i64, i64)| {
            let Count { cohort, month_offset, customers } = self.count(cohort, offset, active);
            Retention { cohort, month_offset, customers, retention: (all > 0).then(|| active as f64 / all as f64) }
        };
        Ok(rows.map(row).collect())
    }
}

impl Cohort {
    /// A date's month, counted from the first one of the window.
    fn in_window(&self, date: Date) -> Result<i32, String> {
        let index = month(date) - self.first_month;
        match (0..self.months).contains(&index) {
            true => Ok(index),
            false => Err("a row lies in a month that was not asked for".to_owned()),
        }
    }

    fn count(&self, cohort: i32, offset: i32, customers: i64) -> Count {
        let month = self.first_month + cohort;
        let cohort = Date::of(month.div_euclid(12), month.rem_euclid(12) + 1, 1);
        Count { cohort, month_offset: i64::from(offset), customers }
    }
}

/// Months since the year 0.
fn month(date: Date) -> i32 {
    let (year, month, _) = date.year_month_day();
    year * 12 + month as i32 - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: Date, until: Date) -> Cohort {
        Cohort::open(Window { from, until }).unwrap_or_else(|error| panic!("{error}"))
    }

    fn quarter() -> Cohort {
        window(Date::of(1997, 12, 15), Date::of(1998, 3, 1))
    }

    fn region(orders: &[(i64, Date)]) -> Table<Count> {
        let mut cohort = quarter();
        let row = |(customer, month): &(i64, Date)| Active { customer: Some(*customer), month: Some(*month) };
        // One row a batch: nothing may depend on where batches end.
        for order in orders {
            cohort.input([row(order)].into_iter().collect::<Table<_>>().rows()).expect("it is in the window");
        }
        cohort.partial().expect("there are counts")
    }

    #[test]
    fn customers_count_in_the_cohort_of_their_first_month() {
        let (december, january, february) = (Date::of(1997, 12, 1), Date::of(1998, 1, 1), Date::of(1998, 2, 1));
        let east = region(&[(1, february), (1, december), (2, december), (3, january), (3, february)]);
        let south = region(&[(4, december), (4, january), (4, january), (5, february)]);
        let mut cohort = quarter();
        cohort.merge(east.rows()).expect("it is a contribution");
        cohort.merge(south.rows()).expect("it is a contribution");
        let answer = cohort.finish().expect("there is an answer");
        let found: Vec<_> = answer.rows().iter().map(|row| (row.cohort, row.month_offset, row.customers)).collect();
        let expect =
            [(december, 0, 3), (december, 1, 1), (december, 2, 1), (january, 0, 1), (january, 1, 1), (february, 0, 1)];
        assert_eq!(found, expect);
        assert_eq!(answer.rows().columns().retention.get(1), Some(1.0 / 3.0));
    }

    #[test]
    fn a_window_is_not_empty_and_not_too_long() {
        let check = |from, until| Cohort::open(Window { from, until }).map(|cohort| cohort.months).ok();
        assert_eq!(check(Date::of(1998, 1, 1), Date::of(1998, 1, 1)), None);
        assert_eq!(check(Date::of(1998, 1, 31), Date::of(1998, 2, 1)), Some(1));
        assert_eq!(check(Date::of(1990, 1, 1), Date::of(2000, 1, 1)), Some(120));
        assert_eq!(check(Date::of(1990, 1, 1), Date::of(2000, 1, 2)), None);
    }

    #[test]
    fn contributions_beyond_the_window_are_refused() {
        let wrong = |cohort, month_offset| {
            let row = Count { cohort, month_offset, customers: 1 };
            quarter().merge([row].into_iter().collect::<Table<_>>().rows())
        };
        assert!(wrong(Date::of(1998, 3, 1), 0).is_err());
        assert!(wrong(Date::of(1998, 2, 1), 1).is_err());
        assert!(wrong(Date::of(1998, 2, 1), -1).is_err());
        assert_eq!(wrong(Date::of(1998, 2, 1), 0), Ok(()));
    }
}
