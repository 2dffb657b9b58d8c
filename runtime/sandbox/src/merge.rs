//! Conflicts between versions of one row.

use std::sync::Arc;

use wasmtime::component::{ComponentType, Lower};

use crate::exports::{Exports, Merge};
use crate::instance::{Instance, Unanswered};
use crate::{Field, Interface, Plugin, SandboxError, Value};

/// One version of a row.
#[derive(Debug, Clone, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct RowVersion {
    /// When it was written, by the writing region's hybrid logical clock: milliseconds since 1970-01-01 in the upper 48
    /// bits, a counter in the lower 16.
    #[component(name = "written-at")]
    pub written_at: u64,
    /// The region that wrote it.
    pub origin: String,
    /// One value for each declared column, in order, of its type or null.
    pub values: Vec<Value>,
}

/// A plugin that resolves conflicts. Each is resolved in a fresh instance, so that no answer depends on what was resolved
/// before it.
pub struct MergeInstance {
    plugin: Arc<Plugin>,
    /// For the next conflict.
    ready: Option<Instance<Merge>>,
}

impl MergeInstance {
    pub(crate) fn new(plugin: &Arc<Plugin>) -> Result<Self, SandboxError> {
        Ok(Self { plugin: Arc::clone(plugin), ready: Some(fresh(plugin)?) })
    }

    /// The values that the row is to have: one for each declared column, of its type or null. There are at least two
    /// versions, ordered by when they were written, then by origin.
    ///
    /// Blocks until the plugin's budget of steps is used up, which is the same everywhere; the limits of time hold too.
    ///
    /// # Errors
    /// Where the versions do not fit, no instance is free, or the plugin fails, exceeds its budget or returns something that it did not
    /// declare.
    pub fn resolve(&mut self, versions: &[RowVersion]) -> Result<Vec<Value>, SandboxError> {
        let origin = &self.plugin.origin;
        let Interface::Merge(interface) = &self.plugin.interface else {
            return Err(origin.wrong_world("merge"));
        };
        let columns = interface.columns.as_slice();
        check_versions(versions, columns).map_err(|detail| origin.unfit("resolve", detail))?;
        let mut instance = match self.ready.take() {
            Some(instance) => instance,
            None => fresh(&self.plugin)?,
        };
        let Instance { started, uses } = &mut instance;
        started.call(
            "resolve",
            &[],
            versions.len(),
            |store| uses.resolve.call(store, (versions,)),
            |(answer,), _| {
                let values = answer.map_err(Unanswered::Said)?;
                check_values(&values, columns).map_err(Unanswered::Invalid)?;
                Ok(values)
            },
        )
    }
}

fn fresh(plugin: &Plugin) -> Result<Instance<Merge>, SandboxError> {
    match &plugin.exports {
        Exports::Merge(exports) => Instance::new(&plugin.origin, exports),
        _ => Err(plugin.origin.wrong_world("merge")),
    }
}

fn check_versions(versions: &[RowVersion], columns: &[Field]) -> Result<(), String> {
    if versions.len() < 2 {
        return Err(format!("{} versions, which are no conflict", versions.len()));
    }
    let order = |version: &RowVersion| (version.written_at, version.origin.clone());
    if !versions.is_sorted_by_key(order) {
        return Err("versions that are not ordered by when they were written, then by origin".to_owned());
    }
    versions.iter().try_for_each(|version| check_values(&version.values, columns))
}

fn check_values(values: &[Value], columns: &[Field]) -> Result<(), String> {
    if values.len() != columns.len() {
        return Err(format!("{} values where {} columns are declared", values.len(), columns.len()));
    }
    for (value, column) in values.iter().zip(columns) {
        if let Some(kind) = value.kind().filter(|kind| *kind != column.kind) {
            return Err(format!("a {kind} for column `{}`, which is a {}", column.name, column.kind));
        }
    }
    Ok(())
}
