//! Random policies about the world's datasets, and random questions.

use std::collections::{BTreeMap, BTreeSet};

use domicile_policy::{ColumnUse, Form, FragmentFacts, Mask};
use domicile_types::Digest;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::reference::{Means, Rule, Rules};
use crate::world::name;

pub(crate) const REGIONS: [&str; 3] = ["eu", "us", "ap"];
const PURPOSES: [&str; 3] = ["reporting", "fraud", "Fraud"];
/// The columns of the world's resident datasets.
const CUSTOMER: &[&str] = &["c_key", "c_name", "c_nation", "c_segment", "c_balance"];
const ORDERS: &[&str] = &["o_key", "o_customer", "o_day", "o_price"];
const ITEM: &[&str] = &["i_order", "i_line"];
/// What a clause with a threshold above one may list, and what it may not.
const FUNCTIONS: [&str; 5] = ["count", "SUM", "avg", "date_trunc", "rfm"];
const SINGLING_OUT: [&str; 4] = ["min", "max", "case", "/"];
const DIGESTS: [Digest; 2] = [Digest([0xab; 32]), Digest([0xcd; 32])];

fn some_of(all: &[&'static str]) -> impl Strategy<Value = Vec<&'static str>> + use<> {
    subsequence(all.to_vec(), 0..=all.len())
}

/// Most of them, so that many questions are allowed.
fn most_of(all: &[&'static str]) -> impl Strategy<Value = Vec<&'static str>> + use<> {
    subsequence(all.to_vec(), all.len() / 2..=all.len())
}

/// The masks that fit a column of the world, by what its name tells of its type.
fn masks_for(column: &str) -> Vec<Mask> {
    let own = match column {
        "c_name" | "c_segment" => vec![Mask::Hmac, Mask::Prefix(2)],
        "o_day" => vec![Mask::Year, Mask::Quarter, Mask::Month],
        "c_balance" | "o_price" => vec![Mask::MultipleOf(1), Mask::MultipleOf(100)],
        _ => vec![Mask::Hmac, Mask::MultipleOf(2)],
    };
    [vec![Mask::Plain, Mask::Null], own].concat()
}

/// Masks of most columns.
fn masks(columns: &'static [&'static str]) -> impl Strategy<Value = BTreeMap<&'static str, Mask>> {
    let listed = subsequence(columns.to_vec(), columns.len().max(2) - 1..=columns.len());
    (listed, prop::collection::vec(any::<prop::sample::Index>(), columns.len())).prop_map(|(listed, picks)| {
        let mask = |(column, pick): (&'static str, prop::sample::Index)| (column, *pick.get(&masks_for(column)));
        listed.into_iter().zip(picks).map(mask).collect()
    })
}

fn over_time() -> impl Strategy<Value = (Option<(u64, u64)>, Option<bool>, Option<u64>)> {
    let budget = prop::option::weighted(0.6, (select(vec![1_u64, 10, 100]), select(vec![1_u64, 7, 30])));
    let checks = prop_oneof![3 => Just(None), 1 => Just(Some(true)), 2 => Just(Some(false))];
    (budget, checks, prop::option::weighted(0.3, select(vec![1_u64, 24, 168])))
}

fn rule(columns: &'static [&'static str]) -> impl Strategy<Value = Rule> {
    let regions = || subsequence(REGIONS.to_vec(), 1..=REGIONS.len());
    let purposes = prop_oneof![4 => Just(Vec::new()), 1 => some_of(&PURPOSES)];
    let place = (regions(), regions(), purposes, prop::option::weighted(0.4, 0..4_i32));
    let lists = (most_of(columns), most_of(columns), most_of(columns));
    let form = prop_oneof![6 => Just(Means::Aggregate), 2 => Just(Means::Masked), 1 => Just(Means::Replicate)];
    let what = (form, most_of(&FUNCTIONS), some_of(&SINGLING_OUT), any::<bool>());
    let minimum = prop_oneof![Just(1_u64), 2..20_u64];
    let limits = (minimum, prop::option::of(1..100_u64), prop::option::of(select(vec![1_u64, 10, 15, 100])));
    let plugins = subsequence(DIGESTS.to_vec(), 0..=DIGESTS.len());
    let more = (plugins, masks(columns), over_time());
    (place, lists, what, limits, more).prop_map(|(place, lists, what, limits, more)| {
        let (plugins, masks, (budget, difference_checks, snapshot_hours)) = more;
        let (from, to, purposes, expires) = place;
        let (group_by, filter_by, measures) = lists;
        let (form, mut functions, singling_out, identifiers) = what;
        let (minimum_entities, dominance_percent, round_to) = limits;
        if minimum_entities == 1 {
            functions.extend(singling_out);
        }
        let id = String::new();
        Rule {
            id,
            from,
            to,
            form,
            masks,
            functions,
            plugins,
            group_by,
            filter_by,
            measures,
            identifiers,
            minimum_entities,
            dominance_percent,
            round_to,
            budget,
            difference_checks,
            snapshot_hours,
            purposes,
            expires,
        }
    })
}

/// Lets the rule say much of what another one says, so that one of them often covers the other.
fn assimilate(rule: &mut Rule, other: &Rule, alike: &[bool; 6]) {
    let other = other.clone();
    let [place, time, lists, calls, limits, purposes] = *alike;
    if place {
        (rule.from, rule.to) = (other.from, other.to);
    }
    if time {
        rule.expires = other.expires;
    }
    if lists {
        (rule.group_by, rule.filter_by, rule.measures) = (other.group_by, other.filter_by, other.measures);
        (rule.form, rule.masks, rule.identifiers) = (other.form, other.masks, other.identifiers);
    }
    if calls {
        // The threshold decides which functions may be listed.
        (rule.functions, rule.plugins, rule.minimum_entities) =
            (other.functions, other.plugins, other.minimum_entities);
    }
    if limits {
        (rule.dominance_percent, rule.round_to) = (other.dominance_percent, other.round_to);
        (rule.budget, rule.difference_checks) = (other.budget, other.difference_checks);
        rule.snapshot_hours = other.snapshot_hours;
    }
    if purposes {
        rule.purposes = other.purposes;
    }
}

fn rules(dataset: &'static str, columns: &'static [&'static str], residency: String) -> impl Strategy<Value = Rules> {
    let classes = prop::collection::vec(select(vec!["identifier", "quasi", "measure", "public"]), columns.len());
    let alike = prop::array::uniform6(prop::bool::weighted(0.7));
    let clauses = prop::collection::vec((rule(columns), alike), 0..5);
    (classes, clauses).prop_map(move |(classes, clauses)| {
        let (mut clauses, alike): (Vec<Rule>, Vec<[bool; 6]>) = clauses.into_iter().unzip();
        if let Some((first, others)) = clauses.split_first_mut() {
            others.iter_mut().zip(&alike).for_each(|(other, alike)| assimilate(other, first, alike));
        }
        let mut classes: BTreeMap<_, _> = columns.iter().copied().zip(classes).collect();
        // "Thresholds count it as an entity, so its class is identifier."
        classes.entry("c_key").and_modify(|class| *class = "identifier");
        for (number, clause) in clauses.iter_mut().enumerate() {
            clause.id = format!("{dataset}-{number}");
            let may = |column: &&str| clause.identifiers || classes[column] != "identifier";
            clause.group_by.retain(may);
            clause.filter_by.retain(may);
            clause.measures.retain(may);
            for (column, mask) in &mut clause.masks {
                if classes[column] == "identifier" && *mask == Mask::Plain {
                    *mask = Mask::Null;
                }
            }
        }
        Rules { dataset, residency: residency.clone(), classes, clauses }
    })
}

/// The homes, and the policies of all resident datasets.
pub(crate) fn policies() -> impl Strategy<Value = (Vec<&'static str>, Vec<Rules>)> {
    subsequence(REGIONS.to_vec(), 1..=REGIONS.len()).prop_flat_map(|homes| {
        let home =
            |(value, region): (usize, &&str)| format!("[[residency.home]]\nregion = {region:?}\nvalues = [{value}]\n");
        let listed: String = homes.iter().enumerate().map(home).collect();
        let customer = format!("[residency]\nentity = \"c_key\"\ncolumn = \"c_nation\"\n{listed}");
        let follows = |parent: &str, on: &str| format!("[residency]\nfollows = {parent:?}\non = {on:?}\n");
        let all = (
            rules("customer", CUSTOMER, customer),
            rules("orders", ORDERS, follows("customer", "o_customer")),
            rules("item", ITEM, follows("orders", "i_order")),
        );
        (Just(homes), all.prop_map(|(customer, orders, item)| vec![customer, orders, item]))
    })
}

#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) facts: FragmentFacts,
    /// One of the homes: this number, counted around.
    pub(crate) from: usize,
    pub(crate) to: &'static str,
    pub(crate) purpose: Option<&'static str>,
    pub(crate) today: i32,
}

fn facts() -> impl Strategy<Value = FragmentFacts> {
    let tables = prop_oneof![
        8 => select(vec![vec!["customer"], vec!["orders"], vec!["item"]]),
        4 => select(vec![vec!["customer", "orders"], vec!["orders", "item"], vec!["customer", "part"]]),
        1 => Just(vec!["customer", "orders", "item", "part", "nowhere"]),
    ];
    tables.prop_flat_map(|tables| {
        let columns = |table: &&str| -> Vec<(String, String)> {
            let columns = match *table {
                "customer" => CUSTOMER,
                "orders" => ORDERS,
                "item" => ITEM,
                "part" => &["p_key", "p_group"],
                _ => &["x"],
            };
            columns.iter().map(|column| ((*table).to_owned(), (*column).to_owned())).collect()
        };
        let mut all: Vec<_> = tables.iter().flat_map(columns).collect();
        all.push((tables[0].to_owned(), "typo".to_owned()));
        let uses = all.into_iter().map(|(table, column)| ColumnUse { dataset: name(&table), column });
        let list = |most: usize| prop::collection::vec(select(uses.clone().collect::<Vec<_>>()), 0..=most);
        let calls = ["count", "sum", "Sum", "avg", "DATE_TRUNC", "rfm", "min", "case", "median"];
        let functions = prop::collection::btree_set(select(calls.map(str::to_owned).to_vec()), 0..=2);
        let plugins = prop_oneof![
            1 => Just(BTreeSet::new()),
            1 => prop::collection::btree_set(select(DIGESTS.to_vec()), 1..=2),
        ];
        let form = prop_oneof![1 => Just(Form::Rows), 4 => Just(Form::Aggregate)];
        let shown = prop_oneof![2 => Just(Vec::new()), 1 => list(1)];
        // Somebody may forget to say which datasets there are.
        let named = prop_oneof![9 => Just(tables.clone()), 1 => Just(Vec::new())];
        (form, shown, list(1), list(1), list(1), functions, plugins, named).prop_map(
            |(form, outputs, group_by, measures, filters, functions, plugins, named)| FragmentFacts {
                datasets: named.into_iter().map(name).collect(),
                form,
                outputs,
                group_by,
                measures,
                filters,
                functions,
                plugins,
            },
        )
    })
}

pub(crate) fn question() -> impl Strategy<Value = Question> {
    let purpose = prop::option::weighted(0.7, select(vec!["reporting", "fraud", "Fraud", "fun"]));
    (facts(), 0..REGIONS.len(), select(REGIONS.to_vec()), purpose, 0..5_i32)
        .prop_map(|(facts, from, to, purpose, today)| Question { facts, from, to, purpose, today })
}
