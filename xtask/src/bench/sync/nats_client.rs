//! As much of the NATS protocol as publishing and asking takes.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// Longest that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Messages that are under way to a stream at once.
const UNDER_WAY_MAX: usize = 256;
/// Longest message that is read.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
    asked: u64,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Where nobody listens, or speaks something else.
    pub(super) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        let (reader, writer) = (BufReader::new(stream.try_clone()?), BufWriter::new(stream));
        let mut client = Self { reader, writer, asked: 0 };
        ensure!(client.line()?.starts_with("INFO "), "no NATS server at port {port}");
        // With these, the server says at once where nobody is there to answer.
        let settings = json!({"verbose": false, "headers": true, "no_responders": true});
        client.write(format_args!("CONNECT {}\r\nSUB _INBOX.sync.* 1\r\n", settings))?;
        Ok(client)
    }

    /// Asks, and gives the answer.
    ///
    /// # Errors
    /// Where none comes, or it says that something is wrong.
    pub(super) fn ask(&mut self, subject: &str, question: &Value) -> Result<Value> {
        self.asked += 1;
        let (inbox, question) = (format!("_INBOX.sync.{}", self.asked), question.to_string());
        self.write(format_args!("PUB {subject} {inbox} {}\r\n{question}\r\n", question.len()))?;
        loop {
            let (subject, answer) = self.message().with_context(|| format!("no answer to {question}"))?;
            // An answer that came too late is not this one.
            if subject == inbox {
                let answer: Value = serde_json::from_slice(&answer)?;
                ensure!(answer["error"].is_null(), "{}", answer["error"]);
                return Ok(answer);
            }
        }
    }

    /// Publishes messages to a stream, and returns once it has them.
    ///
    /// # Errors
    /// Where the stream refuses one.
    pub(super) fn publish<'a>(&mut self, subject: &str, messages: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        let mut under_way = 0;
        for message in messages {
            if under_way == UNDER_WAY_MAX {
                self.stored()?;
                under_way -= 1;
            }
            write!(self.writer, "PUB {subject} _INBOX.sync.stored {}\r\n", message.len())?;
            self.writer.write_all(message)?;
            self.writer.write_all(b"\r\n")?;
            under_way += 1;
        }
        (0..under_way).try_for_each(|_| self.stored())
    }

    fn stored(&mut self) -> Result<()> {
        self.writer.flush()?;
        let answer: Value = serde_json::from_slice(&self.message()?.1)?;
        ensure!(answer["error"].is_null(), "the stream does not take a message: {}", answer["error"]);
        Ok(())
    }

    fn write(&mut self, text: std::fmt::Arguments) -> Result<()> {
        self.writer.write_fmt(text)?;
        Ok(self.writer.flush()?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let bytes = (&mut self.reader).take(MESSAGE_BYTES_MAX as u64).read_line(&mut line)?;
        ensure!(bytes > 0, "the NATS server closed the connection");
        Ok(line)
    }

    /// The next message: where to, and what.
    fn message(&mut self) -> Result<(String, Vec<u8>)> {
        loop {
            let line = self.line()?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["PING"] => self.write(format_args!("PONG\r\n"))?,
                ["MSG", subject, .., length] => return Ok(((*subject).to_owned(), self.body(length)?)),
                ["HMSG", subject, .., head, length] => {
                    let (head, body): (usize, _) = (head.parse()?, self.body(length)?);
                    return Ok(((*subject).to_owned(), body.get(head..).unwrap_or_default().to_vec()));
                }
                ["-ERR", ..] => bail!("the NATS server says {}", line.trim()),
                _ => {}
            }
        }
    }

    fn body(&mut self, length: &str) -> Result<Vec<u8>> {
        let length: usize = length.parse()?;
        ensure!(length <= MESSAGE_BYTES_MAX, "a message of {length} bytes");
        let mut body = vec![0; length + 2];
        self.reader.read_exact(&mut body)?;
        body.truncate(length);
        Ok(body)
    }
}
