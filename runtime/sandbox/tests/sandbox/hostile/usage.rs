//! Plugins that use more than they may.

use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use domicile_sandbox::{ErrorKind, Limit, RowVersion, SandboxError, SandboxLimits, Value};

use super::{call, check, double, hasty, integer};
use crate::guest::{VERSION, limited, load, sandbox, text_component};

pub(super) fn spin() {
    let sandbox = hasty();
    let spin = load(&sandbox, "hostile_spin");
    let pricing = load(&sandbox, "pricing");
    let spinning = std::thread::spawn(move || call(&spin, 0, integer()));
    let mut served_meanwhile = 0;
    while !spinning.is_finished() {
        let answer = pricing.functions().unwrap().call(0, &[double(10.0), double(0.5)], 1).unwrap();
        assert_eq!(answer.as_primitive::<Float64Type>().value(0), 5.0);
        served_meanwhile += 1;
    }
    assert!(served_meanwhile > 0);
    let expect = "`spin` of plugin `spin` 1.2.3 exceeded its processor time limit of 300 ms";
    check(spinning.join().unwrap(), ErrorKind::TimedOut, expect);
    let short = limited(SandboxLimits { call_timeout: Duration::from_millis(50), ..SandboxLimits::default() });
    let expect = "`spin` of plugin `spin` 1.2.3 exceeded its time limit of 50 ms";
    check(call(&load(&short, "hostile_spin"), 0, integer()), ErrorKind::TimedOut, expect);
}

pub(super) fn fills() {
    let expect = "`fills` of plugin `fills` 1.2.3 exceeded its processor time limit of 300 ms";
    check(call(&load(&hasty(), "hostile_fills"), 0, integer()), ErrorKind::TimedOut, expect);
}

pub(super) fn dawdles() {
    let sandbox = limited(SandboxLimits { call_timeout: Duration::from_millis(50), ..SandboxLimits::default() });
    let error = call(&load(&sandbox, "hostile_dawdles"), 0, integer()).unwrap_err();
    assert!(matches!(error, SandboxError::LimitReached { limit: Limit::Time(_), .. }), "{error}");
}

pub(super) fn hoard() {
    let sandbox = sandbox();
    let expect = "`hoard` of plugin `hoard` 1.2.3 exceeded its memory limit of 67108864 bytes";
    check(call(&load(&sandbox, "hostile_hoard"), 0, integer()), ErrorKind::Plugin, expect);
}

pub(super) fn recurses() {
    let sandbox = sandbox();
    let recurses = load(&sandbox, "hostile_recurses");
    let expect = "`recurses` of plugin `recurses` 1.2.3 exceeded its stack limit of 524288 bytes";
    check(call(&recurses, 0, integer()), ErrorKind::Plugin, expect);
    let error = call(&recurses, 0, integer()).unwrap_err();
    let SandboxError::LimitReached { place, .. } = &error else { panic!("{error}") };
    assert!(place.function.as_deref().is_some_and(|name| name.contains("recurse")), "{error}");
    let crossing = error.without_guest_text().to_string();
    assert_eq!(crossing, expect, "which function it was may depend on rows");
}

pub(super) fn chatters() {
    let limits = SandboxLimits { log_bytes_max: 1000, ..SandboxLimits::default() };
    let chatters = load(&limited(limits), "hostile_chatters");
    let answer = call(&chatters, 0, integer()).unwrap();
    assert_eq!(answer.len(), 1, "a talker is cut short, not stopped");
    let lines = chatters.log_lines();
    assert!(lines.iter().map(|line| line.text.len()).sum::<usize>() <= 1000);
    assert_eq!(lines.first().map(|line| (line.sequence, line.text.as_str())), Some((0, "0: so much to say")));
    call(&chatters, 1, integer()).unwrap();
    assert_eq!(chatters.log_lines(), lines, "a line that is too long for the call is dropped");

    let chatters = load(&sandbox(), "hostile_chatters");
    call(&chatters, 0, integer()).unwrap();
    call(&chatters, 1, integer()).unwrap();
    let lines = chatters.log_lines();
    // 16 KiB a call, of which a line takes 64 bytes beside its text.
    let bytes: usize = lines.iter().map(|line| line.text.len() + 64).sum();
    assert!(bytes <= 2 * 16 * 1024 && lines.len() > 150, "{} lines of {bytes} bytes", lines.len());
    assert!(lines.windows(2).all(|pair| pair[0].sequence + 1 == pair[1].sequence));
    assert_eq!(lines.last().map(|line| line.text.len()), Some(1024), "a long line is cut");
}

