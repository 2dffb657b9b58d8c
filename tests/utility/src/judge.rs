//! One question: whether it was admitted, and whether the answer is right.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Answer, Response};
use domicile_tests::oracle::Cell;
use serde_json::Value;
use sqlparser::ast::{GroupByExpr, Query, SelectItem};

use crate::answer::{alike, difference, rows};
use crate::case::Case;
use crate::dialect::{parse, top, translate};
use crate::grouping::{Grouping, aggregates, groupings, leave_out};
use crate::oracle::Oracle;
use crate::soundness::{self, Group, Knowing, Rule};

/// What became of a question.
#[derive(Debug)]
pub enum Outcome {
    /// It was not answered, and why.
    Refused(String),
    /// The answer is not what the rules make of the rows.
    Wrong(String),
    /// The answer is right.
    Right(Held),
    /// Something is held back, and it cannot be told what; why not.
    Uncompared(Held, String),
}

/// Groups that were held back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// As the answer reports them, by region.
    pub reported: BTreeMap<String, u64>,
    /// How many more than the rules want.
    pub beyond: u64,
}

/// What SQLite and the rule say of the answers.
#[derive(Debug)]
pub struct Judge<'o> {
    /// All rows.
    pub oracle: &'o Oracle,
    /// What the policies say of small groups.
    pub rule: Rule,
}

/// A grouping of a question, with the groups of each home that has to care.
struct Judged {
    width: usize,
    groups: BTreeMap<String, Vec<Group>>,
}

