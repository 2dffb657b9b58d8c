//! A NATS server of our own, for as long as it is measured: found, or fetched from Debian.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use domicile_harness::workspace;

use super::place::{held_to, said};

/// Where packages put it.
const USUAL: [&str; 3] = ["/usr/sbin/nats-server", "/usr/local/bin/nats-server", "/usr/bin/nats-server"];
/// The first version that can sync each message.
const SYNCS_SINCE: (u32, u32) = (2, 10);
/// The first Debian that has it.
const DEBIAN: &str = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
                      http://deb.debian.org/debian trixie main\n";

/// A `nats-server` that can sync each message.
///
/// # Errors
/// Where there is none and none can be fetched.
pub(super) fn find(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        ensure!(can_sync(path), "{} is no nats-server 2.10 or later", path.display());
        return Ok(path.to_path_buf());
    }
    let kept = workspace::target_dir()?.join("nats-server");
    let fetched = kept.join("usr/sbin/nats-server");
    let usual = USUAL.iter().map(PathBuf::from).chain([fetched.clone()]);
    if let Some(path) = usual.into_iter().find(|path| can_sync(path)) {
        return Ok(path);
    }
    fetch(&kept).context(
        "no nats-server 2.10 or later (`sync_interval: always`), and Debian 13's could not be fetched; install one, or \
         name it: --nats-server PATH",
    )?;
    ensure!(can_sync(&fetched), "{} does not run here", fetched.display());
    Ok(fetched)
}

fn can_sync(path: &Path) -> bool {
    let text = said(Command::new(path).arg("--version")).unwrap_or_default();
    let mut numbers = text.trim().rsplit('v').next().unwrap_or_default().split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= SYNCS_SINCE)
}

/// Unpacks Debian's package below `dir`. apt checks its signature, with lists of its own beside those of the system.
fn fetch(dir: &Path) -> Result<()> {
    let lists = dir.join("apt");
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(lists.join(part))?;
    }
    fs::write(lists.join("sources.list"), DEBIAN)?;
    fs::write(lists.join("status"), "")?;
    let settings = [
        ("Dir::Etc::sourcelist", "sources.list"),
        ("Dir::State::lists", "lists"),
        ("Dir::Cache", "cache"),
        ("Dir::State::status", "status"),
    ];
    let settings = settings.map(|(name, path)| format!("-o{name}={}", lists.join(path).display()));
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.current_dir(dir).args(&settings).args(["-oDir::Etc::sourceparts=-", "-oAPT::Sandbox::User=", "--quiet"]);
        said(apt.args(arguments))
    };
    apt(&["update"])?;
    apt(&["download", "nats-server"])?;
    let files = fs::read_dir(dir)?.filter_map(|entry| Some(entry.ok()?.path()));
    let package = files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let package = package.context("apt-get said that it fetched a package, and there is none")?;
    said(Command::new("dpkg").arg("--extract").arg(&package).arg(dir))?;
    fs::remove_dir_all(lists)?;
    Ok(fs::remove_file(package)?)
}

/// A server.
#[derive(Debug)]
pub(super) struct Nats {
    child: Child,
    /// Where clients connect.
    pub(super) port: u16,
    /// Where another server connects.
    pub(super) leaf_port: u16,
}

impl Nats {
    /// Starts a server with JetStream in a domain called `name`, on some cores; as a leaf of the one at `hub_port` where
    /// that is given. What it stores is synced at each message where `always_syncs`.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(super) fn start(
        program: &Path,
        dir: &Path,
        name: &str,
        cores: &str,
        hub_port: Option<u16>,
        always_syncs: bool,
    ) -> Result<Self> {
        let (port, leaf_port) = free_ports()?;
        let leaf = match hub_port {
            None => format!("listen: \"127.0.0.1:{leaf_port}\""),
            Some(hub) => format!("remotes: [{{ url: \"nats-leaf://127.0.0.1:{hub}\" }}]"),
        };
        let sync = if always_syncs { "always" } else { "\"2m\"" };
        let store = dir.join(name);
        let config = format!(
            "server_name: {name}\nlisten: \"127.0.0.1:{port}\"\nmax_payload: 33554432\nmax_pending: 268435456\n\
             jetstream {{ store_dir: \"{}\", domain: {name}, sync_interval: {sync} }}\nleafnodes {{ {leaf} }}\n",
            store.display()
        );
        let file = dir.join(format!("{name}.conf"));
        fs::write(&file, config)?;
        let log = dir.join(format!("{name}.log"));
        let mut server = held_to(cores, program);
        server.arg("--config").arg(&file).arg("--log").arg(&log).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = server.spawn().context("cannot start `taskset`, of the package util-linux")?;
        if let Some(status) = child.try_wait()? {
            bail!("{name} ended with {status}: {}", fs::read_to_string(log).unwrap_or_default());
        }
        Ok(Self { child, port, leaf_port })
    }

    /// Its process.
    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // What it stored is given up with its directory.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_ports() -> Result<(u16, u16)> {
    let listeners = (TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?);
    Ok((listeners.0.local_addr()?.port(), listeners.1.local_addr()?.port()))
}
