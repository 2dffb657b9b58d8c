//! From concurrent versions to the one row that readers see.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt8Array, new_null_array};
use arrow::datatypes::DataType;
use domicile_types::{ColumnPolicy, Dot, MERGE_COLUMN, PluginName, RegionId, RowPolicy, Vector};

use super::notes::Notes;
use super::plugin::{self, MergeFailure, MergePlugin, Merged, Unavailable};
use super::siblings::OP_TOMBSTONE;
use super::{Reason, RowRef, Rules, Siblings, counter, extreme, set_union};

/// The hidden column with the entity that a row is about, as the store keeps it.
const ENTITY_COLUMN: &str = "_entity";

/// What concurrent versions come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// One row or tombstone, in the schema of the versions.
    pub row: RecordBatch,
    /// The version that the row policy picked, which has all values but those of columns with a policy of their own;
    /// none where the row was made of several.
    pub winner: Option<Dot>,
    /// Why the row is what it is.
    pub reason: Reason,
    /// What columns with a policy of their own have instead, in the order of their names.
    pub columns: Vec<Reason>,
}

impl Resolved {
    /// Whether there is no row any more.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        RowRef { rows: &self.row, index: 0 }.is_tombstone()
    }

    /// All reasons, for people.
    #[must_use]
    pub fn explanation(&self) -> String {
        let reasons = std::iter::once(&self.reason).chain(&self.columns).map(Reason::to_string);
        reasons.collect::<Vec<_>>().join("; ")
    }
}

/// What the row policy says, before columns have their say.
enum Choice {
    /// All values of one version.
    Version(usize, Reason),
    /// Each column's last change.
    Columns,
    /// What a plugin made.
    Made(Vec<(usize, ArrayRef)>, PluginName),
    /// What a plugin made of a row: nothing.
    Deleted(PluginName),
}

/// The row that concurrent versions come to. `plugin` is asked only where the policy names one.
///
/// # Errors
/// Where the plugin cannot be asked here and now, so that the versions have to wait.
pub fn resolve(rules: &Rules, siblings: &Siblings, plugin: &dyn MergePlugin) -> Result<Resolved, Unavailable> {
    let version = |index: usize, reason| Resolved {
        row: siblings.rows().slice(index, 1),
        winner: Some(siblings.marks()[index].dot.clone()),
        reason,
        columns: Vec::new(),
    };
    if siblings.count() == 1 {
        return Ok(version(0, Reason::Only));
    }
    let last = siblings.last();
    let Some(last_row) = (0..=last).rev().find(|index| !siblings.version(*index).is_tombstone()) else {
        return Ok(version(last, Reason::WrittenLast));
    };
    let (base, made, winner, reason) = match choose(rules, siblings, plugin)? {
        Choice::Version(index, reason) if siblings.version(index).is_tombstone() => return Ok(version(index, reason)),
        Choice::Version(index, reason) => (index, Vec::new(), Some(siblings.marks()[index].dot.clone()), reason),
        Choice::Columns => (last_row, Vec::new(), None, Reason::LastChanges),
        Choice::Made(values, plugin) => (last_row, values, None, Reason::Plugin(plugin)),
        Choice::Deleted(plugin) => {
            let row = tombstone(rules, siblings);
            return Ok(Resolved { row, winner: None, reason: Reason::Plugin(plugin), columns: Vec::new() });
        }
    };
    let mut draft = Draft::new(rules, siblings, base);
    made.into_iter().for_each(|(place, value)| draft.columns[place] = value);
    let columns = draft.combine();
    Ok(Resolved { row: draft.finish(), winner, reason, columns })
}

fn choose(rules: &Rules, siblings: &Siblings, plugin: &dyn MergePlugin) -> Result<Choice, Unavailable> {
    let last = siblings.last();
    Ok(match &rules.row {
        RowPolicy::Lww => Choice::Version(last, Reason::WrittenLast),
        RowPolicy::FirstWrite => Choice::Version(0, Reason::WrittenFirst),
        RowPolicy::OriginPriority(regions) => first_origin(regions, siblings),
        RowPolicy::ColumnLww if siblings.version(last).is_tombstone() => Choice::Version(last, Reason::WrittenLast),
        RowPolicy::ColumnLww => Choice::Columns,
        RowPolicy::Manual => Choice::Version(last, Reason::Undecided),
        RowPolicy::Wasm(name) => {
            let made = plugin.merge(siblings)?.and_then(|merged| made(rules, siblings, merged, name));
            made.unwrap_or_else(|failure| {
                Choice::Version(last, Reason::PluginFailed { plugin: name.clone(), problem: failure.problem })
            })
        }
    })
}

fn first_origin(regions: &[RegionId], siblings: &Siblings) -> Choice {
    let wrote = |region: &&RegionId| {
        let index = siblings.marks().iter().rposition(|mark| mark.dot.origin.region == **region)?;
        Some(Choice::Version(index, Reason::OriginFirst((*region).clone())))
    };
    let found = regions.iter().find_map(|region| wrote(&region));
    found.unwrap_or(Choice::Version(siblings.last(), Reason::WrittenLast))
}

fn made(rules: &Rules, siblings: &Siblings, merged: Merged, name: &PluginName) -> Result<Choice, MergeFailure> {
    match merged {
        Merged::Row(row) => Ok(Choice::Made(plugin::values(rules, siblings, &row)?, name.clone())),
        Merged::Tombstone => Ok(Choice::Deleted(name.clone())),
    }
}

