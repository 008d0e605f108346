//! Traces, as a collector gets them.

#![cfg(feature = "otel")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
};

use support::{DEADLINE, KEY, Server, prism, run};

/// A collector: the bodies of what it is sent to `/v1/traces`.
fn collector() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, bodies) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.unwrap());
                while let Some(body) = request(&mut reader) {
                    let _ = sender.send(body);
                }
            });
        }
    });
    (address, bodies)
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    assert!(line.starts_with("POST /v1/traces "), "{line}");
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    Some(body)
}

fn contains(bodies: &[u8], what: &[u8]) -> bool {
    bodies.windows(what.len()).any(|window| window == what)
}

#[test]
fn a_request_goes_on_with_its_trace_and_runs_are_told_without_a_secret() {
    let (endpoint, bodies) = collector();
    let data = tempfile::tempdir().unwrap();
    let mut command = prism(&["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(data.path()).env("PRISM_BOOTSTRAP_API_KEY", KEY);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_BSP_SCHEDULE_DELAY", "50");
    let mut server = Server::start_as(command);
    let deployment = server.deployment("say Hi");
    run(&mut server.client(&["send", &deployment, "Hello canary-91c2", "--follow"])).ok();
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(
        stream,
        "GET /v1/deployments HTTP/1.1\r\nhost: prism\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\
         x-request-id: req_of_the_trace\r\n\
         traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"
    )
    .unwrap();
    assert!(support::read_to_end(&mut stream).starts_with("HTTP/1.1 200 OK"));
    #[cfg(unix)]
    server.signal(rustix::process::Signal::TERM);
    assert!(server.ended().success());

    // The server has stopped, and has sent everything before it did.
    let mut told = Vec::new();
    while let Ok(body) = bodies.recv_timeout(DEADLINE / 30) {
        told.extend(body);
    }
    let trace =
        [0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c];
    for what in [&trace[..], &[0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31], b"req_of_the_trace"] {
        assert!(contains(&told, what), "{what:?}");
    }
    for what in ["prism", "http", "request", "run", "deployment"] {
        assert!(contains(&told, what.as_bytes()), "{what}");
    }
    for secret in [KEY, "canary-91c2"] {
        assert!(!contains(&told, secret.as_bytes()), "{secret}");
    }
}
