//! Tables of all groups that there can be, where policies list the values of their keys: a group that nobody is in and
//! one that is too small look the same.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use domicile_policy::Verdict;
use domicile_types::limits::DOMAIN_GROUPS_MAX;

use super::margins::{Levels, totals};
use super::suppress::{Evidence, Group, open_declared};
use super::trace::Places;

/// The values that the keys of a table can have, in the order of the keys.
#[derive(Debug, Clone)]
pub(crate) struct Domains {
    values: Vec<HashMap<String, usize>>,
    /// Whether a key can have none of them, too.
    nullable: Vec<bool>,
    groups: usize,
}

/// The values that one key can have, as text.
#[derive(Debug)]
pub(crate) struct KeyDomain {
    pub(crate) values: BTreeSet<String>,
    /// Whether it can have none of them, too.
    pub(crate) nullable: bool,
}

/// Which of the groups that there are leave.
pub(super) struct Opened {
    /// By row of the answer.
    pub(super) rows: Vec<bool>,
    /// Whether a row is of a group that could have left by itself.
    pub(super) sound: Vec<bool>,
    /// How many groups there can be.
    pub(super) groups: usize,
}

impl Domains {
    /// Those of `keys`; none where there are no keys, or too many groups.
    pub(crate) fn of(keys: Vec<KeyDomain>) -> Option<Self> {
        let numbered = |key: KeyDomain| {
            (key.values.into_iter().enumerate().map(|(number, value)| (value, number)).collect(), key.nullable)
        };
        let (values, nullable): (Vec<HashMap<String, usize>>, Vec<bool>) = keys.into_iter().map(numbered).unzip();
        let groups = values.iter().map(HashMap::len).fold(1, usize::saturating_mul);
        let and_others = values.iter().map(|values| values.len() + 1).fold(1, usize::saturating_mul);
        (!values.is_empty() && and_others <= DOMAIN_GROUPS_MAX).then_some(Self { values, nullable, groups })
    }

    /// Which groups leave, of `groups` with these keys.
    ///
    /// # Errors
    /// Where a key has no text.
    pub(super) fn open(&self, keys: &[ArrayRef], groups: &[Group], verdict: &Verdict) -> Result<Opened, ArrowError> {
        let places = self.places(keys, groups.len())?;
        // A value that is not listed has a place behind those that are, where there can be or is any such.
        let sizes: Vec<usize> = (self.values.iter().zip(&self.nullable).enumerate())
            .map(|(key, (values, nullable))| {
                let outside = *nullable || places.iter().any(|place| place[key] == values.len());
                values.len() + usize::from(outside)
            })
            .collect();
        let cell = |place: &[usize]| place.iter().zip(&sizes).fold(0, |cell, (number, size)| cell * size + number);
        let count: usize = sizes.iter().product();
        let mut cells: Vec<Option<Group>> = vec![None; count];
        for (place, group) in places.iter().zip(groups) {
            let all = &mut cells[cell(place)];
            *all = Group::together(all.iter().chain([group]));
        }
        let values = groups.first().map_or(0, |group| group.values.len());
        let nobody = || Group {
            entities: 0,
            places: Places::default(),
            values: vec![Evidence::default(); values],
            is_near: false,
        };
        let levels = levels(&sizes, count);
        let listed = |number: usize| {
            let mut keys = levels.iter().zip(&self.values);
            keys.all(|(level, values)| (level[0][number] as usize) < values.len())
        };
        let cells: Vec<Group> = cells.into_iter().map(|group| group.unwrap_or_else(nobody)).collect();
        let sound: Vec<bool> =
            cells.iter().enumerate().map(|(number, group)| listed(number) && group.is_sound(verdict)).collect();
        let open = open_declared(&cells, totals(&levels, count).as_deref(), verdict, sound.clone());
        let by_row = |of: &[bool]| places.iter().map(|place| of[cell(place)]).collect();
        Ok(Opened { rows: by_row(&open), sound: by_row(&sound), groups: self.groups })
    }

    /// The number of the value of each key, by row.
    fn places(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<Vec<usize>>, ArrowError> {
        let mut places = vec![Vec::with_capacity(keys.len()); rows];
        for (key, values) in keys.iter().zip(&self.values) {
            let texts = cast(key, &DataType::Utf8)?;
            for (place, text) in places.iter_mut().zip(texts.as_string::<i32>()) {
                place.push(text.and_then(|text| values.get(text)).copied().unwrap_or(values.len()));
            }
        }
        Ok(places)
    }
}

/// The number of each cell's value of each key.
fn levels(sizes: &[usize], cells: usize) -> Vec<Levels> {
    let mut behind = cells;
    let level = |size: &usize| {
        behind /= size;
        let number = |cell: usize| u32::try_from(cell / behind % size).unwrap_or(u32::MAX);
        vec![(0..cells).map(number).collect()]
    };
    sizes.iter().map(level).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
