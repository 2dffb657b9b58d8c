//! Deploying a plugin in every region from any of them. Only `.wasm` travels; each region compiles it itself.

use std::time::Duration;

use bytes::Bytes;
use domicile_types::{Digest, PluginName};
use domicile_wire::WireError;
use domicile_wire::api::{DeployAnswer, PluginVersion, RegionReason};
use domicile_wire::client::{Peer, now_unix_ms};
use http::Method;

use crate::QueryError;
use crate::region::Region;

/// Path under which regions offer each other their plugins.
pub const PLUGINS_PATH: &str = "/v1/peer/plugins";

/// Longest that a peer may take to compile and keep a plugin.
const PUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// Deploys a version here and then in every other region. A region that cannot be reached fetches it later.
///
/// # Errors
/// Where this region refuses the component.
pub async fn deploy(
    region: &Region,
    name: PluginName,
    version: String,
    wasm: Bytes,
) -> Result<DeployAnswer, QueryError> {
    let plugin = region.deploy_here(name, version, wasm.clone(), now_unix_ms()).await?;
    let path = format!("{PLUGINS_PATH}/{}/versions/{}?activation={}", plugin.name, plugin.version, plugin.activation);
    let pushes = region.peers.iter().map(|peer| {
        let (wasm, path) = (wasm.clone(), path.as_str());
        async move { (peer, region.client.send(peer, Method::PUT, path, wasm, PUSH_TIMEOUT).await) }
    });
    let mut answer = DeployAnswer { plugin, active_in: vec![region.id.to_string()], pending_in: Vec::new() };
    for (peer, pushed) in futures::future::join_all(pushes).await {
        match pushed {
            Ok(_) => answer.active_in.push(peer.id.to_string()),
            Err(error) => {
                answer.pending_in.push(RegionReason { region: peer.id.to_string(), reason: error.to_string() });
            }
        }
    }
    Ok(answer)
}

/// Fetches what peers have deployed and this region has not, skipping peers that cannot be reached. Returns how many
/// versions were added.
pub async fn fetch_missing(region: &Region) -> usize {
    let mut added = 0;
    for peer in &region.peers {
        match fetch_from(region, peer).await {
            Ok(count) => added += count,
            Err(error) => tracing::debug!(peer = %peer.id, %error, "plugins could not be compared"),
        }
    }
    added
}

async fn fetch_from(region: &Region, peer: &Peer) -> Result<usize, QueryError> {
    let malformed = |detail: String| WireError::Malformed { url: peer.url.clone(), detail };
    let listed = region.client.send(peer, Method::GET, PLUGINS_PATH, Bytes::new(), PUSH_TIMEOUT).await?;
    let theirs: Vec<PluginVersion> = serde_json::from_slice(&listed.body).map_err(|e| malformed(e.to_string()))?;
    let mut added = 0;
    for version in theirs {
        let ours = region.plugins();
        if ours.versions().any(|v| v.name == version.name && v.version == version.version) {
            continue;
        }
        let name: PluginName = version.name.parse().map_err(|_| malformed("a plugin's name".to_owned()))?;
        let path = format!("{PLUGINS_PATH}/components/{}", version.sha256);
        let wasm = region.client.send(peer, Method::GET, &path, Bytes::new(), PUSH_TIMEOUT).await?.body;
        region.deploy_here(name, version.version, wasm, version.activation).await?;
        added += 1;
    }
    Ok(added)
}

impl Region {
    /// Deploys a version in this region only.
    ///
    /// # Errors
    /// Where the component is refused or cannot be kept.
    pub async fn deploy_here(
        &self,
        name: PluginName,
        version: String,
        wasm: Bytes,
        activation: u64,
    ) -> Result<PluginVersion, QueryError> {
        self.keeper.run(move |keeper| keeper.deploy(name, &version, &wasm, activation)).await?
    }

    /// The bytes of a component that is deployed here.
    ///
    /// # Errors
    /// Where there is no such component, or it cannot be read.
    pub async fn component(&self, sha256: &str) -> Result<Vec<u8>, QueryError> {
        let unknown = || QueryError::unknown("component", sha256, []);
        let digest: Digest = sha256.parse().map_err(|_| unknown())?;
        self.keeper.run(move |keeper| keeper.component(&digest)).await??.ok_or_else(unknown)
    }
}
