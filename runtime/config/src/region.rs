//! A region's file, checked: what the rest of the program may rely on without looking again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domicile_types::{RegionId, limits};
use serde::Deserialize;

use crate::clients::{Clients, RawClients};
use crate::plugins::{Plugins, RawPlugins};
use crate::policies::{Policies, RawPolicies};
use crate::storage::{RawStorage, Storage};
use crate::strict::{self, Parsed, Schema, Spanned};
use crate::tls::{RawTls, Tls};
use crate::{ConfigError, PeerUrl, Position};

/// One region: who it is, where it listens, whom it knows.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionConfig {
    /// Id.
    pub id: RegionId,
    /// Name for people.
    pub name: String,
    /// Jurisdictions whose law holds here, for example `EU` and `DE`. Never empty.
    pub jurisdictions: Vec<String>,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// File of this region's own secret.
    pub secret_file: PathBuf,
    /// Address that the HTTP front door listens at.
    pub listen: SocketAddr,
    /// Where and how peers ask, where that is not the front door.
    pub tls: Option<Tls>,
    /// Folder of this region's data.
    pub data_dir: PathBuf,
    /// Folder of the dataset files.
    pub datasets_dir: PathBuf,
    /// Folder of the policy files.
    pub policies_dir: PathBuf,
    /// Folder of the replication set files, where the file names one.
    pub replication_dir: Option<PathBuf>,
    /// Limits.
    pub limits: RegionLimits,
    /// Storage besides `data_dir`, and how hard the disk is worked.
    pub storage: Storage,
    /// Whose plugins run here.
    pub plugins: Plugins,
    /// Whose policies count here.
    pub policies: Policies,
    /// Who may ask here.
    pub clients: Clients,
    /// The other regions, in the order of the file; ids unique and never this region's own.
    pub peers: Vec<Peer>,
}

/// Another region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Id.
    pub id: RegionId,
    /// Address of its edge.
    pub url: PeerUrl,
    /// File of *its* secret.
    pub secret_file: PathBuf,
    /// Jurisdictions whose law holds there; empty only where this region trusts no clients' tokens.
    pub jurisdictions: Vec<String>,
}

/// Limits that a region may set. Sizes only lower than the program's own; times up to `limits::QUERY_TIMEOUT_MAX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionLimits {
    /// How long a query may take where the caller names no time.
    pub query_timeout: Duration,
    /// Largest file that one load may send, in bytes.
    pub load_bytes_max: u64,
    /// How long a body may pause.
    pub body_silence: Duration,
    /// Most linear memory that one plugin instance may have, in bytes.
    pub plugin_memory_bytes_max: usize,
    /// How long one plugin call may take.
    pub plugin_timeout: Duration,
    /// Most rows that one plugin call may return.
    pub plugin_output_rows_max: usize,
}

