//! One deployment's events to many streams, against an axum server that broadcasts from memory.
//!
//! Each event carries the time at which it was made (see `stamped`), so a latency is the whole way: through
//! the durable commit, where there is one, to the reader. Reader, server and load share the cores, and one thread
//! reads all streams, so the latency of both servers has the reader's own work in it.
//!
//! `prism serve` has no stamping harness. Its memory and its CPU time are measured with a script that makes
//! events of the same length at the same rate.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use super::{Setting, message::deploy};
use crate::{
    Result,
    client::{Connection, events::EventStream, post},
    process::{Server, start_baseline, start_stamped},
    report::Row,
    stamped::{EVERY, age, stamped_text},
    statistics::{Latencies, median},
};

/// How long events may come late before they count as lost.
const LATE: Duration = Duration::from_secs(20);

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let events = setting.options.events;
    let (mut stamped, mut memory) = (Vec::new(), Vec::new());
    for pair in 0..setting.options.pairs {
        let prism = start_stamped(&setting.place(&format!("fan-out-{pair}"))?)?;
        let show = Show::of_prism(&prism, "say Hello", &events.to_string(), events).await?;
        stamped.push(show.watch(&prism, setting.options.watchers).await?);
        drop(prism);
        let baseline = start_baseline(None)?;
        let start = post("/publish", &json!({ "events": events }));
        let show = Show { deployment: "dep_load".to_owned(), start, tokens: events };
        memory.push(show.watch(&baseline, setting.options.watchers).await?);
    }
    let server = setting.prism.serve(&setting.place("fan-out-served")?)?;
    // A fifth of the events is enough for memory and CPU time.
    let tokens = events.div_ceil(5);
    let script = format!("repeat {tokens} every {}ms token {}", EVERY.as_millis(), stamped_text());
    let show = Show::of_prism(&server, &script, "Hello", tokens).await?;
    let served = show.watch(&server, setting.options.watchers).await?;

    let of = |watched: &[Watched], figure: fn(&Watched) -> f64| median(watched.iter().map(figure));
    let latency = |watched: &[Watched]| {
        let (p50, p99) = (of(watched, |w| w.latencies.p50()), of(watched, |w| w.latencies.p99()));
        let cpu = of(watched, |w| w.cpu);
        format!("p50 {p50:.1} ms, p99 {p99:.1} ms, {cpu:.1} µs CPU per delivery")
    };
    let what = format!("{} streams x {events} events, 50 a second", setting.options.watchers);
    let slowest = of(&stamped, |w| w.latencies.p99());
    let ratios: Vec<_> =
        stamped.iter().zip(&memory).map(|(a, b)| a.latencies.p99() / b.latencies.p99()).collect();
    let row = Row::new(format!("{what}: made to received"), latency(&stamped)).baseline(latency(&memory));
    setting.report.row(row.ratios(&ratios).goal("p99 ≤ 25 ms", slowest <= 25.0));

    let lost = |watched: &[Watched]| watched.iter().map(|w| w.lost).sum::<u64>();
    let lost_by_prism = lost(&stamped) + served.lost;
    let row = Row::new(format!("{what}: lost or out of order"), lost_by_prism.to_string());
    setting.report.row(row.baseline(lost(&memory).to_string()).goal("0", lost_by_prism == 0));

    let size = |bytes: f64| format!("{:.1} KB", bytes / 1000.0);
    let row = Row::new("memory of a stream, `prism serve`", size(served.bytes_per_stream));
    let row = row.baseline(size(of(&memory, |w| w.bytes_per_stream)));
    setting.report.row(row.goal("≤ 20 KB", served.bytes_per_stream <= 20_000.0));
    setting.report.row(Row::new("CPU per delivery, `prism serve`", format!("{:.1} µs", served.cpu)));
    setting.report.remark("`fan-out`: the ratio is of the 99th percentiles, so more is slower.");
    Ok(())
}

/// What came of watching.
struct Watched {
    latencies: Latencies,
    /// Events that a stream did not get, or not at their place.
    lost: u64,
    /// The server's CPU time for each event of each stream, in microseconds.
    cpu: f64,
    /// How much more memory the server had after the events than before the streams.
    bytes_per_stream: f64,
}

/// Events to watch.
struct Show {
    deployment: String,
    /// The request that starts them.
    start: Vec<u8>,
    /// How many events of the kind `token` each stream is to get.
    tokens: u32,
}

impl Show {
    /// A new deployment with this script, and the message that makes it begin.
    async fn of_prism(server: &Server, script: &str, message: &str, tokens: u32) -> Result<Self> {
        let deployment = deploy(&mut Connection::open(server.address).await?, script).await?;
        let path = format!("/v1/deployments/{deployment}/messages");
        Ok(Self { deployment, start: post(&path, &json!({ "content": message })), tokens })
    }

    /// Opens so many streams, starts the events, and reads until the end.
    async fn watch(&self, server: &Server, watchers: usize) -> Result<Watched> {
        let resident = server.resident();
        let mut streams = Vec::with_capacity(watchers);
        for _ in 0..watchers {
            streams.push(EventStream::open(server.address, &self.deployment).await?);
        }
        let deadline = Instant::now() + EVERY * self.tokens + LATE;
        let before = server.cpu();
        let mut following: JoinSet<_> = streams.into_iter().map(|stream| follow(stream, deadline)).collect();
        Connection::open(server.address).await?.exchange(&self.start).await?.json(200)?;
        let (mut times, mut lost, mut delivered, mut memory) = (Vec::new(), 0, 0, None);
        while let Some(received) = following.join_next().await {
            let received = received?;
            // When the first stream is through, the others are still open.
            memory.get_or_insert_with(|| server.resident());
            lost += received.out_of_order + u64::from(self.tokens).saturating_sub(received.tokens);
            delivered += received.events;
            times.extend(received.times);
        }
        Ok(Watched {
            latencies: times.into_iter().collect(),
            lost,
            cpu: (server.cpu() - before).as_secs_f64() * 1e6 / delivered as f64,
            bytes_per_stream: (memory.unwrap_or(f64::NAN) - resident) / watchers as f64,
        })
    }
}

/// What one stream got.
#[derive(Default)]
struct Received {
    times: Vec<Duration>,
    events: u64,
    tokens: u64,
    out_of_order: u64,
}

/// Reads a stream to the end of the run.
async fn follow(mut stream: EventStream, deadline: Instant) -> Received {
    let mut all = Received::default();
    let mut last = 0;
    let deadline = deadline.into();
    while let Ok(Ok(frame)) = tokio::time::timeout_at(deadline, stream.next()).await {
        all.events += 1;
        // Sequences are dense: the first event is 1, and none is left out.
        all.out_of_order += u64::from(frame.sequence != last + 1);
        last = frame.sequence;
        if frame.event == "token" {
            all.tokens += 1;
            all.times.extend(frame.field("delta").and_then(age));
        }
        if frame.is_end() {
            break;
        }
    }
    all
}
