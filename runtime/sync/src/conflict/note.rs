//! What a writer says of its change.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use domicile_store::Noting;
use domicile_types::Mark;

use super::counter::{Contribution, Contributions};
use super::notes::{Notes, Stamp};
use super::number::Number;
use super::{RowRef, Rules, counter};

/// What [`MERGE_COLUMN`](domicile_types::MERGE_COLUMN) is to hold for a row that is written as the entry `mark`, over
/// another one or where none is; none where it is to be empty. Columns other than the declared ones are not looked at in
/// `written`. Where `replaced` does not say what was changed in it, all of it counts as changed by this entry.
///
/// `replaced` is the row that readers saw. It must be what all entries that `mark` follows make of the row, no less and
/// no more: an entry that `mark` follows and that is not in `replaced` would be lost.
#[must_use]
pub fn note(rules: &Rules, mark: &Mark, written: RowRef<'_>, replaced: Option<RowRef<'_>>) -> Option<String> {
    if !rules.notes_changes() || written.is_tombstone() {
        return None;
    }
    let replaced = replaced.filter(|replaced| !replaced.is_tombstone());
    let mut notes = replaced.map(|replaced| Notes::read(rules, replaced, mark)).unwrap_or_default();
    for column in &rules.tracked {
        if replaced.is_none_or(|replaced| written.value(column) != replaced.value(column)) {
            notes.changed.insert(column.clone(), Stamp::of(mark));
        }
    }
    for column in rules.counters() {
        let value = written.value(column).and_then(|value| Number::of(&value, 0));
        count(notes.counted.entry(column.to_owned()).or_default(), mark, value);
    }
    Some(notes.text())
}

/// Adds what a new value adds, so that the sum of all is this value.
fn count(contributions: &mut Contributions, mark: &Mark, value: Option<Number>) {
    let own = match (counter::sum(contributions), value) {
        (None, own) => own,
        (Some(sum), value) => {
            let own = value.unwrap_or(sum.zero()).minus(sum);
            if own.is_finite() {
                Some(own).filter(|own| !own.is_zero())
            } else {
                // Nothing can be added to what is not finite. The new value starts anew, as after a deletion.
                contributions.clear();
                value.or(Some(sum.zero()))
            }
        }
    };
    let Some(own) = own else { return };
    let origin = &mark.dot.origin;
    let amount = contributions.get(origin).map_or(own, |before| before.amount.plus(own));
    contributions.insert(origin.clone(), Contribution { seq: mark.dot.seq, amount });
}

/// What rows say of their changes, under the rules of their dataset.
#[derive(Debug)]
pub(crate) struct Notebook(Rules);

impl Rules {
    /// What lets rows say what they change; none where nobody asks.
    pub(crate) fn noting(&self) -> Option<Arc<dyn Noting>> {
        self.notes_changes().then(|| Arc::new(Notebook(self.clone())) as Arc<dyn Noting>)
    }
}

impl Noting for Notebook {
    fn notes(
        &self,
        mark: &Mark,
        written: &RecordBatch,
        before: Option<&RecordBatch>,
        at: &[Option<u32>],
    ) -> StringArray {
        let replaced = |at: Option<u32>| before.zip(at).map(|(rows, at)| RowRef { rows, index: at as usize });
        let of =
            |(index, at): (usize, &Option<u32>)| note(&self.0, mark, RowRef { rows: written, index }, replaced(*at));
        at.iter().enumerate().map(of).collect()
    }

    fn are_noted(&self, mark: &Mark, rows: &RecordBatch) -> bool {
        let is_noted = |index| {
            let row = RowRef { rows, index };
            row.is_tombstone() || Notes::said(&self.0, row).is_some_and(|notes| notes.could_be_of(mark))
        };
        (0..rows.num_rows()).all(is_noted)
    }
}
