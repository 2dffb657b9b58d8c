//! Plugins that are refused when they are loaded.

use domicile_sandbox::{ErrorKind, SandboxError, SandboxLimits};

use super::{check, hasty};
use crate::guest::{VERSION, limited, sandbox, text, text_component, try_load};

#[track_caller]
fn check_import_refused(component: &str, packages: &[&str]) {
    let error = try_load(&sandbox(), component).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plugin);
    let SandboxError::ImportRefused { plugin, import } = &error else { panic!("{error}") };
    assert_eq!(plugin.version, "1.2.3");
    assert!(packages.iter().any(|package| import.starts_with(package)), "{import}");
    let expect = format!("imports `{import}`, which plugins of its world are not given");
    assert!(error.to_string().contains(&expect), "{error}");
}

pub(super) fn reaches() {
    check_import_refused("hostile_reaches", &["wasi:filesystem/", "wasi:clocks/"]);
}

pub(super) fn gambles() {
    check_import_refused("hostile_gambles", &["wasi:random/"]);
}

pub(super) fn whispers() {
    check_import_refused("hostile_whispers", &["domicile:plugin/host@"]);
}

pub(super) fn stranger() {
    let expect = "plugin `stranger` 1.2.3 belongs to no world of `domicile:plugin`: it exports none of `functions`, \
                  `mapper`, `query`, `merge`";
    check(try_load(&sandbox(), "hostile_stranger"), ErrorKind::Plugin, expect);
}

pub(super) fn doubles() {
    let error = try_load(&sandbox(), "hostile_doubles").unwrap_err();
    assert!(matches!(error, SandboxError::WorldUnknown { .. }), "{error}");
    assert!(error.to_string().ends_with(": make two plugins"), "{error}");
}

pub(super) fn impostor() {
    let error = try_load(&sandbox(), "hostile_impostor").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plugin);
    let expect = "plugin `impostor` 1.2.3 does not export `domicile:plugin/merge@1.0.0#describe` as its world asks:";
    assert!(error.to_string().starts_with(expect), "{error}");
}

pub(super) fn hurries() {
    let expect = "plugin `hurries` 1.2.3 was built for `domicile:plugin/merge@1.99.0`; this host speaks \
                  `domicile:plugin` 1.0.0 to 1.1.0: build the plugin with an SDK of one of these versions, or update \
                  the host";
    check(try_load(&sandbox(), "hostile_hurries"), ErrorKind::Plugin, expect);
}

pub(super) fn stalls() {
    let expect = "`describe` of plugin `stalls` 1.2.3 exceeded its processor time limit of 300 ms";
    check(try_load(&hasty(), "hostile_stalls"), ErrorKind::TimedOut, expect);
}

pub(super) fn mutes() {
    let expect = "`describe` of plugin `mutes` 1.2.3 trapped: wasm trap: wasm `unreachable` instruction executed";
    check(try_load(&sandbox(), "hostile_mutes"), ErrorKind::Plugin, expect);
}

pub(super) fn lingers() {
    // Its world counts steps; here there are enough of them for time to run out first.
    let limits = SandboxLimits { merge_fuel_max: u64::MAX, ..hasty().limits().clone() };
    let error = limited(limits).load("lingers".parse().unwrap(), VERSION, &text_component("lingers")).unwrap_err();
    assert!(error.to_string().starts_with("`start` of plugin `lingers` 1.2.3 exceeded its "), "{error}");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let limits = SandboxLimits { merge_fuel_max: 1000, ..SandboxLimits::default() };
    let expect = "`start` of plugin `lingers` 1.2.3 exceeded its limit of 1000 steps";
    check(
        limited(limits).load("lingers".parse().unwrap(), VERSION, &text_component("lingers")),
        ErrorKind::Plugin,
        expect,
    );
}

pub(super) fn crowds() {
    let error = sandbox().load("crowds".parse().unwrap(), VERSION, &text_component("crowds")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plugin);
    assert!(matches!(error, SandboxError::ComponentMalformed { .. }), "{error}");
    assert!(error.to_string().contains("core module instances"), "{error}");
}

pub(super) fn swells() {
    let with =
        |variables: usize| wat::parse_str(text("swells").replace("(;MANY;)", &"i64 ".repeat(variables))).unwrap();
    let load = |variables| sandbox().load("swells".parse().unwrap(), VERSION, &with(variables));
    load(16).unwrap();
    let expect =
        "the code of plugin `swells` 1.2.3 has 16385 local variables in one function, at most 16384 are accepted";
    check(load(16_385), ErrorKind::Plugin, expect);
}
