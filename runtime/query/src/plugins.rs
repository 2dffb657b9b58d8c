//! The plugins of a region: kept by content, versions side by side, the newest of each name active.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use datafusion::prelude::SessionContext;
use domicile_sandbox::{Interface, MapperInterface, Parameter, Plugin, Sandbox, Value, ValueType};
use domicile_store::{Blobs, write_atomic};
use domicile_types::limits::PLUGINS_MAX;
use domicile_types::{Digest, PluginName};
use domicile_wire::api::{PluginPin, PluginVersion};
use domicile_wire::receipt::sha256;

use crate::QueryError;
use crate::catalog::Catalog;

/// One deployed version.
#[derive(Debug)]
pub(crate) struct Deployed {
    /// The compiled component.
    pub(crate) plugin: Arc<Plugin>,
    /// What is known of it.
    pub(crate) version: PluginVersion,
}

/// The plugins that one query sees. Never changes; a deployment makes a new set.
#[derive(Debug, Clone, Default)]
pub struct PluginSet {
    deployed: Vec<Arc<Deployed>>,
    active: BTreeMap<PluginName, Arc<Plugin>>,
    parameters: BTreeMap<PluginName, BTreeMap<String, String>>,
}

impl PluginSet {
    fn of(deployed: Vec<Arc<Deployed>>) -> Self {
        let mut newest: Vec<&Arc<Deployed>> = deployed.iter().collect();
        newest.sort_by_key(|d| (d.version.activation, d.version.sha256.clone()));
        let active = newest.iter().map(|d| (d.plugin.id().name.clone(), Arc::clone(&d.plugin))).collect();
        Self { deployed, active, parameters: BTreeMap::new() }
    }

    /// Every deployed version.
    pub fn versions(&self) -> impl Iterator<Item = &PluginVersion> {
        self.deployed.iter().map(|deployed| &deployed.version)
    }

    /// The active version of each name.
    pub(crate) fn active(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.active.values()
    }

    /// The active mappers.
    pub(crate) fn mappers(&self) -> impl Iterator<Item = Arc<Plugin>> + '_ {
        self.active.values().filter(|plugin| matches!(plugin.interface(), Interface::Mapper(_))).map(Arc::clone)
    }

    /// The active mapper of that name.
    ///
    /// # Errors
    /// Where there is none; the error names the nearest.
    pub(crate) fn mapper(&self, name: &str) -> Result<Arc<Plugin>, QueryError> {
        let names: Vec<String> = self.mappers().map(|plugin| plugin.id().name.to_string()).collect();
        let found = self.mappers().find(|plugin| plugin.id().name.as_str() == name);
        found.ok_or_else(|| QueryError::unknown("endpoint", name, names.iter().map(String::as_str)))
    }

    /// The same plugins, with `given` parameters for the mapper `name`.
    ///
    /// # Errors
    /// Where the mapper has no such parameter, or a value does not fit.
    pub(crate) fn with_parameters(
        mut self,
        name: &PluginName,
        given: BTreeMap<String, String>,
    ) -> Result<Self, QueryError> {
        values(mapper_interface(self.mapper(name.as_str())?.as_ref())?, &given)?;
        self.parameters.insert(name.clone(), given);
        Ok(self)
    }

    /// The values that the mapper `plugin` is to be configured with.
    pub(crate) fn parameters_of(&self, plugin: &Plugin) -> Result<Vec<Value>, QueryError> {
        let none = BTreeMap::new();
        values(mapper_interface(plugin)?, self.parameters.get(&plugin.id().name).unwrap_or(&none))
    }

    /// Pins for the active plugins that provide any of `names` in SQL.
    pub(crate) fn pins(&self, names: &BTreeSet<String>) -> Vec<PluginPin> {
        let used = self.active.values().filter(|plugin| provides(plugin).iter().any(|name| names.contains(name)));
        used.map(|plugin| PluginPin {
            name: plugin.id().name.to_string(),
            sha256: plugin.id().digest.to_string(),
            parameters: self.parameters.get(&plugin.id().name).cloned().unwrap_or_default(),
        })
        .collect()
    }

    /// The set in which exactly the pinned plugins are active. The first pin that is not here is the error.
    pub(crate) fn pinned(&self, pins: &[PluginPin]) -> Result<Self, PluginPin> {
        let mut set = Self { deployed: self.deployed.clone(), ..Self::default() };
        for pin in pins {
            let found = self.deployed.iter().find(|d| d.version.sha256 == pin.sha256 && d.version.name == pin.name);
            let plugin = &found.ok_or_else(|| pin.clone())?.plugin;
            set.active.insert(plugin.id().name.clone(), Arc::clone(plugin));
            set.parameters.insert(plugin.id().name.clone(), pin.parameters.clone());
        }
        Ok(set)
    }
}

