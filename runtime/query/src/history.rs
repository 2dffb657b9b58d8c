//! What this region has released to whom: no two answers to a tenant may differ by too few entities, and no clause
//! answers more questions than its budget.
//!
//! A question that is asked again after a few rows have changed is answered for each group as before, until enough have
//! changed. Any other question whose groups come too near to what the tenant was given before gets no groups at all,
//! which looks as if all of them were too small.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use domicile_policy::{Difference, Released, Releases, Verdict};
use domicile_store::Journal;
use domicile_types::limits::{
    BUDGET_QUESTIONS_MAX, GIVEN_ANSWERS_BYTES_MAX, GIVEN_ANSWERS_MAX, JOURNAL_RECORD_BYTES_MAX, RELEASED_GROUPS_MAX,
};

use crate::QueryError;
use crate::guard::{Judged, MarkKey};

mod record;

use record::{Answered, Group, Question, Record};

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
    key: MarkKey,
    releases: Releases,
    given: HashMap<Question, Given>,
    /// Oldest first.
    given_order: VecDeque<Question>,
    given_bytes: usize,
    /// Days of the questions that counted, by tenant, dataset and clause.
    asked: BTreeMap<(String, String, String), VecDeque<i32>>,
}

/// Where a row that leaves comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Now(usize),
    /// The row of an earlier answer.
    Before(usize),
}

impl History {
    /// Opens the history at `path`; `new_key` is that of marks where there is no history yet.
    ///
    /// # Errors
    /// Where the file cannot be read or is none of a history.
    pub(crate) fn open(path: &Path, new_key: MarkKey) -> Result<Self, QueryError> {
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
            let answered = Answered { rows: rows.clone(), groups: release.groups(&sources) };
            self.note(asked, answered, fresh.unwrap_or_default())?;
        }
        Ok(rows)
    }

    /// Counts a question towards its budgets. What it is answered is not compared with anything.
    ///
    /// # Errors
    /// Where a budget is used up, or the disk fails: then nothing may leave.
    pub(crate) fn count(&mut self, asked: &Asked) -> Result<(), QueryError> {
        self.check_budgets(asked)?;
        let record = asked.record(None);
        self.journal.append(&record.to_line()?)?;
        self.take_in(record);
        Ok(())
    }

    /// What of the release nobody of the tenant has been given before; none where any of it comes too near to something
    /// that somebody has.
    fn fresh(&self, release: &Release<'_>, sources: &[Source]) -> Option<Vec<Released>> {
        if !Asked::compares(&release.asked.verdict) {
            return Some(Vec::new());
        }
        let mut compared = Vec::new();
        let mut totals = Vec::new();
        for source in sources {
            let group = release.released(*source);
            add(&mut totals, &group);
            compared.extend(group.into_iter().filter(|_| matches!(source, Source::Now(_))));
        }
        if sources.len() > 1 {
            compared.extend(totals);
        }
        let (tenant, minimum) = (&release.asked.tenant, release.asked.verdict.minimum_entities);
        let mut fresh = Vec::new();
        for one in compared {
            match self.releases.compare(tenant, &one, minimum) {
                Difference::TooFew => return None,
                Difference::None => {}
                Difference::Enough => fresh.push(one),
            }
        }
        Some(fresh)
    }

    fn check_budgets(&self, asked: &Asked) -> Result<(), QueryError> {
        for budget in &asked.verdict.budgets {
            let since = asked.today.saturating_sub(i32::try_from(budget.days).unwrap_or(i32::MAX));
            let key = (asked.tenant.clone(), budget.dataset.to_string(), budget.clause.clone());
            let used = self.asked.get(&key).map_or(0, |days| days.iter().filter(|day| **day > since).count() as u64);
            if used >= budget.questions {
                return Err(QueryError::Budget(budget.clone()));
            }
        }
        Ok(())
    }

    fn note(&mut self, asked: &Asked, answered: Answered, fresh: Vec<Released>) -> Result<(), QueryError> {
        for chunk in record::lines(&fresh) {
            let (tenant, minimum_entities) = (asked.tenant.clone(), asked.verdict.minimum_entities);
            let released = Record::Released { tenant, minimum_entities, released: chunk.to_vec() };
            self.journal.append(&released.to_line()?)?;
            self.take_in(released);
        }
        let record = asked.record(Some(answered));
        let line = record.to_line()?;
        // An answer too long for the file is given again until the next start only.
        let short = if line.len() <= JOURNAL_RECORD_BYTES_MAX { line } else { asked.record(None).to_line()? };
        self.journal.append(&short)?;
        self.take_in(record);
        Ok(())
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

/// One release in the making.
struct Release<'r> {
    asked: &'r Asked,
    judged: &'r Judged,
    /// The keys of the judged groups.
    keys: Vec<Vec<u8>>,
    /// The latest answer to the same question.
    before: Option<&'r Given>,
}

