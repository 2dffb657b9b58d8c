//! Suppression against explicit sets of entities, and against somebody who solves equations.

use std::collections::BTreeMap;

use domicile_policy::Form;
use proptest::prelude::*;

use super::*;

/// A group as the entities in it, and what each adds to its one value.
type Members = BTreeMap<u8, u16>;

fn evidence(members: &Members) -> Group {
    let weights = || members.values().map(|weight| f64::from(*weight));
    let present = members.values().filter(|weight| **weight > 0).count() as u64;
    let value = Evidence { present, top: weights().fold(0.0, f64::max), whole: weights().sum() };
    // Some share a place.
    let mut places = Places::default();
    members.keys().for_each(|entity| places[usize::from(entity / 50)] |= 1 << (entity % 50));
    Group { entities: members.len() as u64, places, values: vec![value], is_near: false }
}

/// By the rule itself, over the entities.
fn is_sound(members: &Members, verdict: &Verdict) -> bool {
    let most = members.values().max().map_or(0, |most| u64::from(*most));
    let all: u64 = members.values().map(|weight| u64::from(*weight)).sum();
    let present = members.values().filter(|weight| **weight > 0).count() as u64;
    let shared = most * 100 <= all * verdict.dominance_percent;
    let enough = |count: u64| count >= verdict.minimum_entities;
    enough(members.len() as u64) && (enough(present) || verdict.minimum_entities <= 1) && shared
}

fn together<'a>(groups: impl Iterator<Item = &'a Members>) -> Members {
    let mut all = Members::new();
    groups.flatten().for_each(|(entity, weight)| *all.entry(*entity).or_default() += weight);
    all
}

fn verdict(minimum_entities: u64, dominance_percent: u64) -> Verdict {
    Verdict { minimum_entities, dominance_percent, ..Verdict::unconditional(Form::Aggregate) }
}

/// The cells that follow from known sums of cells: by elimination over fractions, each a pair of whole numbers.
fn determined(sums: &[Vec<usize>], cells: usize) -> Vec<usize> {
    let mut rows: Vec<Vec<f64>> =
        sums.iter().map(|sum| (0..cells).map(|cell| if sum.contains(&cell) { 1.0 } else { 0.0 }).collect()).collect();
    let mut done = 0;
    for column in 0..cells {
        let largest = (done..rows.len()).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()));
        let Some(pivot) = largest.filter(|row| rows[*row][column].abs() > 1e-6) else { continue };
        rows.swap(done, pivot);
        let scale = rows[done][column];
        rows[done].iter_mut().for_each(|value| *value /= scale);
        let own = rows[done].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(row, _)| *row != done) {
            let factor = row[column];
            row.iter_mut().zip(&own).for_each(|(value, own)| *value -= factor * own);
        }
        done += 1;
    }
    let places = |row: &Vec<f64>| (0..cells).filter(|at| row[*at].abs() > 1e-6).collect::<Vec<_>>();
    rows.iter().map(places).filter(|places| places.len() == 1).map(|places| places[0]).collect()
}

proptest! {
    #[test]
    fn nothing_unsound_leaves_or_can_be_subtracted(
        groups in prop::collection::vec(prop::collection::btree_map(0_u8..40, 0_u16..1000, 1..12), 0..12),
        minimum_entities in 1_u64..8,
        dominance_percent in prop::sample::select(vec![20_u64, 50, 80, 99, 100]),
    ) {
        let verdict = verdict(minimum_entities, dominance_percent);
        let margins = [(0..groups.len()).collect::<Vec<_>>()];
        let open = open(&groups.iter().map(evidence).collect::<Vec<_>>(), Some(&margins), &verdict);
        for (group, _) in groups.iter().zip(&open).filter(|(_, open)| **open) {
            prop_assert!(is_sound(group, &verdict), "{group:?}");
        }
        let held = groups.iter().zip(&open).filter(|(_, open)| !**open).map(|(group, _)| group);
        let held = together(held);
        let all_held = open.iter().all(|open| !open);
        prop_assert!(held.is_empty() || all_held || is_sound(&held, &verdict), "{held:?}");
        if groups.iter().all(|group| is_sound(group, &verdict)) {
            prop_assert!(open.iter().all(|open| *open), "nothing is held back for nothing");
        }
    }

    #[test]
    fn no_unsound_group_follows_from_the_totals_of_a_table(
        cells in prop::collection::vec(prop::option::weighted(0.8, prop::collection::btree_map(0_u8..60, 1_u16..50, 1..25)), 24),
        minimum_entities in 2_u64..10,
    ) {
        // A table of 2 x 3 x 4 cells, some of them empty.
        let verdict = verdict(minimum_entities, 100);
        let places: Vec<usize> = (0..24).filter(|at| cells[*at].is_some()).collect();
        let groups: Vec<&Members> = places.iter().filter_map(|at| cells[*at].as_ref()).collect();
        let keys = |at: usize| [at / 12, at / 4 % 3, at % 4];
        let mut totals: Vec<Vec<usize>> = Vec::new();
        for kept in 0..7_usize {
            let mut by_key: BTreeMap<Vec<Option<usize>>, Vec<usize>> = BTreeMap::new();
            for (group, at) in places.iter().enumerate() {
                let key = keys(*at).into_iter().enumerate().map(|(key, value)| (kept >> key & 1 == 1).then_some(value));
                by_key.entry(key.collect()).or_default().push(group);
            }
            totals.extend(by_key.into_values());
        }
        let open = open(&groups.iter().map(|group| evidence(group)).collect::<Vec<_>>(), Some(&totals), &verdict);
        // Where nothing is released, what follows does so from other questions only.
        if open.iter().all(|open| !open) {
            return Ok(());
        }
        let released = (0..groups.len()).filter(|group| open[*group]).map(|group| vec![group]);
        let asked = totals.iter().filter(|total| is_sound(&together(total.iter().map(|at| groups[*at])), &verdict));
        let known: Vec<Vec<usize>> = released.chain(asked.cloned()).collect();
        for group in determined(&known, groups.len()) {
            prop_assert!(is_sound(groups[group], &verdict), "group {group} of {groups:?} with {open:?}");
        }
    }
}

/// Groups by city and day, with the totals that go with them.
#[test]
fn a_large_table_keeps_most_of_what_is_sound() {
    let verdict = verdict(10, 80);
    let mut groups = Vec::new();
    let mut totals: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for city in 0..10_u64 {
        for month in 0..84_u64 {
            let size = 4 + (city * 31 + month * 17) % 9;
            let members = (0..size).map(|one| ((city * 20 + (month * 7 + one * 3) % 20) as u8, 1));
            for time in ["all".to_owned(), format!("y{}", month / 12), format!("q{}", month / 3), format!("m{month}")] {
                totals.entry(time.clone()).or_default().push(groups.len());
                if !time.starts_with('m') {
                    totals.entry(format!("{city} {time}")).or_default().push(groups.len());
                }
            }
            groups.push(members.collect::<Members>());
        }
    }
    let totals: Vec<Vec<usize>> = totals.into_values().collect();
    let open = open(&groups.iter().map(evidence).collect::<Vec<_>>(), Some(&totals), &verdict);
    let sound = groups.iter().filter(|group| is_sound(group, &verdict)).count();
    let released = open.iter().filter(|open| **open).count();
    assert!(released * 2 > sound, "{released} of {sound} sound ones of {}", groups.len());
}
