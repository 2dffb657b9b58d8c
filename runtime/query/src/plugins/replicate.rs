//! Keeping regions in step: what changed here is told to every peer, which then fetches what it has not. Only `.wasm`
//! travels; each region checks and compiles it itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domicile_types::{Digest, PluginName, RegionId};
use domicile_wire::WireError;
use domicile_wire::api::RegionReason;
use domicile_wire::client::{Peer, now_unix_ms};
use domicile_wire::plugins::{
    Compared, DeployAnswer, NotTaken, OfferedVersion, PluginState, ReleaseAnswer, RemoveAnswer, RemovedVersion,
    ShadowReport,
};
use domicile_wire::signature::Envelope;
use http::Method;

use super::keeper::Offer;
use super::registry;
use super::release::{self, ReleaseChange, Stamp};
use crate::QueryError;
use crate::region::Region;

/// Path under which regions offer each other their plugins.
pub const PLUGINS_PATH: &str = "/v1/peer/plugins";

/// Path at which a region is asked to compare its plugins with those of the region that asks.
pub const COMPARE_PATH: &str = "/v1/peer/plugins/compare";

/// Longest that a peer may take to fetch, compile and keep what changed.
const COMPARE_TIMEOUT: Duration = Duration::from_secs(60);

/// A component to deploy.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Its name.
    pub name: PluginName,
    /// Its version.
    pub version: String,
    /// The component.
    pub wasm: Bytes,
    /// Its signature.
    pub envelope: Option<Envelope>,
    /// Whether it is to answer at once.
    pub promote: bool,
}

/// Deploys a version here and then in every other region. A region that cannot be reached fetches it later.
///
/// # Errors
/// Where this region refuses the component.
pub async fn deploy(region: &Region, deployment: Deployment) -> Result<DeployAnswer, QueryError> {
    let Deployment { name, version, wasm, envelope, promote } = deployment;
    let offer = loaded(region, Offer::new(name, version, wasm, envelope)).await?;
    let plugin = region.keeper.run(move |keeper| keeper.deploy(offer, now_unix_ms())).await??;
    if promote {
        let change = ReleaseChange::Promote { version: plugin.version.clone() };
        change_here(region, &plugin.name, change).await?;
    }
    let told = tell(region).await;
    let about = |refused: &NotTaken| refused.name == plugin.name && refused.version.as_ref() == Some(&plugin.version);
    let (deployed_in, pending_in) = sorted(region, told, about);
    let active_version = region.plugins().release(&plugin.name)?.active.version.clone();
    Ok(DeployAnswer { active: active_version == plugin.version, active_version, plugin, deployed_in, pending_in })
}

/// The offer with its plugin. One at a time: who waits for a component that takes long holds up no release.
async fn loaded(region: &Region, offer: Offer) -> Result<Offer, QueryError> {
    let stopping = || QueryError::Execution("the region is stopping".to_owned());
    let slot = Arc::clone(&region.compile_slot).acquire_owned().await.map_err(|_| stopping())?;
    let (sandbox, trust, plugins) = (Arc::clone(&region.sandbox), region.trust.clone(), region.plugins());
    let load = move || {
        // Held until it is done, even where the caller gives up.
        let _slot = slot;
        offer.load(&sandbox, &trust, &plugins)
    };
    tokio::task::spawn_blocking(load).await.map_err(|_| stopping())?
}

/// Changes which versions of a plugin answer, here and then in every other region.
///
/// # Errors
/// Where there is no such plugin or version, a name is taken, or the change makes no sense.
pub async fn change_release(region: &Region, name: &str, change: ReleaseChange) -> Result<ReleaseAnswer, QueryError> {
    let shadow = match &change {
        ReleaseChange::Promote { version } => region.shadow_report(name).ok().filter(|r| r.shadow == *version),
        _ => None,
    };
    let release = change_here(region, name, change).await?;
    let (known_in, pending_in) = sorted(region, tell(region).await, |refused| refused.name == name);
    Ok(ReleaseAnswer { release, known_in, pending_in, shadow })
}

