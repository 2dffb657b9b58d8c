//! The plugins that a query sees: one version of each name, picked once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use domicile_sandbox::{Interface, LogLine, Plugin, PluginMetrics, Value};
use domicile_types::{Digest, PluginName, QueryId};
use domicile_wire::api::PluginPin;
use domicile_wire::plugins::{NotTaken, PluginState, PluginUse, PluginVersion, Release, VersionRef};

use super::interface::{parameters, provides, values};
use super::{registry, release};
use crate::QueryError;

/// One deployed version.
#[derive(Debug)]
pub(crate) struct Deployed {
    /// The compiled component.
    pub(crate) plugin: Arc<Plugin>,
    /// What is known of it.
    pub(crate) version: PluginVersion,
    /// What became of the questions asked here that used it.
    pub(crate) tally: Tally,
}

impl Deployed {
    pub(super) fn new(plugin: Arc<Plugin>, version: PluginVersion) -> Arc<Self> {
        Arc::new(Self { plugin, version, tally: Tally::default() })
    }

    fn reference(&self) -> VersionRef {
        registry::reference(&self.version)
    }

    fn used(&self) -> PluginUse {
        let VersionRef { version, sha256 } = self.reference();
        PluginUse { name: self.version.name.clone(), version, sha256 }
    }
}

/// Counts questions.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    elapsed_us: AtomicU64,
}

