//! What this region has released to whom: no two answers to a tenant may differ by too few entities, and no clause
//! answers more questions than its budget.
//!
//! A question that is asked again after a few rows have changed is answered for each group as before, until enough have
//! changed. Any other question whose groups come too near to what the tenant was given before gets no groups at all,
//! which looks as if all of them were too small.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use domicile_policy::{Budget, Difference, Needs, Released, Releases, Trace, Verdict};
use domicile_store::Journal;
use domicile_types::limits::{
    BUDGET_QUESTIONS_MAX, GIVEN_ANSWERS_BYTES_MAX, GIVEN_ANSWERS_MAX, JOURNAL_RECORD_BYTES_MAX, RELEASED_GROUPS_MAX,
    RELEASES_REWRITE_BYTES_MIN, RELEASES_REWRITE_FACTOR,
};

use crate::QueryError;
use crate::guard::{Judged, MarkKey};

mod record;
mod release;
mod rewrite;

use record::{Answered, Group, Question, Record};
use release::{Release, Source, keys};

/// A question, as far as releases are compared by it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Who shares what is learned.
    pub(crate) tenant: String,
    /// Digest of the question's text and all that it is computed with.
    pub(crate) question: String,
    pub(crate) verdict: Verdict,
    /// Days since 1970-01-01.
    pub(crate) today: i32,
}

impl Asked {
    /// Whether releases under these conditions have to be remembered.
    pub(crate) fn is_remembered(verdict: &Verdict) -> bool {
        Self::compares(verdict) || !verdict.budgets.is_empty()
    }

    /// Whether they are compared: any two differ by one entity at least.
    pub(crate) fn compares(verdict: &Verdict) -> bool {
        verdict.difference_checks && verdict.minimum_entities > 1
    }

    /// What any two of them have to differ by.
    pub(crate) fn needs(verdict: &Verdict) -> Needs {
        let Verdict { minimum_entities, dominance_percent, strict_differences: strict, .. } = *verdict;
        Needs { minimum_entities, dominance_percent, strict }
    }

    /// An answer is given again only under the clauses that it was given under.
    fn question(&self) -> Question {
        let clauses = self.verdict.clauses.iter();
        let clauses = clauses.map(|clause| format!("{}/{}/{}", clause.dataset, clause.clause, clause.policy_digest));
        Question {
            tenant: self.tenant.clone(),
            question: self.question.clone(),
            clauses: clauses.collect::<Vec<_>>().join(" "),
        }
    }
}

impl Asked {
    fn record(&self, answered: Option<Answered>) -> Record {
        let budgets = self.verdict.budgets.iter().map(|budget| (budget.dataset.to_string(), budget.clause.clone()));
        Record::Answered { question: self.question(), day: self.today, budgets: budgets.collect(), answered }
    }
}

/// The latest answer to a question.
#[derive(Debug)]
struct Given {
    answered: Answered,
    /// Rows by their groups' keys.
    row_of: HashMap<Vec<u8>, usize>,
}

/// What was released, and what the file holds of it. One thread owns it.
#[derive(Debug)]
pub(crate) struct History {
    journal: Journal,
    path: PathBuf,
    /// Bytes of the file above which it is written anew, and the least that these are.
    rewrite_above_bytes: u64,
    rewrite_bytes_min: u64,
    key: MarkKey,
    releases: Releases,
    given: HashMap<Question, Given>,
    /// Oldest first.
    given_order: VecDeque<Question>,
    given_bytes: usize,
    /// Days of the questions that counted, by tenant, dataset and clause.
    asked: BTreeMap<(String, String, String), VecDeque<i32>>,
}

impl History {
    /// Opens the history at `path`; `new_key` is that of marks where there is no history yet, and no receipts.
    ///
    /// # Errors
    /// Where the file cannot be read or is none of a history; where there is none of what `receipts` say has left.
    pub(crate) fn open(path: &Path, new_key: MarkKey, receipts: u64) -> Result<Self, QueryError> {
        if receipts > 0 && !path.exists() {
            let detail = format!(
                "the history of releases {} is missing, while the ledger has {receipts} receipts: budgets would begin anew, \
                 and answers would be compared with nothing; put the file back, or, where it is lost, make an empty one in \
                 its place",
                path.display()
            );
            return Err(QueryError::Execution(detail));
        }
        Self::open_rewritten(path, new_key, RELEASES_REWRITE_BYTES_MIN)
    }

