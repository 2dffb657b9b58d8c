//! Region files: what the harness needs to know of one, and copies of them for a test.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::ports;
use crate::workspace::REGIONS;

/// What a region file says about where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionFile {
    /// The region's id.
    pub id: String,
    /// The file itself.
    pub config: PathBuf,
    /// URL of the edge.
    pub url: String,
    /// `host:port` at which peers ask over TLS, where that is not the edge.
    pub peers: Option<String>,
    /// Folder of the region's data.
    pub data_dir: PathBuf,
    /// File of the region's own secret.
    pub secret_file: PathBuf,
}

impl RegionFile {
    /// `host:port` at which peers ask.
    pub fn peer_address(&self) -> &str {
        self.peers.as_deref().unwrap_or_else(|| self.url.trim_start_matches("http://"))
    }

    /// Reads a region file.
    ///
    /// # Errors
    /// Where it cannot be read or a key that we need is missing.
    pub fn read(config: &Path) -> Result<Self> {
        let table = read_toml(config)?;
        let folder = config.parent().unwrap_or(Path::new(""));
        let text = |section: Option<&str>, key: &str| {
            let table = section.map_or(Some(&table), |section| table.get(section)?.as_table());
            let value = table.and_then(|table| table.get(key)?.as_str());
            value.with_context(|| format!("{} has no `{key}`", config.display()))
        };
        Ok(Self {
            id: text(Some("region"), "id")?.to_owned(),
            config: config.to_path_buf(),
            url: format!("http://{}", text(Some("listen"), "http")?),
            peers: text(Some("listen"), "peers").ok().map(str::to_owned),
            data_dir: folder.join(text(None, "data_dir")?),
            secret_file: folder.join(text(Some("region"), "secret_file")?),
        })
    }
}

/// Reads `<dir>/<id>.toml` of the three regions.
///
/// # Errors
/// As for [`RegionFile::read`].
pub fn read_all(dir: &Path) -> Result<Vec<RegionFile>> {
    REGIONS.iter().map(|id| RegionFile::read(&dir.join(format!("{id}.toml")))).collect()
}

/// What a copy of the region files differs in.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Another folder of policy files for a region.
    pub policies_dirs: BTreeMap<String, PathBuf>,
    /// Keys for the `[limits]` section of every region.
    pub limits: Vec<(String, i64)>,
    /// Names and texts of dataset files beside those of the project.
    pub datasets: Vec<(String, String)>,
    /// Names and texts of the files of replication sets.
    pub replication: Vec<(String, String)>,
    /// Regions that run signed plugins only, each with a public key that it trusts.
    pub trusted_keys: Vec<(&'static str, String)>,
    /// Other jurisdictions than the project's own, of some regions.
    pub jurisdictions: Vec<(&'static str, Vec<&'static str>)>,
    /// The public key of clients' tokens that every region trusts, and the regions that answer nobody without one.
    pub clients: Option<(String, Vec<&'static str>)>,
    /// The folder with what [`crate::tls::Authority::write`] writes for each region, where they meet over TLS.
    pub tls: Option<PathBuf>,
}

/// Copies the region files of `from` into `to`, with free loopback ports, and secrets, data and backups below `to`.
/// Everything else stays as it is. The secrets are not made.
///
/// # Errors
/// Where a file cannot be read or written, or no port is free.
pub fn copy_for_test(from: &Path, to: &Path, changes: &Changes) -> Result<Vec<RegionFile>> {
    let addresses = free_addresses(2 * REGIONS.len())?;
    let (addresses, doors) = addresses.split_at(REGIONS.len());
    let datasets = datasets_dir(from, to, &changes.datasets)?;
    let replication = to.join("replication");
    fs::create_dir_all(&replication)?;
    for (name, text) in &changes.replication {
        fs::write(replication.join(format!("{name}.toml")), text)?;
    }
    for ((id, address), door) in REGIONS.iter().zip(addresses).zip(doors) {
        let mut table = read_toml(&from.join(format!("{id}.toml")))?;
        let policies = changes.policies_dirs.get(*id).cloned().unwrap_or_else(|| from.join("policies"));
        table.insert("datasets_dir".to_owned(), path_value(&datasets)?);
        table.insert("policies_dir".to_owned(), path_value(&policies)?);
        table.insert("replication_dir".to_owned(), path_value(&replication)?);
        table.insert("data_dir".to_owned(), path_value(&to.join(format!("{id}.data")))?);
        section(&mut table, "listen")?.insert("http".to_owned(), Value::String(address.clone()));
        section(&mut table, "region")?.insert("secret_file".to_owned(), path_value(&secret_file(to, id))?);
        for (key, value) in &changes.limits {
            section(&mut table, "limits")?.insert(key.clone(), Value::Integer(*value));
        }
        trust(&mut table, changes.trusted_keys.iter().filter(|(region, _)| region == id))?;
        if let Some((key, strict)) = &changes.clients {
            let clients = section(&mut table, "clients")?;
            clients.insert("trusted_keys".to_owned(), Value::Array(vec![Value::String(key.clone())]));
            clients.insert("allow_anonymous".to_owned(), Value::Boolean(!strict.contains(id)));
        }
        let backups = Value::Array(vec![path_value(&to.join(format!("{id}.backups")))?]);
        section(&mut table, "storage")?.insert("backup_urls".to_owned(), backups);
        match &changes.tls {
            None => move_peers(&mut table, to, "http", addresses)?,
            Some(tls) => {
                over_tls(&mut table, tls, id, door)?;
                move_peers(&mut table, to, "https", doors)?;
            }
        }
        for (region, codes) in &changes.jurisdictions {
            under_law(&mut table, region, codes)?;
        }
        fs::write(to.join(format!("{id}.toml")), toml::to_string(&table)?)?;
    }
    read_all(to)
}

/// Makes one region's file, its own or a peer's, say that a region is in these jurisdictions.
fn under_law(table: &mut Table, region: &str, codes: &[&str]) -> Result<()> {
    let is_it = |table: &&mut Table| table.get("id").and_then(Value::as_str) == Some(region);
    let peers = table.get_mut("peer").and_then(Value::as_array_mut).into_iter().flatten();
    let found = match peers.filter_map(Value::as_table_mut).find(is_it) {
        Some(peer) => peer,
        None => section(table, "region")?,
    };
    let codes = codes.iter().map(|code| Value::String((*code).to_owned())).collect();
    found.insert("jurisdictions".to_owned(), Value::Array(codes));
    Ok(())
}

/// Loopback addresses that nobody listens at. All are held until all are found, so that they differ.
fn free_addresses(count: usize) -> Result<Vec<String>> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| ports::listen()).collect::<Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

