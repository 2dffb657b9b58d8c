//! Every plugin of `guest/hostile`: what it tries, and what its author is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::Float64Type;
use domicile_sandbox::{ErrorKind, Plugin, Sandbox, SandboxError, SandboxLimits, Value};

use crate::guest::{load, sandbox, sources, try_load};

/// Makes a test of each function, and fails where a folder of `guest/hostile` has none.
macro_rules! hostile {
    ($($name:ident),* $(,)?) => {
        mod plugin {
            $(#[test] fn $name() { super::$name(); })*
        }

        #[test]
        fn every_hostile_plugin_has_a_test() {
            let tested = BTreeSet::from([$(stringify!($name).to_owned()),*]);
            let folders = std::fs::read_dir(sources().join("hostile")).unwrap();
            let folders: BTreeSet<_> =
                folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect();
            assert_eq!(tested, folders);
        }
    };
}

hostile!(floods, gambles, garbles, hoard, impostor, lies, panics, reaches, spin, stalls, stranger);

/// A time limit that a test can wait for.
fn hasty() -> Sandbox {
    Sandbox::new(SandboxLimits { call_timeout: Duration::from_millis(300), ..SandboxLimits::default() }).unwrap()
}

fn integer() -> ArrayRef {
    Arc::new(Int64Array::from(vec![1]))
}

fn double(value: f64) -> ArrayRef {
    Arc::new(Float64Array::from(vec![value]))
}

#[track_caller]
fn check(got: Result<impl std::fmt::Debug, SandboxError>, kind: ErrorKind, expect: &str) {
    let error = got.unwrap_err();
    assert_eq!(error.to_string(), expect);
    assert_eq!(error.kind(), kind);
    assert_eq!(error.plugin().map(|plugin| plugin.version.as_str()), Some("1.2.3"));
}

fn spin() {
    let sandbox = hasty();
    let spin = load(&sandbox, "hostile_spin");
    let pricing = load(&sandbox, "pricing");
    let spinning = std::thread::spawn(move || spin.call_function(0, &[integer()], 1));
    let mut served_meanwhile = 0;
    while !spinning.is_finished() {
        let answer = pricing.call_function(0, &[double(10.0), double(0.5)], 1).unwrap();
        assert_eq!(answer.as_primitive::<Float64Type>().value(0), 5.0);
        served_meanwhile += 1;
    }
    assert!(served_meanwhile > 0);
    check(
        spinning.join().unwrap(),
        ErrorKind::TimedOut,
        "`spin` of plugin `spin` 1.2.3 exceeded its time limit of 300 ms",
    );
}

fn stalls() {
    check(
        try_load(&hasty(), "hostile_stalls"),
        ErrorKind::TimedOut,
        "`describe` of plugin `stalls` 1.2.3 exceeded its time limit of 300 ms",
    );
}

fn hoard() {
    let sandbox = sandbox();
    let hoard = load(&sandbox, "hostile_hoard");
    check(
        hoard.call_function(0, &[integer()], 1),
        ErrorKind::Plugin,
        "`hoard` of plugin `hoard` 1.2.3 exceeded its memory limit of 67108864 bytes",
    );
}

fn panics() {
    let sandbox = sandbox();
    let panics = load(&sandbox, "hostile_panics");
    let call = |function, price| panics.call_function(function, &[double(price)], 1);
    assert_eq!(call(0, 1.0).unwrap().len(), 1);
    let message = "a price is negative, at hostile/panics/src/lib.rs:4";
    let trapped = call(0, -1.0);
    check(trapped.clone(), ErrorKind::Plugin, &format!("`panics` of plugin `panics` 1.2.3 trapped: {message}"));
    check(
        trapped.map_err(SandboxError::without_guest_text),
        ErrorKind::Plugin,
        "`panics` of plugin `panics` 1.2.3 trapped: wasm trap: wasm `unreachable` instruction executed",
    );
    assert_eq!(call(0, 2.0).unwrap().len(), 1, "the next call gets a fresh instance");
    let failed = call(1, -1.0);
    check(failed.clone(), ErrorKind::Plugin, "`fails` of plugin `panics` 1.2.3 failed: a price is negative");
    check(
        failed.map_err(SandboxError::without_guest_text),
        ErrorKind::Plugin,
        "`fails` of plugin `panics` 1.2.3 failed: (the plugin's message stays in its region's log)",
    );
    let printed = call(2, 1.0).unwrap_err().to_string();
    assert!(printed.starts_with("`prints` of plugin `panics` 1.2.3 trapped: it called `wasi:"), "{printed}");
    assert!(printed.ends_with("which plugins are not given; use the log of `domicile:plugin/host`"), "{printed}");
}

fn floods() {
    let sandbox = sandbox();
    let floods = load(&sandbox, "hostile_floods");
    let prefix = "of plugin `floods` 1.2.3 exceeded its output limit of";
    check(floods.call_function(0, &[], 8), ErrorKind::Plugin, &format!("`rows` {prefix} 8 rows"));
    check(floods.call_function(1, &[], 8), ErrorKind::Plugin, &format!("`bytes` {prefix} 33554432 bytes"));
    assert_eq!(floods.call_function(2, &[], 8).unwrap().len(), 8, "a talker is cut short, not stopped");
    let limit = sandbox.limits().output_rows_max;
    check(floods.call_function(2, &[], limit + 1), ErrorKind::Plugin, &format!("`lines` {prefix} {limit} rows"));
}

fn garbles() {
    let sandbox = sandbox();
    let garbles = load(&sandbox, "hostile_garbles");
    let offsets = "texts whose offsets are negative, descending or beyond their bytes";
    let expect = [
        ("fewer_rows", "9 rows where 10 were asked for"),
        ("no_offsets", "0 rows where 10 were asked for"),
        ("negative_offsets", offsets),
        ("descending_offsets", offsets),
        ("offsets_beyond_bytes", offsets),
        ("not_utf8", "texts that are not UTF-8"),
        ("another_type", "a column of another type than text, which is declared"),
        ("short_validity", "a validity of 0 bytes where 2 are needed"),
    ];
    for (index, (function, detail)) in expect.into_iter().enumerate() {
        check(
            garbles.call_function(index, &[], 10),
            ErrorKind::Plugin,
            &format!("`{function}` of plugin `garbles` 1.2.3 returned something invalid: {detail}"),
        );
    }
    check(
        garbles.call_function(1, &[], 0),
        ErrorKind::Plugin,
        "`no_offsets` of plugin `garbles` 1.2.3 returned something invalid: texts without offsets",
    );
}

fn lie(plugin: &Arc<Plugin>, lie: &str) -> Result<Vec<Value>, SandboxError> {
    let mut mapper = plugin.mapper(&[Value::Text(lie.to_owned())])?;
    mapper.map(&[double(42.0)])
}

fn lies() {
    let sandbox = sandbox();
    let lies = load(&sandbox, "hostile_lies");
    let small = |total| vec![Value::Text("small".to_owned()), total];
    assert_eq!(lie(&lies, "none").unwrap(), small(Value::Double(42.0)));
    assert_eq!(lie(&lies, "nan").unwrap(), small(Value::Null));
    assert_eq!(lie(&lies, "above").unwrap(), small(Value::Double(100.0)));
    assert_eq!(lie(&lies, "below").unwrap(), small(Value::Double(0.0)));
    let expect = [
        ("category", "a value of category `size` that is not in its declared list"),
        ("type", "a bigint for output `total`, which is a double"),
        ("too few", "1 values where 2 outputs are declared"),
        ("too many", "3 values where 2 outputs are declared"),
    ];
    for (kind, detail) in expect {
        let expect = format!("`map` of plugin `lies` 1.2.3 returned something invalid: {detail}");
        check(lie(&lies, kind), ErrorKind::Plugin, &expect);
    }
    check(
        lie(&lies, "refuse"),
        ErrorKind::Request,
        "plugin `lies` 1.2.3 refuses its parameters: `lie` is to be a kind of lie",
    );
}

#[track_caller]
fn check_import_refused(component: &str, packages: &[&str]) {
    let error = try_load(&sandbox(), component).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plugin);
    let SandboxError::ImportRefused { plugin, import } = &error else { panic!("{error}") };
    assert_eq!(plugin.version, "1.2.3");
    assert!(packages.iter().any(|package| import.starts_with(package)), "{import}");
    assert!(error.to_string().contains(&format!("imports `{import}`, which plugins are not given")), "{error}");
}

fn reaches() {
    check_import_refused("hostile_reaches", &["wasi:filesystem/", "wasi:clocks/"]);
}

fn gambles() {
    check_import_refused("hostile_gambles", &["wasi:random/"]);
}

fn stranger() {
    check(
        try_load(&sandbox(), "hostile_stranger"),
        ErrorKind::Plugin,
        "plugin `stranger` 1.2.3 does not export `describe` as its world asks: it is missing; every world of \
         `domicile:plugin@0.1.0` has it",
    );
}

fn impostor() {
    let error = try_load(&sandbox(), "hostile_impostor").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plugin);
    let message = error.to_string();
    let expect = "plugin `impostor` 1.2.3 does not export `describe` as its world asks:";
    assert!(message.starts_with(expect), "{message}");
}
