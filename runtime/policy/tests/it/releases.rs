//! Releases against explicit sets of rows: what may be told apart is decided by counting entities, not by traces.

use std::collections::{BTreeMap, BTreeSet};

use domicile_policy::{Difference, Released, Releases, Trace, mark};

/// Rows by number; each is about an entity.
type Rows = BTreeSet<(u64, u64)>;

/// SplitMix64, so that each seed is the same everywhere.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn released(rows: &Rows) -> Released {
    let trace = rows.iter().map(|(entity, row)| ((mix(*entity) % 1024) as u16, mark(mix(mix(*row)))));
    Released { table: "orders".to_owned(), trace: Trace::of(trace) }
}

/// Entities with other rows in one than in the other.
fn differing(one: &Rows, other: &Rows) -> usize {
    let rows = one.symmetric_difference(other);
    rows.map(|(entity, _)| *entity).collect::<BTreeSet<_>>().len()
}

/// Three rows for each of these entities.
fn rows_of(entities: impl IntoIterator<Item = u64>) -> Rows {
    entities.into_iter().flat_map(|entity| (0..3).map(move |row| (entity, entity * 10 + row))).collect()
}

#[test]
fn whoever_is_in_a_difference_is_counted() {
    let mut seen = BTreeMap::new();
    for seed in 0..300_u64 {
        let chance = |at: u64, below: u64| mix(seed * 1_000_003 + at) % below;
        let all: Rows = rows_of(0..400);
        // The other set lacks some rows of some entities.
        let (lacking, minimum) = (chance(1, 40), 2 + chance(2, 20));
        let lacking: BTreeSet<u64> = (0..lacking).map(|at| chance(10 + at, 400)).collect();
        let other = all.iter().copied().filter(|(entity, row)| !(lacking.contains(entity) && row % 10 == 1)).collect();
        let mut releases = Releases::new(10);
        releases.remember("them", released(&all), minimum);
        let difference = releases.compare("them", &released(&other), minimum);
        let count = differing(&all, &other);
        let told = format!("seed {seed}: {count} of {minimum}: {difference:?}");
        match count as u64 {
            0 => assert_eq!(difference, Difference::None, "{told}"),
            few if few < minimum => assert_eq!(difference, Difference::TooFew, "{told}"),
            // Entities may share a place, so that just enough may look like too few.
            many if many > minimum + minimum / 2 + 2 => assert_eq!(difference, Difference::Enough, "{told}"),
            _ => assert_ne!(difference, Difference::None, "{told}"),
        }
        assert_eq!(releases.compare("others", &released(&other), minimum), Difference::Enough, "{told}");
        *seen.entry(format!("{difference:?}")).or_insert(0) += 1;
    }
    assert!(seen.len() == 3 && seen.values().all(|count| *count > 5), "{seen:?}");
}

#[test]
fn combinations_of_answers_leave_nobody_alone() {
    let (minimum, mut found) = (10, 0);
    const SEEDS: u64 = 200;
    for seed in 0..SEEDS {
        let target = mix(seed) % 1000;
        let part =
            |number: u64| rows_of((0..1000).filter(move |at| *at != target && mix(at ^ (seed << 32)) % 3 == number));
        let mut releases = Releases::new(1000);
        for number in 0..3 {
            let part = released(&part(number));
            assert_eq!(releases.compare("them", &part, minimum), Difference::Enough, "seed {seed}");
            releases.remember("them", part, minimum);
        }
        // All of them together are those three and one more.
        let all = released(&rows_of(0..1000));
        found += u64::from(releases.compare("them", &all, minimum) == Difference::TooFew);
        // With eleven more there is nothing to find.
        let more = released(&rows_of((0..1000).chain(2000..2015)));
        assert_eq!(releases.compare("them", &more, minimum), Difference::Enough, "seed {seed}");
    }
    assert_eq!(found, SEEDS, "combinations found");
}

#[test]
fn the_oldest_are_forgotten_and_the_rest_is_not() {
    let mut releases = Releases::new(50);
    for number in 0..120 {
        releases.remember("them", released(&rows_of(number * 30..number * 30 + 30)), 10);
    }
    assert!((40..=50).contains(&releases.groups()), "{}", releases.groups());
    let latest = rows_of(119 * 30..119 * 30 + 29);
    assert_eq!(releases.compare("them", &released(&latest), 10), Difference::TooFew);
}
