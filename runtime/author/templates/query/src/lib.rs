//! Orders and revenue by priority, over all regions.

use std::collections::BTreeMap;

use domicile_sdk::{Date, Parameters, Query, Row, Rows, Table, query};

/// What whoever asks may set.
#[derive(Parameters)]
pub struct Settings {
    /// The first day that counts.
    #[parameter(default = Date::of(1992, 1, 1))]
    since: Date,
}

/// The columns that the SQL gives, in each region over its own rows.
#[derive(Row)]
pub struct Order<'a> {
    o_orderpriority: Option<&'a str>,
    o_totalprice: Option<f64>,
}

/// What one region contributes, and what the answer is made of.
#[derive(Row)]
pub struct Total<'a> {
    priority: &'a str,
    orders: i64,
    revenue: f64,
}

/// Orders and revenue of each priority so far.
#[derive(Default)]
pub struct Revenue(BTreeMap<String, (i64, f64)>);

impl Revenue {
    fn add(&mut self, priority: &str, orders: i64, revenue: f64) {
        let total = self.0.entry(priority.to_owned()).or_default();
        total.0 += orders;
        total.1 += revenue;
    }

    fn table(&self) -> Table<Total<'static>> {
        let totals = self.0.iter();
        totals.map(|(priority, &(orders, revenue))| Total { priority, orders, revenue }).collect()
    }
}

#[query]
impl Query for Revenue {
    type Parameters = Settings;
    type Input = Order<'static>;
    type Partial = Total<'static>;
    type Output = Total<'static>;
    const INPUT: &str = "SELECT o_orderpriority, o_totalprice FROM orders WHERE o_orderdate >= $since";

    fn open(_: Settings) -> Result<Self, String> {
        Ok(Self::default())
    }

    fn input(&mut self, orders: Rows<'_, Order<'static>>) -> Result<(), String> {
        for order in orders.iter() {
            self.add(order.o_orderpriority.unwrap_or("unknown"), 1, order.o_totalprice.unwrap_or(0.0));
        }
        Ok(())
    }

    fn partial(self) -> Result<Table<Total<'static>>, String> {
        Ok(self.table())
    }

    fn merge(&mut self, totals: Rows<'_, Total<'static>>) -> Result<(), String> {
        for total in totals.iter() {
            self.add(total.priority, total.orders, total.revenue);
        }
        Ok(())
    }

    fn finish(self) -> Result<Table<Total<'static>>, String> {
        Ok(self.table())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributions_of_two_regions_add_up() {
        let order = |price| Order { o_orderpriority: Some("2-HIGH"), o_totalprice: Some(price) };
        let mut answer = Revenue::default();
        for prices in [vec![20.25, 0.75], vec![100.0]] {
            let mut region = Revenue::default();
            region.input(prices.into_iter().map(order).collect::<Table<Order>>().rows()).unwrap();
            answer.merge(region.partial().unwrap().rows()).unwrap();
        }
        let answer = answer.finish().unwrap();
        let totals: Vec<_> = answer.rows().iter().map(|total| (total.priority, total.orders, total.revenue)).collect();
        assert_eq!(totals, [("2-HIGH", 3, 121.0)]);
    }
}
