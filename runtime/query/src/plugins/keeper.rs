//! Deploys plugins, changes releases, and keeps both across restarts. One thread owns it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use domicile_sandbox::{Plugin, Sandbox};
use domicile_store::Blobs;
use domicile_types::limits::{PLUGINS_MAX, RELEASE_AHEAD_MAX, RELEASE_HISTORY_MAX};
use domicile_types::{Digest, Hlc, PluginName, RegionId};
use domicile_wire::WireError;
use domicile_wire::plugins::{NotTaken, OfferedVersion, PluginState, PluginVersion, Release, RemovedVersion};
use domicile_wire::receipt::sha256;
use domicile_wire::signature::Envelope;

use super::interface::shown;
use super::names::{check_other_names, check_own_names};
use super::registry::{self, RegistryFile};
use super::release::{self, ReleaseChange, Stamp};
use super::set::{Deployed, PluginSet};
use super::trust::PluginTrust;
use crate::catalog::Catalog;
use crate::{QueryError, plugin_check};

/// How a compiled artefact begins. It would run as it is, so that nobody could check it.
const COMPILED_MAGIC: &[u8] = b"\x7fELF";

/// Owns the plugins of a region.
pub(crate) struct PluginKeeper {
    pub(crate) here: RegionId,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) trust: PluginTrust,
    pub(crate) catalog: Arc<Catalog>,
    /// Always the newest set.
    pub(crate) current: Arc<ArcSwap<PluginSet>>,
    blobs: Blobs,
    file: RegistryFile,
}

/// A component that is to become a version.
pub(crate) struct Offer {
    pub(crate) name: PluginName,
    pub(crate) version: String,
    pub(crate) wasm: bytes::Bytes,
    pub(crate) envelope: Option<Envelope>,
    /// What it was loaded as, where it was.
    plugin: Option<Arc<Plugin>>,
}

impl Offer {
    pub(crate) fn new(name: PluginName, version: String, wasm: bytes::Bytes, envelope: Option<Envelope>) -> Self {
        Self { name, version, wasm, envelope, plugin: None }
    }

    /// Compiles and loads the component, unless it is there already. It may take as long as compiling may, so this is not
    /// done by the thread that owns the plugins, which checks everything again.
    ///
    /// # Errors
    /// Where the signature or the component is refused, or the version exists with other content.
    pub(crate) fn load(mut self, sandbox: &Sandbox, trust: &PluginTrust, set: &PluginSet) -> Result<Self, QueryError> {
        let (_, loaded) = self.check(trust, set)?;
        if loaded.is_none() {
            self.plugin = Some(sandbox.load(self.name.clone(), &self.version, &self.wasm)?);
        }
        Ok(self)
    }

    /// Who signed it, and the same version where it is loaded.
    fn check<'s>(
        &self,
        trust: &PluginTrust,
        set: &'s PluginSet,
    ) -> Result<(Option<String>, Option<&'s Arc<Deployed>>), QueryError> {
        let Self { name, version, wasm, envelope, .. } = self;
        if wasm.starts_with(COMPILED_MAGIC) {
            return Err(QueryError::Compiled { name: name.to_string() });
        }
        let digest = sha256(wasm);
        let signed_by = trust.check(name, version, &digest, envelope.as_ref())?;
        check_content(set.state(), name, version, &digest)?;
        Ok((signed_by, set.deployed().iter().find(|d| is(&d.version, name.as_str(), version))))
    }
}

impl PluginKeeper {
    /// Opens the plugins kept under `dir`, loading each. Those that are not trusted any more, are damaged or do not load are
    /// kept and not run; they can be deployed again or deleted.
    ///
    /// # Errors
    /// Where the list of what is kept is damaged.
    pub(crate) fn open(
        dir: &Path,
        here: RegionId,
        sandbox: Arc<Sandbox>,
        trust: PluginTrust,
        catalog: Arc<Catalog>,
        current: Arc<ArcSwap<PluginSet>>,
    ) -> Result<Self, QueryError> {
        let blobs = Blobs::open(&dir.join("components"))?;
        let file = RegistryFile(dir.join("registry.json"));
        let keeper = Self { here, sandbox, trust, catalog, current, blobs, file };
        let state = keeper.file.read()?;
        keeper.sweep(&state)?;
        let (mut deployed, mut refused) = (Vec::new(), Vec::new());
        for kept in &state.versions {
            match keeper.reload(kept) {
                Ok(loaded) => deployed.push(loaded),
                Err(QueryError::SignatureRefused { name, version, detail }) => {
                    tracing::warn!(name, version, detail, "a kept plugin is not trusted any more and does not run");
                    refused.push(NotTaken { name, version: Some(version), reason: detail });
                }
                // One that does not load must not keep the region from serving all else.
                Err(error) => {
                    let (name, version) = (kept.version.name.clone(), kept.version.version.clone());
                    tracing::error!(name, version, %error, "a kept plugin does not load and does not run");
                    refused.push(NotTaken { name, version: Some(version), reason: error.to_string() });
                }
            }
        }
        keeper.current.store(Arc::new(PluginSet::of(deployed, Arc::new(state), Arc::new(refused))));
        Ok(keeper)
    }