/// The names that a plugin has in SQL.
fn provides(plugin: &Plugin) -> Vec<String> {
    match plugin.interface() {
        Interface::Functions(functions) => functions.iter().map(|function| function.name.clone()).collect(),
        Interface::Mapper(_) => vec![plugin.id().name.to_string()],
    }
}

pub(crate) fn mapper_interface(plugin: &Plugin) -> Result<&MapperInterface, QueryError> {
    match plugin.interface() {
        Interface::Mapper(mapper) => Ok(mapper),
        Interface::Functions(_) => Err(QueryError::unknown("endpoint", plugin.id().name.as_str(), [])),
    }
}

fn values(mapper: &MapperInterface, given: &BTreeMap<String, String>) -> Result<Vec<Value>, QueryError> {
    for name in given.keys() {
        if !mapper.parameters.iter().any(|parameter| &parameter.name == name) {
            return Err(QueryError::unknown("parameter", name, mapper.parameters.iter().map(|p| p.name.as_str())));
        }
    }
    let value = |parameter: &Parameter| match given.get(&parameter.name) {
        None => Ok(parameter.default.clone()),
        Some(text) => parse(parameter.kind, text).ok_or_else(|| QueryError::Parameter {
            name: parameter.name.clone(),
            expected: match parameter.kind {
                ValueType::Date => "a date as YYYY-MM-DD".to_owned(),
                kind => format!("a value of type {kind}"),
            },
            value: text.clone(),
        }),
    };
    mapper.parameters.iter().map(value).collect()
}

fn parse(kind: ValueType, text: &str) -> Option<Value> {
    use arrow::datatypes::Date32Type;
    use arrow_cast::parse::Parser;
    match kind {
        ValueType::BigInt => text.parse().ok().map(Value::BigInt),
        ValueType::Double => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Double),
        ValueType::Text => Some(Value::Text(text.to_owned())),
        ValueType::Date => Date32Type::parse(text).map(Value::Date),
        ValueType::Boolean => text.parse().ok().map(Value::Boolean),
    }
}

/// Deploys plugins and keeps them across restarts. One thread owns it.
pub(crate) struct PluginKeeper {
    sandbox: Sandbox,
    blobs: Blobs,
    registry: PathBuf,
    catalog: Arc<Catalog>,
    current: Arc<ArcSwap<PluginSet>>,
}

impl PluginKeeper {
    /// Opens the plugins kept under `dir`, compiling each. `current` always holds the newest set.
    ///
    /// # Errors
    /// Where a kept plugin is missing, damaged, or does not load any more.
    pub(crate) fn open(
        dir: &Path,
        sandbox: Sandbox,
        catalog: Arc<Catalog>,
        current: Arc<ArcSwap<PluginSet>>,
    ) -> Result<Self, QueryError> {
        let blobs = Blobs::open(&dir.join("components"))?;
        let keeper = Self { sandbox, blobs, registry: dir.join("registry.json"), catalog, current };
        let mut deployed = Vec::new();
        for version in keeper.kept()? {
            let damaged =
                || QueryError::Execution(format!("plugin {} {} is kept but damaged", version.name, version.version));
            let digest: Digest = version.sha256.parse().map_err(|_| damaged())?;
            let wasm = keeper.blobs.get(&digest)?.ok_or_else(damaged)?;
            let name = version.name.parse().map_err(|_| damaged())?;
            let plugin = keeper.sandbox.load(name, &version.version, &wasm)?;
            deployed.push(Arc::new(Deployed { plugin, version }));
        }
        keeper.current.store(Arc::new(PluginSet::of(deployed)));
        Ok(keeper)
    }

