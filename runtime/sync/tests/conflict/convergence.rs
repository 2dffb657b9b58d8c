//! Regions that write the same row at the same time see the same one in the end, and nothing that was added is lost.

use std::collections::BTreeMap;

use domicile_sync::conflict::Rules;
use domicile_types::{ColumnPolicy, Hlc, RowPolicy};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::table::{Item, rules};
use crate::world::{Change, REGIONS, Step, World, any_change, any_row_policy, any_rules, any_steps, tags_of};

/// The world after the steps; `saw` sees each of them before it is taken.
fn lived(rules: &Rules, steps: &[Step], mut saw: impl FnMut(&World, &Step)) -> World {
    let mut world = World::new(rules);
    for step in steps {
        saw(&world, step);
        world.step(step);
    }
    world.settle();
    world
}

/// The row that all regions have, with its notes.
fn agreed(world: &World) -> Result<Option<Item>, TestCaseError> {
    let items: Vec<_> = (0..REGIONS.len()).map(|region| world.item(region)).collect();
    for region in 1..items.len() {
        // As text, so that a NaN is equal to itself. The bits are compared below.
        prop_assert_eq!(format!("{:?}", items[region]), format!("{:?}", items[0]), "{} differs", REGIONS[region]);
        let bits = |item: &Option<Item>| item.as_ref().and_then(|item| item.weight).map(f64::to_bits);
        prop_assert_eq!(bits(&items[region]), bits(&items[0]));
    }
    Ok(items.into_iter().next().flatten())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn all_regions_come_to_the_same_row(rules in any_rules(), steps in any_steps(any_change(), true)) {
        agreed(&lived(&rules, &steps, |_, _| {}))?;
    }

    #[test]
    fn what_was_added_anywhere_is_there_once(
        row in any_row_policy().prop_filter("plugins delete", |row| !matches!(row, RowPolicy::Wasm { .. })),
        steps in any_steps((-5..6).prop_map(Change::Add), false),
    ) {
        let counters = ["stock", "price", "weight"].map(|column| (column, ColumnPolicy::Counter));
        let mut added = None;
        let world = lived(&rules(row, &counters), &steps, |_, step| {
            if let Step::Write(_, Change::Add(amount)) = step {
                added = Some(added.unwrap_or(0) + *amount);
            }
        });
        let item = agreed(&world)?.unwrap_or_default();
        prop_assert_eq!(item.stock, added.map(i64::from));
        prop_assert_eq!(item.price, added.map(i128::from));
        prop_assert_eq!(item.weight, added.map(f64::from));
    }

    #[test]
    fn the_last_change_of_each_column_is_there(steps in any_steps(any_change(), false)) {
        let mut world = World::new(&rules(RowPolicy::ColumnLww, &[]));
        let mut last = BTreeMap::<&str, ((Hlc, usize), String)>::new();
        for step in &steps {
            let Step::Write(region, change) = step else {
                world.step(step);
                continue;
            };
            let before = world.item(*region);
            let written = change.apply(before.clone().unwrap_or_default());
            let mark = world.write(*region, &written);
            let before = before.map(|item| texts(&item));
            for (column, value) in texts(&written) {
                if before.as_ref().is_none_or(|before| before[column] != value) {
                    let known = last.entry(column).or_insert(((mark.hlc, *region), value.clone()));
                    *known = known.clone().max(((mark.hlc, *region), value));
                }
            }
        }
        world.settle();
        let Some(item) = agreed(&world)? else { return Ok(()) };
        let expect: BTreeMap<&str, String> = last.into_iter().map(|(column, (_, value))| (column, value)).collect();
        prop_assert_eq!(texts(&item), expect);
    }

    #[test]
    fn what_only_grows_is_the_greatest_of_all(
        row in any_row_policy().prop_filter("plugins delete", |row| !matches!(row, RowPolicy::Wasm { .. })),
        steps in any_steps(prop_oneof![(0..20).prop_map(Change::Raise), (0..5_u8).prop_map(Change::Tag)], false),
    ) {
        let rules = rules(row, &[("ordered", ColumnPolicy::Max), ("tags", ColumnPolicy::SetUnion)]);
        let (mut raised, mut tagged) = (None, Vec::new());
        let world = lived(&rules, &steps, |_, step| match step {
            Step::Write(_, Change::Raise(value)) => raised = raised.max(Some(*value)),
            Step::Write(_, Change::Tag(tag)) => tagged.push(*tag),
            _ => {}
        });
        let item = agreed(&world)?.unwrap_or_default();
        prop_assert_eq!(item.ordered, raised);
        let members = |mut tags: Vec<u8>| {
            tags.sort_unstable();
            tags.dedup();
            tags
        };
        prop_assert_eq!(members(item.tags.iter().flat_map(|tags| tags_of(tags)).collect()), members(tagged));
    }
}

/// The values of an item's columns, down to the bits.
fn texts(item: &Item) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("stock", format!("{:?}", item.stock)),
        ("ordered", format!("{:?}", item.ordered)),
        ("price", format!("{:?}", item.price)),
        ("weight", format!("{:?}", item.weight.map(f64::to_bits))),
        ("tags", format!("{:?}", item.tags)),
        ("since", format!("{:?}", item.since)),
        ("sold", format!("{:?}", item.sold)),
    ])
}

#[test]
fn worlds_have_conflicts() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut siblings_max, mut collapsed) = (0, 0);
    for _ in 0..100 {
        let steps = any_steps(any_change(), true).new_tree(&mut runner).unwrap().current();
        let plain = rules(RowPolicy::Lww, &[("stock", ColumnPolicy::Counter)]);
        lived(&plain, &steps, |world, step| {
            let count = |region: &usize| world.regions[*region].versions.as_ref().map_or(0, |all| all.count());
            siblings_max = siblings_max.max((0..REGIONS.len()).map(|region| count(&region)).max().unwrap_or(0));
            if let Step::Collapse(region) = step {
                collapsed += usize::from(world.collapses(*region));
            }
        });
    }
    assert!(siblings_max == 3 && collapsed > 10, "{siblings_max} siblings at most, {collapsed} conflicts collapsed");
}