fn over_tls(table: &mut Table, tls: &Path, id: &str, door: &str) -> Result<()> {
    section(table, "listen")?.insert("peers".to_owned(), Value::String(door.to_owned()));
    let named = section(table, "tls")?;
    for (key, kind) in [("certificate", "pem"), ("key", "key"), ("authority", "authority.pem")] {
        named.insert(key.to_owned(), path_value(&tls.join(format!("{id}.{kind}")))?);
    }
    Ok(())
}

/// Lets a region run plugins only that one of its keys signed, where it has any.
fn trust<'k>(table: &mut Table, keys: impl Iterator<Item = &'k (&'static str, String)>) -> Result<()> {
    let keys: Vec<Value> = keys.map(|(_, key)| Value::String(key.clone())).collect();
    if !keys.is_empty() {
        let plugins = section(table, "plugins")?;
        plugins.remove("allow_unsigned");
        plugins.insert("trusted_keys".to_owned(), Value::Array(keys));
    }
    Ok(())
}

/// The folder of the dataset files: the project's own, or a copy with more of them.
fn datasets_dir(from: &Path, to: &Path, more: &[(String, String)]) -> Result<PathBuf> {
    let (from, to) = (from.join("datasets"), to.join("datasets"));
    if more.is_empty() {
        return Ok(from);
    }
    fs::create_dir_all(&to)?;
    for file in fs::read_dir(&from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    for (name, text) in more {
        fs::write(to.join(format!("{name}.toml")), text)?;
    }
    Ok(to)
}

/// Makes the region of one file ask a peer at another address.
///
/// # Errors
/// Where the file cannot be read or written, or knows no such peer.
pub fn redirect_peer(config: &Path, peer: &str, address: &str) -> Result<()> {
    let mut table = read_toml(config)?;
    let peers = table.get_mut("peer").and_then(Value::as_array_mut).into_iter().flatten();
    let found =
        peers.filter_map(Value::as_table_mut).find(|table| table.get("id").and_then(Value::as_str) == Some(peer));
    let found = found.with_context(|| format!("{} knows no peer `{peer}`", config.display()))?;
    let url = found.get("url").and_then(Value::as_str).unwrap_or_default();
    let scheme = if url.starts_with("https:") { "https" } else { "http" };
    found.insert("url".to_owned(), Value::String(format!("{scheme}://{address}")));
    Ok(fs::write(config, toml::to_string(&table)?)?)
}

fn move_peers(table: &mut Table, to: &Path, scheme: &str, addresses: &[String]) -> Result<()> {
    let peers = table.get_mut("peer").and_then(Value::as_array_mut);
    for peer in peers.into_iter().flatten().filter_map(Value::as_table_mut) {
        let id = peer.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let index = REGIONS.iter().position(|region| *region == id);
        let address = &addresses[index.with_context(|| format!("peer `{id}` is not one of the regions"))?];
        peer.insert("url".to_owned(), Value::String(format!("{scheme}://{address}")));
        peer.insert("secret_file".to_owned(), path_value(&secret_file(to, &id))?);
    }
    Ok(())
}

fn secret_file(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("{id}.secret"))
}

fn section<'a>(table: &'a mut Table, name: &str) -> Result<&'a mut Table> {
    let entry = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
    entry.as_table_mut().with_context(|| format!("`{name}` is not a section"))
}

fn path_value(path: &Path) -> Result<Value> {
    Ok(Value::String(path.to_str().context("a path that is not UTF-8")?.to_owned()))
}

pub(crate) fn read_toml(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is not TOML", path.display()))
}
