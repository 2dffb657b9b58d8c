//! Connections through a link to a server of the test's own.

use super::*;

/// The ends of a connection through a link to a server of the test's own.
fn connected() -> Result<(Link, TcpListener, TcpStream, TcpStream)> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let link = Link::start(&server.local_addr()?.to_string(), None)?;
    let client = TcpStream::connect(link.0.address)?;
    let (served, _) = server.accept()?;
    Ok((link, server, client, served))
}

fn receive(stream: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).map(|()| bytes)
}

/// Waits until the proxy has taken so many bytes of what was asked.
fn await_taken(link: &Link, bytes: u64) {
    while link.traffic().asked.taken < bytes {
        thread::yield_now();
    }
}

#[test]
fn passes_and_counts_both_ways() -> Result<()> {
    let (link, _server, mut client, mut served) = connected()?;
    client.write_all(b"question")?;
    client.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    served.read_to_string(&mut text)?;
    served.write_all(b"an answer")?;
    drop(served);
    client.read_to_string(&mut text)?;
    assert_eq!(text, "questionan answer");
    let (asked, answered) = (Bytes { taken: 8, given: 8 }, Bytes { taken: 9, given: 9 });
    assert_eq!(link.traffic(), Traffic { connections: 1, reset: 0, asked, answered });
    Ok(())
}

#[test]
fn a_cut_resets_and_refuses_until_it_ends() -> Result<()> {
    let (link, server, mut client, mut served) = connected()?;
    link.set_mode(Mode::Cut)?;
    for end in [&mut client, &mut served] {
        assert_eq!(receive(end, 1).map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
    }
    let refused = TcpStream::connect(link.0.address).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(io::ErrorKind::ConnectionRefused));
    link.set_mode(Mode::Pass)?;
    let mut client = TcpStream::connect(link.0.address)?;
    client.write_all(b"again")?;
    assert_eq!(receive(&mut server.accept()?.0, 5)?, b"again");
    assert_eq!((link.traffic().connections, link.traffic().reset), (2, 1));
    Ok(())
}

#[test]
fn a_black_hole_keeps_what_was_sent() -> Result<()> {
    let (link, _server, mut client, mut served) = connected()?;
    link.set_mode(Mode::BlackHole)?;
    client.write_all(b"held")?;
    await_taken(&link, 4);
    assert_eq!(link.traffic().asked, Bytes { taken: 4, given: 0 });
    served.set_nonblocking(true)?;
    assert_eq!(receive(&mut served, 1).map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    served.set_nonblocking(false)?;
    link.set_mode(Mode::Pass)?;
    assert_eq!(receive(&mut served, 4)?, b"held");
    Ok(())
}

#[test]
fn a_cut_loses_what_was_held_back() -> Result<()> {
    let (link, _server, mut client, mut served) = connected()?;
    link.set_mode(Mode::BlackHole)?;
    client.write_all(b"held")?;
    await_taken(&link, 4);
    link.set_mode(Mode::Cut)?;
    assert!(receive(&mut served, 1).is_err());
    assert_eq!(link.traffic().asked, Bytes { taken: 4, given: 0 });
    Ok(())
}

#[test]
fn a_delay_keeps_the_order() -> Result<()> {
    const DELAY: Duration = Duration::from_millis(50);
    let (link, _server, mut client, mut served) = connected()?;
    link.set_delay(DELAY);
    let sent: Vec<u8> = (0..300_000).map(|index| (index % 251) as u8).collect();
    let (length, started) = (sent.len(), Instant::now());
    let reader = thread::spawn(move || (receive(&mut served, length), started.elapsed()));
    for piece in sent.chunks(1_000) {
        client.write_all(piece)?;
    }
    let (received, took) = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
    assert!(received? == sent, "other bytes, or in another order");
    assert!(took >= DELAY, "all came after {took:?}");
    Ok(())
}

#[test]
fn a_delay_does_not_hold_the_sender_up() -> Result<()> {
    let (link, _server, mut client, _served) = connected()?;
    link.set_delay(Duration::from_secs(3_600));
    let sent = vec![7; 8 * 1024 * 1024];
    client.write_all(&sent)?;
    await_taken(&link, sent.len() as u64);
    assert_eq!(link.traffic().asked.given, 0);
    Ok(())
}