impl Default for RegionLimits {
    fn default() -> Self {
        Self {
            query_timeout: limits::QUERY_TIMEOUT_DEFAULT,
            load_bytes_max: limits::LOAD_BYTES_MAX,
            body_silence: limits::BODY_SILENCE_MAX,
            plugin_memory_bytes_max: limits::PLUGIN_MEMORY_BYTES_MAX,
            plugin_timeout: limits::PLUGIN_TIMEOUT,
            plugin_output_rows_max: limits::PLUGIN_OUTPUT_ROWS_MAX,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(rename = "schema")]
    _schema: Schema,
    datasets_dir: PathBuf,
    policies_dir: PathBuf,
    replication_dir: Option<PathBuf>,
    data_dir: PathBuf,
    region: RawRegion,
    listen: RawListen,
    tls: Option<Spanned<RawTls>>,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    storage: RawStorage,
    #[serde(default)]
    plugins: RawPlugins,
    #[serde(default)]
    policies: RawPolicies,
    #[serde(default)]
    clients: RawClients,
    #[serde(default)]
    peer: Vec<RawPeer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegion {
    id: Parsed<RegionId>,
    name: Spanned<String>,
    jurisdictions: Spanned<Vec<String>>,
    latitude: Spanned<f64>,
    longitude: Spanned<f64>,
    secret_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListen {
    http: Spanned<String>,
    peers: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    query_timeout_ms: Option<Spanned<i64>>,
    load_bytes_max: Option<Spanned<i64>>,
    body_silence_ms: Option<Spanned<i64>>,
    plugin_memory_bytes_max: Option<Spanned<i64>>,
    plugin_timeout_ms: Option<Spanned<i64>>,
    plugin_output_rows_max: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPeer {
    id: Spanned<Parsed<RegionId>>,
    url: Spanned<Parsed<PeerUrl>>,
    secret_file: PathBuf,
    jurisdictions: Option<Spanned<Vec<String>>>,
}

impl RegionConfig {
    /// Reads the text of the region file at `path`; paths in it are resolved against the file's folder.
    ///
    /// # Errors
    /// Where the text is not such a file or says what cannot be.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let raw: RawFile = strict::parse(&file, text)?;
        let source = Source { file: &file, text };
        let folder = path.parent().unwrap_or(Path::new(""));
        let region = raw.region;
        source.filled("name", region.name.span().start, region.name.get_ref().trim().is_empty())?;
        source.jurisdictions(&region.jurisdictions)?;
        let listen = source.address(&raw.listen.http)?;
        let clients = Clients::check(raw.clients, &source, listen)?;
        let placed = !clients.trusted_keys.is_empty();
        let tls = Tls::check(raw.tls, raw.listen.peers.as_ref(), &source, folder, listen)?;
        let known = Known { own: &region.id.0, placed, over_tls: tls.is_some() };
        let peers = source.peers(known, raw.peer, folder)?;
        Ok(Self {
            name: region.name.into_inner(),
            jurisdictions: region.jurisdictions.into_inner(),
            latitude: source.degrees("latitude", &region.latitude, 90)?,
            longitude: source.degrees("longitude", &region.longitude, 180)?,
            secret_file: folder.join(region.secret_file),
            listen,
            tls,
            clients,
            plugins: Plugins::check(raw.plugins, &source, listen)?,
            policies: Policies::check(raw.policies, &source)?,
            storage: Storage::check(&raw.storage, &source, folder, &raw.data_dir)?,
            data_dir: folder.join(raw.data_dir),
            datasets_dir: folder.join(raw.datasets_dir),
            policies_dir: folder.join(raw.policies_dir),
            replication_dir: raw.replication_dir.map(|named| folder.join(named)),
            limits: source.limits(&raw.limits)?,
            peers,
            id: region.id.0,
        })
    }
}

/// What peers have to fit.
struct Known<'a> {
    /// The region whose peers they are.
    own: &'a RegionId,
    /// Whether each has to say whose law holds there.
    placed: bool,
    /// Whether they are reached over TLS.
    over_tls: bool,
}

/// The file that is being read, for positions in it.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    pub(crate) fn at(&self, offset: usize) -> Position {
        Position::of(self.file, self.text, offset)
    }

    fn filled(&self, key: &'static str, offset: usize, empty: bool) -> Result<(), ConfigError> {
        if empty { Err(ConfigError::Empty { at: self.at(offset), key }) } else { Ok(()) }
    }

    fn jurisdictions(&self, codes: &Spanned<Vec<String>>) -> Result<(), ConfigError> {
        let none = codes.get_ref().is_empty() || codes.get_ref().iter().any(|code| code.trim().is_empty());
        self.filled("jurisdictions", codes.span().start, none)
    }

    fn degrees(&self, key: &'static str, value: &Spanned<f64>, max: i32) -> Result<f64, ConfigError> {
        let degrees = *value.get_ref();
        if (-f64::from(max)..=f64::from(max)).contains(&degrees) {
            return Ok(degrees);
        }
        let at = self.at(value.span().start);
        Err(ConfigError::OutOfRange { at, key, min: -i64::from(max), max: i64::from(max) })
    }

    pub(crate) fn address(&self, value: &Spanned<String>) -> Result<SocketAddr, ConfigError> {
        value
            .get_ref()
            .parse()
            .map_err(|_| ConfigError::Address { at: self.at(value.span().start), value: value.get_ref().clone() })
    }

