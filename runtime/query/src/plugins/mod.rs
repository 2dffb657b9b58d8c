//! The plugins of a region: versions side by side, which of them answer, and how regions keep in step.

mod interface;
mod keeper;
mod names;
mod registry;
mod release;
mod replicate;
mod set;
mod shadow;
mod trust;

pub use names::policy_functions;
pub use release::ReleaseChange;
pub use replicate::{
    COMPARE_PATH, Deployment, PLUGINS_PATH, change_release, compare_with_peers, deploy, remove, take_from,
};
pub use set::{PluginSet, VersionTally};
pub use shadow::run_shadows;
pub use trust::PluginTrust;

pub(crate) use interface::mapper_interface;
pub(crate) use keeper::PluginKeeper;
pub(crate) use shadow::{Shadows, Taken, order_matters};
