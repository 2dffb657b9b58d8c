//! Certificates, keys and authorities as PEM files have them, checked against each other.

use std::sync::Arc;
use std::time::Duration;

use domicile_types::limits::CERTIFICATES_MAX;
use domicile_types::{RegionId, Secret};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::tls::error::{self, TlsError};

/// The texts of PEM files.
#[derive(Debug, Clone, Copy)]
pub struct Pem<'a> {
    /// A region's certificate, and behind it those between it and the authority.
    pub certificate: &'a [u8],
    /// Its private key.
    pub key: &'a Secret,
    /// The certificates of the authorities that count.
    pub authority: &'a [u8],
}

/// What is in them.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) region: RegionId,
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) clients: Arc<dyn ClientCertVerifier>,
    pub(super) servers: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
    own: Arc<CertifiedKey>,
}

impl Material {
    pub(super) fn read(region: &RegionId, pem: Pem<'_>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |detail: String| TlsError::Unusable { detail };
        let name = server_name(region)?;
        let chain = certificates("certificate", pem.certificate)?;
        let found = region_of(&chain[0])?;
        if found != *region {
            return Err(TlsError::OtherRegion { expected: region.clone(), found });
        }
        let key = PrivateKeyDer::from_pem_slice(pem.key.expose()).map_err(|_| TlsError::NoKey)?;
        let key = provider.key_provider.load_private_key(key).map_err(|e| unusable(e.to_string()))?;
        let own = CertifiedKey::new(chain, key);
        own.keys_match().map_err(|_| TlsError::OtherKey { region: region.clone() })?;
        let mut roots = RootCertStore::empty();
        for authority in certificates("authority", pem.authority)? {
            roots.add(authority).map_err(|e| unusable(format!("a certificate in `authority`: {e}")))?;
        }
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build();
        let servers = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        Ok(Self {
            region: region.clone(),
            clients: clients.map_err(|e| unusable(e.to_string()))?,
            servers: servers.map_err(|e| unusable(e.to_string()))?,
            name,
            own: Arc::new(own),
            provider,
        })
    }

    /// The region's own certificate with its key, for every handshake.
    pub(super) fn shown(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.own)))
    }

    /// Holds where a peer that trusts the same authority would accept the region's own certificate, asking and asked.
    pub(super) fn holds_at(&self, unix_s: u64) -> Result<(), TlsError> {
        let moment = UnixTime::since_unix_epoch(Duration::from_secs(unix_s));
        let (end, between) = self.own.cert.split_first().ok_or(TlsError::NoCertificate)?;
        let asking = self.clients.verify_client_cert(end, between, moment).map(|_| ());
        let asked = self.servers.verify_server_cert(end, between, &self.name, &[], moment).map(|_| ());
        asking.and(asked).map_err(|error| error::of_own(&error, &self.region))
    }
}

/// The name that a peer is to prove.
pub(super) fn server_name(region: &RegionId) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(region.to_string()).map_err(|_| TlsError::NoDnsName { region: region.clone() })
}

/// One or more certificates.
fn certificates(key: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(CERTIFICATES_MAX + 1).collect();
    let found = found.map_err(|e| TlsError::NotPem { key, detail: e.to_string() })?;
    if found.is_empty() || found.len() > CERTIFICATES_MAX {
        return Err(TlsError::Certificates { key, found: found.len() });
    }
    Ok(found)
}

/// The region that a certificate is for: the one DNS name in it.
///
/// # Errors
/// Where it has none, several, or one that is no region's id.
pub fn region_of(certificate: &CertificateDer<'_>) -> Result<RegionId, TlsError> {
    let read = webpki::EndEntityCert::try_from(certificate);
    let read = read.map_err(|e| TlsError::NotPem { key: "certificate", detail: e.to_string() })?;
    let names: Vec<String> = read.valid_dns_names().take(CERTIFICATES_MAX).map(str::to_owned).collect();
    match names.as_slice() {
        [name] => name.parse().map_err(|_| TlsError::Names { found: name.clone() }),
        _ => Err(TlsError::Names { found: names.join(", ") }),
    }
}
