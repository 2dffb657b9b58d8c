//! Whether what a plugin brings into SQL fits what is there.

use std::collections::BTreeSet;

use datafusion::prelude::SessionContext;
use domicile_sandbox::Plugin;

use super::interface::provides;
use super::set::PluginSet;
use crate::QueryError;
use crate::catalog::Catalog;
use crate::expression::{CASE, CAST, WITHIN};

/// The names of all functions of SQL that are no plugin's, their other names included, in small letters.
fn built_in_functions() -> BTreeSet<String> {
    let state = SessionContext::new().state();
    let names = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
    names.chain(state.window_functions().keys()).map(|name| name.to_lowercase()).collect()
}

/// Everything in `functions` of a clause that is no plugin's: functions by the names that policies know them by,
/// operators, and what stands for conditions.
pub fn policy_functions() -> BTreeSet<String> {
    let state = SessionContext::new().state();
    let scalar = state.scalar_functions().values().map(|function| function.name().to_lowercase());
    let aggregate = state.aggregate_functions().values().map(|function| function.name().to_lowercase());
    let window = state.window_functions().values().map(|function| function.name().to_lowercase());
    let operators = [CASE, CAST, WITHIN, "/", "%", "||", "&", "|", "#", "<<", ">>"].map(str::to_owned);
    scalar.chain(aggregate).chain(window).chain(operators).collect()
}

/// Checks that no name of the plugin is that of a dataset or of a built-in function.
///
/// # Errors
/// Names the first that is.
pub(super) fn check_own_names(catalog: &Catalog, plugin: &Plugin) -> Result<(), QueryError> {
    let built_in = built_in_functions();
    for name in provides(plugin) {
        if catalog.spec(&name).is_ok() {
            return Err(QueryError::NameTaken { name, taken_by: "a dataset".to_owned() });
        }
        if built_in.contains(&name) {
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
