//! The certificates of a region that speaks to its peers over TLS: read at the start, and again when the files change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use domicile_config::{RegionConfig, Tls, TlsFiles, read_tls};
use domicile_query::Region;
use domicile_types::RegionId;
use domicile_wire::client::now_unix_ms;
use domicile_wire::tls::{PeerTls, Pem};
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

/// How often it is looked whether the files have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long before its certificate ends a region begins to warn.
const WARNING_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);
/// How often it warns.
const WARNING_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// What is shown to peers, now and after the files have changed.
#[derive(Debug)]
pub(crate) struct Certificates {
    region: RegionId,
    tls: Tls,
    taken: TlsFiles,
    shown: watch::Sender<PeerTls>,
}

/// Opens the port for peers, where the region's file has one, and reads what they are met with.
///
/// # Errors
/// Where the port is taken, or a file is not what it is to be.
pub(crate) async fn open(config: &RegionConfig, file: &Path) -> anyhow::Result<Option<(TcpListener, Certificates)>> {
    let Some(tls) = config.tls.clone() else { return Ok(None) };
    let (taken, shown) = load(&config.id, &tls)?;
    let listener = TcpListener::bind(tls.listen).await.with_context(|| {
        let address = tls.listen;
        format!(
            "{address} cannot be listened on; is another process using it? (`peers` of [listen] in {})",
            file.display()
        )
    })?;
    Ok(Some((listener, Certificates { region: config.id.clone(), tls, taken, shown: watch::Sender::new(shown) })))
}

/// Reads the files of [tls], and checks that peers would accept what they hold now.
///
/// # Errors
/// Where a file cannot be read, or peers would not.
pub(crate) fn load(region: &RegionId, tls: &Tls) -> anyhow::Result<(TlsFiles, PeerTls)> {
    let files = read_tls(tls)?;
    let shown = read(region, tls, &files)?;
    Ok((files, shown))
}

fn read(region: &RegionId, tls: &Tls, files: &TlsFiles) -> anyhow::Result<PeerTls> {
    let pem = Pem { certificate: &files.certificate, key: &files.key, authority: &files.authority };
    let named = || {
        let [certificate, key, authority] = [&tls.certificate, &tls.key, &tls.authority].map(|path| path.display());
        format!("{certificate} with {key} and {authority}")
    };
    PeerTls::new(region, pem, now_unix_s()).with_context(named)
}

fn now_unix_s() -> u64 {
    now_unix_ms() / 1000
}

impl Certificates {
    pub(crate) fn current(&self) -> PeerTls {
        self.shown.borrow().clone()
    }

    pub(crate) fn watched(&self) -> watch::Receiver<PeerTls> {
        self.shown.subscribe()
    }

    /// Takes the files again when they change, and at each signal. Files that are not right, one of which may be written
    /// only a moment later, leave the earlier ones in use.
    pub(crate) async fn renew(mut self, mut hangup: Signal, region: Arc<Region>) {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        let mut warnings = tokio::time::interval(WARNING_INTERVAL);
        let mut refused = String::new();
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                signal = hangup.recv() => if signal.is_none() { return },
                _ = warnings.tick() => {
                    self.warn();
                    continue;
                }
            }
            let message = match self.look(&region) {
                Ok(()) => String::new(),
                Err(error) => format!("{error:#}"),
            };
            if !message.is_empty() && message != refused {
                tracing::error!(error = message, "the files of [tls] are not taken, those before stay in use");
            }
            refused = message;
        }
    }

    fn look(&mut self, region: &Region) -> anyhow::Result<()> {
        let files = read_tls(&self.tls)?;
        // A key is of one certificate: it changes with that, or is a wrong one.
        if files.certificate == self.taken.certificate && files.authority == self.taken.authority {
            return Ok(());
        }
        let shown = read(&self.region, &self.tls, &files)?;
        region.client().renew(shown.clone());
        self.shown.send_replace(shown);
        self.taken = files;
        tracing::info!(region = %self.region, "certificates replaced");
        self.warn();
        Ok(())
    }

    fn warn(&self) {
        if let Err(error) = self.shown.borrow().holds_at(now_unix_s()) {
            tracing::error!(%error, "peers do not accept this region any more");
        } else if self.shown.borrow().holds_at(now_unix_s() + WARNING_BEFORE.as_secs()).is_err() {
            let days = WARNING_BEFORE.as_secs() / (24 * 3600);
            let file = self.tls.certificate.display();
            tracing::warn!(%file, "the certificate of this region ends within {days} days; replace its files");
        }
    }
}
