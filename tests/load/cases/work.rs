//! Work of which the time is taken, piece by piece, so many at a time.

use std::time::{Duration, Instant};

use futures::future::try_join_all;

use crate::{
    Result,
    client::Connection,
    process::Server,
    statistics::{Latencies, median},
};

/// What was done for a time, so many at a time.
pub(super) struct Turn {
    pub(super) times: Latencies,
    elapsed: Duration,
    /// The server's CPU time, and with that of what it started.
    cpu: [Duration; 2],
}

impl Turn {
    pub(super) async fn of(
        server: &Server,
        at_a_time: usize,
        duration: Duration,
        work: impl AsyncFn(&mut Connection) -> Result<()>,
    ) -> Result<Self> {
        let cpu = [server.cpu(), server.cpu_with_children()];
        let begun = Instant::now();
        let all = (0..at_a_time).map(async |_| {
            let (mut connection, mut times) = (Connection::open(server.address).await?, Vec::new());
            while begun.elapsed() < duration {
                let begun = Instant::now();
                work(&mut connection).await?;
                times.push(begun.elapsed());
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(times)
        });
        let times = try_join_all(all).await?.into_iter().flatten().collect();
        Ok(Self { times, elapsed: begun.elapsed(), cpu })
    }

    /// All that was begun is over.
    pub(super) fn end(&mut self, server: &Server) {
        let [own, all] = self.cpu;
        self.cpu = [server.cpu() - own, server.cpu_with_children() - all];
    }

    pub(super) fn rate(&self) -> f64 {
        self.times.count() as f64 / self.elapsed.as_secs_f64()
    }
}

/// The medians of turns.
pub(super) fn in_words(turns: &[Turn]) -> String {
    let figure = |of: &dyn Fn(&Turn) -> f64| median(turns.iter().map(of));
    let cpu = |of: usize| figure(&|turn| turn.cpu[of].as_secs_f64() * 1e3 / turn.times.count() as f64);
    format!(
        "{:.0}/s, p50 {:.1} ms, p99 {:.1} ms, {:.2} ms CPU, {:.2} ms with its processes",
        figure(&Turn::rate),
        figure(&|turn| turn.times.p50()),
        figure(&|turn| turn.times.p99()),
        cpu(0),
        cpu(1)
    )
}
