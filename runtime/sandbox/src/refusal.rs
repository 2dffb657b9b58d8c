//! Why the host ends a call from within.

use crate::limit::Limit;

/// What the host's side of a call found. Travels through the engine as the cause of the trap.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// A limit.
    #[error("{0}")]
    Limit(Limit),
    /// The plugin called something inert.
    #[error("it called `{0}`, which plugins are not given; use the log of `domicile:plugin/host`")]
    Inert(String),
    /// The plugin passed something to the host that it may not. Never repeats values.
    #[error("{import}: {detail}")]
    Misuse {
        /// The function of the host.
        import: &'static str,
        /// What is wrong.
        detail: String,
    },
}
