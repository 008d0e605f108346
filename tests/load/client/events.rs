//! Reading of an event stream (WHATWG HTML, server-sent events) from a chunked body, as far as load needs it.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;

use super::{Connection, get};
use crate::Result;

/// An open stream.
pub(crate) struct EventStream {
    connection: Connection,
    /// The body without its chunks' sizes.
    body: Vec<u8>,
    /// The end of the frame that was given last.
    given: usize,
}

/// One event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// Its name; empty for a block that only has an id.
    pub(crate) event: &'a str,
    /// The sequence number at the end of its id; 0 without an id.
    pub(crate) sequence: u64,
    /// Its data.
    pub(crate) data: &'a str,
}

impl EventStream {
    /// Opens the stream of a deployment and waits for its first block: from then on nothing is missed.
    pub(crate) async fn open(address: SocketAddr, deployment: &str) -> Result<Self> {
        let mut connection = Connection::open(address).await?;
        connection.stream.write_all(&get(&format!("/v1/deployments/{deployment}/events"))).await?;
        let (status, start, _) = connection.head().await?;
        if status != 200 {
            return Err(format!("a stream was answered {status}").into());
        }
        connection.taken = start;
        let mut stream = Self { connection, body: Vec::with_capacity(1024), given: 0 };
        stream.next().await?;
        Ok(stream)
    }

    /// The next block that is not a comment.
    pub(crate) async fn next(&mut self) -> Result<Frame<'_>> {
        let (start, end) = loop {
            let rest = &self.body[self.given..];
            if let Some(length) = rest.windows(2).position(|bytes| bytes == b"\n\n") {
                let start = self.given;
                self.given += length + 2;
                if self.body[start] != b':' {
                    break (start, start + length);
                }
            } else {
                self.body.drain(..self.given);
                self.given = 0;
                self.read_chunk().await?;
            }
        };
        Ok(Frame::read(std::str::from_utf8(&self.body[start..end])?))
    }

    /// Moves one chunk of the body over (RFC 9112, section 7.1).
    async fn read_chunk(&mut self) -> Result<()> {
        let connection = &mut self.connection;
        loop {
            let rest = &connection.buffer[connection.taken..];
            if let Some(line) = rest.windows(2).position(|bytes| bytes == b"\r\n") {
                let size = usize::from_str_radix(std::str::from_utf8(&rest[..line])?, 16)?;
                if size == 0 {
                    return Err("the stream ended".into());
                }
                let end = line + 2 + size;
                if rest.len() >= end + 2 {
                    self.body.extend_from_slice(&rest[line + 2..end]);
                    connection.taken += end + 2;
                    return Ok(());
                }
            }
            connection.buffer.drain(..connection.taken);
            connection.taken = 0;
            connection.read().await?;
        }
    }
}

impl<'a> Frame<'a> {
    fn read(block: &'a str) -> Self {
        let mut frame = Self { event: "", sequence: 0, data: "" };
        for line in block.split('\n') {
            match line.split_once(": ") {
                Some(("event", event)) => frame.event = event,
                Some(("id", id)) => {
                    let sequence = id.rsplit('_').next();
                    frame.sequence = sequence.and_then(|text| text.parse().ok()).unwrap_or(0);
                }
                Some(("data", data)) => frame.data = data,
                _ => {}
            }
        }
        frame
    }

    /// The text field of the data that is called so; enough for data without escapes.
    pub(crate) fn field(&self, name: &str) -> Option<&'a str> {
        let start = self.data.find(&format!("\"{name}\":\""))? + name.len() + 4;
        self.data[start..].split('"').next()
    }

    /// Whether it tells that a run has ended.
    pub(crate) fn is_end(&self) -> bool {
        self.event == "run_status" && matches!(self.field("status"), Some("completed" | "error"))
    }
}