impl Tally {
    fn add(&self, answered: bool, elapsed: Duration) {
        let count = if answered { &self.answered } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.elapsed_us.fetch_add(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// A question on its way. One that is given up counts as not answered.
#[derive(Debug)]
pub(crate) struct Count {
    used: Vec<Arc<Deployed>>,
    started: Instant,
    pub(crate) answered: bool,
}

impl Drop for Count {
    fn drop(&mut self) {
        for deployed in &self.used {
            deployed.tally.add(self.answered, self.started.elapsed());
        }
    }
}

/// What became of the questions asked at this region that used one version of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionTally {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `active`, `canary` or `shadow`; none where it is not in use.
    pub role: Option<&'static str>,
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that were not.
    pub failed: u64,
    /// Seconds that all of them took.
    pub elapsed_s: f64,
}

/// The plugins that one query sees. Never changes; a deployment makes a new set.
#[derive(Debug, Clone, Default)]
pub struct PluginSet {
    deployed: Vec<Arc<Deployed>>,
    /// Kept versions that this region does not trust any more.
    refused: Arc<Vec<NotTaken>>,
    state: Arc<PluginState>,
    picked: BTreeMap<PluginName, Arc<Deployed>>,
    parameters: BTreeMap<PluginName, BTreeMap<String, String>>,
}

impl PluginSet {
    pub(super) fn of(deployed: Vec<Arc<Deployed>>, state: Arc<PluginState>, refused: Arc<Vec<NotTaken>>) -> Self {
        let mut set = Self { deployed, refused, state, ..Self::default() };
        let active = set.state.releases.iter().filter_map(|release| set.found(&release.name, &release.active));
        set.picked = active.map(|deployed| (deployed.plugin.id().name.clone(), deployed)).collect();
        set
    }

    /// Every deployed version.
    pub fn versions(&self) -> impl Iterator<Item = &PluginVersion> {
        self.deployed.iter().map(|deployed| &deployed.version)
    }

    /// The release of every plugin.
    pub fn releases(&self) -> &[Release] {
        &self.state.releases
    }

    /// The release of a plugin.
    ///
    /// # Errors
    /// Where there is no such plugin; the error names the nearest.
    pub fn release(&self, name: &str) -> Result<&Release, QueryError> {
        let known = || self.state.releases.iter().map(|release| release.name.as_str());
        registry::release(&self.state, name).ok_or_else(|| QueryError::unknown("plugin", name, known()))
    }

    /// Kept versions that do not run here, and why.
    pub fn refused(&self) -> &[NotTaken] {
        &self.refused
    }

    /// A deployed version by its code, whatever its release says; none where it is not here, or not trusted here.
    pub fn with_code(&self, name: &PluginName, sha256: &Digest) -> Option<&Arc<Plugin>> {
        let code = sha256.to_string();
        let same = |deployed: &&Arc<Deployed>| deployed.plugin.id().name == *name && deployed.version.sha256 == code;
        self.deployed.iter().find(same).map(|deployed| &deployed.plugin)
    }

    /// All that this region knows of plugins.
    pub fn state(&self) -> &PluginState {
        &self.state
    }

    /// What became of the questions asked here, by version.
    pub fn tallies(&self) -> Vec<VersionTally> {
        self.deployed.iter().map(|deployed| self.tally(deployed)).collect()
    }

    fn tally(&self, deployed: &Deployed) -> VersionTally {
        VersionTally {
            name: deployed.version.name.clone(),
            version: deployed.version.version.clone(),
            role: self.role(&deployed.version),
            answered: deployed.tally.answered.load(Ordering::Relaxed),
            failed: deployed.tally.failed.load(Ordering::Relaxed),
            elapsed_s: deployed.tally.elapsed_us.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }

    /// What a plugin's versions cost since they were loaded, with what became of the questions that used them.
    ///
    /// # Errors
    /// Where there is no such plugin.
    pub fn costs(&self, name: &str) -> Result<Vec<(VersionTally, PluginMetrics)>, QueryError> {
        self.release(name)?;
        let ours = self.deployed.iter().filter(|deployed| deployed.version.name == name);
        Ok(ours.map(|deployed| (self.tally(deployed), deployed.plugin.metrics())).collect())
    }

    /// The last lines that a version logged; of the active one where none is named. They may hold values of rows.
    ///
    /// # Errors
    /// Where there is no such plugin or version.
    pub fn log_lines(&self, name: &str, version: Option<&str>) -> Result<(String, Vec<LogLine>), QueryError> {
        let version = version.unwrap_or(&self.release(name)?.active.version);
        let ours = || self.deployed.iter().filter(|deployed| deployed.version.name == name);
        let found = ours().find(|deployed| deployed.version.version == version);
        let known = || ours().map(|deployed| deployed.version.version.as_str());
        let found = found.ok_or_else(|| QueryError::unknown("version", version, known()))?;
        Ok((version.to_owned(), found.plugin.log_lines()))
    }

    /// What a version is in its plugin's release: `active`, `canary` or `shadow`; none where it is not in use.
    pub fn role(&self, version: &PluginVersion) -> Option<&'static str> {
        let release = registry::release(&self.state, &version.name);
        release.and_then(|release| release::role(release, &version.version, &version.sha256))
    }

    pub(super) fn deployed(&self) -> &[Arc<Deployed>] {
        &self.deployed
    }

    pub(super) fn found(&self, name: &str, version: &VersionRef) -> Option<Arc<Deployed>> {
        let same = |deployed: &&Arc<Deployed>| deployed.version.name == name && deployed.reference() == *version;
        self.deployed.iter().find(same).cloned()
    }

    /// Every version that a release uses.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        let used = |deployed: &&Arc<Deployed>| self.role(&deployed.version).is_some();
        self.deployed.iter().filter(used).map(|deployed| &deployed.plugin)
    }

    /// The set that the query of that id sees: canaries take their share.
    pub(crate) fn picked_for(&self, query: &QueryId) -> Self {
        let mut set = self.clone();
        for release in &self.state.releases {
            let Some(canary) = &release.canary else { continue };
            let version = VersionRef { version: canary.version.clone(), sha256: canary.sha256.clone() };
            let Some(canaried) = self.found(&release.name, &version) else { continue };
            let name = canaried.plugin.id().name.clone();
            if release::goes_to_canary(query.as_str(), &name, canary.percent) {
                set.picked.insert(name, canaried);
            }
        }
        set
    }

    /// The shadowed plugins among `used`, where their active version was: each with the set in which only its shadow
    /// is picked instead.
    pub(super) fn shadows(&self, used: &[PluginUse]) -> Vec<(Release, Self)> {
        let shadow = |used: &PluginUse| {
            let release = registry::release(&self.state, &used.name)?;
            let shadow = self.found(&used.name, release.shadow.as_ref()?)?;
            let is_active = release.active.sha256 == used.sha256 && release.active.version == used.version;
            let mut set = self.clone();
            set.picked.insert(shadow.plugin.id().name.clone(), shadow);
            is_active.then(|| (release.clone(), set))
        };
        used.iter().filter_map(shadow).collect()
    }

    /// The version of each name that this set has picked.
    pub(crate) fn active(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.picked.values().map(|deployed| &deployed.plugin)
    }

    /// The mappers among them.
    pub(crate) fn mappers(&self) -> impl Iterator<Item = Arc<Plugin>> + '_ {
        self.active().filter(|plugin| matches!(plugin.interface(), Interface::Mapper(_))).map(Arc::clone)
    }

