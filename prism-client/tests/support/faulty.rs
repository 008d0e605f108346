//! An HTTP server on a raw socket that does to each connection what a script says.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    time::timeout,
};

/// What the server does on a connection after it read the request; at the end it closes it.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Sends these bytes as one write.
    Send(Vec<u8>),
    /// Sends these bytes so many times, or until the client goes away.
    Repeat(Vec<u8>, usize),
    /// Sends these bytes, each as a write of its own.
    Trickle(Vec<u8>),
    /// Goes on when the test says so.
    Wait(Arc<Notify>),
    /// Says nothing until the client goes away.
    Hang,
    /// Resets the connection instead of closing it.
    Reset,
}

pub(crate) struct Server {
    pub(crate) url: String,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Server {
    /// Serves one connection after another. When the script is over, connections are refused.
    pub(crate) async fn start(connections: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for steps in connections {
                let Ok((mut socket, _)) = listener.accept().await else { return };
                let _ = socket.set_nodelay(true);
                let Some(request) = read_head(&mut socket).await else { return };
                let _ = sender.send(request);
                // One at a time, so that the order of connections is the order of the script.
                play(socket, steps).await;
            }
        });
        Self { url, requests }
    }

    /// The head of the next request, in lower case.
    pub(crate) async fn request(&mut self) -> String {
        timeout(Duration::from_secs(20), self.requests.recv())
            .await
            .expect("a request comes in time")
            .expect("the script is not over")
    }
}

/// The head of an answer whose body ends with the connection.
pub(crate) fn stream_head() -> Step {
    Step::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_stream\r\nconnection: close\r\n\r\n"
            .to_vec(),
    )
}

/// The head of an answer whose body is in chunks, so that its end can be told from a break.
pub(crate) fn chunked_head() -> Step {
    Step::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec(),
    )
}

/// A chunk of a body in chunks.
pub(crate) fn chunk(text: &str) -> Step {
    Step::Send(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
}

/// An answer without a body.
pub(crate) fn status(line: &str, headers: &str) -> Vec<Step> {
    vec![Step::Send(
        format!("HTTP/1.1 {line}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n").into_bytes(),
    )]
}

/// A `token` event.
pub(crate) fn token(number: u64) -> String {
    format!(
        "event: token\nid: evt_7xK9s2_{number}\ndata: {{\"run_id\":\"run_1\",\"delta\":\"{number}\"}}\n\n"
    )
}

async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).to_lowercase())
}

async fn play(mut socket: TcpStream, steps: Vec<Step>) {
    for step in steps {
        let written = match step {
            Step::Send(bytes) => socket.write_all(&bytes).await,
            Step::Repeat(bytes, times) => {
                for _ in 0..times {
                    if socket.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Ok(())
            }
            Step::Trickle(bytes) => {
                for byte in bytes {
                    if socket.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            Step::Wait(gate) => {
                gate.notified().await;
                Ok(())
            }
            Step::Hang => {
                // Reads until the client closes.
                while socket.read_u8().await.is_ok() {}
                return;
            }
            Step::Reset => {
                let _ = socket.set_zero_linger();
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
    let _ = socket.shutdown().await;
}
