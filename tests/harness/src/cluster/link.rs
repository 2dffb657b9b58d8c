//! One direction between two regions: a TCP proxy at which one of them asks the other, and which can be cut and delayed.
//!
//! It delays what is sent, not the opening of a connection, of which regions keep one to each other.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use socket2::SockRef;

use crate::ports;

/// Most bytes of a piece that is read at once.
const PIECE_BYTES_MAX: usize = 64 * 1024;
/// Most pieces on their way in one direction of a connection.
const PIECES_MAX: usize = 1_024;
/// Longest that a proxy may take to listen, or to stop.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a port is tried that somebody else has.
const PORT_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// What a link does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Everything goes through.
    #[default]
    Pass,
    /// Connections are reset, and new ones refused.
    Cut,
    /// Connections stay and can be made, and nothing goes through. What was sent meanwhile goes through afterwards.
    BlackHole,
}

/// What went through a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Connections that were made.
    pub connections: u64,
    /// Connections that ended because the link was cut.
    pub reset: u64,
    /// What the asking region sent.
    pub asked: Bytes,
    /// What came back.
    pub answered: Bytes,
}

/// Bytes of one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes {
    /// Taken from the sender.
    pub taken: u64,
    /// Given to the receiver. Those in between are on their way, held back, or were lost in a cut.
    pub given: u64,
}

/// Somebody who sees what passes, before the receiver does.
pub(super) trait Observe: Debug + Send + Sync {
    /// Takes note of bytes of a connection, numbered among all of the process.
    fn passed(&self, connection: u64, is_answer: bool, bytes: &[u8]);
}

/// A proxy until the process ends.
#[derive(Debug, Clone)]
pub(super) struct Link(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    target: String,
    observer: Option<Arc<dyn Observe>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    listens: bool,
    delay: Duration,
    /// Most bytes a second of one way of a connection; 0 where there is no bound.
    bytes_per_s_max: u64,
    connections: BTreeMap<u64, Connection>,
    traffic: Traffic,
}

#[derive(Debug)]
struct Connection {
    sockets: Vec<TcpStream>,
    ways_ended: u8,
}

/// Something on its way.
#[derive(Debug)]
struct Piece {
    due: Instant,
    what: io::Result<Vec<u8>>,
}

impl Link {
    /// Listens at a free port, and passes every connection on to `target`.
    pub(super) fn start(target: &str, observer: Option<Arc<dyn Observe>>) -> Result<Self> {
        let listener = ports::listen()?;
        let address = listener.local_addr()?;
        let state = Mutex::new(State { listens: true, ..State::default() });
        let link =
            Self(Arc::new(Shared { address, target: target.to_owned(), observer, state, changed: Condvar::new() }));
        let listening = link.clone();
        thread::spawn(move || listening.listen(listener));
        Ok(link)
    }

    pub(super) fn address(&self) -> String {
        self.0.address.to_string()
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.state().traffic
    }

    /// Whatever is sent from now on arrives so much later.
    pub(super) fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// No more goes through in a second, each way of each connection, from now on; 0 lets everything through.
    pub(super) fn set_rate(&self, bytes_per_s_max: u64) {
        self.state().bytes_per_s_max = bytes_per_s_max;
    }

    /// From when this returns, nothing goes on in another mode.
    pub(super) fn set_mode(&self, mode: Mode) -> Result<()> {
        let mut state = self.state();
        state.mode = mode;
        if mode == Mode::Cut {
            let all: Vec<u64> = state.connections.keys().copied().collect();
            state.traffic.reset += all.len() as u64;
            all.into_iter().for_each(|connection| state.reset(connection));
        }
        self.0.changed.notify_all();
        let listens = mode != Mode::Cut;
        if !listens && state.listens {
            drop(state);
            // Wakes whoever waits for a connection, so that it sees that there are to be none.
            drop(TcpStream::connect(self.0.address));
            state = self.state();
        }
        let waits = |state: &mut State| state.listens != listens;
        let (state, _) =
            self.0.changed.wait_timeout_while(state, LISTEN_TIMEOUT, waits).unwrap_or_else(PoisonError::into_inner);
        ensure!(state.listens == listens, "the proxy at {} does not become {mode:?}", self.0.address);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, first: TcpListener) {
        let mut listener = Some(first);
        loop {
            let listening = listener.take().unwrap_or_else(|| self.listen_again());
            for client in listening.incoming().flatten() {
                if self.state().mode == Mode::Cut {
                    break;
                }
                let (link, number) = (self.clone(), next_number());
                thread::spawn(move || link.connect(number, client));
            }
            drop(listening);
            self.state().listens = false;
            self.0.changed.notify_all();
        }
    }

