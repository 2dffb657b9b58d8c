//! Random policies and random questions: the crate and the judge made of words decide alike.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use domicile_policy::{Border, ColumnUse, Form, FragmentFacts, PolicyError, PolicySet};
use domicile_types::{Digest, RegionId};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::reference::{Rule, Rules, allowing};
use crate::world::{datasets, name, read_back, region};

const REGIONS: [&str; 3] = ["eu", "us", "ap"];
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

fn rule(columns: &'static [&'static str]) -> impl Strategy<Value = Rule> {
    let regions = || subsequence(REGIONS.to_vec(), 1..=REGIONS.len());
    let purposes = prop_oneof![4 => Just(Vec::new()), 1 => some_of(&PURPOSES)];
    let place = (regions(), regions(), purposes, prop::option::weighted(0.4, 0..4_i32));
    let lists = (most_of(columns), most_of(columns), most_of(columns));
    let what = (prop::bool::weighted(0.15), most_of(&FUNCTIONS), some_of(&SINGLING_OUT), any::<bool>());
    let minimum = prop_oneof![Just(1_u64), 2..20_u64];
    let limits = (minimum, prop::option::of(1..100_u64), prop::option::of(select(vec![1_u64, 10, 100])));
    let plugins = subsequence(DIGESTS.to_vec(), 0..=DIGESTS.len());
    (place, lists, what, limits, plugins).prop_map(|(place, lists, what, limits, plugins)| {
        let (from, to, purposes, expires) = place;
        let (group_by, filter_by, measures) = lists;
        let (replicate, mut functions, singling_out, identifiers) = what;
        let (minimum_entities, dominance_percent, round_to) = limits;
        if minimum_entities == 1 {
            functions.extend(singling_out);
        }
        let id = String::new();
        Rule {
            id,
            from,
            to,
            replicate,
            functions,
            plugins,
            group_by,
            filter_by,
            measures,
            identifiers,
            minimum_entities,
            dominance_percent,
            round_to,
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
        (rule.replicate, rule.identifiers) = (other.replicate, other.identifiers);
    }
    if calls {
        // The threshold decides which functions may be listed.
        (rule.functions, rule.plugins, rule.minimum_entities) =
            (other.functions, other.plugins, other.minimum_entities);
    }
    if limits {
        (rule.dominance_percent, rule.round_to) = (other.dominance_percent, other.round_to);
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
        }
        Rules { dataset, residency: residency.clone(), classes, clauses }
    })
}

