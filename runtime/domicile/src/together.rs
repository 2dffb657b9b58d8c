//! Whether region files that are checked together fit together.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use domicile_config::{Peer, RegionConfig, read_secret};

/// What of a region's file does not fit the other files: a sentence for each.
pub(crate) fn problems(region: &RegionConfig, all: &[&RegionConfig]) -> Vec<String> {
    let others = || all.iter().filter(|other| other.id != region.id);
    let mut problems = Vec::new();
    for other in others() {
        for address in addresses(region).filter(|address| addresses(other).any(|taken| taken == *address)) {
            problems.push(format!("`{}` listens at {address} as well; give each its own address", other.id));
        }
        if other.data_dir == region.data_dir {
            let dir = region.data_dir.display();
            problems.push(format!("`{}` keeps its data in {dir} as well; give each its own `data_dir`", other.id));
        }
        if let Some(peer) = region.peers.iter().find(|peer| peer.id == other.id) {
            problems.extend(peer_problems(peer, other));
        }
    }
    if all.iter().filter(|other| other.id == region.id).count() > 1 {
        problems.push(format!("several of these files are for `{}`; give each region an id of its own", region.id));
    }
    problems
}

fn addresses(region: &RegionConfig) -> impl Iterator<Item = SocketAddr> {
    std::iter::once(region.listen).chain(region.tls.as_ref().map(|tls| tls.listen))
}

fn peer_problems(peer: &Peer, own: &RegionConfig) -> Vec<String> {
    let id = &peer.id;
    let codes = |codes: &[String]| codes.iter().cloned().collect::<BTreeSet<_>>();
    let mut problems = Vec::new();
    if !peer.jurisdictions.is_empty() && codes(&peer.jurisdictions) != codes(&own.jurisdictions) {
        let (here, there) = (peer.jurisdictions.join(", "), own.jurisdictions.join(", "));
        problems.push(format!(
            "it says that `{id}` is under {here}, and that region's own file says {there}: rows would go where they must \
             not; bring `jurisdictions` of the peer in line"
        ));
    }
    if peer.url.is_tls() != own.tls.is_some() {
        let there = if own.tls.is_some() { "a [tls]" } else { "no [tls]" };
        problems.push(format!(
            "it reaches `{id}` at {}, and that region's own file has {there}; give all of them [tls], or none",
            peer.url
        ));
    }
    // A secret that cannot be read is told of elsewhere.
    if let (Ok(known), Ok(used)) = (read_secret(&peer.secret_file), read_secret(&own.secret_file))
        && known.expose() != used.expose()
    {
        let file = peer.secret_file.display();
        problems.push(format!("{file} is not the secret that `{id}` signs with; copy that region's own here"));
    }
    problems
}
