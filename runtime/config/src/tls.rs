//! The section `[tls]` of a region's file: with what regions prove to each other who they are, and where peers ask.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use domicile_types::Secret;
use domicile_types::limits::CERTIFICATE_FILE_BYTES_MAX;
use serde::Deserialize;

use crate::ConfigError;
use crate::region::Source;
use crate::secret::exposed_mode;
use crate::strict::Spanned;

/// Mutual TLS with the peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Address that peers ask at.
    pub listen: SocketAddr,
    /// PEM file of this region's certificate, and of those between it and the authority.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// PEM file of the authority whose certificates count.
    pub authority: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTls {
    certificate: PathBuf,
    key: PathBuf,
    authority: PathBuf,
}

impl Tls {
    /// Holds `[tls]` against the address in `[listen]`: there are both, or neither.
    pub(crate) fn check(
        raw: Option<Spanned<RawTls>>,
        listen: Option<&Spanned<String>>,
        source: &Source<'_>,
        folder: &Path,
        front_door: SocketAddr,
    ) -> Result<Option<Self>, ConfigError> {
        let (raw, listen) = match (raw, listen) {
            (None, None) => return Ok(None),
            (Some(raw), None) => return Err(ConfigError::TlsUnheard { at: source.at(raw.span().start) }),
            (None, Some(listen)) => return Err(ConfigError::TlsMissing { at: source.at(listen.span().start) }),
            (Some(raw), Some(listen)) => (raw.into_inner(), listen),
        };
        let address = source.address(listen)?;
        if address == front_door && address.port() != 0 {
            return Err(ConfigError::ListenRepeated { at: source.at(listen.span().start) });
        }
        Ok(Some(Self {
            listen: address,
            certificate: folder.join(raw.certificate),
            key: folder.join(raw.key),
            authority: folder.join(raw.authority),
        }))
    }
}

/// The content of the files that [`Tls`] names.
#[derive(Debug)]
pub struct TlsFiles {
    /// Of `certificate`.
    pub certificate: Vec<u8>,
    /// Of `key`.
    pub key: Secret,
    /// Of `authority`.
    pub authority: Vec<u8>,
}

/// Reads the files of `[tls]`; what they say is left unread.
///
/// # Errors
/// Where a file cannot be read or is too large, or other users may open the key.
pub fn read_tls(tls: &Tls) -> Result<TlsFiles, ConfigError> {
    Ok(TlsFiles {
        certificate: read(&tls.certificate, false)?,
        key: Secret::new(read(&tls.key, true)?),
        authority: read(&tls.authority, false)?,
    })
}

fn read(path: &Path, is_key: bool) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    if let Some(mode) = exposed_mode(&file).map_err(unreadable)?.filter(|_| is_key) {
        return Err(ConfigError::KeyExposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(CERTIFICATE_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > CERTIFICATE_FILE_BYTES_MAX {
        let problem = format!("it has more than {CERTIFICATE_FILE_BYTES_MAX} bytes, and so is no file of [tls]");
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, problem)));
    }
    Ok(bytes)
}