    fn kept(&self) -> Result<Vec<PluginVersion>, QueryError> {
        let unreadable = |detail: String| QueryError::Execution(format!("{}: {detail}", self.registry.display()));
        match std::fs::read(&self.registry) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    /// Checks, compiles, keeps and activates one version. The same content again changes nothing.
    ///
    /// # Errors
    /// Where the component is refused, the version exists with other content, or a name is taken.
    pub(crate) fn deploy(
        &mut self,
        name: PluginName,
        version: &str,
        wasm: &[u8],
        activation: u64,
    ) -> Result<PluginVersion, QueryError> {
        let set = self.current.load_full();
        let digest = sha256(wasm).to_string();
        if let Some(existing) = set.versions().find(|v| v.name == name.as_str() && v.version == version) {
            if existing.sha256 == digest {
                return Ok(existing.clone());
            }
            return Err(QueryError::VersionTaken {
                name: name.to_string(),
                version: version.to_owned(),
                sha256: existing.sha256.clone(),
            });
        }
        if set.deployed.len() >= PLUGINS_MAX {
            return Err(QueryError::TooLarge { what: "the number of plugins", limit: PLUGINS_MAX, unit: "plugins" });
        }
        let plugin = self.sandbox.load(name, version, wasm)?;
        self.check_names(&set, &plugin)?;
        self.check_inputs(&plugin)?;
        let version = describe(&plugin, version, activation);
        self.blobs.put(wasm)?;
        let mut deployed = set.deployed.clone();
        deployed.push(Arc::new(Deployed { plugin, version: version.clone() }));
        let set = PluginSet::of(deployed);
        let kept: Vec<&PluginVersion> = set.versions().collect();
        let text = serde_json::to_vec_pretty(&kept).map_err(|e| QueryError::Execution(e.to_string()))?;
        write_atomic(&self.registry, &text)?;
        self.current.store(Arc::new(set));
        Ok(version)
    }

    /// The bytes of a deployed component.
    ///
    /// # Errors
    /// Where reading fails or the bytes are damaged.
    pub(crate) fn component(&self, digest: &Digest) -> Result<Option<Vec<u8>>, QueryError> {
        Ok(self.blobs.get(digest)?)
    }

    fn check_names(&self, set: &PluginSet, plugin: &Plugin) -> Result<(), QueryError> {
        let state = SessionContext::new().state();
        for name in provides(plugin) {
            let taken_by = |by: String| QueryError::NameTaken { name: name.clone(), taken_by: by };
            if self.catalog.spec(&name).is_ok() {
                return Err(taken_by("a dataset".to_owned()));
            }
            let built_in = state.scalar_functions().contains_key(&name)
                || state.aggregate_functions().contains_key(&name)
                || state.window_functions().contains_key(&name);
            if built_in {
                return Err(taken_by("a built-in function".to_owned()));
            }
            let others = set.active().filter(|other| other.id().name != plugin.id().name);
            if let Some(other) = others.into_iter().find(|other| provides(other).contains(&name)) {
                return Err(taken_by(format!("something in plugin `{}`", other.id().name)));
            }
        }
        Ok(())
    }

    /// Checks that what a mapper wants to read exists.
    fn check_inputs(&self, plugin: &Plugin) -> Result<(), QueryError> {
        let Interface::Mapper(mapper) = plugin.interface() else { return Ok(()) };
        let spec = self.catalog.spec(mapper.dataset.as_str())?;
        if !spec.residency.is_resident() {
            return Err(QueryError::Parameter {
                name: "dataset".to_owned(),
                expected: "a dataset whose rows belong to entities".to_owned(),
                value: mapper.dataset.to_string(),
            });
        }
        for input in &mapper.inputs {
            let known = spec.dataset.columns.iter().map(|column| column.name.as_str());
            if spec.dataset.column(&input.name).is_err() {
                return Err(QueryError::unknown("column", &input.name, known));
            }
        }
        Ok(())
    }
}

fn describe(plugin: &Plugin, version: &str, activation: u64) -> PluginVersion {
    let provides = match plugin.interface() {
        Interface::Functions(functions) => functions
            .iter()
            .map(|function| {
                let arguments: Vec<String> =
                    function.arguments.iter().map(|a| format!("{} {}", a.name, a.kind)).collect();
                format!("{}({}) -> {}", function.name, arguments.join(", "), function.returns)
            })
            .collect(),
        Interface::Mapper(mapper) => {
            let outputs: Vec<String> =
                mapper.outputs.iter().map(|o| format!("{} {}", o.name, o.value_type())).collect();
            vec![format!("{}({}) over {}", plugin.id().name, outputs.join(", "), mapper.dataset)]
        }
    };
    PluginVersion {
        name: plugin.id().name.to_string(),
        version: version.to_owned(),
        sha256: plugin.id().digest.to_string(),
        world: plugin.interface().world().to_owned(),
        provides,
        activation,
    }
}