    /// [`History::open`] where the file is written anew from that many bytes on.
    fn open_rewritten(path: &Path, new_key: MarkKey, rewrite_bytes_min: u64) -> Result<Self, QueryError> {
        let mut records = Vec::new();
        let mut broken = None;
        let mut journal = Journal::open_each(path, |line| match Record::parse(line) {
            Ok(record) => records.push(record),
            Err(detail) => broken = Some(detail),
        })?;
        if let Some(detail) = broken {
            let detail = format!("the history of releases {} does not hold: {detail}", path.display());
            return Err(QueryError::Execution(detail));
        }
        let key = match records.first() {
            Some(Record::Key { key }) => MarkKey(*key),
            _ => {
                journal.append(&Record::Key { key: new_key.0 }.to_line()?)?;
                new_key
            }
        };
        let mut history = Self {
            journal,
            path: path.to_owned(),
            rewrite_above_bytes: rewrite_bytes_min,
            rewrite_bytes_min,
            key,
            releases: Releases::new(RELEASED_GROUPS_MAX),
            given: HashMap::new(),
            given_order: VecDeque::new(),
            given_bytes: 0,
            asked: BTreeMap::new(),
        };
        for record in records {
            history.take_in(record);
        }
        history.rewrite_if_long();
        Ok(history)
    }

    /// The key of this region's marks.
    pub(crate) fn key(&self) -> MarkKey {
        self.key
    }

    /// What leaves of the judged groups. It is remembered, durably, before it does.
    ///
    /// # Errors
    /// Where a budget is used up, or the disk fails: then nothing may leave.
    pub(crate) fn release(&mut self, asked: &Asked, judged: &Judged) -> Result<RecordBatch, QueryError> {
        if let Some(given) = self.noised_before(asked) {
            return Ok(given);
        }
        let failed = |e: ArrowError| QueryError::Execution(e.to_string());
        let before = self.given.get(&asked.question());
        let release = Release { asked, judged, keys: keys(judged).map_err(failed)?, before };
        let mut sources = release.sources();
        let fresh = self.fresh(&release, &sources);
        let nothing_new = release.before.is_some() && fresh.as_ref().is_some_and(Vec::is_empty);
        if !nothing_new {
            self.check_budgets(asked)?;
        }
        if fresh.is_none() {
            sources.clear();
        }
        let rows = release.rows(&sources).map_err(failed)?;
        if !nothing_new {
            // What was given before stays so where nothing is given now.
            let answered = fresh.is_some().then(|| Answered { rows: rows.clone(), groups: release.groups(&sources) });
            self.note(asked, answered, fresh.unwrap_or_default())?;
        }
        Ok(rows)
    }

    /// What leaves of `rows`, which have noise: the very same numbers as before, where the same was asked of the same
    /// state, and nothing is spent. It is remembered, durably, before it does.
    ///
    /// # Errors
    /// Where a budget is used up, or the disk fails: then nothing may leave.
    pub(crate) fn release_noised(&mut self, asked: &Asked, rows: RecordBatch) -> Result<RecordBatch, QueryError> {
        if let Some(given) = self.noised_before(asked) {
            return Ok(given);
        }
        self.check_budgets(asked)?;
        self.note(asked, Some(Answered { rows: rows.clone(), groups: Vec::new() }), Vec::new())?;
        Ok(rows)
    }

    /// The answer to this question, where it has noise and was given before.
    fn noised_before(&self, asked: &Asked) -> Option<RecordBatch> {
        asked.verdict.differential_privacy?;
        self.given.get(&asked.question()).map(|given| given.answered.rows.clone())
    }

    /// Counts a question towards its budgets. What it is answered is not compared with anything.
    ///
    /// # Errors
    /// Where a budget is used up, or the disk fails: then nothing may leave.
    pub(crate) fn count(&mut self, asked: &Asked) -> Result<(), QueryError> {
        self.check_budgets(asked)?;
        self.note(asked, None, Vec::new())
    }

    /// What of the release nobody of the tenant has been given before; none where any of it comes too near to something
    /// that somebody has.
    fn fresh(&self, release: &Release<'_>, sources: &[Source]) -> Option<Vec<Released>> {
        if !Asked::compares(&release.asked.verdict) {
            return Some(Vec::new());
        }
        let groups: Vec<Vec<Released>> = sources.iter().map(|source| release.released(*source)).collect();
        let mut totals = totals(&groups);
        let now = groups.into_iter().zip(sources).filter(|(_, source)| matches!(source, Source::Now(_)));
        let mut compared: Vec<Released> = now.flat_map(|(group, _)| group).collect();
        if sources.len() > 1 {
            if sources.len() == release.judged.open.len() {
                let all = release.judged.definitions_of_all();
                totals.iter_mut().zip(all).for_each(|(total, definition)| total.definition = definition);
            }
            compared.append(&mut totals);
        }
        let (tenant, needs) = (&release.asked.tenant, Asked::needs(&release.asked.verdict));
        let mut fresh = Vec::new();
        for one in compared {
            match self.releases.compare(tenant, &one, needs) {
                Difference::TooFew => return None,
                Difference::None => {}
                Difference::Enough => fresh.push(one),
            }
        }
        Some(fresh)
    }

