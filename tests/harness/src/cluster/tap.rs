//! TCP proxies between all regions that count the bodies which pass: the wire as a meter at the border sees it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use super::http2::{Frames, Said};
use crate::regions::{self, RegionFile};

/// What one region asked another, and how much came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// The region that asked.
    pub asking: String,
    /// The region that was asked.
    pub asked: String,
    /// The body of the question.
    pub question: Vec<u8>,
    /// Whether the answer has status 200.
    pub is_ok: bool,
    /// Bytes of the answer's body.
    pub answer_bytes: u64,
}

/// The exchanges by connection and stream.
#[derive(Debug, Default)]
struct Seen {
    exchanges: BTreeMap<(usize, u32), Exchange>,
    connections: usize,
    unreadable: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Tap(Arc<Mutex<Seen>>);

impl Tap {
    /// Puts a proxy in front of each peer of each region, until the process ends.
    pub(super) fn start(files: &[RegionFile]) -> Result<Self> {
        let tap = Self::default();
        for asking in files {
            for asked in files.iter().filter(|file| file.id != asking.id) {
                let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
                regions::redirect_peer(&asking.config, &asked.id, &listener.local_addr()?.to_string())?;
                let way = Exchange { asking: asking.id.clone(), asked: asked.id.clone(), ..Exchange::default() };
                let (target, tap) = (asked.url.trim_start_matches("http://").to_owned(), tap.clone());
                thread::spawn(move || {
                    for client in listener.incoming().flatten() {
                        // Where the target is down, the client finds the connection closed, as it would without us.
                        if let Ok(server) = TcpStream::connect(&target) {
                            let _ = tap.connect(&client, &server, &way);
                        }
                    }
                });
            }
        }
        Ok(tap)
    }

    /// What has passed so far.
    ///
    /// # Errors
    /// Where something passed that is no HTTP/2.
    pub(super) fn exchanges(&self) -> Result<Vec<Exchange>> {
        let seen = self.seen();
        anyhow::ensure!(seen.unreadable == 0, "{} times, what passed was no HTTP/2", seen.unreadable);
        Ok(seen.exchanges.values().cloned().collect())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, client: &TcpStream, server: &TcpStream, way: &Exchange) -> Result<()> {
        let connection = {
            let mut seen = self.seen();
            seen.connections += 1;
            seen.connections
        };
        for (from, to, is_answer) in [(client, server, false), (server, client, true)] {
            let (from, to, tap, way) = (from.try_clone()?, to.try_clone()?, self.clone(), way.clone());
            thread::spawn(move || tap.pass(from, to, connection, &way, is_answer));
        }
        Ok(())
    }

    /// Counts what passes before it passes it on, so that whoever has the answer finds it counted.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, connection: usize, way: &Exchange, is_answer: bool) {
        let mut frames = if is_answer { Frames::default() } else { Frames::of_client() };
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            match frames.take_in(&buffer[..count]) {
                Some(said) => said.into_iter().for_each(|said| self.note(connection, way, is_answer, said)),
                None => self.seen().unreadable += 1,
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    fn note(&self, connection: usize, way: &Exchange, is_answer: bool, said: Said) {
        let mut seen = self.seen();
        let (Said::Headers { stream, .. } | Said::Data { stream, .. }) = said;
        let exchange = seen.exchanges.entry((connection, stream)).or_insert_with(|| way.clone());
        match said {
            // Trailers would say nothing of the status.
            Said::Headers { is_ok, .. } if is_answer => exchange.is_ok |= is_ok,
            Said::Headers { .. } => {}
            Said::Data { body, .. } if is_answer => exchange.answer_bytes += body.len() as u64,
            Said::Data { body, .. } => exchange.question.extend(body),
        }
    }
}
