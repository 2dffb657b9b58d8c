//! Three loaded regions, started once for all tests of a binary. They end with the test process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use domicile_harness::data::DataFile;
use domicile_harness::{Answer, Cluster, Edge, Options, Response, build};
use sha2::{Digest as _, Sha256};

/// Scale factor of the tests' data: 1,500 customers, 15,000 orders, 60,000 line items.
pub const SCALE: f64 = 0.01;

/// Three regions with data.
#[derive(Debug)]
pub struct World {
    /// The regions.
    pub cluster: Cluster,
    /// The files that were loaded.
    pub files: Vec<DataFile>,
}

impl World {
    /// Starts three regions and loads each one's part of the tables.
    ///
    /// # Errors
    /// Where a region does not start or refuses its data.
    pub fn start(options: &Options) -> Result<Self> {
        let cluster = Cluster::for_test(&build::binary(build::Profile::Dev)?, options)?;
        let dir = cluster.dir().context("a cluster for tests has a folder")?.join("files");
        let files = domicile_tpch::write(SCALE, &dir)?;
        for file in &files {
            let response = cluster.edge(&file.region).load(&file.dataset, &file.path)?;
            ensure!(response.status == 200, "{} in {}: {}", file.dataset, file.region, response.text());
        }
        Ok(Self { cluster, files })
    }

    /// Starts three regions, loads them, and deploys `rfm` and `pricing`.
    ///
    /// # Errors
    /// As for [`World::start`], and where a plugin is refused.
    pub fn with_plugins(options: &Options) -> Result<Self> {
        let world = Self::start(options)?;
        for name in ["rfm", "pricing"] {
            let response = world.deploy("us-east", name, name, "1.0.0")?;
            ensure!(response.status < 300, "{name}: {}", response.text());
        }
        Ok(world)
    }

    /// The edge of a region.
    pub fn edge(&self, region: &str) -> Edge {
        self.cluster.edge(region)
    }

    /// Deploys a component of `guest/`, by its file name without `.wasm`.
    ///
    /// # Errors
    /// Where there is no such component, or the edge cannot be reached.
    pub fn deploy(&self, region: &str, component: &str, name: &str, version: &str) -> Result<Response> {
        self.edge(region).deploy(name, version, &std::fs::read(plugin(component)?)?)
    }

    /// The answer of a question at an edge.
    ///
    /// # Errors
    /// Where there is none.
    pub fn ask(&self, region: &str, sql: &str) -> Result<Answer> {
        self.edge(region).query(sql)?.answer()
    }

    /// The answer of a question at an edge, from the named homes only.
    ///
    /// # Errors
    /// Where there is none.
    pub fn ask_homes(&self, region: &str, homes: &str, sql: &str) -> Result<Answer> {
        self.edge(region).query_with(sql, &[("Data-Region", homes)])?.answer()
    }

    /// The file with a region's rows of a dataset.
    ///
    /// # Errors
    /// Where there is none.
    pub fn file(&self, region: &str, dataset: &str) -> Result<&Path> {
        let file = self.files.iter().find(|file| file.region == region && file.dataset == dataset);
        Ok(&file.with_context(|| format!("{region} has no file of `{dataset}`"))?.path)
    }
}

/// Where a component of `guest/` is, by its file name without `.wasm`. Built once a process.
///
/// # Errors
/// Where it does not build, or there is none of that name.
pub fn plugin(component: &str) -> Result<&'static Path> {
    static PLUGINS: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let plugins = match PLUGINS.get() {
        Some(plugins) => plugins,
        None => {
            build::ensure_wasm_target()?;
            let built = build::plugins()?;
            PLUGINS.get_or_init(|| built)
        }
    };
    let path = plugins.get(component).with_context(|| format!("guest/ builds no `{component}.wasm`"))?;
    Ok(path)
}

/// SHA-256 of a component of `guest/`, by its file name without `.wasm`.
///
/// # Errors
/// As for [`plugin`], and where it cannot be read.
pub fn digest(component: &str) -> Result<String> {
    Ok(sha256(&std::fs::read(plugin(component)?)?))
}

/// SHA-256 of bytes, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value in `cell`, made by the first caller; a caller that comes meanwhile waits.
///
/// # Panics
/// Where it cannot be made.
pub fn shared<T>(cell: &'static OnceLock<T>, make: impl FnOnce() -> Result<T>) -> &'static T {
    cell.get_or_init(|| make().unwrap_or_else(|error| panic!("{error:#}")))
}
