//! What a cluster for tests is to be like.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::policies;
use crate::workspace::REGIONS;

/// How a cluster for tests differs from the project's region files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Regions whose policies admit everything and suppress nothing, with the same residency. The others have the
    /// policies of `regions/policies/`.
    pub permissive: Vec<&'static str>,
    /// SHA-256 of the plugins that these policies approve.
    pub approved: Vec<String>,
    /// Keys for the `[limits]` section of every region.
    pub limits: Vec<(String, i64)>,
    /// Names and texts of dataset files beside those of the project.
    pub datasets: Vec<(String, String)>,
    /// Names and texts of the files of replication sets.
    pub replication: Vec<(String, String)>,
    /// Names and texts of policy files beside those of the project, in every region.
    pub policies: Vec<(String, String)>,
    /// Regions that run signed plugins only, each with a public key that it trusts.
    pub trusted_keys: Vec<(&'static str, String)>,
    /// Other jurisdictions than the project's own, of some regions.
    pub jurisdictions: Vec<(&'static str, Vec<&'static str>)>,
    /// Regions that answer clients with a token only. Where there are any, all regions trust a key that
    /// [`Cluster::token`] signs with, and [`Cluster::edge`] asks as an operator who stands there.
    pub tokens_only: Vec<&'static str>,
    /// A region and a peer of it: what the first asks of the second goes through a recorder, and past no meter.
    pub record: Option<(&'static str, &'static str)>,
    /// Whether all that regions ask of each other goes through meters.
    pub meter: bool,
    /// Whether all that regions ask of each other goes through links that can be cut and delayed.
    pub links: bool,
    /// Whether regions meet over mutual TLS, with certificates of [`super::Cluster::authority`].
    pub tls: bool,
}

impl Options {
    /// Every region admits everything and suppresses nothing.
    pub fn permissive() -> Self {
        Self { permissive: REGIONS.into(), ..Self::default() }
    }

    /// The folder of policies of each region, made below `dir` from the project's own.
    pub(super) fn policies_dirs(&self, project: &Path, dir: &Path) -> Result<BTreeMap<String, PathBuf>> {
        let (own, permissive) = (dir.join("policies"), dir.join("permissive"));
        policies::copy(project, &own)?;
        policies::write_permissive(project, &permissive, &self.approved)?;
        for (name, text) in &self.policies {
            for dir in [&own, &permissive] {
                std::fs::write(dir.join(format!("{name}.toml")), text)?;
            }
        }
        let dir_of = |region: &&str| if self.permissive.contains(region) { permissive.clone() } else { own.clone() };
        Ok(REGIONS.iter().map(|region| ((*region).to_owned(), dir_of(region))).collect())
    }
}
