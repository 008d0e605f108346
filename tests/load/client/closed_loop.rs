//! The closed loop: so many connections, each of which asks again as soon as it is answered.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::Connection;
use crate::{Result, process::Loaded, statistics::Latencies};

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// The requests; each connection goes through them in turn, from a place of its own.
    pub(crate) requests: Arc<Vec<Vec<u8>>>,
    /// The status of every answer.
    pub(crate) status: u16,
    /// How many connections.
    pub(crate) connections: usize,
    /// For how long.
    pub(crate) duration: Duration,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    /// Answers a second.
    pub(crate) per_second: f64,
    /// How long they took.
    pub(crate) latencies: Latencies,
    /// The server's CPU time for each, in microseconds.
    pub(crate) cpu: f64,
}

/// Loads a server. `settled` is awaited before its CPU time is read again: what it does in the background
/// for the requests is counted too.
///
/// # Errors
/// When an answer has another status: figures of refused requests would be worth nothing.
pub(crate) async fn run(
    server: &impl Loaded,
    load: &Load,
    settled: impl Future<Output = Result<()>>,
) -> Result<Turn> {
    let before = server.cpu();
    let started = Instant::now();
    let deadline = started + load.duration;
    let mut connections = JoinSet::new();
    for number in 0..load.connections {
        connections.spawn(ask(server.address(), load.clone(), number, deadline));
    }
    let mut times = Vec::new();
    while let Some(done) = connections.join_next().await {
        times.extend(done??);
    }
    let elapsed = started.elapsed();
    settled.await?;
    let answers = times.len() as f64;
    Ok(Turn {
        per_second: answers / elapsed.as_secs_f64(),
        latencies: times.into_iter().collect(),
        cpu: (server.cpu() - before).as_secs_f64() * 1e6 / answers,
    })
}

async fn ask(address: SocketAddr, load: Load, number: usize, deadline: Instant) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(address).await?;
    let mut times = Vec::with_capacity(1 << 15);
    // Far apart, so that connections do not ask for the same at the same time.
    let first = number * load.requests.len() / load.connections;
    let mut asked = Instant::now();
    for request in load.requests.iter().cycle().skip(first) {
        let answer = connection.exchange(request).await?;
        if answer.status != load.status {
            let body = String::from_utf8_lossy(answer.body);
            return Err(format!("answered {} instead of {}: {body}", answer.status, load.status).into());
        }
        let answered = Instant::now();
        times.push(answered - asked);
        if answered >= deadline {
            break;
        }
        asked = answered;
    }
    Ok(times)
}
