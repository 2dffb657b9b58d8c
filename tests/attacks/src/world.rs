//! Worlds: pairs of datasets that differ in what one person is like.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use domicile_harness::Cluster;
use serde::Deserialize;
use toml::{Table, Value};

use crate::files::{self, Column, Files, HOMES, ORDERS, PERSONS, header_row};

/// The person that attacks are about.
pub const TARGET: u64 = 1000;

/// Two datasets that differ in one secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// Its datasets are `<name>_a` and `<name>_b`, and `<name>_a_orders`, `<name>_b_orders` below them.
    pub name: String,
    /// What there is to be learnt, in A and in B.
    pub secret: [Value; 2],
    /// Groups of persons: `count`, and values of columns, where a list gives its values in turn.
    persons: Vec<Table>,
    /// The cities that its policies list, where these are not all in which somebody is in A or B.
    cities: Option<BTreeSet<String>>,
    /// The target in A.
    a: Option<Table>,
    /// The target in B.
    b: Option<Table>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first secret.
    A,
    /// The second.
    B,
}

impl Side {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];
}

impl World {
    /// The name of the dataset of persons.
    pub fn dataset(instance: &str, side: Side) -> String {
        match side {
            Side::A => format!("{instance}_a"),
            Side::B => format!("{instance}_b"),
        }
    }

    /// The files of an instance of this world. Where all columns are listed, so are plugins by these digests.
    pub fn files(&self, instance: &str, plugins: &[String]) -> Vec<Files> {
        let of = |side| {
            let persons = Self::dataset(instance, side);
            let orders = self.has_orders().then(|| files::orders(&orders_of(&persons), &persons, plugins));
            [files::persons(&persons, &self.cities(), plugins)].into_iter().chain(orders).collect::<Vec<_>>()
        };
        Side::BOTH.into_iter().flat_map(of).collect()
    }

    fn cities(&self) -> BTreeSet<String> {
        let groups = || self.persons.iter().chain(&self.a).chain(&self.b);
        let named = |group: &Table| {
            let values =
                group.get("city").map_or(Vec::new(), |city| city.as_array().cloned().unwrap_or(vec![city.clone()]));
            values.iter().filter_map(|city| city.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        self.cities.clone().unwrap_or_else(|| {
            let default =
                PERSONS.iter().filter(|(column, _, _)| *column == "city").map(|(_, _, city)| (*city).to_owned());
            let unnamed = groups().any(|group| !group.contains_key("city"));
            groups().flat_map(named).chain(default.filter(|_| unnamed)).collect()
        })
    }

    /// Stores the rows of an instance, each at its home.
    ///
    /// # Errors
    /// Where the world is not as it should be, or a region refuses it.
    pub fn load(&self, instance: &str, cluster: &Cluster) -> Result<()> {
        for side in Side::BOTH {
            let rows = self.rows(side).with_context(|| format!("world `{}`", self.name))?;
            let persons = Self::dataset(instance, side);
            for (region, homes) in HOMES {
                let here = || rows.iter().filter(|(country, _, _)| homes.contains(&country.as_str()));
                let people: String = here().map(|(_, person, _)| person.as_str()).collect();
                let orders: String = here().map(|(_, _, orders)| orders.as_str()).collect();
                store(cluster, region, &persons, &people)?;
                store(cluster, region, &orders_of(&persons), &orders)?;
            }
        }
        Ok(())
    }

    fn has_orders(&self) -> bool {
        self.persons.iter().chain(&self.a).chain(&self.b).any(|group| group.contains_key("orders"))
    }

    /// For each person the country, its row, and its orders, as CSV.
    fn rows(&self, side: Side) -> Result<Vec<(String, String, String)>> {
        let mut rows = Vec::new();
        for group in &self.persons {
            let count = group.get("count").and_then(Value::as_integer).context("a group without `count`")?;
            for index in 0..usize::try_from(count)? {
                let number = rows.len() as u64 + 1;
                rows.push(person(group, index, number + u64::from(number >= TARGET))?);
            }
        }
        let target = match side {
            Side::A => &self.a,
            Side::B => &self.b,
        };
        if let Some(target) = target {
            rows.push(person(target, 0, TARGET)?);
        }
        Ok(rows)
    }
}

fn orders_of(persons: &str) -> String {
    format!("{persons}_orders")
}

fn person(group: &Table, index: usize, number: u64) -> Result<(String, String, String)> {
    let known = |name: &str| PERSONS.iter().chain(&ORDERS).any(|(column, _, _)| *column == name);
    if let Some(other) = group.keys().find(|name| !known(name) && *name != "count" && *name != "orders") {
        bail!("no column is named `{other}`");
    }
    let cell = |column: &Column, index: usize| value(group, column, index, number);
    let cells: Vec<String> = PERSONS.iter().map(|column| cell(column, index)).collect();
    let orders = group.get("orders").map_or(Some(0), Value::as_integer).context("`orders` is a number")?;
    let mut ordered = String::new();
    for order in 0..usize::try_from(orders)? {
        let cells: Vec<String> = ORDERS[1..].iter().map(|column| cell(column, order)).collect();
        ordered.push_str(&format!("{},{}\n", number * 1000 + order as u64, cells.join(",")));
    }
    Ok((cells[1].clone(), format!("{}\n", cells.join(",")), ordered))
}

fn value(group: &Table, (name, _, default): &Column, index: usize, number: u64) -> String {
    let text = match group.get(*name) {
        Some(Value::Array(values)) => values.get(index % values.len().max(1)).map(plain).unwrap_or_default(),
        Some(value) => plain(value),
        None => (*default).to_owned(),
    };
    text.replace('#', &number.to_string())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn store(cluster: &Cluster, region: &str, dataset: &str, rows: &str) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let body = header_row(dataset) + rows;
    let stored = cluster.edge(region).rows("POST", dataset, &[("Content-Type", "text/csv")], body.as_bytes())?;
    ensure!(stored.status == 200, "{dataset} in {region}: {}", stored.text());
    Ok(())
}

/// The instances that attacks need: one for each world, and of their own for those that change rows.
pub type Instances<'w> = BTreeMap<String, &'w World>;
