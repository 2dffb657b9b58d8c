//! A deployed component: whatever its bytes, it is refused with an error, or loads and runs within its limits.

use std::sync::OnceLock;
use std::time::Duration;

use domicile_sandbox::{Compiler, Sandbox, SandboxLimits};

pub(crate) fn run(input: &[u8]) {
    let Ok(name) = "fuzzed".parse() else { return };
    match sandbox().load(name, "1.0.0", input) {
        Ok(plugin) => assert_eq!(plugin.id().version, "1.0.0"),
        Err(error) => {
            let (text, shown) = (error.to_string(), error.without_guest_text().to_string());
            assert!(!text.is_empty() && text.len() < ERROR_BYTES_MAX && shown.len() < ERROR_BYTES_MAX, "{text}");
        }
    }
}

/// No error repeats more of a component than this.
const ERROR_BYTES_MAX: usize = 8 * 1024;

/// Shared by all inputs, so that one which leaves something behind fails a later one: no instance would be left.
fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let limits = SandboxLimits {
            memory_bytes_max: 4 * 1024 * 1024,
            call_timeout: Duration::from_millis(50),
            start_timeout: Duration::from_millis(50),
            instances_max: 2,
            ..SandboxLimits::default()
        };
        Sandbox::new(limits, Compiler::InProcess).expect("the sandbox does not start")
    })
}