    fn reload(&self, kept: &OfferedVersion) -> Result<Arc<Deployed>, QueryError> {
        let version = &kept.version;
        let damaged =
            || QueryError::Execution(format!("plugin {} {} is kept but damaged", version.name, version.version));
        let digest: Digest = version.sha256.parse().map_err(|_| damaged())?;
        let name: PluginName = version.name.parse().map_err(|_| damaged())?;
        let signed_by = self.trust.check(&name, &version.version, &digest, kept.envelope.as_ref())?;
        let wasm = self.blobs.get(&digest)?.ok_or_else(damaged)?;
        let plugin = self.sandbox.load(name, &version.version, &wasm)?;
        Ok(Deployed::new(plugin, PluginVersion { signed_by, ..version.clone() }))
    }

    /// Checks, compiles and keeps one version. The first of a name answers at once. The same content again changes
    /// nothing, unless it brings a signature.
    ///
    /// # Errors
    /// Where the signature or the component is refused, the version exists with other content, or a name is taken.
    pub(crate) fn deploy(&mut self, offer: Offer, now_ms: u64) -> Result<PluginVersion, QueryError> {
        let set = self.current.load_full();
        let removed = registry::removed(set.state(), offer.name.as_str(), &offer.version);
        let after_removal = removed.map_or(0, |removed| removed.removed_at_ms.saturating_add(1));
        self.add(offer, now_ms.max(after_removal), true)
    }

    /// Takes a version from a peer. This region checks everything again.
    ///
    /// # Errors
    /// As for [`Self::deploy`], and where the content is not the one offered.
    pub(crate) fn take_version(&mut self, offer: Offer, offered: &PluginVersion) -> Result<(), QueryError> {
        let actual = sha256(&offer.wasm).to_string();
        if actual != offered.sha256 {
            return Err(QueryError::VersionTaken {
                name: offered.name.clone(),
                version: offered.version.clone(),
                sha256: actual,
            });
        }
        self.add(offer, offered.deployed_at_ms, false).map(|_| ())
    }

    fn add(&mut self, offer: Offer, deployed_at_ms: u64, own: bool) -> Result<PluginVersion, QueryError> {
        let set = self.current.load_full();
        let (signed_by, loaded) = offer.check(&self.trust, &set)?;
        let Offer { name, version, wasm, envelope, plugin } = offer;
        if let Some(loaded) = loaded.filter(|loaded| envelope.is_none() || loaded.version.signed_by == signed_by) {
            return Ok(loaded.version.clone());
        }
        let known = registry::version(set.state(), name.as_str(), &version).is_some();
        if !known && set.state().versions.len() >= PLUGINS_MAX {
            return Err(QueryError::TooLarge { what: "the number of plugins", limit: PLUGINS_MAX, unit: "plugins" });
        }
        let plugin = match (loaded, plugin) {
            (Some(loaded), _) => Arc::clone(&loaded.plugin),
            (None, Some(plugin)) => plugin,
            (None, None) => self.sandbox.load(name, &version, &wasm)?,
        };
        check_own_names(&self.catalog, &plugin)?;
        if own {
            check_other_names(&set, &plugin)?;
        }
        plugin_check::check(&self.catalog, &plugin)?;
        self.blobs.put(&wasm)?;
        let added = PluginVersion { signed_by, ..describe(&plugin, deployed_at_ms) };
        self.keep(&set, plugin, OfferedVersion { version: added.clone(), envelope }, own)?;
        Ok(added)
    }