/// The homes, and the policies of all resident datasets.
fn policies() -> impl Strategy<Value = (Vec<&'static str>, Vec<Rules>)> {
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
struct Question {
    facts: FragmentFacts,
    /// One of the homes: this number, counted around.
    from: usize,
    to: &'static str,
    purpose: Option<&'static str>,
    today: i32,
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

fn question() -> impl Strategy<Value = Question> {
    let purpose = prop::option::weighted(0.7, select(vec!["reporting", "fraud", "Fraud", "fun"]));
    (facts(), 0..REGIONS.len(), select(REGIONS.to_vec()), purpose, 0..5_i32)
        .prop_map(|(facts, from, to, purpose, today)| Question { facts, from, to, purpose, today })
}

/// Loads the policies without the clauses that are refused as needless. These stay in what the reference judges by, so
/// that a clause that was refused wrongly shows as a difference.
fn load(policies: &[Rules]) -> Result<(PolicySet, usize), TestCaseError> {
    let mut written = policies.to_vec();
    let mut needless = 0;
    loop {
        let files: Vec<_> = written.iter().map(|rules| (rules.dataset.to_owned(), rules.toml())).collect();
        let (at, id) = match PolicySet::load(&datasets(), &files) {
            Ok(set) => return Ok((set, needless)),
            Err(
                PolicyError::ClauseCovered { at, clause, .. }
                | PolicyError::ClauseFromNoHome { at, clause, .. }
                | PolicyError::ClauseNoBorder { at, clause, .. },
            ) => (at, clause),
            Err(other) => return Err(TestCaseError::fail(format!("{other}\n{files:?}"))),
        };
        let rules = written.iter_mut().find(|rules| rules.dataset == at.file).expect("a file of ours");
        let place = rules.clauses.iter().position(|clause| clause.id == id).expect("a clause of ours");
        rules.clauses.remove(place);
        needless += 1;
    }
}

/// What came about, so that no kind of answer is missing.
#[derive(Debug, Default)]
struct Seen {
    needless: usize,
    allowed: usize,
    allowed_joins: usize,
    forbidden: usize,
    rewritten: usize,
}

fn compare(
    policies: &[Rules],
    set: &PolicySet,
    from: &RegionId,
    asked: &Question,
    seen: &mut Seen,
) -> Result<(), TestCaseError> {
    let to = region(asked.to);
    let border = Border { from, to: &to, purpose: asked.purpose, today: asked.today };
    let expect = allowing(policies, &asked.facts, &border);
    match (set.judge(&asked.facts, &border), expect) {
        (Ok(verdict), Some(clauses)) => {
            let named: Vec<_> = verdict.clauses.iter().map(|clause| clause.dataset.as_str()).collect();
            prop_assert_eq!(named, clauses.keys().copied().collect::<Vec<_>>());
            for (admitted, allowed) in verdict.clauses.iter().zip(clauses.values()) {
                let rule = allowed.iter().find(|rule| rule.id == admitted.clause);
                prop_assert!(rule.is_some(), "{} does not allow it", admitted.clause);
                let (minimum, dominance, step) = rule.map(|rule| rule.conditions()).unwrap_or_default();
                prop_assert!(verdict.minimum_entities >= minimum, "{verdict:?}");
                prop_assert!(verdict.dominance_percent <= dominance, "{verdict:?}");
                prop_assert!(verdict.round_to >= step, "{verdict:?}");
                // Of the clauses that allow it the one counts that asks least: for entities, then shares, then steps.
                let asks = |(minimum, dominance, step): (u64, u64, u64)| (minimum, Reverse(dominance), step);
                let least = allowed.iter().map(|rule| asks(rule.conditions())).min();
                prop_assert_eq!(Some(asks((minimum, dominance, step))), least);
            }
            seen.allowed += usize::from(!clauses.is_empty());
            seen.allowed_joins += usize::from(clauses.len() > 1);
        }
        (Err(denial), None) => {
            seen.forbidden += 1;
            if let Some(sql) = &denial.rewrite {
                prop_assert!(allowing(policies, &read_back(sql), &border).is_some(), "{sql} is forbidden itself");
                seen.rewritten += 1;
            }
        }
        (Ok(verdict), None) => return Err(TestCaseError::fail(format!("admitted, and forbidden: {verdict:?}"))),
        (Err(denial), Some(rules)) => return Err(TestCaseError::fail(format!("{denial}, and allowed by {rules:?}"))),
    }
    Ok(())
}

/// All that a clause allows at once, of its dataset alone: what a clause that makes it needless has to allow as well.
fn fullest(rules: &Rules, rule: &Rule) -> FragmentFacts {
    let uses = |columns: &[&str]| -> Vec<ColumnUse> {
        let column = |column: &&str| ColumnUse { dataset: name(rules.dataset), column: (*column).to_owned() };
        columns.iter().map(column).collect()
    };
    let may = |column: &&str| rule.identifiers || rules.classes[column] != "identifier";
    let every: Vec<&str> = rules.classes.keys().copied().filter(may).collect();
    FragmentFacts {
        datasets: BTreeSet::from([name(rules.dataset)]),
        form: if rule.replicate { Form::Rows } else { Form::Aggregate },
        outputs: uses(if rule.replicate { &every } else { &[] }),
        group_by: uses(if rule.replicate { &[] } else { &rule.group_by }),
        measures: uses(if rule.replicate { &[] } else { &rule.measures }),
        filters: uses(if rule.replicate { &[] } else { &rule.filter_by }),
        functions: rule.functions.iter().filter(|_| !rule.replicate).map(|function| (*function).to_owned()).collect(),
        plugins: rule.plugins.iter().filter(|_| !rule.replicate).copied().collect(),
    }
}

/// Asks for all that each clause allows, at every border, for each purpose, on its last day and the day after.
fn compare_clauses(policies: &[Rules], set: &PolicySet, homes: &[&str], seen: &mut Seen) -> Result<(), TestCaseError> {
    for (rules, rule) in policies.iter().flat_map(|rules| rules.clauses.iter().map(move |rule| (rules, rule))) {
        let facts = fullest(rules, rule);
        let last = rule.expires.unwrap_or(8);
        let purposes = rule.purposes.iter().copied().map(Some).chain([None]);
        let asked = purposes.flat_map(|purpose| REGIONS.map(|to| (purpose, to)));
        for ((purpose, to), today) in asked.flat_map(|asked| [(asked, last), (asked, last + 1)]) {
            let asked = Question { facts: facts.clone(), from: 0, to, purpose, today };
            for home in homes {
                compare(policies, set, &region(home), &asked, seen)?;
            }
        }
    }
    Ok(())
}

#[test]
fn each_clause_allows_what_it_says_even_where_it_was_refused_as_needless() {
    let seen = RefCell::new(Seen::default());
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    let ran = TestRunner::new(config).run(&policies(), |(homes, policies)| {
        let (set, needless) = load(&policies)?;
        let mut seen = seen.borrow_mut();
        seen.needless += needless;
        compare_clauses(&policies, &set, &homes, &mut seen)
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    let seen = seen.into_inner();
    assert!(seen.needless >= 50 && seen.allowed >= 500 && seen.forbidden >= 500, "{seen:?}");
}

#[test]
fn the_crate_judges_as_the_words_do() {
    let seen = RefCell::new(Seen::default());
    let config = Config { cases: 800, failure_persistence: None, ..Config::default() };
    let cases = (policies(), prop::collection::vec(question(), 12));
    let ran = TestRunner::new(config).run(&cases, |((homes, policies), questions)| {
        let (set, needless) = load(&policies)?;
        let mut seen = seen.borrow_mut();
        seen.needless += needless;
        for asked in &questions {
            // Rows leave the regions that they live in, and no others.
            compare(&policies, &set, &region(homes[asked.from % homes.len()]), asked, &mut seen)?;
        }
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    let seen = seen.into_inner();
    let enough = [seen.needless, seen.allowed, seen.forbidden, seen.rewritten].iter().all(|number| *number >= 100);
    assert!(enough && seen.allowed_joins >= 3, "{seen:?}");
}