impl Release<'_> {
    /// For each group that leaves, the row of now, or that of the earlier answer where too few entities have changed.
    fn sources(&self) -> Vec<Source> {
        (0..self.judged.open.len()).filter_map(|group| self.source(group)).collect()
    }

    fn source(&self, group: usize) -> Option<Source> {
        let now = self.judged.open[group].then_some(Source::Now(group));
        let Some(before) = self.before.filter(|_| Asked::compares(&self.asked.verdict)) else { return now };
        let Some(row) = before.row_of.get(&self.keys[group]) else { return now };
        let (earlier, minimum) = (&before.answered.groups[*row].released, self.asked.verdict.minimum_entities);
        let now_behind = self.judged.traces(group);
        let near = differences(&now_behind, earlier, minimum).any(|one| one == Difference::TooFew);
        if near { Some(Source::Before(*row)) } else { now }
    }

    fn released(&self, source: Source) -> Vec<Released> {
        match source {
            Source::Now(group) => self.judged.traces(group),
            Source::Before(row) => {
                self.before.map(|given| given.answered.groups[row].released.clone()).unwrap_or_default()
            }
        }
    }

    fn rows(&self, sources: &[Source]) -> Result<RecordBatch, ArrowError> {
        let given = self.before.map_or(&self.judged.rows, |given| &given.answered.rows);
        let at = |source: &Source| match source {
            Source::Now(group) => (0, *group),
            Source::Before(row) => (1, *row),
        };
        let at: Vec<(usize, usize)> = sources.iter().map(at).collect();
        if at.is_empty() {
            return Ok(self.judged.rows.slice(0, 0));
        }
        interleave_record_batch(&[&self.judged.rows, given], &at)
    }

    /// The groups of the release, in its order.
    fn groups(&self, sources: &[Source]) -> Vec<Group> {
        let key = |source: Source| match source {
            Source::Now(group) => self.keys[group].clone(),
            Source::Before(row) => self.before.map(|given| given.answered.groups[row].key.clone()).unwrap_or_default(),
        };
        sources.iter().map(|source| Group { key: key(*source), released: self.released(*source) }).collect()
    }
}

impl Given {
    fn bytes(&self) -> usize {
        let group = |group: &Group| {
            group.key.len() * 2 + group.released.iter().map(|one| size_of_val(one.trace.sums())).sum::<usize>()
        };
        self.answered.rows.get_array_memory_size() + self.answered.groups.iter().map(group).sum::<usize>()
    }
}

/// How the rows behind each value of one group differ between two times.
fn differences<'r>(now: &'r [Released], before: &'r [Released], minimum: u64) -> impl Iterator<Item = Difference> + 'r {
    now.iter().zip(before).map(move |(one, other)| one.trace.difference(&other.trace, minimum))
}

/// Groups share no rows, so that their traces add up to those of all of them.
fn add(totals: &mut Vec<Released>, group: &[Released]) {
    if totals.is_empty() {
        totals.extend_from_slice(group);
    } else {
        totals.iter_mut().zip(group).for_each(|(total, one)| total.trace = total.trace.plus(&one.trace));
    }
}

/// The keys of each group as bytes.
fn keys(judged: &Judged) -> Result<Vec<Vec<u8>>, ArrowError> {
    let columns: Vec<ArrayRef> = judged.keys.iter().map(|key| Arc::clone(judged.rows.column(*key))).collect();
    if columns.is_empty() {
        return Ok(vec![Vec::new(); judged.rows.num_rows()]);
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| row.as_ref().to_vec()).collect())
}