/// Homes, and the rows that SQLite makes of theirs.
type Partial = (Vec<&'static str>, Vec<Vec<Cell>>);

impl Judge<'_> {
    /// What became of a question.
    ///
    /// # Errors
    /// Where SQLite cannot answer it, or the case is not understood.
    pub fn judge(&self, case: &Case, response: &Response) -> Result<Outcome> {
        if response.status == 200 {
            return self.answered(case, &response.answer()?);
        }
        self.check(case)?;
        let problem = response.json()?;
        Ok(Outcome::Refused(problem["detail"].as_str().unwrap_or_default().to_owned()))
    }

    /// Whether an answer is right.
    ///
    /// # Errors
    /// As for [`Judge::judge`].
    pub fn answered(&self, case: &Case, answer: &Answer) -> Result<Outcome> {
        let mut question = parse(&case.question)?;
        let mut query = parse(case.sqlite.as_ref().unwrap_or(&case.question))?;
        for query in [&mut question, &mut query] {
            translate(query)?;
        }
        let found = groupings(&question)?;
        let judged = self.judged(case, &found)?;
        let held = Held { reported: answer.suppressed_groups(), beyond: 0 };
        if held.reported.values().all(|count| *count == 0) && judged.iter().all(|one| self.nothing_held(one)) {
            self.oracle.choose(&REGIONS)?;
            let wrong = difference(answer, &self.oracle.rows(&query.to_string())?, case.tolerance);
            return Ok(wrong.map_or(Outcome::Right(held), Outcome::Wrong));
        }
        match (judged.as_slice(), keys_of(case, &question, &found)) {
            ([one], Some(keys)) => self.one_step(case, answer, &query, one, &keys),
            _ => self.several_steps(case, answer, &query, &found, &judged),
        }
    }

    /// Checks that a question which nobody answers means something: SQLite has rows for it.
    fn check(&self, case: &Case) -> Result<()> {
        self.oracle.choose(&REGIONS)?;
        let sql = translated(case.sqlite.as_ref().unwrap_or(&case.question))?;
        ensure!(!self.oracle.rows(&sql)?.is_empty(), "SQLite has no rows, so the question shows nothing");
        Ok(())
    }

    fn nothing_held(&self, judged: &Judged) -> bool {
        judged.groups.values().all(|groups| groups.iter().all(|group| group.is_sound(&self.rule)))
    }

    /// What each grouping gives in each of the other homes.
    fn judged(&self, case: &Case, found: &[Grouping]) -> Result<Vec<Judged>> {
        self.oracle.choose(&REGIONS)?;
        let own = case.groups.iter().map(|groups| Ok((groups.keys, translated(&groups.sql)?, Vec::new())));
        let found =
            found.iter().map(|grouping| Ok((grouping.keys.len(), grouping.profile(), grouping.one_sided.clone())));
        let profiles = own.chain(found).collect::<Result<Vec<_>>>()?;
        let judged = profiles.iter().map(|(width, profile, one_sided)| {
            let mut groups = soundness::groups(&self.oracle.rows(profile)?, *width, one_sided)?;
            groups.remove(&case.edge);
            Ok(Judged { width: *width, groups })
        });
        judged.collect()
    }

    /// A question that only groups: finds for each row the regions whose rows it is made of. `keys` are the columns of
    /// the answer that hold the group keys, in their order.
    fn one_step(&self, case: &Case, answer: &Answer, query: &Query, one: &Judged, keys: &[usize]) -> Result<Outcome> {
        let partial = self.partial_answers(case, query)?;
        let mut sources: Vec<(Vec<&Value>, &[&str])> = Vec::new();
        for row in rows(answer) {
            let made_of = partial.iter().find(|(_, rows)| rows.iter().any(|expect| same(&row, expect, case.tolerance)));
            let Some((homes, _)) = made_of else {
                let row = row.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Ok(Outcome::Wrong(format!("no regions' rows make {row}")));
            };
            sources.push((keys.iter().map(|key| row[*key]).collect(), homes.as_slice()));
        }
        let mut held = Held { reported: answer.suppressed_groups(), beyond: 0 };
        for (home, groups) in &one.groups {
            let is_open = |group: &Group| {
                let of_group = |(key, homes): &(Vec<&Value>, &[&str])| {
                    homes.contains(&home.as_str()) && same(key, &group.key, None)
                };
                sources.iter().any(of_group)
            };
            let back: Vec<bool> = groups.iter().map(|group| !is_open(group)).collect();
            match soundness::judge(groups, &back, &self.rule) {
                Err(error) => return Ok(Outcome::Wrong(format!("{home}: {error:#}"))),
                Ok(beyond) => held.beyond += beyond,
            }
            let reported = held.reported.get(home).copied().unwrap_or(0);
            if !soundness::is_reported(groups, &back, reported, &self.rule) {
                let count = back.iter().filter(|held| **held).count();
                return Ok(Outcome::Wrong(format!("{home} holds {count} groups back, and reports {reported}")));
            }
        }
        Ok(Outcome::Right(held))
    }

    /// What SQLite makes of the question over the asking home and any of the others, the most homes first.
    fn partial_answers(&self, case: &Case, query: &Query) -> Result<Vec<Partial>> {
        let others: Vec<&str> = REGIONS.into_iter().filter(|region| *region != case.edge).collect();
        let own = REGIONS.into_iter().find(|region| *region == case.edge).context("no such region")?;
        let mut sets: Vec<Vec<&str>> = (0..1_usize << others.len())
            .map(|set| {
                let chosen = others.iter().enumerate().filter(|(index, _)| set >> index & 1 == 1);
                chosen.map(|(_, home)| *home).chain([own]).collect()
            })
            .collect();
        sets.sort_by_key(|homes| std::cmp::Reverse(homes.len()));
        let sql = query.to_string();
        let answers = sets.into_iter().map(|homes| {
            self.oracle.choose(&homes)?;
            Ok((homes, self.oracle.rows(&sql)?))
        });
        answers.collect()
    }

    /// A question with steps after its groupings: leaves out of SQLite's groups what has to be held back.
    fn several_steps(
        &self,
        case: &Case,
        answer: &Answer,
        query: &Query,
        found: &[Grouping],
        judged: &[Judged],
    ) -> Result<Outcome> {
        let held = Held { reported: answer.suppressed_groups(), beyond: 0 };
        if case.sqlite.is_some() || case.groups.is_some() || found.len() != judged.len() {
            return Ok(Outcome::Uncompared(held, "its groups cannot be left out in SQLite".to_owned()));
        }
        let mut told = Vec::new();
        for knowing in [Knowing::Numbers, Knowing::Entities] {
            match self.left_out(case, answer, query.clone(), judged, (knowing, &[]))? {
                LeftOut::Fits(_) => return Ok(Outcome::Right(held)),
                LeftOut::Differs(difference) => told.push(difference),
                LeftOut::Unreported(home) => return Ok(Outcome::Wrong(format!("{home} reports nothing held back"))),
            }
        }
        // Regions that hold all of their groups back, as where these come too near to an earlier answer.
        let homes: Vec<&str> =
            held.reported.iter().filter(|(_, count)| **count > 0).map(|(home, _)| home.as_str()).collect();
        for set in 1..1_usize << homes.len() {
            let all: Vec<&str> =
                homes.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1).map(|(_, home)| *home).collect();
            let left_out = self.left_out(case, answer, query.clone(), judged, (Knowing::Numbers, &all))?;
            if let LeftOut::Fits(beyond) = left_out {
                return Ok(Outcome::Right(Held { beyond, ..held }));
            }
        }
        let beyond = told.iter().map(|one| one.beyond).min().unwrap_or(0);
        Ok(match told.pop() {
            Some(one) if beyond == 0 && !one.is_ambiguous => Outcome::Wrong(one.wrong),
            _ if beyond == 0 => Outcome::Uncompared(held, "equally small groups could be meant".to_owned()),
            _ => Outcome::Uncompared(Held { beyond, ..held }, "more is held back than the rules want".to_owned()),
        })
    }

    /// Compares the answer with SQLite's without the groups that the rule leaves out, and without all of some homes.
    fn left_out(
        &self,
        case: &Case,
        answer: &Answer,
        mut query: Query,
        judged: &[Judged],
        (knowing, without): (Knowing, &[&str]),
    ) -> Result<LeftOut> {
        let reported = answer.suppressed_groups();
        let (mut expected, mut is_ambiguous) = (BTreeMap::<&String, u64>::new(), false);
        let mut more = 0;
        for (index, one) in judged.iter().enumerate() {
            let mut left_out = Vec::new();
            for (home, groups) in &one.groups {
                let (mut back, ambiguous) = soundness::held_back(groups, &self.rule, knowing);
                if without.contains(&home.as_str()) {
                    more += back.iter().filter(|held| !**held).count() as u64;
                    back.fill(true);
                }
                is_ambiguous |= ambiguous;
                let none = reported.get(home).is_none_or(|count| *count == 0);
                if none && !soundness::is_reported(groups, &back, 0, &self.rule) {
                    return Ok(LeftOut::Unreported(home.clone()));
                }
                let back: Vec<&Group> =
                    groups.iter().zip(&back).filter(|(_, held)| **held).map(|(group, _)| group).collect();
                *expected.entry(home).or_default() += (back.len() as u64).next_multiple_of(self.rule.minimum_entities);
                left_out.extend(back.iter().map(|group| (home.clone(), group.key.clone())));
            }
            self.oracle.note_groups(&format!("held_{index}"), one.width, &left_out)?;
        }
        leave_out(&mut query, |index| format!("held_{index}"))?;
        self.oracle.choose(&REGIONS)?;
        let difference = difference(answer, &self.oracle.rows(&query.to_string())?, case.tolerance);
        let beyond = |(home, count): (&String, &u64)| count.saturating_sub(expected.get(home).copied().unwrap_or(0));
        let beyond = reported.iter().map(beyond).sum();
        Ok(difference.map_or(LeftOut::Fits(more), |wrong| LeftOut::Differs(Difference { wrong, is_ambiguous, beyond })))
    }
}

