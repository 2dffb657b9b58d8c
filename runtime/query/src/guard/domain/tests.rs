//! Tables that differ only in who is in groups that are too small.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, StringArray};
use domicile_policy::Form;
use proptest::prelude::*;

use super::*;
use crate::guard::margins::margins;
use crate::guard::suppress::open;

/// Entities by key. No city is a missing one.
type Table = BTreeMap<(Option<&'static str>, bool), u64>;

const CITIES: [&str; 4] = ["Aachen", "Bonn", "Celle", "Dresden"];
const MINIMUM: u64 = 10;

fn verdict() -> Verdict {
    Verdict { minimum_entities: MINIMUM, dominance_percent: 80, ..Verdict::unconditional(Form::Aggregate) }
}

fn cities(nullable: bool) -> KeyDomain {
    KeyDomain { values: CITIES.map(str::to_owned).into(), nullable }
}

fn domains(nullable: bool) -> Domains {
    let both = KeyDomain { values: [true, false].map(|value| value.to_string()).into(), nullable: false };
    Domains::of(vec![cities(nullable), both]).unwrap()
}

fn columns(table: &Table) -> Vec<ArrayRef> {
    let cities: StringArray = table.keys().map(|(city, _)| *city).collect();
    let members: BooleanArray = table.keys().map(|(_, is_member)| Some(*is_member)).collect();
    vec![Arc::new(cities), Arc::new(members)]
}

/// Groups of entities that are in no other one, each of which adds one.
fn groups(table: &Table) -> Vec<Group> {
    let group = |entities: u64| {
        let value = Evidence { present: entities, top: 1.0, whole: entities as f64 };
        Group { entities, places: Places::default(), values: vec![value], is_near: false }
    };
    table.values().map(|entities| group(*entities)).collect()
}

/// The keys of the groups that leave, and how many groups there can be.
fn judged(table: &Table, domains: &Domains) -> (Vec<(Option<&'static str>, bool)>, usize) {
    let opened = domains.open(&columns(table), &groups(table), &verdict()).unwrap();
    let open = table.keys().zip(&opened.rows).filter(|(_, open)| **open).map(|(key, _)| *key);
    (open.collect(), opened.groups)
}

fn by_city(sizes: &[(&'static str, u64)]) -> Table {
    sizes.iter().map(|(city, entities)| ((Some(*city), true), *entities)).collect()
}

/// Whether what is held back of every total is nothing, all of it, or enough: counted with those who are there.
fn keeps_its_remainders(table: &Table, open: &[(Option<&'static str>, bool)]) -> bool {
    let totals = [(false, false), (true, false), (false, true)];
    totals.iter().all(|(by_city, by_membership)| {
        let mut held: BTreeMap<_, (u64, bool)> = BTreeMap::new();
        for (key, entities) in table {
            let total = (by_city.then_some(key.0), by_membership.then_some(key.1));
            let (held, leaves) = held.entry(total).or_default();
            *held += if open.contains(key) { 0 } else { *entities };
            *leaves |= open.contains(key);
        }
        held.values().all(|(held, leaves)| !leaves || *held == 0 || *held >= MINIMUM)
    })
}

proptest! {
    #[test]
    fn who_is_in_groups_that_are_too_small_changes_nothing(
        sizes in prop::collection::vec(prop::option::weighted(0.7, MINIMUM..40), 8),
        small in prop::array::uniform2(prop::collection::vec(0_u64..MINIMUM, 8)),
        missing in prop::array::uniform2(0_u64..40),
        other in prop::array::uniform2(0_u64..40),
    ) {
        // The same large groups in both, and of the others and those without a city whoever is there.
        let table = |world: usize| {
            let keys = CITIES.iter().flat_map(|city| [(Some(*city), true), (Some(*city), false)]);
            let sizes = sizes.iter().zip(&small[world]).map(|(size, small)| size.unwrap_or(*small));
            let others = [((None, true), missing[world]), ((Some("Xanten"), false), other[world])];
            keys.zip(sizes).chain(others).filter(|(_, entities)| *entities > 0).collect::<Table>()
        };
        let (one, another) = (table(0), table(1));
        let domains = domains(true);
        let judged = [judged(&one, &domains), judged(&another, &domains)];
        prop_assert_eq!(&judged[0], &judged[1], "{:?} and {:?}", one, another);
        prop_assert_eq!(judged[0].1, 8);
        let (open, _) = &judged[0];
        for table in [&one, &another] {
            prop_assert!(open.iter().all(|key| table[key] >= MINIMUM && key.0.is_some_and(|city| CITIES.contains(&city))));
            prop_assert!(keeps_its_remainders(table, open), "{:?} of {:?}", open, table);
        }
    }
}

#[test]
fn without_domains_a_small_group_shows() {
    let without = by_city(&[("Aachen", 12), ("Bonn", 30), ("Dresden", 40)]);
    let with = by_city(&[("Aachen", 12), ("Bonn", 30), ("Celle", 1), ("Dresden", 40)]);
    let opened = |table: &Table| {
        let margins = margins(&columns(table)[..1], table.len()).unwrap();
        open(&groups(table), margins.as_deref(), &verdict()).iter().filter(|open| **open).count()
    };
    assert_eq!((opened(&without), opened(&with)), (3, 2));
    let domains = Domains::of(vec![cities(false)]).unwrap();
    let opened = |table: &Table| {
        let opened = domains.open(&columns(table)[..1], &groups(table), &verdict()).unwrap();
        opened.rows.iter().filter(|open| **open).count()
    };
    assert_eq!((opened(&without), opened(&with)), (2, 2));
}

#[test]
fn a_table_without_blanks_leaves_whole() {
    let whole: Table = CITIES.iter().flat_map(|city| [true, false].map(|it| ((Some(*city), it), 10))).collect();
    let (open, groups) = judged(&whole, &domains(false));
    assert_eq!((open.len(), groups), (8, 8));
    // Somebody may be without a city.
    assert!(judged(&whole, &domains(true)).0.len() < 8);
}

#[test]
fn there_are_no_more_groups_than_are_looked_at() {
    let many = || KeyDomain { values: (0..64).map(|number| number.to_string()).collect(), nullable: false };
    assert!(Domains::of(vec![many()]).is_some());
    assert!(Domains::of(vec![many(), many()]).is_none());
    assert!(Domains::of(Vec::new()).is_none());
}
