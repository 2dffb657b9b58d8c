//! What of the file of a history still counts.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use domicile_store::{Records, StoreError};
use domicile_types::limits::{BUDGET_QUESTIONS_MAX, RELEASED_GROUPS_MAX};

use super::record::{Question, Record};
use crate::QueryError;

/// What is kept of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Whole,
    /// That the question counted.
    Budgets,
    Nothing,
}

/// What a line is about.
enum About {
    Key,
    /// How many groups of each pool, with the tenant.
    Released(BTreeMap<(String, String), usize>),
    Answered {
        question: Question,
        budgets: Vec<(String, String)>,
        is_answered: bool,
    },
}

/// The lines of the file in `path` that still count: the key, the latest groups of every pool, the latest answer to
/// each question that `is_given`, and the latest questions that counted towards each budget.
///
/// # Errors
/// Where the file cannot be read or is none of a history.
pub(super) fn lines(
    path: &Path,
    is_given: impl Fn(&Question) -> bool,
) -> Result<impl Iterator<Item = Result<Vec<u8>, StoreError>>, QueryError> {
    let mut abouts = Vec::new();
    for line in Records::open(path)? {
        abouts.push(about(Record::parse(&line?).map_err(QueryError::Execution)?));
    }
    let kept = kept(abouts, is_given);
    let lines = Records::open(path)?.zip(kept);
    Ok(lines.filter_map(|(line, kept)| match (line, kept) {
        (Ok(line), Kept::Budgets) => Some(Ok(Record::without_answer(&line).unwrap_or(line))),
        (Ok(_), Kept::Nothing) => None,
        (line, _) => Some(line),
    }))
}

fn about(record: Record) -> About {
    match record {
        Record::Key { .. } => About::Key,
        Record::Released { tenant, released, .. } => {
            let mut groups = BTreeMap::new();
            for one in released {
                *groups.entry((tenant.clone(), one.pool)).or_default() += 1;
            }
            About::Released(groups)
        }
        Record::Answered { question, budgets, answered, .. } => {
            About::Answered { question, budgets, is_answered: answered.is_some() }
        }
    }
}

fn kept(abouts: Vec<About>, is_given: impl Fn(&Question) -> bool) -> Vec<Kept> {
    let mut groups_since: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut questions_since: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    let mut answered_since = HashSet::new();
    // The latest first.
    let mut kept: Vec<Kept> = Vec::with_capacity(abouts.len());
    for about in abouts.into_iter().rev() {
        kept.push(match about {
            About::Key => Kept::Whole,
            About::Released(groups) => {
                let mut counts = false;
                for (pool, groups) in groups {
                    let since = groups_since.entry(pool).or_default();
                    counts |= *since < RELEASED_GROUPS_MAX;
                    *since += groups;
                }
                if counts { Kept::Whole } else { Kept::Nothing }
            }
            About::Answered { question, budgets, is_answered } => {
                let mut counts = false;
                for (dataset, clause) in budgets {
                    let since = questions_since.entry((question.tenant.clone(), dataset, clause)).or_default();
                    counts |= *since < BUDGET_QUESTIONS_MAX;
                    *since += 1;
                }
                match is_answered && is_given(&question) && answered_since.insert(question) {
                    true => Kept::Whole,
                    false if counts => Kept::Budgets,
                    false => Kept::Nothing,
                }
            }
        });
    }
    kept.reverse();
    kept
}
