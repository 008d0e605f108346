//! A proxy that cuts connections in the middle.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Passes requests on to a server, and cuts each answer after a number of bytes of its own.
pub struct CuttingProxy {
    /// Where it listens.
    pub base_url: String,
    cuts: Arc<AtomicUsize>,
}

impl CuttingProxy {
    /// A proxy for the server at `base_url`. Connections are cut after so many bytes of their answers, until
    /// every number was used; a number whose connection ended before is used again.
    pub async fn start(base_url: &str, cut_after: Vec<usize>) -> Self {
        let upstream = base_url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let cuts = Arc::new(AtomicUsize::new(0));
        let counter = cuts.clone();
        let limits = Arc::new(Mutex::new(cut_after));
        tokio::spawn(async move {
            while let Ok((downstream, _)) = listener.accept().await {
                let (limits, upstream, cuts) = (limits.clone(), upstream.clone(), counter.clone());
                tokio::spawn(async move {
                    let limit = limits.lock().unwrap().pop();
                    let upstream = TcpStream::connect(upstream).await.unwrap();
                    if pass(downstream, upstream, limit).await {
                        cuts.fetch_add(1, Ordering::SeqCst);
                    } else {
                        limits.lock().unwrap().extend(limit);
                    }
                });
            }
        });
        Self { base_url, cuts }
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Passes bytes both ways; `true` when the answer was cut.
async fn pass(mut downstream: TcpStream, mut upstream: TcpStream, limit: Option<usize>) -> bool {
    let (mut from_client, mut to_client) = downstream.split();
    let (mut from_server, mut to_server) = upstream.split();
    let requests = tokio::io::copy(&mut from_client, &mut to_server);
    let answers = async {
        let mut left = limit.unwrap_or(usize::MAX);
        let mut buffer = [0; 4096];
        while left > 0 {
            let room = left.min(buffer.len());
            let read = from_server.read(&mut buffer[..room]).await.unwrap_or(0);
            if read == 0 || to_client.write_all(&buffer[..read]).await.is_err() {
                return false;
            }
            left -= read;
        }
        true
    };
    tokio::select! {
        _ = requests => false,
        cut = answers => cut,
    }
}
