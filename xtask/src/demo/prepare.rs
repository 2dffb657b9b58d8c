//! Builds, and starts three regions with the project's own region files.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use domicile_harness::build::Binaries;
use domicile_harness::regions::RegionFile;
use domicile_harness::{Cluster, build, cluster, regions, workspace};

use crate::voice::Voice;
use crate::{Profile, test};

/// A file in a data directory that says that the demo made it, and so may remove it.
const MARKER: &str = "made-by-the-demo";

/// What was built.
pub(super) struct Built {
    pub(super) binaries: Binaries,
    pub(super) plugins: BTreeMap<String, PathBuf>,
}

/// Checks what can be checked before the wait, then builds the plugins and the binary.
pub(super) fn build(voice: &Voice, profile: Profile) -> Result<Built> {
    let files = regions::read_all(&workspace::regions_dir())?;
    for file in &files {
        check_port(file)?;
        check_data_dir(&file.data_dir)?;
    }
    test::prepare_target(voice)?;
    voice.heading("Building the plugins from source (half a minute the first time)");
    let plugins = build::plugins()?;
    voice.heading("Building the domicile binary (several minutes the first time)");
    let binaries = build::binaries(profile.into())?;
    Ok(Built { binaries, plugins })
}

/// Starts the regions with fresh data.
pub(super) fn start(voice: &Voice, built: &Built) -> Result<Cluster> {
    voice.heading("Starting three regions, each a process of its own");
    let files = regions::read_all(&workspace::regions_dir())?;
    for file in &files {
        renew_data_dir(&file.data_dir)?;
    }
    cluster::make_secrets(&built.binaries.domicile, &files)?;
    let log_dir = work_dir()?;
    let urls = files.iter().map(|file| format!("{} {}", file.id, file.url)).collect::<Vec<_>>().join(", ");
    let cluster = voice.step(urls, || Cluster::start(&built.binaries.domicile, files, &log_dir))?;
    let binary = workspace::shown(&built.binaries.domicile);
    voice.line(format_args!("  binary {binary}; logs in {}", workspace::shown(&log_dir)));
    Ok(cluster)
}

/// Where the demo keeps what it generates.
pub(super) fn work_dir() -> Result<PathBuf> {
    let dir = workspace::target_dir()?.join("demo");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

fn check_port(file: &RegionFile) -> Result<()> {
    let address = file.url.trim_start_matches("http://");
    if let Err(error) = TcpListener::bind(address) {
        bail!(
            "{} is to listen at {address}, but that port is taken ({error}).\n\
             If an earlier `cargo xtask demo --keep` is still running, `cargo xtask stop` ends it.\n\
             Otherwise choose another port: `http` in {}, and `url` of that peer in the other region files.",
            file.id,
            workspace::shown(&file.config)
        );
    }
    Ok(())
}

fn check_data_dir(dir: &Path) -> Result<()> {
    let empty = fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    if empty || dir.join(MARKER).exists() {
        return Ok(());
    }
    bail!(
        "{} has data that the demo did not make, so it stays untouched.\n\
         Move it away to run the demo, which starts with fresh data.",
        workspace::shown(dir)
    )
}

fn renew_data_dir(dir: &Path) -> Result<()> {
    check_data_dir(dir)?;
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let note = "The demo made this directory and removes it at its next start.\n";
    fs::write(dir.join(MARKER), note).with_context(|| format!("cannot write to {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_data_is_removed() -> Result<()> {
        let root = tempfile::tempdir()?;
        let dir = root.path().join("eu-central");
        renew_data_dir(&dir)?;
        fs::write(dir.join("segment"), "old")?;
        renew_data_dir(&dir)?;
        assert!(!dir.join("segment").exists());

        fs::remove_file(dir.join(MARKER))?;
        fs::write(dir.join("precious"), "keep")?;
        assert!(renew_data_dir(&dir).is_err());
        assert_eq!(fs::read_to_string(dir.join("precious"))?, "keep");
        Ok(())
    }
}
