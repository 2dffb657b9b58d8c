//! What regions have to have of rows that were written at several of them, by what writers noted, and by nothing else.
//!
//! A writer that is alone at its region notes what the region had applied before and after each write. So it is known of
//! most writes whether they knew of each other, and of the others that this cannot be told; these are held to less.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use domicile_harness::replicated::Vector;

/// One write of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The row.
    pub key: i64,
    /// What it has from then on; none for a deletion.
    pub label: Option<String>,
    /// The log that it stands in.
    pub log: String,
    /// What its region had applied before.
    pub knew: Vector,
    /// What its region had applied when it was next asked: the write itself included, where it was stored.
    pub knew_at_most: Vector,
    /// Whether it was acknowledged.
    pub is_acknowledged: bool,
}

/// A conflict that a region lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The row.
    pub key: i64,
    /// Of each version its log, number and label.
    pub versions: Vec<(String, u64, Option<String>)>,
}

/// What a region shows in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The rows.
    pub rows: BTreeMap<i64, String>,
    /// Its conflicts.
    pub conflicts: Vec<Listed>,
}

/// What was looked at, so that a test can tell that this was not nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Acknowledged writes.
    pub acknowledged: usize,
    /// Those of them that are listed in a conflict.
    pub listed: usize,
    /// Pairs of writes that certainly met.
    pub met: usize,
}

impl Write {
    /// The first and the last number that it may have in its log.
    fn numbers(&self) -> (u64, u64) {
        let at = |vector: &Vector| vector.get(&self.log).copied().unwrap_or(0);
        (at(&self.knew) + 1, at(&self.knew_at_most))
    }

    /// Where it stands, as far as that is known.
    fn name(&self) -> String {
        let (first, last) = self.numbers();
        if first == last { format!("{}:{first}", self.log) } else { format!("{}:{first}…{last}", self.log) }
    }

    fn surely_knew(&self, other: &Self) -> bool {
        self.knew.get(&other.log).is_some_and(|number| *number >= other.numbers().1)
    }

    fn may_have_known(&self, other: &Self) -> bool {
        self != other
            && (self.log != other.log || self.numbers().0 > other.numbers().0)
            && self.knew_at_most.get(&other.log).is_some_and(|number| *number >= other.numbers().0)
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vector = |vector: &Vector| {
            let numbers = vector.iter().map(|(log, number)| format!("{log}:{number}"));
            numbers.collect::<Vec<_>>().join(" ")
        };
        let or_not = if self.is_acknowledged { "" } else { ", not acknowledged" };
        let (knew, at_most) = (vector(&self.knew), vector(&self.knew_at_most));
        write!(f, "{}: {:?}{or_not}, knew {knew}, at most {at_most}", self.name(), self.label)
    }
}

/// The writes of one row and what is known of them.
struct History<'w> {
    writes: Vec<&'w Write>,
    /// Those that were stored, by their position: acknowledged ones, and those that are seen somewhere.
    stored: BTreeSet<usize>,
}

/// Checks what regions show against all that was written.
///
/// # Errors
/// Where an acknowledged write is lost, a write that another was written over is shown, a conflict is missing, or one is
/// listed that was none.
pub fn check(writes: &[Write], regions: &BTreeMap<String, Shown>) -> Result<Checked> {
    let mut by_key: BTreeMap<i64, Vec<&Write>> = BTreeMap::new();
    writes.iter().for_each(|write| by_key.entry(write.key).or_default().push(write));
    let mut checked = Checked::default();
    for (region, shown) in regions {
        for key in shown.rows.keys().chain(shown.conflicts.iter().map(|listed| &listed.key)) {
            ensure!(by_key.contains_key(key), "{region} has a row {key} that nobody wrote");
        }
    }
    for (key, writes) in by_key {
        let mut history = History { stored: BTreeSet::new(), writes };
        let found: BTreeMap<&String, Vec<BTreeSet<usize>>> = regions
            .iter()
            .map(|(region, shown)| {
                let of_key = shown.conflicts.iter().filter(|listed| listed.key == key);
                let found = of_key.map(|listed| history.find(listed)).collect::<Result<_>>();
                Ok((region, found.with_context(|| format!("a conflict that {region} lists"))?))
            })
            .collect::<Result<_>>()?;
        let labels: BTreeSet<&String> = regions.values().filter_map(|shown| shown.rows.get(&key)).collect();
        let is_stored = |(index, write): (usize, &&Write)| {
            let is_seen = found.values().flatten().any(|listed| listed.contains(&index))
                || write.label.as_ref().is_some_and(|label| labels.contains(label));
            (write.is_acknowledged || is_seen).then_some(index)
        };
        history.stored = history.writes.iter().enumerate().filter_map(is_stored).collect();
        for (region, listed) in &found {
            let shown = regions[*region].rows.get(&key);
            history.check(shown, listed, &mut checked).with_context(|| format!("{region}, row {key}"))?;
        }
    }
    Ok(checked)
}

