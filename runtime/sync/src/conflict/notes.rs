//! What the hidden column says of who changed what in a row.
//!
//! A JSON object, in which an entry is `region.epoch:number`, with `@` and its moment where moments are compared:
//!
//! ```json
//! {"changed": {"us-east.0:5@115964117000000": ["price"], "eu-central.0:17@115964116992000": ["name", "size"]},
//!  "counted": {"stock": {"eu-central.0:17": "-2", "us-east.0:4": "10"}}}
//! ```
//!
//! `changed` has the last change of each column, `counted` what each origin added to a counter up to one of its entries.
//! Whatever cannot be read counts as not said.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{Dot, Hlc, MERGE_COLUMN, Mark, Origin};
use serde::{Deserialize, Serialize};

use super::counter::{Contribution, Contributions};
use super::number::Number;
use super::{RowRef, Rules};

/// When something was changed, by which entry. Later ones compare greater, in the order of [`Mark::order`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    hlc: Hlc,
    dot: Dot,
}

/// Who changed what in a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Notes {
    /// The last change of each column; none of which nobody said that it was changed.
    pub(super) changed: BTreeMap<String, Stamp>,
    /// The contributions to each counter.
    pub(super) counted: BTreeMap<String, Contributions>,
}

/// Notes as they are written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotesText {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    changed: BTreeMap<String, BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counted: BTreeMap<String, BTreeMap<String, String>>,
}

impl Notes {
    /// The notes of a version. Where it has none, everything in it is its own.
    pub(super) fn read(rules: &Rules, row: RowRef<'_>, mark: &Mark) -> Self {
        let NotesText { changed, counted } = NotesText::of(row).unwrap_or_default();
        let mut changed = stamps(&changed).unwrap_or_default();
        changed.retain(|column, _| rules.tracked.contains(column));
        if changed.is_empty() {
            changed.extend(rules.tracked.iter().map(|column| (column.clone(), Stamp::of(mark))));
        }
        let contributions = |column: &str| {
            let said = counted.get(column).and_then(|said| contributions(said, row, column));
            (column.to_owned(), said.unwrap_or_else(|| own_value(row, column, mark)))
        };
        Self { changed, counted: rules.counters().map(contributions).collect() }
    }

    /// The notes of a row that says all that it has to say, and none where it does not.
    pub(super) fn said(rules: &Rules, row: RowRef<'_>) -> Option<Self> {
        let NotesText { changed, counted } = NotesText::of(row)?;
        let changed = stamps(&changed)?;
        let contributions = |column: &str| Some((column.to_owned(), contributions(counted.get(column)?, row, column)?));
        let counted = rules.counters().map(contributions).collect::<Option<_>>()?;
        rules.tracked.iter().all(|column| changed.contains_key(column)).then_some(Self { changed, counted })
    }

    /// Whether an entry may say so: it names no entry but itself and those that it follows.
    pub(super) fn could_be_of(&self, mark: &Mark) -> bool {
        let is_known = |dot: &Dot| *dot == mark.dot || mark.follows.contains(dot);
        let is_counted = |(origin, contribution): (&Origin, &Contribution)| {
            is_known(&Dot { origin: origin.clone(), seq: contribution.seq })
        };
        self.changed.values().all(|stamp| stamp.hlc <= mark.hlc && is_known(&stamp.dot))
            && self.counted.values().flatten().all(is_counted)
    }

    pub(super) fn text(&self) -> String {
        let mut text = NotesText::default();
        for (column, stamp) in &self.changed {
            text.changed.entry(format!("{}@{}", stamp.dot, stamp.hlc.0)).or_default().insert(column.clone());
        }
        let amount = |(origin, contribution): (&Origin, &Contribution)| {
            let dot = Dot { origin: origin.clone(), seq: contribution.seq };
            (dot.to_string(), contribution.amount.to_string())
        };
        for (column, contributions) in &self.counted {
            text.counted.insert(column.clone(), contributions.iter().map(amount).collect());
        }
        // Maps of texts to texts, which JSON cannot refuse.
        serde_json::to_string(&text).unwrap_or_default()
    }
}

impl NotesText {
    fn of(row: RowRef<'_>) -> Option<Self> {
        row.text(MERGE_COLUMN).and_then(|text| serde_json::from_str(text).ok())
    }
}

impl Stamp {
    pub(super) fn of(mark: &Mark) -> Self {
        Self { hlc: mark.hlc, dot: mark.dot.clone() }
    }
}

/// The newest stamp of each column; none where a mark cannot be read.
fn stamps(changed: &BTreeMap<String, BTreeSet<String>>) -> Option<BTreeMap<String, Stamp>> {
    let mut stamps = BTreeMap::<String, Stamp>::new();
    for (text, columns) in changed {
        let (entry, hlc) = text.split_once('@')?;
        let stamp = Stamp { hlc: Hlc(hlc.parse().ok()?), dot: dot(entry)? };
        for column in columns {
            if stamps.get(column).is_none_or(|known| *known < stamp) {
                stamps.insert(column.clone(), stamp.clone());
            }
        }
    }
    Some(stamps)
}

/// The contributions that a text lists; none where something in it cannot be read.
fn contributions(said: &BTreeMap<String, String>, row: RowRef<'_>, column: &str) -> Option<Contributions> {
    let kind = row.rows.column_by_name(column)?.data_type();
    let mut contributions = Contributions::new();
    for (text, amount) in said {
        let (Dot { origin, seq }, amount) = (dot(text)?, Number::parse(amount, kind)?);
        if contributions.get(&origin).is_none_or(|known| known.seq <= seq) {
            contributions.insert(origin, Contribution { seq, amount });
        }
    }
    Some(contributions)
}

/// The contribution of a version whose whole value is its own.
fn own_value(row: RowRef<'_>, column: &str, mark: &Mark) -> Contributions {
    let value = row.rows.column_by_name(column).and_then(|values| Number::of(values, row.index));
    let contribution = |amount| (mark.dot.origin.clone(), Contribution { seq: mark.dot.seq, amount });
    value.map(contribution).into_iter().collect()
}

fn dot(text: &str) -> Option<Dot> {
    let (origin, seq) = text.split_once(':')?;
    let (region, epoch) = origin.split_once('.')?;
    let origin = Origin { region: region.parse().ok()?, epoch: epoch.parse().ok()? };
    Some(Dot { origin, seq: seq.parse().ok()? })
}