async fn change_here(
    region: &Region,
    name: &str,
    change: ReleaseChange,
) -> Result<domicile_wire::plugins::Release, QueryError> {
    let name = name.to_owned();
    region.keeper.run(move |keeper| keeper.change(&name, &change, now_unix_ms())).await?
}

/// Deletes a version that is not in use, here and then in every other region.
///
/// # Errors
/// Where there is no such version, or it is in use.
pub async fn remove(region: &Region, name: &str, version: &str) -> Result<RemoveAnswer, QueryError> {
    let (plugin, number) = (name.to_owned(), version.to_owned());
    let removed = region.keeper.run(move |keeper| keeper.remove(&plugin, &number, now_unix_ms())).await??;
    let about = |refused: &NotTaken| refused.name == name && refused.version.as_deref() == Some(version);
    let (known_in, pending_in) = sorted(region, tell(region).await, about);
    Ok(RemoveAnswer { removed, known_in, pending_in })
}

/// Asks every peer to compare its plugins with ours now.
async fn tell(region: &Region) -> Vec<(&RegionId, Result<Compared, WireError>)> {
    let told = region.peers.iter().map(async |peer| {
        let answer = region.client.send(peer, Method::POST, COMPARE_PATH, Bytes::new(), COMPARE_TIMEOUT).await;
        (&peer.id, answer.and_then(|answer| read(peer, &answer.body)))
    });
    futures::future::join_all(told).await
}

fn read<T: serde::de::DeserializeOwned>(peer: &Peer, body: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|e| WireError::Malformed { url: peer.url.clone(), detail: e.to_string() })
}

/// The regions that took what this is `about`, and those that did not, with the reason.
fn sorted(
    region: &Region,
    told: Vec<(&RegionId, Result<Compared, WireError>)>,
    about: impl Fn(&NotTaken) -> bool,
) -> (Vec<String>, Vec<RegionReason>) {
    let (mut took, mut pending) = (vec![region.id.to_string()], Vec::new());
    for (peer, compared) in told {
        let reason = match compared {
            Ok(compared) => compared.not_taken.into_iter().find(|refused| about(refused)).map(|refused| refused.reason),
            Err(error) => Some(error.to_string()),
        };
        match reason {
            None => took.push(peer.to_string()),
            Some(reason) => pending.push(RegionReason { region: peer.to_string(), reason }),
        }
    }
    (took, pending)
}

/// Compares plugins with every peer that can be reached, and takes what is newer there. Returns how much that was.
pub async fn compare_with_peers(region: &Region) -> usize {
    let mut taken = 0;
    for peer in &region.peers {
        match take_from(region, &peer.id).await {
            Ok(compared) => taken += compared.taken,
            Err(error) => tracing::debug!(peer = %peer.id, %error, "plugins could not be compared"),
        }
    }
    taken
}

/// Compares plugins with a peer, and takes what is newer there: versions first, then releases, then deletions.
///
/// # Errors
/// Where the peer is unknown or out of reach. What is not taken is in the answer.
pub async fn take_from(region: &Region, peer: &RegionId) -> Result<Compared, QueryError> {
    let known = || region.peers.iter().map(|peer| peer.id.as_str());
    let peer = region.peers.iter().find(|known| known.id == *peer);
    let peer = peer.ok_or_else(|| QueryError::unknown("region", "?", known()))?;
    let listed = region.client.send(peer, Method::GET, PLUGINS_PATH, Bytes::new(), COMPARE_TIMEOUT).await?;
    let theirs: PluginState = read(peer, &listed.body)?;
    let mut compared = Compared::default();
    for offered in &theirs.versions {
        if !is_wanted(region, &theirs, offered) {
            continue;
        }
        let version = Some(offered.version.version.clone());
        compared.note(&offered.version.name, version, take_version(region, peer, offered.clone()).await.map(|()| true));
    }
    for release in theirs.releases {
        let name = release.name.clone();
        let taken = region.keeper.run(move |keeper| keeper.take_release(release, now_unix_ms())).await?;
        compared.note(&name, None, taken);
    }
    for removed in theirs.removed {
        let RemovedVersion { name, version, .. } = removed.clone();
        let taken = region.keeper.run(move |keeper| keeper.take_removed(removed)).await?;
        compared.note(&name, Some(version), taken);
    }
    Ok(compared)
}