impl History<'_> {
    /// The writes that a conflict lists.
    fn find(&self, listed: &Listed) -> Result<BTreeSet<usize>> {
        let find = |(log, number, label): &(String, u64, Option<String>)| {
            let is_it = |write: &&Write| {
                let (first, last) = write.numbers();
                write.log == *log && (first..=last).contains(number) && write.label == *label
            };
            let found = self.writes.iter().position(is_it);
            found.with_context(|| format!("nobody wrote {label:?} as {log}:{number} to row {}", listed.key))
        };
        listed.versions.iter().map(find).collect()
    }

    fn check(&self, shown: Option<&String>, listed: &[BTreeSet<usize>], checked: &mut Checked) -> Result<()> {
        let is_shown = |index: usize| self.writes[index].label.as_ref() == shown;
        // Whoever wrote last without others' knowledge is shown; more than one deletion may be.
        let current = |index: &usize| is_shown(*index) && !self.surely_overwritten(*index);
        if !self.stored.iter().any(current) && (shown.is_some() || self.acknowledged().next().is_some()) {
            bail!("{shown:?} is shown, which others were written over");
        }
        for index in self.acknowledged() {
            let is_listed = listed.iter().any(|versions| versions.contains(&index));
            let write = self.writes[index];
            let is_followed = self.stored.iter().any(|later| self.writes[*later].may_have_known(write));
            ensure!(is_shown(index) || is_listed || is_followed, "an acknowledged write is lost: {write}");
            checked.acknowledged += 1;
            checked.listed += usize::from(is_listed);
        }
        for versions in listed {
            for (one, other) in pairs(versions.iter().copied()) {
                let (one, other) = (self.writes[one], self.writes[other]);
                let is_none = one.surely_knew(other) || other.surely_knew(one);
                ensure!(!is_none, "one of these knew of the other, and yet they are a conflict:\n{one}\n{other}");
            }
        }
        for (one, other) in pairs(self.acknowledged()).filter(|pair| self.surely_met(*pair)) {
            let is_listed = listed.iter().any(|versions| versions.contains(&one) && versions.contains(&other));
            ensure!(
                is_listed,
                "neither of these knew of the other, and no conflict lists both:\n{}\n{}\nothers of that time:\n{}\n{}",
                self.writes[one],
                self.writes[other],
                self.beside((one, other)),
                self.all_listed(listed)
            );
            checked.met += 1;
        }
        Ok(())
    }

    /// Those of the other writes that are neither before both of these nor after both.
    fn beside(&self, (one, other): (usize, usize)) -> String {
        let (one, other) = (self.writes[one], self.writes[other]);
        let is_far = |write: &Write| {
            (one.surely_knew(write) && other.surely_knew(write)) || (write.surely_knew(one) && write.surely_knew(other))
        };
        let near = self.writes.iter().filter(|write| **write != one && **write != other && !is_far(write));
        near.map(|write| format!("  {write}\n")).collect()
    }

    fn all_listed(&self, listed: &[BTreeSet<usize>]) -> String {
        let names = |versions: &BTreeSet<usize>| {
            let names = versions.iter().map(|index| self.writes[*index].name());
            format!("  listed: {}\n", names.collect::<Vec<_>>().join(", "))
        };
        listed.iter().map(names).collect()
    }

    fn acknowledged(&self) -> impl Iterator<Item = usize> + Clone {
        (0..self.writes.len()).filter(|index| self.writes[*index].is_acknowledged)
    }

    fn surely_overwritten(&self, index: usize) -> bool {
        self.stored.iter().any(|later| *later != index && self.writes[*later].surely_knew(self.writes[index]))
    }

    /// Whether two writes meet in every region: neither knew of the other, and what was written over one of them was
    /// written over both.
    fn surely_met(&self, (one, other): (usize, usize)) -> bool {
        let (one, other) = (self.writes[one], self.writes[other]);
        let over_both = |later: &Write| {
            let may_be = later.may_have_known(one) || later.may_have_known(other);
            !may_be || (later.surely_knew(one) && later.surely_knew(other))
        };
        !one.may_have_known(other)
            && !other.may_have_known(one)
            && self.writes.iter().filter(|write| **write != one && **write != other).all(|later| over_both(later))
    }
}

