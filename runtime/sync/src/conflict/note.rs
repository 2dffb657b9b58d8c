//! What a writer says of its change.

use domicile_types::Mark;

use super::notes::{Notes, NotesText};
use super::number::Number;
use super::{RowRef, Rules, counter};

/// What a write replaces.
#[derive(Debug, Clone, Copy)]
pub struct Replaced<'a> {
    /// The row that readers saw: of several versions, the resolved one.
    pub row: RowRef<'a>,
    /// The mark of its version. Where it was resolved from several, any one of theirs: such a row says by itself which
    /// entry everything is from.
    pub mark: &'a Mark,
}

/// What [`MERGE_COLUMN`](domicile_types::MERGE_COLUMN) is to hold for a row that is written over another one, or where
/// none is; none where it is to be empty. Columns other than the declared ones are not looked at in `written`.
///
/// `replaced` must be what all entries that the new version follows make of the row, no less and no more: an entry that
/// the new version's mark follows and that is not in `replaced` would be lost.
#[must_use]
pub fn note(rules: &Rules, written: RowRef<'_>, replaced: Option<Replaced<'_>>) -> Option<String> {
    if !rules.notes_changes() || written.is_tombstone() {
        return None;
    }
    let replaced = replaced.filter(|replaced| !replaced.row.is_tombstone());
    let before = replaced.map(|replaced| Notes::read(rules, replaced.row, replaced.mark)).unwrap_or_default();
    let mut text = NotesText::default();
    for column in &rules.tracked {
        let same = replaced.is_some_and(|replaced| written.value(column) == replaced.row.value(column));
        match before.changed.get(column) {
            Some(stamp) if same => text.changed(column, Some(stamp)),
            None if same => {}
            _ => text.changed(column, None),
        }
    }
    for column in rules.counters() {
        let value = written.value(column).and_then(|value| Number::of(&value, 0));
        count(&mut text, column, before.counted.get(column).cloned().unwrap_or_default(), value);
    }
    Some(text.json())
}

/// Says what a new value adds, so that the sum of all is this value.
fn count(text: &mut NotesText, column: &str, before: counter::Contributions, value: Option<Number>) {
    let own = match (counter::sum(&before), value) {
        (None, own) => own,
        (Some(sum), value) => {
            let own = value.unwrap_or(sum.zero()).minus(sum);
            if !own.is_finite() {
                // Nothing can be added to what is not finite. The new value starts anew, as after a deletion.
                return text.counted(column, &counter::Contributions::new(), value.or(Some(sum.zero())));
            }
            Some(own).filter(|own| !own.is_zero())
        }
    };
    text.counted(column, &before, own);
}