    fn check_budgets(&self, asked: &Asked) -> Result<(), QueryError> {
        match asked.verdict.budgets.iter().find(|budget| self.left(&asked.tenant, budget, asked.today) == 0) {
            None => Ok(()),
            Some(budget) => Err(QueryError::Budget(budget.clone())),
        }
    }

    /// How many questions a tenant has left of a budget.
    pub(crate) fn left(&self, tenant: &str, budget: &Budget, today: i32) -> u64 {
        let since = today.saturating_sub(i32::try_from(budget.days).unwrap_or(i32::MAX));
        let key = (tenant.to_owned(), budget.dataset.to_string(), budget.clause.clone());
        let used = self.asked.get(&key).map_or(0, |days| days.iter().filter(|day| **day > since).count() as u64);
        budget.questions.saturating_sub(used)
    }

    fn note(&mut self, asked: &Asked, answered: Option<Answered>, fresh: Vec<Released>) -> Result<(), QueryError> {
        for chunk in record::lines(&fresh) {
            let (tenant, minimum_entities) = (asked.tenant.clone(), asked.verdict.minimum_entities);
            let released = Record::Released { tenant, minimum_entities, released: chunk.to_vec() };
            self.journal.append(&released.to_line()?)?;
            self.take_in(released);
        }
        let record = asked.record(answered);
        let line = record.to_line()?;
        // An answer too long for the file is given again until the next start only.
        let short = if line.len() <= JOURNAL_RECORD_BYTES_MAX { line } else { asked.record(None).to_line()? };
        self.journal.append(&short)?;
        self.take_in(record);
        self.rewrite_if_long();
        Ok(())
    }

    /// Writes the file anew, with what still counts, where it has grown long. Where that fails, it stays as it is.
    fn rewrite_if_long(&mut self) {
        if self.journal.bytes() <= self.rewrite_above_bytes {
            return;
        }
        let given = &self.given;
        let lines = rewrite::lines(&self.path, |question| given.contains_key(question));
        let before_bytes = self.journal.bytes();
        match lines.and_then(|lines| Ok(self.journal.replace(lines)?)) {
            Ok(()) => tracing::info!(before_bytes, bytes = self.journal.bytes(), "wrote the history of releases anew"),
            Err(error) => tracing::warn!(%error, "the history of releases could not be written anew"),
        }
        let grown = self.journal.bytes().saturating_mul(RELEASES_REWRITE_FACTOR);
        self.rewrite_above_bytes = grown.max(self.rewrite_bytes_min);
    }

    fn take_in(&mut self, record: Record) {
        match record {
            Record::Key { .. } => {}
            Record::Released { tenant, minimum_entities, released } => {
                for one in released {
                    self.releases.remember(&tenant, one, minimum_entities);
                }
            }
            Record::Answered { question, day, budgets, answered } => {
                for (dataset, clause) in budgets {
                    let days = self.asked.entry((question.tenant.clone(), dataset, clause)).or_default();
                    days.push_back(day);
                    while days.len() > BUDGET_QUESTIONS_MAX {
                        days.pop_front();
                    }
                }
                if let Some(answered) = answered {
                    self.give(question, answered);
                }
            }
        }
    }

    /// Keeps an answer, and forgets the oldest ones where there are too many.
    fn give(&mut self, question: Question, answered: Answered) {
        let row_of = answered.groups.iter().enumerate().map(|(row, group)| (group.key.clone(), row)).collect();
        let given = Given { answered, row_of };
        self.given_bytes += given.bytes();
        match self.given.insert(question.clone(), given) {
            Some(old) => self.given_bytes -= old.bytes(),
            None => self.given_order.push_back(question),
        }
        while self.given.len() > GIVEN_ANSWERS_MAX || self.given_bytes > GIVEN_ANSWERS_BYTES_MAX {
            let Some(oldest) = self.given_order.pop_front() else { break };
            self.given_bytes -= self.given.remove(&oldest).map_or(0, |old| old.bytes());
        }
    }
}

impl Given {
    fn bytes(&self) -> usize {
        let group = |group: &Group| {
            group.key.len() * 2
                + group
                    .released
                    .iter()
                    .map(|one| size_of_val(one.trace.sums()) + one.trace.weights().map_or(0, size_of_val))
                    .sum::<usize>()
        };
        self.answered.rows.get_array_memory_size() + self.answered.groups.iter().map(group).sum::<usize>()
    }
}

/// Groups share no rows, so that their traces add up to those of all of them.
fn totals(groups: &[Vec<Released>]) -> Vec<Released> {
    let values = groups.first().map_or(&[][..], Vec::as_slice);
    let total = |(value, of_first): (usize, &Released)| {
        let of_each = groups.iter().filter_map(move |group| group.get(value));
        Released {
            pool: of_first.pool.clone(),
            definition: of_each.clone().fold(0, |sum, one| sum.wrapping_add(one.definition)),
            trace: Trace::sum(of_each.map(|one| &one.trace)),
        }
    };
    values.iter().enumerate().map(total).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