/// Whether this region lacks a version and did not delete it, or a newer release has use for it all the same.
fn is_wanted(region: &Region, theirs: &PluginState, offered: &OfferedVersion) -> bool {
    let ours = region.plugins();
    let version = &offered.version;
    if ours.versions().any(|v| v.name == version.name && v.version == version.version && v.sha256 == version.sha256) {
        return false;
    }
    let removed = registry::removed(ours.state(), &version.name, &version.version);
    if removed.is_none_or(|removed| version.deployed_at_ms > removed.removed_at_ms) {
        return true;
    }
    registry::release(theirs, &version.name).is_some_and(|release| {
        let newer = ours.release(&version.name).map_or(true, |ours| Stamp::of(release) > Stamp::of(ours));
        newer && release::role(release, &version.version, &version.sha256).is_some()
    })
}

async fn take_version(region: &Region, peer: &Peer, offered: OfferedVersion) -> Result<(), QueryError> {
    let OfferedVersion { version, envelope } = offered;
    let malformed = |detail: &str| WireError::Malformed { url: peer.url.clone(), detail: detail.to_owned() };
    let name: PluginName = version.name.parse().map_err(|_| malformed("a plugin's name"))?;
    let digest: Digest = version.sha256.parse().map_err(|_| malformed("a plugin's digest"))?;
    // What is refused for its signature is not fetched every time.
    region.trust.check(&name, &version.version, &digest, envelope.as_ref())?;
    let path = format!("{PLUGINS_PATH}/components/{digest}");
    let wasm = region.client.send(peer, Method::GET, &path, Bytes::new(), COMPARE_TIMEOUT).await?.body;
    let offer = loaded(region, Offer::new(name, version.version.clone(), wasm, envelope)).await?;
    region.keeper.run(move |keeper| keeper.take_version(offer, &version)).await?
}

trait Note {
    fn note(&mut self, name: &str, version: Option<String>, taken: Result<bool, QueryError>);
}

impl Note for Compared {
    fn note(&mut self, name: &str, version: Option<String>, taken: Result<bool, QueryError>) {
        match taken {
            Ok(taken) => self.taken += usize::from(taken),
            Err(error) => {
                tracing::warn!(plugin = name, version, %error, "what a peer has of a plugin was not taken");
                self.not_taken.push(NotTaken { name: name.to_owned(), version, reason: error.to_string() });
            }
        }
    }
}

impl Region {
    /// The bytes of a component that is deployed here.
    ///
    /// # Errors
    /// Where there is no such component, or it cannot be read.
    pub async fn component(&self, sha256: &str) -> Result<Vec<u8>, QueryError> {
        let unknown = || QueryError::unknown("component", sha256, []);
        let digest: Digest = sha256.parse().map_err(|_| unknown())?;
        self.keeper.run(move |keeper| keeper.component(&digest)).await??.ok_or_else(unknown)
    }

    /// How the shadow of a plugin does.
    ///
    /// # Errors
    /// Where there is no such plugin, or it has no shadow.
    pub fn shadow_report(&self, name: &str) -> Result<ShadowReport, QueryError> {
        let plugins = self.plugins();
        let release = plugins.release(name)?;
        let shadow = release.shadow.as_ref();
        let shadow = shadow.ok_or_else(|| QueryError::NoShadow { name: name.to_owned() })?;
        Ok(self.shadows.report(release, shadow))
    }
}
