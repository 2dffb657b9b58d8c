//! Random policies and random questions: the crate and the judge made of words decide alike.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use domicile_policy::{
    Border, Budget, ClauseRef, ColumnUse, Form, FragmentFacts, Mask, PolicyError, PolicySet, Verdict,
};
use domicile_types::RegionId;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::generate::{Question, REGIONS, policies, question};
use crate::reference::{Means, Rule, Rules, allowing};
use crate::world::{datasets, name, read_back, region};

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
    masked_rows: usize,
    masked_aggregates: usize,
    budgets: usize,
    forbidden: usize,
    rewritten: usize,
}

/// The rules that the verdict names, one a dataset. Each allows the fragment, and of those that do it asks least.
fn chosen<'a>(
    verdict: &Verdict,
    allowing: &BTreeMap<&'a str, Vec<&'a Rule>>,
) -> Result<Vec<(&'a str, &'a Rule)>, TestCaseError> {
    let named: Vec<_> = verdict.clauses.iter().map(|clause| clause.dataset.as_str()).collect();
    prop_assert_eq!(named, allowing.keys().copied().collect::<Vec<_>>());
    let mut all = Vec::new();
    for (admitted, (dataset, allowed)) in verdict.clauses.iter().zip(allowing) {
        let Some(rule) = allowed.iter().find(|rule| rule.id == admitted.clause) else {
            return Err(TestCaseError::fail(format!("{} does not allow it", admitted.clause)));
        };
        // What is exact before what is masked, then: entities, shares, steps, checks, age, questions, days.
        let asks = |rule: &Rule| {
            let (minimum, dominance, step, checks, hours, budget) = rule.conditions();
            let (questions, days) = budget.unwrap_or((u64::MAX, 0));
            let conditions = (minimum, Reverse(dominance), step, checks, hours, Reverse(questions), days);
            (rule.form == Means::Masked, conditions)
        };
        prop_assert_eq!(Some(asks(rule)), allowed.iter().map(|rule| asks(rule)).min());
        all.push((*dataset, *rule));
    }
    Ok(all)
}

/// What holds where all these rules do: "of each condition the strictest".
fn together(asked: Form, rules: &[(&str, &Rule)], clauses: Vec<ClauseRef>) -> Verdict {
    let conditions: Vec<_> = rules.iter().map(|(_, rule)| rule.conditions()).collect();
    let steps: Vec<u64> = conditions.iter().map(|it| it.2).filter(|step| *step > 0).collect();
    let masked: Vec<_> = rules.iter().filter(|(_, rule)| rule.form == Means::Masked).collect();
    let of_table = |masks: &BTreeMap<&str, Mask>| masks.iter().map(|(name, it)| ((*name).to_owned(), *it)).collect();
    Verdict {
        form: if asked == Form::Rows && !masked.is_empty() { Form::Masked } else { asked },
        minimum_entities: conditions.iter().map(|it| it.0).max().unwrap_or(0),
        dominance_percent: conditions.iter().map(|it| it.1).min().unwrap_or(100),
        // The first number that all of them divide.
        round_to: (1..)
            .find(|number| steps.iter().all(|step| number % step == 0))
            .filter(|_| !steps.is_empty())
            .unwrap_or(0),
        masks: masked.iter().map(|(dataset, rule)| (name(dataset), of_table(&rule.masks))).collect(),
        budgets: rules
            .iter()
            .filter_map(|(dataset, rule)| {
                let (questions, days) = rule.conditions().5?;
                Some(Budget { dataset: name(dataset), clause: rule.id.clone(), questions, days })
            })
            .collect(),
        difference_checks: conditions.iter().any(|it| it.3),
        strict_differences: false,
        snapshot_hours: conditions.iter().map(|it| it.4).max().unwrap_or(0),
        differential_privacy: None,
        clauses,
    }
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
            let chosen = chosen(&verdict, &clauses)?;
            prop_assert_eq!(&verdict, &together(asked.facts.form, &chosen, verdict.clauses.clone()));
            seen.allowed += usize::from(!clauses.is_empty());
            seen.masked_rows += usize::from(verdict.form == Form::Masked);
            seen.masked_aggregates += usize::from(verdict.form == Form::Aggregate && !verdict.masks.is_empty());
            seen.budgets += verdict.budgets.len();
            seen.allowed_joins += usize::from(clauses.len() > 1);
        }
        (Err(denial), None) => {
            seen.forbidden += 1;
            for sql in denial.rewrites.iter().map(|rewrite| &rewrite.sql) {
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
    let may = |column: &&str| match rule.form {
        Means::Masked => rule.masks.contains_key(column),
        _ => rule.identifiers || rules.classes[column] != "identifier",
    };
    let every: Vec<&str> = rules.classes.keys().copied().filter(may).collect();
    let rows = rule.form != Means::Aggregate;
    FragmentFacts {
        datasets: BTreeSet::from([name(rules.dataset)]),
        form: if rows { Form::Rows } else { Form::Aggregate },
        outputs: uses(if rows { &every } else { &[] }),
        group_by: uses(if rows { &[] } else { &rule.group_by }),
        measures: uses(if rows { &[] } else { &rule.measures }),
        filters: uses(if rows { &[] } else { &rule.filter_by }),
        functions: rule.functions.iter().filter(|_| !rows).map(|function| (*function).to_owned()).collect(),
        plugins: rule.plugins.iter().filter(|_| !rows).copied().collect(),
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
    let often = [seen.needless, seen.allowed, seen.forbidden, seen.rewritten, seen.masked_aggregates];
    let enough = often.iter().all(|number| *number >= 100) && seen.masked_rows >= 30 && seen.budgets >= 30;
    assert!(enough && seen.allowed_joins >= 3, "{seen:?}");
}
