//! What happens when a plugin panics.

#[cfg(target_family = "wasm")]
mod region {
    use std::panic::PanicHookInfo;
    use std::sync::Once;

    use crate::{Level, log};

    pub(crate) fn start() {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| std::panic::set_hook(Box::new(report)));
    }

    pub(crate) fn start_silent() {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    }

    fn report(info: &PanicHookInfo<'_>) {
        let message = info.payload_as_str().unwrap_or("panicked");
        match info.location() {
            Some(place) => log(Level::Critical, &format!("{message}, at {}:{}", place.file(), place.line())),
            None => log(Level::Critical, message),
        }
    }
}

/// Makes panics known to the host: a component aborts on a panic, and a trap alone does not say what went wrong.
pub(crate) fn start() {
    #[cfg(target_family = "wasm")]
    region::start();
}

/// For a world without a log: a panic is the trap only, and nothing tries to print it.
pub(crate) fn start_silent() {
    #[cfg(target_family = "wasm")]
    region::start_silent();
}
