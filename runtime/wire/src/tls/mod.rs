//! Mutual TLS between regions: what a region proves with who it is, and what it accepts as proof. TLS 1.3 and HTTP/2
//! only, and no sessions that are taken up again, so that every connection shows its certificate.

mod dial;
mod error;
mod material;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use domicile_types::RegionId;
use domicile_types::limits::PEER_HANDSHAKE_TIMEOUT;
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub(crate) use dial::Dialer;
pub use error::TlsError;
pub(crate) use error::TlsRefused;
pub use material::{Pem, region_of};

use crate::tls::material::Material;

/// The one protocol that is spoken inside.
const ALPN: &[u8] = b"h2";

/// A connection that a peer has opened and proved who it is on.
pub type PeerStream = TlsStream<TcpStream>;

/// What a region shows to its peers and accepts of them. Cheap to clone.
#[derive(Clone)]
pub struct PeerTls {
    material: Arc<Material>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerTls").field("region", &self.material.region).finish_non_exhaustive()
    }
}

impl PeerTls {
    /// What the region `region` proves with these texts who it is. Its certificate has to hold at `now_unix_s`, seconds
    /// since 1970-01-01 UTC.
    ///
    /// # Errors
    /// Where a text is not what it is to be, or the certificate is not of the authority, not for this region, not with
    /// this key or not for now.
    pub fn new(region: &RegionId, pem: Pem<'_>, now_unix_s: u64) -> Result<Self, TlsError> {
        let material = Material::read(region, pem)?;
        material.holds_at(now_unix_s)?;
        let (clients, servers) = (Arc::clone(&material.clients), Arc::clone(&material.servers));
        let unusable = |error: rustls::Error| TlsError::Unusable { detail: error.to_string() };
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&material.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(material.shown());
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&material.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_webpki_verifier(servers)
            .with_client_cert_resolver(material.shown());
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.resumption = rustls::client::Resumption::disabled();
        Ok(Self { material: Arc::new(material), server: Arc::new(server), client: Arc::new(client) })
    }

    /// Whether the region's certificate still holds at a moment, in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// Where it does not, with a sentence for people.
    pub fn holds_at(&self, unix_s: u64) -> Result<(), TlsError> {
        self.material.holds_at(unix_s)
    }

    /// Takes a connection: the region that proved who it is, and the stream.
    ///
    /// # Errors
    /// Where whoever is there shows no certificate that counts, speaks something else, or takes longer than
    /// [`PEER_HANDSHAKE_TIMEOUT`].
    pub async fn accept(&self, tcp: TcpStream) -> Result<(RegionId, PeerStream), TlsError> {
        let own = &self.material.region;
        let handshake = TlsAcceptor::from(Arc::clone(&self.server)).accept(tcp);
        let stream = tokio::time::timeout(PEER_HANDSHAKE_TIMEOUT, handshake).await;
        let stream = stream.map_err(|_| TlsError::Slow { timeout_ms: PEER_HANDSHAKE_TIMEOUT.as_millis() })?;
        let stream = stream.map_err(|error| error::of_caller(&error, own))?;
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(ALPN) {
            return Err(TlsError::NotHttp2);
        }
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        Ok((region_of(shown.ok_or(TlsError::NoCertificate)?)?, stream))
    }
}
