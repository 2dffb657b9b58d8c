//! What the hidden column says of who changed what in a row.
//!
//! A JSON object, in which a mark is `own` for the entry that carries the version, or `region.epoch:number` of another
//! entry, with `@` and its moment where moments are compared:
//!
//! ```json
//! {"changed": {"own": ["price"], "eu-central.0:17@115964116992000": ["name", "size"]},
//!  "counted": {"stock": {"own": "-2", "us-east.0:4": "10"}}}
//! ```
//!
//! `changed` has the last change of each column, `counted` what each origin added to a counter. `own` adds to what the
//! same origin had added before. Whatever cannot be read counts as not said.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{Dot, Hlc, MERGE_COLUMN, Mark, Origin};
use serde::{Deserialize, Serialize};

use super::counter::{Contribution, Contributions};
use super::number::Number;
use super::{RowRef, Rules};

const OWN: &str = "own";

/// When something was changed, by which entry. Later ones compare greater, in the order of [`Mark::order`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    hlc: Hlc,
    dot: Dot,
}

/// Who changed what in a row, without `own`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Notes {
    /// The last change of each column; none of which nobody said that it was changed.
    pub(super) changed: BTreeMap<String, Stamp>,
    /// The contributions to each counter.
    pub(super) counted: BTreeMap<String, Contributions>,
}

/// Notes as they are written, still with `own`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotesText {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    changed: BTreeMap<String, BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counted: BTreeMap<String, BTreeMap<String, String>>,
}

impl Notes {
    /// The notes of a version. Where it has none, everything in it is its own.
    pub(super) fn read(rules: &Rules, row: RowRef<'_>, mark: &Mark) -> Self {
        let text = row.text(MERGE_COLUMN).and_then(|text| serde_json::from_str::<NotesText>(text).ok());
        let NotesText { changed, counted } = text.unwrap_or_default();
        let mut changed = stamps(&changed, mark).unwrap_or_default();
        changed.retain(|column, _| rules.tracked.contains(column));
        if changed.is_empty() {
            changed.extend(rules.tracked.iter().map(|column| (column.clone(), Stamp::of(mark))));
        }
        let contributions = |column: &str| {
            let said = counted.get(column).and_then(|said| contributions(said, row, column, mark));
            (column.to_owned(), said.unwrap_or_else(|| own_value(row, column, mark)))
        };
        Self { changed, counted: rules.counters().map(contributions).collect() }
    }

    /// The text of notes in which nothing is the version's own.
    pub(super) fn text(self) -> String {
        let mut text = NotesText::default();
        self.changed.iter().for_each(|(column, stamp)| text.changed(column, Some(stamp)));
        self.counted.iter().for_each(|(column, contributions)| text.counted(column, contributions, None));
        text.json()
    }
}

impl NotesText {
    /// Says when a column was changed; none is by the version itself.
    pub(super) fn changed(&mut self, column: &str, stamp: Option<&Stamp>) {
        let mark = stamp.map_or_else(|| OWN.to_owned(), |stamp| format!("{}@{}", stamp.dot, stamp.hlc.0));
        self.changed.entry(mark).or_default().insert(column.to_owned());
    }

    /// Says what was added to a counter, and what the version itself adds.
    pub(super) fn counted(&mut self, column: &str, contributions: &Contributions, own: Option<Number>) {
        let of = |(origin, contribution): (&Origin, &Contribution)| {
            (Dot { origin: origin.clone(), seq: contribution.seq }.to_string(), contribution.amount.to_string())
        };
        let own = own.map(|amount| (OWN.to_owned(), amount.to_string()));
        self.counted.insert(column.to_owned(), contributions.iter().map(of).chain(own).collect());
    }

    pub(super) fn json(&self) -> String {
        // Maps of texts to texts, which JSON cannot refuse.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Stamp {
    fn of(mark: &Mark) -> Self {
        Self { hlc: mark.hlc, dot: mark.dot.clone() }
    }
}

/// The newest stamp of each column; none where a mark cannot be read.
fn stamps(changed: &BTreeMap<String, BTreeSet<String>>, own: &Mark) -> Option<BTreeMap<String, Stamp>> {
    let mut stamps = BTreeMap::<String, Stamp>::new();
    for (text, columns) in changed {
        let stamp = match text.as_str() {
            OWN => Stamp::of(own),
            text => {
                let (entry, hlc) = text.split_once('@')?;
                Stamp { hlc: Hlc(hlc.parse().ok()?), dot: dot(entry)? }
            }
        };
        for column in columns {
            if stamps.get(column).is_none_or(|known| *known < stamp) {
                stamps.insert(column.clone(), stamp.clone());
            }
        }
    }
    Some(stamps)
}

/// The contributions that a text lists; none where something in it cannot be read.
fn contributions(said: &BTreeMap<String, String>, row: RowRef<'_>, column: &str, mark: &Mark) -> Option<Contributions> {
    let kind = row.rows.column_by_name(column)?.data_type();
    let mut contributions = Contributions::new();
    let mut own = None;
    for (text, amount) in said {
        let amount = Number::parse(amount, kind)?;
        if text == OWN {
            own = Some(amount);
            continue;
        }
        let Dot { origin, seq } = dot(text)?;
        if contributions.get(&origin).is_none_or(|known| known.seq <= seq) {
            contributions.insert(origin, Contribution { seq, amount });
        }
    }
    if let Some(own) = own {
        let before = contributions.get(&mark.dot.origin).map(|before| before.amount);
        let amount = before.map_or(own, |before| before.plus(own));
        contributions.insert(mark.dot.origin.clone(), Contribution { seq: mark.dot.seq, amount });
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