    fn listen_again(&self) -> TcpListener {
        let is_cut = |state: &mut State| state.mode == Mode::Cut;
        let mut state = self.0.changed.wait_while(self.state(), is_cut).unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Ok(listener) = TcpListener::bind(self.0.address) {
                state.listens = true;
                self.0.changed.notify_all();
                return listener;
            }
            let waited = self.0.changed.wait_timeout(state, PORT_RETRY_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Connects a client with the target as soon as anything goes through.
    fn connect(&self, number: u64, client: TcpStream) {
        let Ok(kept) = client.try_clone() else { return };
        {
            let mut state = self.state();
            if state.mode == Mode::Cut {
                return;
            }
            state.connections.insert(number, Connection { sockets: vec![kept], ways_ended: 0 });
            state.traffic.connections += 1;
        }
        // Where the target is down, the client finds the connection closed, as it would without us.
        if !self.opens(number, Instant::now()) || self.carry(number, client).is_err() {
            self.state().reset(number);
        }
    }

    fn carry(&self, number: u64, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(&self.0.target)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ways =
            [(client.try_clone()?, server.try_clone()?, false), (server.try_clone()?, client.try_clone()?, true)];
        match self.state().connections.get_mut(&number) {
            Some(connection) => connection.sockets.push(server),
            // Cut meanwhile.
            None => return reset(&server),
        }
        for (from, to, is_answer) in ways {
            let (sender, pieces) = sync_channel(PIECES_MAX);
            let (reading, giving) = (self.clone(), self.clone());
            thread::spawn(move || reading.take(from, is_answer, &sender));
            thread::spawn(move || giving.give(number, to, is_answer, &pieces));
        }
        Ok(())
    }

    /// Takes from a sender as fast as it sends, and notes when each piece is due.
    fn take(&self, mut from: TcpStream, is_answer: bool, sender: &SyncSender<Piece>) {
        let (mut buffer, mut free) = (vec![0; PIECE_BYTES_MAX], Instant::now());
        loop {
            let what = from.read(&mut buffer).map(|count| buffer[..count].to_vec());
            let is_last = what.as_ref().map_or(true, Vec::is_empty);
            let due = {
                let mut state = self.state();
                let bytes = what.as_ref().map_or(0, Vec::len) as u64;
                state.traffic.way(is_answer).taken += bytes;
                free = free.max(Instant::now());
                if state.bytes_per_s_max > 0 {
                    free += Duration::from_secs_f64(bytes as f64 / state.bytes_per_s_max as f64);
                }
                free + state.delay
            };
            if sender.send(Piece { due, what }).is_err() || is_last {
                return;
            }
        }
    }

    /// Gives each piece to the receiver when it is due.
    fn give(&self, number: u64, mut to: TcpStream, is_answer: bool, pieces: &Receiver<Piece>) {
        for Piece { due, what } in pieces {
            if !self.opens(number, due) {
                return;
            }
            let given = match what {
                Ok(bytes) if bytes.is_empty() => {
                    // Where the receiver has gone already, there is nobody to tell.
                    let _ = to.shutdown(Shutdown::Write);
                    return self.state().end_way(number);
                }
                Ok(bytes) => {
                    if let Some(observer) = &self.0.observer {
                        observer.passed(number, is_answer, &bytes);
                    }
                    self.state().traffic.way(is_answer).given += bytes.len() as u64;
                    to.write_all(&bytes)
                }
                Err(error) => Err(error),
            };
            if given.is_err() {
                return self.state().reset(number);
            }
        }
    }

    /// Waits until what is due then may go through. Says whether the connection is still there.
    fn opens(&self, number: u64, due: Instant) -> bool {
        let mut state = self.state();
        while state.connections.contains_key(&number) {
            let wait = due.saturating_duration_since(Instant::now());
            state = match (state.mode, wait.is_zero()) {
                (Mode::BlackHole, _) => self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                (_, true) => return true,
                _ => self.0.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        false
    }
}

impl State {
    /// Ends a connection at once, both ways.
    fn reset(&mut self, number: u64) {
        let Some(connection) = self.connections.remove(&number) else { return };
        for socket in &connection.sockets {
            // One that is no longer connected needs no end.
            let _ = reset(socket);
        }
    }

    fn end_way(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.ways_ended += 1;
        if connection.ways_ended == 2 {
            self.connections.remove(&number);
        }
    }
}

impl Traffic {
    fn way(&mut self, is_answer: bool) -> &mut Bytes {
        if is_answer { &mut self.answered } else { &mut self.asked }
    }
}

/// Makes the last one to let go of a socket reset it. Who still reads finds the end of the stream.
fn reset(socket: &TcpStream) -> io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
    socket.shutdown(Shutdown::Read)
}

fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests;