    fn peers(&self, known: Known<'_>, raw: Vec<RawPeer>, folder: &Path) -> Result<Vec<Peer>, ConfigError> {
        let mut peers: Vec<Peer> = Vec::with_capacity(raw.len());
        for peer in raw {
            let at = self.at(peer.id.span().start);
            let id = peer.id.into_inner().0;
            if &id == known.own {
                return Err(ConfigError::PeerIsSelf { at, peer: id });
            }
            if peers.iter().any(|other| other.id == id) {
                return Err(ConfigError::PeerRepeated { at, peer: id });
            }
            if known.placed && peer.jurisdictions.is_none() {
                return Err(ConfigError::PeerUnplaced { at, peer: id });
            }
            let (url_at, url) = (self.at(peer.url.span().start), peer.url.into_inner().0);
            match (known.over_tls, url.is_tls()) {
                (true, false) => return Err(ConfigError::PeerPlain { at: url_at, peer: id, url }),
                (false, true) => return Err(ConfigError::PeerOverTls { at: url_at, peer: id, url }),
                _ => {}
            }
            peer.jurisdictions.as_ref().map_or(Ok(()), |codes| self.jurisdictions(codes))?;
            let jurisdictions = peer.jurisdictions.map(Spanned::into_inner).unwrap_or_default();
            peers.push(Peer { id, url, secret_file: folder.join(peer.secret_file), jurisdictions });
        }
        Ok(peers)
    }

    fn limits(&self, raw: &RawLimits) -> Result<RegionLimits, ConfigError> {
        let normal = RegionLimits::default();
        let query_ms_max = millis(limits::QUERY_TIMEOUT_MAX);
        let load_max = normal.load_bytes_max;
        let memory_max = limits::PLUGIN_MEMORY_BYTES_MAX as u64;
        let rows_max = limits::PLUGIN_OUTPUT_ROWS_MAX as u64;
        let number = |key, value: &Option<Spanned<i64>>, max| self.number(key, value.as_ref(), max);
        let size = |bytes: u64, normal: usize| usize::try_from(bytes).unwrap_or(normal);
        let query_ms = number("query_timeout_ms", &raw.query_timeout_ms, query_ms_max)?;
        let load = number("load_bytes_max", &raw.load_bytes_max, load_max)?;
        let silence_ms = number("body_silence_ms", &raw.body_silence_ms, millis(normal.body_silence))?;
        let memory = number("plugin_memory_bytes_max", &raw.plugin_memory_bytes_max, memory_max)?;
        let plugin_ms = number("plugin_timeout_ms", &raw.plugin_timeout_ms, query_ms_max)?;
        let rows = number("plugin_output_rows_max", &raw.plugin_output_rows_max, rows_max)?;
        Ok(RegionLimits {
            query_timeout: query_ms.map_or(normal.query_timeout, Duration::from_millis),
            load_bytes_max: load.unwrap_or(normal.load_bytes_max),
            body_silence: silence_ms.map_or(normal.body_silence, Duration::from_millis),
            plugin_memory_bytes_max: memory
                .map_or(normal.plugin_memory_bytes_max, |bytes| size(bytes, normal.plugin_memory_bytes_max)),
            plugin_timeout: plugin_ms.map_or(normal.plugin_timeout, Duration::from_millis),
            plugin_output_rows_max: rows
                .map_or(normal.plugin_output_rows_max, |rows| size(rows, normal.plugin_output_rows_max)),
        })
    }

    /// A number from 1 to `max`.
    pub(crate) fn number(
        &self,
        key: &'static str,
        value: Option<&Spanned<i64>>,
        max: u64,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(value) = value else { return Ok(None) };
        match u64::try_from(*value.get_ref()) {
            Ok(number) if (1..=max).contains(&number) => Ok(Some(number)),
            _ => Err(ConfigError::OutOfRange {
                at: self.at(value.span().start),
                key,
                min: 1,
                max: i64::try_from(max).unwrap_or(i64::MAX),
            }),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
