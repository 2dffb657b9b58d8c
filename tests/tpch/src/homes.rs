//! Which region each row belongs to, from the generator alone.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, Int64Array, RecordBatch};
use domicile_harness::workspace::REGIONS;
use tpchgen::generators::{
    CustomerGenerator, NationGenerator, OrderGenerator, OrderGeneratorIterator, RegionGenerator,
};

use crate::Table;

/// The home of a customer whose nation lies in a TPC-H region such as `EUROPE`.
pub fn home_of_region(name: &str) -> Option<&'static str> {
    match name {
        "AMERICA" => Some("us-east"),
        "EUROPE" | "AFRICA" => Some("eu-central"),
        "ASIA" | "MIDDLE EAST" => Some("ap-south"),
        _ => None,
    }
}

/// The home of every customer, order and line item of one scale factor, as an index into
/// [`REGIONS`].
#[derive(Debug, Clone)]
pub struct Homes {
    scale: f64,
    by_customer: HashMap<i64, usize>,
}

impl Homes {
    /// The homes at a scale factor.
    ///
    /// # Errors
    /// Where a nation lies in a region of the world that has no home.
    pub fn new(scale: f64) -> Result<Self> {
        let worlds: HashMap<i64, &str> =
            RegionGenerator::new(scale, 1, 1).iter().map(|region| (region.r_regionkey, region.r_name)).collect();
        let mut by_nation = HashMap::new();
        for nation in NationGenerator::new(scale, 1, 1) {
            let home = worlds.get(&nation.n_regionkey).and_then(|name| home_of_region(name));
            let home = home.and_then(|home| REGIONS.iter().position(|region| *region == home));
            by_nation.insert(nation.n_nationkey, home.with_context(|| format!("{} has no home", nation.n_name))?);
        }
        let customers = CustomerGenerator::new(scale, 1, 1);
        let by_customer = customers.iter().filter_map(|c| Some((c.c_custkey, *by_nation.get(&c.c_nationkey)?)));
        Ok(Self { scale, by_customer: by_customer.collect() })
    }

    /// The home of a customer.
    ///
    /// # Errors
    /// Where there is no such customer.
    pub fn of_customer(&self, customer: i64) -> Result<usize> {
        self.by_customer.get(&customer).copied().with_context(|| format!("there is no customer {customer}"))
    }

    /// Something that says the home of each row of a resident table, batch after batch in the table's order.
    ///
    /// # Errors
    /// Where the table is reference data.
    pub(crate) fn of_rows(&self, table: Table) -> Result<RowHomes<'_>> {
        let key = match table {
            Table::Customer => "c_custkey",
            Table::Orders => "o_custkey",
            Table::LineItem => "l_orderkey",
            _ => bail!("`{}` is reference data", table.name()),
        };
        let orders = (table == Table::LineItem).then(|| OrderGenerator::new(self.scale, 1, 1).iter());
        Ok(RowHomes { homes: self, key, orders, order: None })
    }
}

/// The homes of a table's rows. Line items come in the order of their orders, so one pass over the orders is enough.
pub(crate) struct RowHomes<'a> {
    homes: &'a Homes,
    key: &'static str,
    orders: Option<OrderGeneratorIterator<'static>>,
    order: Option<(i64, usize)>,
}

impl RowHomes<'_> {
    pub(crate) fn of_batch(&mut self, batch: &RecordBatch) -> Result<Vec<usize>> {
        let keys = batch.column_by_name(self.key).context("the key column is missing")?;
        let keys = keys.as_any().downcast_ref::<Int64Array>().context("the key column is not of 64-bit integers")?;
        keys.values().iter().map(|key| self.of_key(*key)).collect()
    }

    fn of_key(&mut self, key: i64) -> Result<usize> {
        let Some(orders) = &mut self.orders else { return self.homes.of_customer(key) };
        while self.order.is_none_or(|(order, _)| order < key) {
            let order = orders.next().with_context(|| format!("there is no order {key}"))?;
            self.order = Some((order.o_orderkey, self.homes.of_customer(order.o_custkey)?));
        }
        match self.order {
            Some((order, home)) if order == key => Ok(home),
            _ => bail!("there is no order {key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_item_is_where_its_customer_is() -> Result<()> {
        let homes = Homes::new(0.001)?;
        let of_order: HashMap<i64, usize> = OrderGenerator::new(0.001, 1, 1)
            .iter()
            .map(|order| Ok((order.o_orderkey, homes.of_customer(order.o_custkey)?)))
            .collect::<Result<_>>()?;
        let mut rows = homes.of_rows(Table::LineItem)?;
        let mut counts = [0; 3];
        for batch in Table::LineItem.batches(0.001) {
            let batch = batch?;
            let found = rows.of_batch(&batch)?;
            let keys = batch.column(0).as_any().downcast_ref::<Int64Array>().context("keys")?;
            for (key, home) in keys.values().iter().zip(found) {
                assert_eq!(of_order.get(key), Some(&home));
                counts[home] += 1;
            }
        }
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
        Ok(())
    }
}