    /// Keeps a checked version in the place of the one that had its name. One of our `own` answers at once where it is
    /// the first of its plugin; the release of a peer's comes from the peer.
    fn keep(&self, set: &PluginSet, plugin: Arc<Plugin>, offered: OfferedVersion, own: bool) -> Result<(), QueryError> {
        let added = offered.version.clone();
        let other = |version: &PluginVersion| !is(version, &added.name, &added.version);
        let mut deployed: Vec<Arc<Deployed>> = set.deployed().iter().filter(|d| other(&d.version)).cloned().collect();
        deployed.push(Deployed::new(plugin, added.clone()));
        let mut state = set.state().clone();
        state.versions.retain(|kept| other(&kept.version));
        state.versions.push(offered);
        if own {
            state.removed.retain(|removed| removed.name != added.name || removed.version != added.version);
            if registry::release(&state, &added.name).is_none() {
                let stamp = self.stamp(Hlc::default(), added.deployed_at_ms);
                registry::set_release(&mut state, release::first(&added, stamp));
            }
        }
        self.commit(state, deployed)
    }

    fn stamp(&self, before: Hlc, now_ms: u64) -> Stamp {
        Stamp { changed_at: before.next(now_ms).0, origin: self.here.to_string() }
    }

    /// Changes which versions of a plugin answer.
    ///
    /// # Errors
    /// Where there is no such plugin or version, a name is taken, or the change makes no sense.
    pub(crate) fn change(&mut self, name: &str, change: &ReleaseChange, now_ms: u64) -> Result<Release, QueryError> {
        let set = self.current.load_full();
        let before = set.release(name)?;
        let deployed: Vec<&PluginVersion> = set.versions().filter(|version| version.name == name).collect();
        let stamp = self.stamp(Hlc(before.changed_at), now_ms);
        let release = release::changed(before, change, &deployed, stamp)?;
        for version in release::used(&release) {
            if let Some(used) = set.found(name, &version) {
                check_other_names(&set, &used.plugin)?;
            }
        }
        let mut state = set.state().clone();
        registry::set_release(&mut state, release.clone());
        self.commit(state, set.deployed().to_vec())?;
        Ok(release)
    }

    /// Takes a peer's release where it is newer than ours. Says whether it was.
    ///
    /// # Errors
    /// Where a version that it uses is not here, or it is dated too far ahead.
    pub(crate) fn take_release(&mut self, release: Release, now_ms: u64) -> Result<bool, QueryError> {
        let set = self.current.load_full();
        let ours = registry::release(set.state(), &release.name);
        if ours.is_some_and(|ours| Stamp::of(ours) >= Stamp::of(&release)) {
            return Ok(false);
        }
        let ahead_ms = Hlc(release.changed_at).unix_ms().saturating_sub(now_ms);
        if u128::from(ahead_ms) > RELEASE_AHEAD_MAX.as_millis() {
            return Err(WireError::Stale { region: release.origin, age_ms: ahead_ms }.into());
        }
        let share = release.canary.as_ref().is_none_or(|canary| (1..=100).contains(&canary.percent));
        if !share || release.history.len() > RELEASE_HISTORY_MAX {
            return Err(QueryError::Execution(format!("the release of `{}` is not in the agreed form", release.name)));
        }
        for version in release::used(&release) {
            let missing = || QueryError::PluginMissing {
                region: self.here.clone(),
                name: release.name.clone(),
                sha256: version.sha256.clone(),
            };
            let used = set.found(&release.name, &version).ok_or_else(missing)?;
            // Every region has to come to the same release, so that a name that two plugins have is only told of.
            if let Err(error) = check_other_names(&set, &used.plugin) {
                tracing::warn!(plugin = release.name, %error, "a release of another region takes a name");
            }
        }
        let mut state = set.state().clone();
        registry::set_release(&mut state, release);
        self.commit(state, set.deployed().to_vec())?;
        Ok(true)
    }

    /// Deletes a version that no release uses.
    ///
    /// # Errors
    /// Where there is no such version, or it is in use.
    pub(crate) fn remove(&mut self, name: &str, version: &str, now_ms: u64) -> Result<RemovedVersion, QueryError> {
        let set = self.current.load_full();
        let known = || set.state().versions.iter().map(|kept| &kept.version).filter(|kept| kept.name == name);
        let Some(kept) = known().find(|kept| kept.version == version) else {
            set.release(name)?;
            return Err(QueryError::unknown("version", version, known().map(|kept| kept.version.as_str())));
        };
        let role = registry::release(set.state(), name).and_then(|r| release::role(r, version, &kept.sha256));
        if let Some(role) = role {
            return Err(QueryError::VersionInUse { name: name.to_owned(), version: version.to_owned(), role });
        }
        let removed = RemovedVersion {
            name: name.to_owned(),
            version: version.to_owned(),
            sha256: kept.sha256.clone(),
            removed_at_ms: now_ms.max(kept.deployed_at_ms),
        };
        self.forget(&set, removed.clone())?;
        Ok(removed)
    }