/// An answer beside SQLite's without the groups that are held back.
enum LeftOut {
    /// With this many groups left out beyond the rule.
    Fits(u64),
    Differs(Difference),
    /// A region that has to hold something back and reports nothing.
    Unreported(String),
}

struct Difference {
    wrong: String,
    /// Whether equally small groups could have been left out instead.
    is_ambiguous: bool,
    /// Groups that are reported beyond those that were left out.
    beyond: u64,
}

fn translated(sql: &str) -> Result<String> {
    let mut query = parse(sql)?;
    translate(&mut query)?;
    Ok(query.to_string())
}

fn same(row: &[&Value], expect: &[Cell], tolerance: Option<f64>) -> bool {
    row.len() == expect.len() && row.iter().zip(expect).all(|(got, expect)| alike(got, expect, tolerance))
}

/// The columns of the answer that hold the keys of the only grouping, in their order, if nothing follows that grouping.
fn keys_of(case: &Case, question: &Query, found: &[Grouping]) -> Option<Vec<usize>> {
    let select = top(question)?;
    let is_plain = select.having.is_none() && question.limit_clause.is_none() && select.distinct.is_none();
    let windows = select.projection.iter().any(|item| item.to_string().contains(" OVER "));
    if !is_plain || windows {
        return None;
    }
    let outputs: Vec<usize> =
        select.projection.iter().enumerate().filter(|(_, item)| !aggregates(item)).map(|(index, _)| index).collect();
    match (found, &case.groups) {
        ([], Some(groups)) => (outputs.len() == groups.keys).then_some(outputs),
        ([one], None) if question.with.is_none() && !one.has_conditions && is_grouped(&select.group_by, one) => {
            let place = |key: &String| outputs.iter().copied().find(|index| shows(&select.projection[*index], key));
            let places: Option<Vec<usize>> = one.keys.iter().map(place).collect();
            places.filter(|places| places.len() == outputs.len())
        }
        _ => None,
    }
}

/// Whether the only grouping of a question is the one at its top.
fn is_grouped(group_by: &GroupByExpr, grouping: &Grouping) -> bool {
    matches!(group_by, GroupByExpr::Expressions(keys, _) if keys.len() == grouping.keys.len())
}

fn shows(item: &SelectItem, key: &str) -> bool {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr.to_string() == key,
        _ => false,
    }
}
