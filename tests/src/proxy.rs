//! A proxy that cuts connections in the middle.

use std::sync::{
    Arc,
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
    /// A proxy for the server at `base_url`. The first connections are cut after so many bytes of their
    /// answers, one number each; later ones are left alone.
    pub async fn start(base_url: &str, cut_after: Vec<usize>) -> Self {
        let upstream = base_url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let cuts = Arc::new(AtomicUsize::new(0));
        let counter = cuts.clone();
        tokio::spawn(async move {
            let mut limits = cut_after.into_iter();
            while let Ok((downstream, _)) = listener.accept().await {
                let (limit, upstream, cuts) = (limits.next(), upstream.clone(), counter.clone());
                tokio::spawn(async move {
                    let upstream = TcpStream::connect(upstream).await.unwrap();
                    if pass(downstream, upstream, limit).await {
                        cuts.fetch_add(1, Ordering::SeqCst);
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