pub(super) fn nags() {
    let sandbox = limited(SandboxLimits { host_calls_max: 1000, ..SandboxLimits::default() });
    let expect = "`nags` of plugin `nags` 1.2.3 exceeded its limit of 1000 calls of the host";
    check(call(&load(&sandbox, "hostile_nags"), 0, integer()), ErrorKind::Plugin, expect);
}

pub(super) fn piles() {
    let limits = SandboxLimits { columns_max: 1000, column_bytes_max: 10_000_000, ..SandboxLimits::default() };
    let piles = load(&limited(limits), "hostile_piles");
    let expect = [
        ("many", "limit of 1000 columns made in one call"),
        ("large", "limit of 10000000 bytes of columns made in one call"),
        ("expands", "limit of 10000000 bytes of columns made in one call"),
        ("passes", "output limit of 33554432 bytes"),
    ];
    for (index, (function, limit)) in expect.into_iter().enumerate() {
        let expect = format!("`{function}` of plugin `piles` 1.2.3 exceeded its {limit}");
        check(call(&piles, index, integer()), ErrorKind::Plugin, &expect);
    }
}

pub(super) fn grasps() {
    let sandbox = sandbox();
    let expect = "`open` of plugin `grasps` 1.2.3 exceeded its limit of 1024 handles";
    check(load(&sandbox, "hostile_grasps").query(&[]), ErrorKind::Plugin, expect);
}

pub(super) fn gorges() {
    let limits = SandboxLimits { memory_bytes_max: 512 << 20, ..SandboxLimits::default() };
    let gorges = load(&limited(limits), "hostile_gorges");
    let mut session = gorges.query(&[Value::Text("input".to_owned()), Value::BigInt(192)]).unwrap();
    let before = session.memory_bytes();
    let rows = RecordBatch::try_from_iter([("n", integer())]).unwrap();
    session.input(&rows).unwrap();
    assert!((192 << 20..200 << 20).contains(&(session.memory_bytes() - before)), "{}", session.memory_bytes());
    session.input(&rows).unwrap();
    check(
        session.input(&rows),
        ErrorKind::Plugin,
        "`input` of plugin `gorges` 1.2.3 exceeded its memory limit of 536870912 bytes",
    );
}

pub(super) fn tables() {
    let sandbox = sandbox();
    let tables = sandbox.load("tables".parse().unwrap(), VERSION, &text_component("tables")).unwrap();
    let expect = "`resolve` of plugin `tables` 1.2.3 exceeded its table limit of 20000 entries";
    check(tables.merge().unwrap().resolve(&versions(1)), ErrorKind::Plugin, expect);
}

pub(super) fn labours() {
    let sandbox = limited(SandboxLimits { merge_fuel_max: 1_000_000, ..SandboxLimits::default() });
    let labours = load(&sandbox, "hostile_labours");
    let expect = "`resolve` of plugin `labours` 1.2.3 exceeded its limit of 1000000 steps";
    check(labours.merge().unwrap().resolve(&versions(i64::MAX)), ErrorKind::Plugin, expect);
    assert_eq!(labours.merge().unwrap().resolve(&versions(10)).unwrap(), [Value::BigInt(45)]);
}

/// Two versions with this value.
pub(super) fn versions(value: i64) -> Vec<RowVersion> {
    let version =
        |written_at| RowVersion { written_at, origin: "us-east".to_owned(), values: vec![Value::BigInt(value)] };
    vec![version(1), version(2)]
}

#[test]
fn every_call_has_its_own_limits() {
    let sandbox = limited(SandboxLimits { host_calls_max: 10, columns_max: 3, ..SandboxLimits::default() });
    let pricing = load(&sandbox, "pricing");
    let calls = pricing.functions().unwrap();
    for _ in 0..20 {
        let answer = calls.call(0, &[double(10.0), double(0.5)], 1).unwrap();
        assert_eq!(answer.as_primitive::<Float64Type>().value(0), 5.0);
    }
    let limit = sandbox.limits().output_rows_max;
    let rows = arrow::array::new_null_array(&arrow::datatypes::DataType::Float64, limit + 1);
    let expect = format!("`price_band` of plugin `pricing` 1.2.3 exceeded its output limit of {limit} rows");
    check(calls.call(1, &[rows], limit + 1), ErrorKind::Plugin, &expect);
}
