//! Answers every request with the same bytes, on a thread of its own.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Starts it. It lives as long as the process; each connection has a thread.
pub(crate) fn start(json: &str) -> SocketAddr {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_01jxk3v9qpf8r2m4t6w8y0a1b2\r\n\
         content-length: {}\r\n\r\n{json}",
        json.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let answer = answer.clone();
            thread::spawn(move || serve(connection.unwrap(), answer.as_bytes()));
        }
    });
    address
}

/// Requests without a body end with a blank line, and no client sends the next one before the answer.
fn serve(mut connection: TcpStream, answer: &[u8]) {
    connection.set_nodelay(true).unwrap();
    let (mut buffer, mut length) = ([0; 8192], 0);
    loop {
        match connection.read(&mut buffer[length..]) {
            Ok(read) if read > 0 => length += read,
            _ => return,
        }
        if buffer[..length].ends_with(b"\r\n\r\n") {
            length = 0;
            if connection.write_all(answer).is_err() {
                return;
            }
        }
    }
}
