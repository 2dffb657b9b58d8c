//! Whoever asks at a door for peers: over TLS and HTTP/2, with whatever certificate, or none.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Response;
use crate::tls::Shown;

/// Longest that a region may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Whom to ask, and as whom.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// `host:port` of the door.
    pub address: &'a str,
    /// The region that is to be there.
    pub region: &'a str,
    /// The authority that its certificate is to be of, as PEM.
    pub authority: &'a str,
    /// The certificate that is shown.
    pub shown: Option<&'a Shown>,
    /// The protocols that are offered.
    pub alpn: &'a [&'a str],
}

impl Caller<'_> {
    /// Sends one request.
    ///
    /// # Errors
    /// Where no connection comes about, or it ends before an answer.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, String)], body: &[u8]) -> Result<Response> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = async { tokio::time::timeout(TIMEOUT, self.exchange(method, path, headers, body)).await };
        runtime.block_on(answer).context("no answer in time")?
    }

    /// Opens this many connections, one behind the other, and sends a request on another one. Says how many of them the
    /// region ends then, once it ends any, and what it answers.
    ///
    /// # Errors
    /// As for [`Caller::send`], and where a connection does not come about or none ends.
    pub fn crowd(&self, connections: usize, path: &str, headers: &[(&str, String)]) -> Result<(usize, Response)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = async {
            let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
            for _ in 0..connections {
                let (mut open, ended) = (self.connect().await?, ended.clone());
                tokio::spawn(async move {
                    // What it says is left unread; the end is what counts.
                    let _ = tokio::io::copy(&mut open, &mut tokio::io::sink()).await;
                    let _ = ended.send(());
                });
            }
            let answer = self.exchange("GET", path, headers, b"").await?;
            ends.recv().await.context("no connection was open")?;
            Ok((1 + std::iter::from_fn(|| ends.try_recv().ok()).count(), answer))
        };
        runtime.block_on(async { tokio::time::timeout(TIMEOUT, work).await }).context("nothing ends in time")?
    }

    /// A connection on which the region has spoken: it does once it has accepted our certificate, and says why where it
    /// has not.
    async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(self.region.to_owned())?;
        let tcp = TcpStream::connect(self.address).await?;
        let mut tls = TlsConnector::from(Arc::new(self.config()?)).connect(name, tcp).await?;
        ensure!(!tls.fill_buf().await?.is_empty(), "the connection was ended without a word");
        Ok(tls)
    }

    async fn exchange(&self, method: &str, path: &str, headers: &[(&str, String)], body: &[u8]) -> Result<Response> {
        let tls = self.connect().await?;
        let executor = TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        let mut request = hyper::Request::builder().method(method).uri(format!("https://{}{path}", self.region));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body)))?;
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let headers: Vec<(&str, &str)> =
            head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
        Ok(Response::new(head.status.as_u16(), &headers, body.collect().await?.to_bytes()))
    }

    fn config(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots);
        let mut config = match self.shown {
            None => config.with_no_client_auth(),
            Some(shown) => config.with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(shown.certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(shown.key.as_bytes())?,
            )?,
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(config)
    }
}
