//! A cheap HTTP/1.1 client: prepared bytes out, an answer in, nothing copied that is not looked at.

pub(crate) mod closed_loop;
pub(crate) mod events;

use std::{fmt::Write, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Result, process::KEY};

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What was read and not yet taken.
    buffer: Vec<u8>,
    /// The end of the answer at the buffer's start, to be dropped before the next one.
    taken: usize,
}

/// An answer; its body is in the connection's buffer.
pub(crate) struct Answer<'a> {
    /// The status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// The body as JSON, if the status is the one that is expected.
    pub(crate) fn json(&self, status: u16) -> Result<Value> {
        if self.status == status {
            return Ok(serde_json::from_slice(self.body)?);
        }
        Err(format!("answered {}: {}", self.status, String::from_utf8_lossy(self.body)).into())
    }
}

impl Connection {
    /// Connects to a server.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096), taken: 0 })
    }

    /// Sends a request and reads the answer, which must have a `content-length`.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        let (status, start, length) = self.head().await?;
        let length = length.ok_or("an answer without content-length")?;
        self.read_to(start + length).await?;
        self.taken = start + length;
        Ok(Answer { status, body: &self.buffer[start..self.taken] })
    }

    /// Sends a request whose answer has no body.
    pub(crate) async fn exchange_empty(&mut self, request: &[u8], expected: u16) -> Result<()> {
        self.stream.write_all(request).await?;
        let (status, end, _) = self.head().await?;
        self.taken = end;
        if status == expected { Ok(()) } else { Err(format!("answered {status}").into()) }
    }

    /// Reads the head of an answer: its status, where its body starts, and how long it is.
    async fn head(&mut self) -> Result<(u16, usize, Option<usize>)> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.buffer[..end])?;
                let status = head.get(9..12).ok_or("no status line")?.parse()?;
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
                });
                return Ok((status, end + 4, length));
            }
            self.read().await?;
        }
    }

    async fn read_to(&mut self, length: usize) -> Result<()> {
        while self.buffer.len() < length {
            self.read().await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<()> {
        self.buffer.reserve(4096);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        Ok(())
    }
}

/// A GET with the key of the load.
pub(crate) fn get(path: &str) -> Vec<u8> {
    request("GET", path, &[("authorization", &format!("Bearer {KEY}"))], None)
}

/// A GET without a key.
pub(crate) fn get_openly(path: &str) -> Vec<u8> {
    request("GET", path, &[], None)
}

/// A DELETE with the key of the load.
pub(crate) fn delete(path: &str) -> Vec<u8> {
    request("DELETE", path, &[("authorization", &format!("Bearer {KEY}"))], None)
}

/// A POST of JSON with the key of the load.
pub(crate) fn post(path: &str, body: &Value) -> Vec<u8> {
    request("POST", path, &[("authorization", &format!("Bearer {KEY}"))], Some(&body.to_string()))
}

/// The same, under an idempotency key.
pub(crate) fn post_once(path: &str, body: &Value, key: &str) -> Vec<u8> {
    let headers = [("authorization", &*format!("Bearer {KEY}")), ("idempotency-key", key)];
    request("POST", path, &headers, Some(&body.to_string()))
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: prism.test\r\n");
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    if let Some(body) = body {
        let length = body.len();
        write!(text, "content-type: application/json\r\ncontent-length: {length}\r\n").unwrap();
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    text.into_bytes()
}
