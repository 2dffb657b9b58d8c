//! Plugins that resolve conflicts: the same answer for the same versions, everywhere and always.

use domicile_sandbox::{ErrorKind, Limit, RowVersion, SandboxError, SandboxLimits, Value};

use crate::guest::{limited, load, sandbox};

fn versions(numbers: &[i64]) -> Vec<RowVersion> {
    let version = |(at, number): (usize, &i64)| RowVersion {
        written_at: at as u64,
        origin: "us-east".to_owned(),
        values: vec![Value::BigInt(*number)],
    };
    numbers.iter().enumerate().map(version).collect()
}

#[test]
fn values_come_back() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "hostile_collapses");
    let resolve = |numbers: &[i64]| plugin.merge().unwrap().resolve(&versions(numbers));
    assert_eq!(resolve(&[0, 0, 0]).unwrap(), [Value::BigInt(3)]);
    assert_eq!(resolve(&[5, 0]).unwrap(), [Value::Null]);
    let mut instance = plugin.merge().unwrap();
    for _ in 0..3 {
        let counted = instance.resolve(&versions(&[7, 0])).unwrap();
        assert_eq!(counted, [Value::BigInt(1)], "no conflict knows of the ones before it");
    }
    let row = |written_at, quantity, tags: &str| RowVersion {
        written_at,
        origin: "eu-central".to_owned(),
        values: vec![Value::BigInt(quantity), Value::Text(tags.to_owned()), Value::Null],
    };
    let latest = load(&sandbox, "latest");
    let resolved = latest.merge().unwrap().resolve(&[row(1, 7, "new, red"), row(2, 3, "red,old")]).unwrap();
    assert_eq!(resolved, [Value::BigInt(7), Value::Text("new,old,red".to_owned()), Value::Null]);
}

#[test]
fn versions_that_are_no_conflict_are_refused() {
    let sandbox = sandbox();
    let plugin = load(&sandbox, "hostile_collapses");
    let mut instance = plugin.merge().unwrap();
    let backwards: Vec<_> = versions(&[0, 0]).into_iter().rev().collect();
    let mut another_type = versions(&[0, 0]);
    another_type[1].values = vec![Value::Double(1.0)];
    let mut too_many = versions(&[0, 0]);
    too_many[0].values.push(Value::Null);
    for wrong in [versions(&[]), versions(&[0]), backwards, another_type, too_many] {
        let error = instance.resolve(&wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    }
    assert_eq!(instance.resolve(&versions(&[0, 0])).unwrap(), [Value::BigInt(2)]);
}

/// The largest of the turns that `labours` can make within a budget.
fn turns_within(fuel: u64) -> i64 {
    let sandbox = limited(SandboxLimits { merge_fuel_max: fuel, ..SandboxLimits::default() });
    let plugin = load(&sandbox, "hostile_labours");
    let fits = |turns: i64| match plugin.merge().unwrap().resolve(&versions(&[turns, 0])) {
        Ok(_) => true,
        Err(SandboxError::LimitReached { limit: Limit::Fuel(limit), .. }) => {
            assert_eq!(limit, fuel);
            false
        }
        Err(error) => panic!("{error}"),
    };
    let (mut least, mut most) = (0, 1_000_000);
    while least + 1 < most {
        let middle = i64::midpoint(least, most);
        *(if fits(middle) { &mut least } else { &mut most }) = middle;
    }
    least
}

#[test]
fn the_budget_ends_at_the_same_step_every_time() {
    let turns = turns_within(100_000);
    assert!(turns > 0);
    assert_eq!(turns_within(100_000), turns);
    assert!(turns_within(200_000) > turns);
}