/// A tombstone of the row that all versions are of.
fn tombstone(rules: &Rules, siblings: &Siblings) -> RecordBatch {
    let any = siblings.rows().slice(siblings.last(), 1);
    let operation = any.num_columns() - 1;
    let value = |(place, column): (usize, &ArrayRef)| -> ArrayRef {
        match any.schema_ref().field(place).name() {
            _ if place == operation => Arc::new(UInt8Array::from(vec![OP_TOMBSTONE])),
            name if rules.key.contains(name) => Arc::clone(column),
            _ => new_null_array(column.data_type(), 1),
        }
    };
    let columns = any.columns().iter().enumerate().map(value).collect();
    RecordBatch::try_new(any.schema(), columns).unwrap_or(any)
}

/// A row in the making: that of one version, in which single values are replaced.
struct Draft<'a> {
    rules: &'a Rules,
    siblings: &'a Siblings,
    /// The versions that are rows, by their place.
    rows: Vec<usize>,
    /// Their notes.
    notes: Vec<Notes>,
    base: usize,
    columns: Vec<ArrayRef>,
}

impl<'a> Draft<'a> {
    fn new(rules: &'a Rules, siblings: &'a Siblings, base: usize) -> Self {
        let rows: Vec<usize> = (0..siblings.count()).filter(|row| !siblings.version(*row).is_tombstone()).collect();
        let noted = rows.iter().filter(|_| rules.notes_changes());
        let notes = noted.map(|row| Notes::read(rules, siblings.version(*row), &siblings.marks()[*row])).collect();
        let columns = siblings.rows().slice(base, 1).columns().to_vec();
        Self { rules, siblings, rows, notes, base, columns }
    }

    fn place(&self, column: &str) -> Option<usize> {
        self.siblings.rows().schema_ref().index_of(column).ok()
    }

    fn take(&mut self, place: usize, row: usize) {
        self.columns[place] = self.siblings.rows().column(place).slice(row, 1);
    }

    /// Lets columns have what policies say, and the notes say so; gives the reasons of those with one of their own.
    fn combine(&mut self) -> Vec<Reason> {
        let mut merged = Notes::default();
        for column in &self.rules.tracked {
            let stamps = self.rows.iter().zip(&self.notes).map(|(row, notes)| (notes.changed.get(column), *row));
            let Some((stamp, row)) = stamps.max() else { continue };
            merged.changed.extend(stamp.map(|stamp| (column.clone(), stamp.clone())));
            if let Some(place) = self.place(column) {
                self.take(place, row);
            }
        }
        let mut reasons = Vec::new();
        for (column, policy) in &self.rules.columns {
            if let Some(place) = self.place(column) {
                reasons.push(self.column(place, column, *policy, &mut merged));
            }
        }
        self.write_notes(merged);
        reasons
    }

    fn column(&mut self, place: usize, name: &str, policy: ColumnPolicy, merged: &mut Notes) -> Reason {
        let siblings = self.siblings;
        let values = siblings.rows().column(place);
        let side = match policy {
            ColumnPolicy::Max => Ordering::Greater,
            ColumnPolicy::Min => Ordering::Less,
            ColumnPolicy::Counter => {
                self.add_up(place, name, merged);
                return Reason::Sum(name.to_owned());
            }
            ColumnPolicy::SetUnion => {
                if let Some(texts) = values.as_string_opt::<i32>() {
                    let texts = self.rows.iter().filter(|row| texts.is_valid(**row)).map(|row| texts.value(*row));
                    self.columns[place] = Arc::new(StringArray::from(vec![set_union::union(texts)]));
                }
                return Reason::Union(name.to_owned());
            }
        };
        let row = extreme::place(values, &self.rows, side).unwrap_or(self.base);
        self.take(place, row);
        if side == Ordering::Greater { Reason::Largest(name.to_owned()) } else { Reason::Smallest(name.to_owned()) }
    }

    fn add_up(&mut self, place: usize, name: &str, merged: &mut Notes) {
        let follows = self.rows.iter().map(|row| &self.siblings.marks()[*row].follows);
        let of = |(notes, follows): (&'_ Notes, &'a Vector)| Some((notes.counted.get(name)?.clone(), follows));
        let versions: Vec<_> = self.notes.iter().zip(follows).filter_map(of).collect();
        let versions: Vec<_> = versions.iter().map(|(contributions, follows)| (contributions, *follows)).collect();
        let contributions = counter::merged(&versions);
        let values = self.siblings.rows().column(place);
        let sum = counter::sum(&contributions).and_then(|sum| sum.array(values.data_type()));
        self.columns[place] = sum.unwrap_or_else(|| {
            let row = self.rows.iter().rev().find(|row| values.is_valid(**row)).unwrap_or(&self.base);
            values.slice(*row, 1)
        });
        merged.counted.insert(name.to_owned(), contributions);
    }

    fn write_notes(&mut self, merged: Notes) {
        let Some(place) = self.place(MERGE_COLUMN).filter(|_| self.rules.notes_changes()) else { return };
        if *self.siblings.rows().schema_ref().field(place).data_type() == DataType::Utf8 {
            self.columns[place] = Arc::new(StringArray::from(vec![merged.text()]));
        }
    }

    /// The row. Its entity is that of a version with the same value in the column that says whom it is about.
    fn finish(mut self) -> RecordBatch {
        let subject = self.rules.subject.as_ref().and_then(|subject| self.place(subject));
        if let (Some(entity), Some(subject)) = (self.place(ENTITY_COLUMN), subject) {
            let subjects = self.siblings.rows().column(subject);
            let same = |row: &usize| subjects.slice(*row, 1).as_ref() == self.columns[subject].as_ref();
            let row = std::iter::once(self.base).chain(self.rows.iter().rev().copied()).find(same);
            self.take(entity, row.unwrap_or(self.base));
        }
        let base = self.siblings.rows().slice(self.base, 1);
        // Every value has the type of its column, and is missing only where all are, so that this always fits.
        RecordBatch::try_new(base.schema(), self.columns).unwrap_or(base)
    }
}
