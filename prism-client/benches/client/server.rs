//! Answers every request with the same bytes, on a thread of its own.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Starts it. It lives as long as the process. All connections have one thread, so that none of them has its server on a
/// nearer core than another.
pub(crate) fn start(json: &str) -> SocketAddr {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_01jxk3v9qpf8r2m4t6w8y0a1b2\r\n\
         content-length: {}\r\n\r\n{json}",
        json.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let answer: Arc<[u8]> = answer.into_bytes().into();
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(connection, Arc::clone(&answer)));
            }
        });
    });
    address
}

/// Requests without a body end with a blank line, and no client sends the next one before the answer.
async fn serve(mut connection: TcpStream, answer: Arc<[u8]>) {
    connection.set_nodelay(true).unwrap();
    let (mut buffer, mut length) = ([0; 8192], 0);
    loop {
        match connection.read(&mut buffer[length..]).await {
            Ok(read) if read > 0 => length += read,
            _ => return,
        }
        if buffer[..length].ends_with(b"\r\n\r\n") {
            length = 0;
            if connection.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}
