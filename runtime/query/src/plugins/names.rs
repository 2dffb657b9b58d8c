//! Whether what a plugin brings into SQL fits what is there.

use datafusion::prelude::SessionContext;
use domicile_sandbox::Plugin;

use super::interface::provides;
use super::set::PluginSet;
use crate::QueryError;
use crate::catalog::Catalog;

/// Checks that no name of the plugin is that of a dataset or of a built-in function.
///
/// # Errors
/// Names the first that is.
pub(super) fn check_own_names(catalog: &Catalog, plugin: &Plugin) -> Result<(), QueryError> {
    let state = SessionContext::new().state();
    for name in provides(plugin) {
        if catalog.spec(&name).is_ok() {
            return Err(QueryError::NameTaken { name, taken_by: "a dataset".to_owned() });
        }
        let built_in = state.scalar_functions().contains_key(&name)
            || state.aggregate_functions().contains_key(&name)
            || state.window_functions().contains_key(&name);
        if built_in {
            return Err(QueryError::NameTaken { name, taken_by: "a built-in function".to_owned() });
        }
    }
    Ok(())
}

/// Checks that no name of the plugin is that of something in another plugin that is in use.
///
/// # Errors
/// Names the first that is.
pub(super) fn check_other_names(set: &PluginSet, plugin: &Plugin) -> Result<(), QueryError> {
    for name in provides(plugin) {
        let mut others = set.in_use().filter(|other| other.id().name != plugin.id().name);
        if let Some(other) = others.find(|other| provides(other).contains(&name)) {
            let taken_by = format!("something in plugin `{}`", other.id().name);
            return Err(QueryError::NameTaken { name, taken_by });
        }
    }
    Ok(())
}
