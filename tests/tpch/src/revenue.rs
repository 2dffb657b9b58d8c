//! Exact revenue from the generator's rows, in integer arithmetic and without any engine.

use std::collections::HashMap;

use anyhow::{Context, Result};
use domicile_harness::data::Revenue;
use tpchgen::dates::TPCHDate;
use tpchgen::generators::{LineItemGenerator, OrderGenerator, PartGenerator};

/// Revenue of orders placed before a day (`1998-08-01`), over the union of all regions.
///
/// # Errors
/// Where a line item refers to an order or a part that does not exist.
pub fn revenue(scale: f64, before: &str) -> Result<Revenue> {
    let parts: HashMap<i64, String> =
        PartGenerator::new(scale, 1, 1).iter().map(|part| (part.p_partkey, part.p_mfgr.to_string())).collect();
    let orders: HashMap<i64, TPCHDate> =
        OrderGenerator::new(scale, 1, 1).iter().map(|order| (order.o_orderkey, order.o_orderdate)).collect();
    let mut revenue = Revenue::new();
    for line in LineItemGenerator::new(scale, 1, 1) {
        let date = orders.get(&line.l_orderkey).context("a line item without an order")?.to_string();
        if date.as_str() >= before {
            continue;
        }
        let group = parts.get(&line.l_partkey).context("a line item without a part")?;
        let price = i128::from(line.l_extendedprice.into_inner());
        let share = 100 - i128::from(line.l_discount.into_inner());
        *revenue.entry((date[..7].to_owned(), group.clone())).or_default() += price * share;
    }
    Ok(revenue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_that_of_the_rows() -> Result<()> {
        let total: i128 = revenue(0.001, "1999-01-01")?.values().sum();
        let rows = LineItemGenerator::new(0.001, 1, 1);
        let expected: i128 = rows
            .iter()
            .map(|line| i128::from(line.l_extendedprice.into_inner() * (100 - line.l_discount.into_inner())))
            .sum();
        assert_eq!(total, expected);
        assert_eq!(revenue(0.001, "1992-01-01")?, Revenue::new());
        Ok(())
    }
}