    /// The plugin of that name that answers at an endpoint of its own: a mapper or a query.
    ///
    /// # Errors
    /// Where there is none; the error names the nearest.
    pub(crate) fn endpoint(&self, name: &str) -> Result<Arc<Plugin>, QueryError> {
        let endpoints = || self.active().filter(|plugin| parameters(plugin).is_ok());
        let found = endpoints().find(|plugin| plugin.id().name.as_str() == name).map(Arc::clone);
        found.ok_or_else(|| QueryError::unknown("endpoint", name, endpoints().map(|plugin| plugin.id().name.as_str())))
    }

    /// The same plugins, with `given` parameters for the endpoint `name`.
    ///
    /// # Errors
    /// Where the endpoint has no such parameter, or a value does not fit.
    pub(crate) fn with_parameters(
        mut self,
        name: &PluginName,
        given: BTreeMap<String, String>,
    ) -> Result<Self, QueryError> {
        values(parameters(self.endpoint(name.as_str())?.as_ref())?, &given)?;
        self.parameters.insert(name.clone(), given);
        Ok(self)
    }

    /// The values that `plugin`, a mapper or a query, is to be configured with.
    pub(crate) fn parameters_of(&self, plugin: &Plugin) -> Result<Vec<Value>, QueryError> {
        let none = BTreeMap::new();
        values(parameters(plugin)?, self.parameters.get(&plugin.id().name).unwrap_or(&none))
    }

    fn providing<'s>(&'s self, names: &'s BTreeSet<String>) -> impl Iterator<Item = &'s Arc<Deployed>> {
        let provided = |deployed: &&Arc<Deployed>| provides(&deployed.plugin).iter().any(|name| names.contains(name));
        self.picked.values().filter(provided)
    }

    /// Pins for the picked plugins that provide any of `names` in SQL.
    pub(crate) fn pins(&self, names: &BTreeSet<String>) -> Vec<PluginPin> {
        let pin = |deployed: &Arc<Deployed>| PluginPin {
            name: deployed.version.name.clone(),
            sha256: deployed.version.sha256.clone(),
            parameters: self.parameters.get(&deployed.plugin.id().name).cloned().unwrap_or_default(),
        };
        self.providing(names).map(pin).collect()
    }

    /// The picked versions that a plan calls or reads.
    ///
    /// # Errors
    /// Where the plan cannot be walked.
    pub(crate) fn used_by(&self, plan: &LogicalPlan) -> Result<Vec<PluginUse>, QueryError> {
        let names = names_in(plan)?;
        Ok(self.providing(&names).map(|deployed| deployed.used()).collect())
    }

    /// The picked version of a plugin that answers by itself.
    pub(crate) fn used_as(&self, name: &PluginName) -> Vec<PluginUse> {
        self.picked.get(name).map(|deployed| deployed.used()).into_iter().collect()
    }

    /// Counts a question that uses these, as answered or not once the count ends.
    pub(crate) fn count(&self, used: &[PluginUse]) -> Count {
        let is_used = |deployed: &&Arc<Deployed>| used.iter().any(|used| used.name == deployed.version.name);
        let used = self.picked.values().filter(is_used).cloned().collect();
        Count { used, started: Instant::now(), answered: false }
    }

    /// The set in which exactly the pinned plugins are picked. The first pin that is not here is the error.
    pub(crate) fn pinned(&self, pins: &[PluginPin]) -> Result<Self, PluginPin> {
        let mut set = Self { deployed: self.deployed.clone(), state: Arc::clone(&self.state), ..Self::default() };
        for pin in pins {
            let found = self.deployed.iter().find(|d| d.version.sha256 == pin.sha256 && d.version.name == pin.name);
            let deployed = Arc::clone(found.ok_or_else(|| pin.clone())?);
            let name = deployed.plugin.id().name.clone();
            set.parameters.insert(name.clone(), pin.parameters.clone());
            set.picked.insert(name, deployed);
        }
        Ok(set)
    }
}

/// The names of all functions that a plan calls and of all tables that it reads.
fn names_in(plan: &LogicalPlan) -> Result<BTreeSet<String>, QueryError> {
    let mut names = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            names.insert(scan.table_name.table().to_owned());
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::ScalarFunction(call) => names.insert(call.name().to_owned()),
                    Expr::AggregateFunction(call) => names.insert(call.func.name().to_owned()),
                    Expr::WindowFunction(call) => names.insert(call.fun.name().to_owned()),
                    _ => false,
                };
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(names)
}
