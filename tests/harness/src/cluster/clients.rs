//! Clients' tokens in a cluster for tests, made as a person would make them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Region;
use crate::Cli;
use crate::regions::read_toml;

/// The key that signs tokens, and an operator's token for each region.
#[derive(Debug)]
pub(super) struct Clients {
    cli: Cli,
    key: PathBuf,
    public_key: String,
    operators: BTreeMap<String, String>,
}

impl Clients {
    /// Makes a key in `dir`.
    pub(super) fn new(binary: &Path, dir: &Path) -> Result<Self> {
        let cli = Cli::new(binary, "http://127.0.0.1:1");
        let key = dir.join("clients.pem");
        let made = cli.json(&["token", "key", "new", text(&key)?])?.success()?.document()?;
        let public_key = made["public_key"].as_str().context("no public key")?.to_owned();
        Ok(Self { cli, key, public_key, operators: BTreeMap::new() })
    }

    pub(super) fn key_file(&self) -> &Path {
        &self.key
    }

    pub(super) fn public_key(&self) -> &str {
        &self.public_key
    }

    /// With a token that allows everything, for somebody who stands in each region.
    pub(super) fn with_operators(mut self, regions: &[Region]) -> Result<Self> {
        for region in regions {
            let file = read_toml(&region.file.config)?;
            let places = file.get("region").and_then(|region| region.get("jurisdictions")?.as_array());
            let places: Vec<&str> = places.into_iter().flatten().filter_map(toml::Value::as_str).collect();
            let roles = ["--role", "query", "--role", "load", "--role", "operate"];
            let places = places.join(",");
            let arguments = [&["--subject", "operator", "--in", &places], roles.as_slice()].concat();
            let token = self.token(&arguments)?;
            self.operators.insert(region.file.id.clone(), token);
        }
        Ok(self)
    }

    pub(super) fn operator(&self, region: &str) -> Option<&str> {
        self.operators.get(region).map(String::as_str)
    }

    pub(super) fn token(&self, arguments: &[&str]) -> Result<String> {
        let arguments = [&["token", "new", "--key", text(&self.key)?], arguments].concat();
        Ok(self.cli.run(&arguments)?.success()?.stdout.trim().to_owned())
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
