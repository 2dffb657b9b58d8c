//! A TCP proxy that keeps what passes: the wire as an eavesdropper sees it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

#[derive(Debug)]
pub(super) struct Recorder {
    address: String,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// Listens at a free port and passes every connection on to `target`, until the process ends.
    pub(super) fn start(target: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
        let address = listener.local_addr()?.to_string();
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (target, kept) = (target.to_owned(), Arc::clone(&bytes));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Where the target is down, the client finds the connection closed, as it would without us.
                if let Ok(server) = TcpStream::connect(&target) {
                    let _ = pass(&client, &server, &kept).and_then(|()| pass(&server, &client, &kept));
                }
            }
        });
        Ok(Self { address, bytes })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn pass(from: &TcpStream, to: &TcpStream, kept: &Arc<Mutex<Vec<u8>>>) -> Result<()> {
    let (mut from, mut to, kept) = (from.try_clone()?, to.try_clone()?, Arc::clone(kept));
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_both_ways() -> Result<()> {
        let server = TcpListener::bind("127.0.0.1:0")?;
        let recorder = Recorder::start(&server.local_addr()?.to_string())?;
        let mut client = TcpStream::connect(recorder.address())?;
        client.write_all(b"question")?;
        client.shutdown(Shutdown::Write)?;
        let (mut served, _) = server.accept()?;
        let mut text = String::new();
        served.read_to_string(&mut text)?;
        served.write_all(b"answer")?;
        drop(served);
        client.read_to_string(&mut text)?;
        assert_eq!(text, "questionanswer");
        assert_eq!(recorder.bytes(), b"questionanswer");
        Ok(())
    }
}
