//! What happens when a plugin panics.

use std::panic::PanicHookInfo;
use std::sync::Once;

use crate::{Level, log};

/// Makes panics known to the host: a component aborts on a panic, and a trap alone does not say what went wrong.
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| std::panic::set_hook(Box::new(report)));
}

fn report(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("panicked");
    match info.location() {
        Some(place) => log(Level::Critical, &format!("{message}, at {}:{}", place.file(), place.line())),
        None => log(Level::Critical, message),
    }
}
