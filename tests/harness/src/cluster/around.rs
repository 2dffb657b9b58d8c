//! What stands around the regions of a test: files made for them, who listens between them, who signs for whom.

use std::path::Path;

use anyhow::{Context, Result};

use super::clients::Clients;
use super::tap::Exchange;
use super::{Cluster, Network, Options, Region, make_secrets};
use crate::regions::{self, Changes, RegionFile};
use crate::tls::{self, Authority, Shown};
use crate::workspace::{self, REGIONS};

#[derive(Debug, Default)]
pub(super) struct Around {
    network: Network,
    clients: Option<Clients>,
    authority: Option<Authority>,
}

impl Around {
    /// Makes region files below `dir`, and all that they refer to.
    pub(super) fn prepare(binary: &Path, dir: &Path, options: &Options) -> Result<(Vec<RegionFile>, Self)> {
        let regions_dir = workspace::regions_dir();
        let tokens = !options.tokens_only.is_empty();
        let clients = tokens.then(|| Clients::new(binary, dir)).transpose()?;
        let authority = options.tls.then(|| certify(&dir.join(TLS_DIR))).transpose()?;
        let changes = Changes {
            clients: clients.as_ref().map(|clients| (clients.public_key().to_owned(), options.tokens_only.clone())),
            policies_dirs: options.policies_dirs(&regions_dir.join("policies"), dir)?,
            limits: options.limits.clone(),
            datasets: options.datasets.clone(),
            replication: options.replication.clone(),
            trusted_keys: options.trusted_keys.clone(),
            jurisdictions: options.jurisdictions.clone(),
            tls: options.tls.then(|| dir.join(TLS_DIR)),
        };
        let files = regions::copy_for_test(&regions_dir, dir, &changes)?;
        make_secrets(binary, &files)?;
        let network = Network::between(&files, options)?;
        Ok((files, Self { network, clients, authority }))
    }

    /// The same, once there are regions that operators have tokens for.
    pub(super) fn with_operators(mut self, regions: &[Region]) -> Result<Self> {
        self.clients = self.clients.map(|clients| clients.with_operators(regions)).transpose()?;
        Ok(self)
    }

    pub(super) fn operator(&self, id: &str) -> Option<&str> {
        self.clients.as_ref().and_then(|clients| clients.operator(id))
    }
}

impl Cluster {
    /// A token that all regions trust, made by `domicile token new` with these arguments.
    ///
    /// # Errors
    /// Where the regions trust no key, or no such token can be made.
    pub fn token(&self, arguments: &[&str]) -> Result<String> {
        self.around.clients.as_ref().context("no region asks for tokens")?.token(arguments)
    }

    /// The file of the key that signs such tokens.
    ///
    /// # Errors
    /// Where the regions trust no key.
    pub fn client_key(&self) -> Result<&Path> {
        Ok(self.around.clients.as_ref().context("no region asks for tokens")?.key_file())
    }

    /// The authority of the regions' certificates.
    ///
    /// # Errors
    /// Where the regions have none.
    pub fn authority(&self) -> Result<&Authority> {
        self.around.authority.as_ref().context("the regions do not meet over TLS")
    }

    /// Gives a region another certificate of this authority, while it runs or not.
    ///
    /// # Errors
    /// Where its files cannot be written.
    pub fn recertify(&self, id: &str, authority: &Authority, shown: &Shown) -> Result<()> {
        authority.write(&self.dir().context("a cluster for tests has a folder")?.join(TLS_DIR), id, shown)
    }

    /// What went through the recorder so far, both ways.
    pub fn recorded(&self) -> Vec<u8> {
        self.around.network.recording()
    }

    /// What regions asked of each other so far, where it was metered.
    ///
    /// # Errors
    /// Where something passed that is no HTTP/2.
    pub fn metered(&self) -> Result<Vec<Exchange>> {
        self.around.network.exchanges()
    }

    /// What is between the regions. Without [`Options::links`] and [`Options::meter`] it has no links.
    pub fn network(&self) -> &Network {
        &self.around.network
    }
}

/// The folder of certificates and keys.
const TLS_DIR: &str = "tls";

fn certify(dir: &Path) -> Result<Authority> {
    let authority = Authority::new("authority of a test")?;
    for id in REGIONS {
        authority.write(dir, id, &authority.certify(&[id], tls::VALID)?)?;
    }
    Ok(authority)
}