    /// Takes a peer's deletion, unless the version is in use here. Says whether anything changed.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(crate) fn take_removed(&mut self, removed: RemovedVersion) -> Result<bool, QueryError> {
        let set = self.current.load_full();
        let ours = registry::removed(set.state(), &removed.name, &removed.version);
        let kept = registry::version(set.state(), &removed.name, &removed.version);
        let used = registry::release(set.state(), &removed.name)
            .is_some_and(|r| release::role(r, &removed.version, &removed.sha256).is_some());
        let later = kept.is_some_and(|kept| kept.version.deployed_at_ms > removed.removed_at_ms);
        let known = ours.is_some_and(|ours| ours.removed_at_ms >= removed.removed_at_ms);
        if used || later || (known && kept.is_none()) {
            return Ok(false);
        }
        self.forget(&set, removed)?;
        Ok(true)
    }

    fn forget(&self, set: &PluginSet, removed: RemovedVersion) -> Result<(), QueryError> {
        let stays = |d: &&Arc<Deployed>| !is(&d.version, &removed.name, &removed.version);
        let deployed = set.deployed().iter().filter(stays).cloned().collect();
        let mut state = set.state().clone();
        registry::set_removed(&mut state, removed);
        self.commit(state, deployed)?;
        self.sweep(self.current.load().state())
    }

    fn commit(&self, state: PluginState, deployed: Vec<Arc<Deployed>>) -> Result<(), QueryError> {
        self.file.write(&state)?;
        let runs = |name: &str, version: &Option<String>| {
            deployed.iter().any(|d| d.version.name == name && Some(&d.version.version) == version.as_ref())
        };
        let kept = |name: &str, version: &Option<String>| {
            version.as_ref().is_some_and(|version| registry::version(&state, name, version).is_some())
        };
        let refused = self.current.load().refused().to_vec().into_iter();
        let refused = refused.filter(|r| kept(&r.name, &r.version) && !runs(&r.name, &r.version)).collect();
        self.current.store(Arc::new(PluginSet::of(deployed, Arc::new(state), Arc::new(refused))));
        Ok(())
    }

    /// Removes the components that no kept version has.
    fn sweep(&self, state: &PluginState) -> Result<(), QueryError> {
        let kept: BTreeSet<Digest> = state.versions.iter().filter_map(|v| v.version.sha256.parse().ok()).collect();
        Ok(self.blobs.keep_only(&kept)?)
    }

    /// The bytes of a deployed component.
    ///
    /// # Errors
    /// Where reading fails or the bytes are damaged.
    pub(crate) fn component(&self, digest: &Digest) -> Result<Option<Vec<u8>>, QueryError> {
        Ok(self.blobs.get(digest)?)
    }
}

fn is(kept: &PluginVersion, name: &str, version: &str) -> bool {
    kept.name == name && kept.version == version
}

/// A version never changes, not even by being deleted and deployed again.
fn check_content(state: &PluginState, name: &PluginName, version: &str, digest: &Digest) -> Result<(), QueryError> {
    let kept = registry::version(state, name.as_str(), version).map(|kept| &kept.version.sha256);
    let removed = registry::removed(state, name.as_str(), version).map(|removed| &removed.sha256);
    let digest = digest.to_string();
    match kept.or(removed).filter(|existing| **existing != digest) {
        Some(existing) => Err(QueryError::VersionTaken {
            name: name.to_string(),
            version: version.to_owned(),
            sha256: existing.clone(),
        }),
        None => Ok(()),
    }
}

fn describe(plugin: &Plugin, deployed_at_ms: u64) -> PluginVersion {
    PluginVersion {
        name: plugin.id().name.to_string(),
        version: plugin.id().version.clone(),
        sha256: plugin.id().digest.to_string(),
        world: plugin.interface().world().to_owned(),
        provides: shown(plugin),
        deployed_at_ms,
        signed_by: None,
    }
}
