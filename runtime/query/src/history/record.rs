//! The lines of the file that a history is kept in.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use domicile_policy::{Released, Trace};
use domicile_wire::frame;
use serde::{Deserialize, Serialize};

use crate::QueryError;

/// One line.
#[derive(Debug)]
pub(super) enum Record {
    /// The first: the key of the region's marks.
    Key { key: u64 },
    /// Groups that were released.
    Released { tenant: String, minimum_entities: u64, released: Vec<Released> },
    /// A question that counted towards the budgets of these clauses, by dataset and id, and its answer, where it is
    /// short enough.
    Answered { question: Question, day: i32, budgets: Vec<(String, String)>, answered: Option<Answered> },
}

/// What makes two questions the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    pub(super) tenant: String,
    /// Digest of its text and all that it is computed with.
    pub(super) question: String,
    /// The clauses that admit it.
    pub(super) clauses: String,
}

/// The rows of an answer and the groups that they are, in the same order.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) rows: RecordBatch,
    pub(super) groups: Vec<Group>,
}

/// A group by its key, with the rows behind it.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) key: Vec<u8>,
    pub(super) released: Vec<Released>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Key { key: u64 },
    Released { tenant: String, minimum_entities: u64, groups: Vec<ReleasedLine> },
    Answered { question: Question, day: i32, budgets: Vec<(String, String)>, answered: Option<AnsweredLine> },
}

/// What the trace is compared with; its places and sums; and its weights, where it has any: little-endian numbers in
/// base64.
#[derive(Serialize, Deserialize)]
struct ReleasedLine(String, String, #[serde(default)] Option<String>, #[serde(default)] u64);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnsweredLine {
    /// Frames, as they cross borders.
    rows: String,
    groups: Vec<(String, Vec<ReleasedLine>)>,
}

/// Groups of one line: with traces of the greatest length a line stays well below its limit.
const GROUPS_PER_LINE: usize = 50;

/// What was released, by the lines that it takes.
pub(super) fn lines(released: &[Released]) -> impl Iterator<Item = &[Released]> {
    released.chunks(GROUPS_PER_LINE)
}

impl Record {
    /// The record as a line.
    ///
    /// # Errors
    /// Where rows cannot be encoded.
    pub(super) fn to_line(&self) -> Result<Vec<u8>, QueryError> {
        let line = match self {
            Self::Key { key } => Line::Key { key: *key },
            Self::Released { tenant, minimum_entities, released } => Line::Released {
                tenant: tenant.clone(),
                minimum_entities: *minimum_entities,
                groups: released.iter().map(line_of).collect(),
            },
            Self::Answered { question, day, budgets, answered } => Line::Answered {
                question: question.clone(),
                day: *day,
                budgets: budgets.clone(),
                answered: answered.as_ref().map(Answered::to_line).transpose()?,
            },
        };
        serde_json::to_vec(&line).map_err(|e| QueryError::Execution(e.to_string()))
    }

    /// The line of an answered question without its answer; none where it is another line.
    pub(super) fn without_answer(line: &[u8]) -> Option<Vec<u8>> {
        match serde_json::from_slice(line).ok()? {
            Line::Answered { question, day, budgets, .. } => {
                serde_json::to_vec(&Line::Answered { question, day, budgets, answered: None }).ok()
            }
            _ => None,
        }
    }

    /// What a line says, or why it is none.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let line: Line = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        Ok(match line {
            Line::Key { key } => Self::Key { key },
            Line::Released { tenant, minimum_entities, groups } => {
                let released = groups.iter().map(released_of).collect::<Result<_, _>>()?;
                Self::Released { tenant, minimum_entities, released }
            }
            Line::Answered { question, day, budgets, answered } => {
                let answered = answered.as_ref().map(Answered::of_line).transpose()?;
                Self::Answered { question, day, budgets, answered }
            }
        })
    }
}

impl Answered {
    fn to_line(&self) -> Result<AnsweredLine, QueryError> {
        let frames = frame::encode(&self.rows.schema(), std::slice::from_ref(&self.rows))?;
        let group = |group: &Group| (BASE64.encode(&group.key), group.released.iter().map(line_of).collect());
        Ok(AnsweredLine { rows: BASE64.encode(frames), groups: self.groups.iter().map(group).collect() })
    }

    fn of_line(line: &AnsweredLine) -> Result<Self, String> {
        let frames = BASE64.decode(&line.rows).map_err(|e| e.to_string())?;
        let (schema, batches) = frame::decode(&frames).map_err(|e| e.to_string())?;
        let rows = concat_batches(&schema, &batches).map_err(|e| e.to_string())?;
        let group = |(key, released): &(String, Vec<ReleasedLine>)| {
            let key = BASE64.decode(key).map_err(|e| e.to_string())?;
            Ok(Group { key, released: released.iter().map(released_of).collect::<Result<_, String>>()? })
        };
        let groups: Vec<Group> = line.groups.iter().map(group).collect::<Result<_, String>>()?;
        // Of numbers with noise the groups are not compared, and so not kept.
        if groups.is_empty() || groups.len() == rows.num_rows() {
            Ok(Self { rows, groups })
        } else {
            Err(format!("{} groups for {} rows", groups.len(), rows.num_rows()))
        }
    }
}

/// Before weights that have signs.
const SIGNED: &str = "signed:";

fn line_of(one: &Released) -> ReleasedLine {
    let bytes = one.trace.sums().iter().flat_map(|(place, sum)| {
        let ([a, b], [c, d, e, f]) = (place.to_le_bytes(), sum.to_le_bytes());
        [a, b, c, d, e, f]
    });
    let weights = one.trace.weights().map(|weights| {
        let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        format!("{SIGNED}{}", BASE64.encode(bytes))
    });
    ReleasedLine(one.pool.clone(), BASE64.encode(bytes.collect::<Vec<u8>>()), weights, one.definition)
}

fn released_of(line: &ReleasedLine) -> Result<Released, String> {
    let ReleasedLine(pool, trace, weights, definition) = line;
    let bytes = BASE64.decode(trace).map_err(|e| e.to_string())?;
    let pair = |[a, b, c, d, e, f]: [u8; 6]| (u16::from_le_bytes([a, b]), u32::from_le_bytes([c, d, e, f]));
    let pairs = bytes.as_chunks::<6>().0.iter().copied().map(pair);
    let trace = match weights {
        None => Trace::of(pairs),
        Some(weights) => {
            // Before they had signs, two weights told less of how releases differ: these differ by too much from all others.
            let (text, signed) = weights.strip_prefix(SIGNED).map_or((weights.as_str(), false), |text| (text, true));
            let weights = BASE64.decode(text).map_err(|e| e.to_string())?;
            let number = |bytes| if signed { f64::from_le_bytes(bytes) } else { f64::NAN };
            let weights = weights.as_chunks::<8>().0.iter().copied().map(number);
            if weights.len() != pairs.len() {
                return Err(format!("{} weights for {} places", weights.len(), pairs.len()));
            }
            Trace::weighed(pairs.zip(weights).map(|((place, sum), weight)| (place, sum, weight)))
        }
    };
    Ok(Released { pool: pool.clone(), definition: *definition, trace })
}
