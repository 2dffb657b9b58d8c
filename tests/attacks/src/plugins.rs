//! The plugins that attacks are made with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use domicile_harness::{Cluster, build};
use sha2::{Digest, Sha256};

/// Components of `guest/`, each with the name that it is deployed under. The first is what a policy may well admit.
const COMPONENTS: [(&str, &str); 4] = [
    ("pricing", "pricing"),
    ("hostile_panics", "panics"),
    ("hostile_remembers", "remembers"),
    ("hostile_confides", "confides"),
];

/// The built components.
#[derive(Debug)]
pub struct Plugins {
    built: BTreeMap<String, PathBuf>,
}

impl Plugins {
    /// Builds what there is in `guest/`.
    ///
    /// # Errors
    /// Where it does not build.
    pub fn build() -> Result<Self> {
        build::ensure_wasm_target()?;
        Ok(Self { built: build::plugins()? })
    }

    /// SHA-256 of the components, hexadecimal.
    ///
    /// # Errors
    /// Where one is missing.
    pub fn digests(&self) -> Result<Vec<String>> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        COMPONENTS.iter().map(|(component, _)| Ok(hex(&Sha256::digest(self.read(component)?)))).collect()
    }

    /// Deploys the components.
    ///
    /// # Errors
    /// Where the region refuses one.
    pub fn deploy(&self, cluster: &Cluster) -> Result<()> {
        for (component, name) in COMPONENTS {
            let deployed = cluster.edge("us-east").deploy(name, "1.0.0", &self.read(component)?)?;
            ensure!(deployed.status < 300, "{component}: {}", deployed.text());
        }
        Ok(())
    }

    fn read(&self, component: &str) -> Result<Vec<u8>> {
        let path = self.built.get(component).with_context(|| format!("guest/ builds no `{component}.wasm`"))?;
        Ok(std::fs::read(path)?)
    }
}