fn pairs(of: impl Iterator<Item = usize> + Clone) -> impl Iterator<Item = (usize, usize)> {
    of.clone().flat_map(move |one| of.clone().filter(move |other| one < *other).map(move |other| (one, other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(text: &str) -> Vector {
        let number = |part: &str| Some((part.get(..1)?.to_owned(), part.get(1..)?.parse().ok()?));
        text.split(' ').filter_map(number).collect()
    }

    /// An acknowledged write of row 1: its log is the beginning of its label.
    fn write(label: &str, knew: &str, knew_at_most: &str) -> Write {
        let label = Some(label.to_owned());
        let log = label.as_ref().map(|label| label[..1].to_owned()).unwrap_or_default();
        let (knew, knew_at_most) = (vector(knew), vector(knew_at_most));
        Write { key: 1, label, log, knew, knew_at_most, is_acknowledged: true }
    }

    fn version(log: &str, number: u64, label: &str) -> (String, u64, Option<String>) {
        (log.to_owned(), number, Some(label.to_owned()))
    }

    #[track_caller]
    fn check_found(writes: &[Write], label: &str, conflicts: &[&[(String, u64, Option<String>)]], expect: &str) {
        let conflicts = conflicts.iter().map(|versions| Listed { key: 1, versions: versions.to_vec() }).collect();
        let rows = BTreeMap::from([(1, label.to_owned())]);
        let found = check(writes, &BTreeMap::from([("a".to_owned(), Shown { rows, conflicts })]));
        let found = found.map_or_else(|error| format!("{error:#}"), |checked| format!("{checked:?}"));
        assert!(found.contains(expect), "{found}");
    }

    #[test]
    fn what_was_written_over_is_not_shown() {
        let writes = [write("a", "", "a1"), write("b", "a1", "a1 b1")];
        check_found(&writes, "b", &[], "acknowledged: 2, listed: 0, met: 0");
        check_found(&writes, "a", &[], "which others were written over");
        check_found(&writes, "c", &[], "is shown");
        check_found(&writes, "b", &[&[version("a", 1, "a"), version("b", 1, "b")]], "one of these knew of the other");
        check_found(&writes, "b", &[&[version("a", 7, "a"), version("b", 1, "b")]], "nobody wrote");
    }

    #[test]
    fn writes_beside_each_other_are_listed() {
        let writes = [write("a", "", "a1"), write("b", "", "b1")];
        let conflict = [version("a", 1, "a"), version("b", 1, "b")];
        check_found(&writes, "b", &[&conflict], "acknowledged: 2, listed: 2, met: 1");
        check_found(&writes, "a", &[&conflict], "acknowledged: 2, listed: 2, met: 1");
        check_found(&writes, "b", &[], "an acknowledged write is lost");
        // Also where another was written over both.
        let writes = [&writes[..], &[write("c", "a1 b1", "a1 b1 c1")]].concat();
        check_found(&writes, "c", &[&conflict], "met: 1");
        check_found(&writes, "c", &[], "no conflict lists both");
    }

    #[test]
    fn what_cannot_be_told_is_held_to_less() {
        // `a` came to the region of `b` just when that was written.
        let writes = [write("a", "", "a1"), write("b", "", "a1 b1")];
        let conflict = [version("a", 1, "a"), version("b", 1, "b")];
        check_found(&writes, "b", &[], "listed: 0, met: 0");
        check_found(&writes, "b", &[&conflict], "listed: 2, met: 0");
        let unknown = Write { is_acknowledged: false, ..write("b", "a1", "a1 b1") };
        check_found(&[write("a", "", "a1"), unknown.clone()], "a", &[], "acknowledged: 1");
        check_found(&[write("a", "", "a1"), unknown], "b", &[], "acknowledged: 1");
    }
}
