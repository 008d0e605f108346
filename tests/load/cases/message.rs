//! From a message to the first event on the stream, one message after the other.
//!
//! The time begins when the request is written and ends when the event has been read from another connection.
//! The first event tells that the run has begun; it is committed with the message. The first token is the
//! agent's: the engine was woken, took the run up, started the harness and committed what it said. The agent
//! says one word and takes no time. Beside it is what a request costs that makes one row durable.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Setting;
use crate::{
    Result,
    client::{Connection, events::EventStream, get, post},
    ground::empty_database,
    machine::Syncs,
    process::{Server, start_baseline},
    report::Row,
    statistics::Latencies,
};

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let prism = setting.prism.serve(&setting.place("message")?)?;
    let baseline = start_baseline(Some(&empty_database(&setting.place("message-baseline")?)?))?;
    let mut talk = Talk::begin(&prism, "say Hello").await?;
    let mut connection = Connection::open(baseline.address).await?;
    let insert = post("/messages", &json!({"content": "Hello"}));

    let (mut samples, mut inserts, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting.options.pairs {
        for _ in 0..setting.options.messages_per_turn() {
            samples.push(talk.send().await?);
        }
        for _ in 0..setting.options.messages_per_turn() {
            let sent = Instant::now();
            connection.exchange(&insert).await?.json(200)?;
            inserts.push(sent.elapsed());
        }
        syncs.push(setting.probe_disk()?);
    }
    let inserts: Latencies = inserts.into_iter().collect();
    let of = |part: fn(&Sample) -> Duration| samples.iter().map(part).collect::<Latencies>();
    let (first, token) = (of(|sample| sample.first_event), of(|sample| sample.first_token));
    for (what, times) in [("event (`run_status`)", &first), ("`token` of the agent", &token)] {
        let what = format!("message to the first {what}, {} samples", times.count());
        let row =
            Row::new(what, in_words(times)).baseline(format!("one durable insert: {}", in_words(&inserts)));
        let met = times.p50() <= 5.0 && times.p99() <= 20.0;
        setting.report.row(row.ratio(times.p50() / inserts.p50()).goal("p50 ≤ 5 ms, p99 ≤ 20 ms", met));
    }
    let answered = of(|sample| sample.answered);
    setting.report.row(Row::new("the same messages answered (200)", in_words(&answered)));
    setting.report.remark(format!(
        "`message`: {}; the ratio is of the medians, so more is slower.",
        Syncs::in_words(&syncs)
    ));
    Ok(())
}

fn in_words(times: &Latencies) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms", times.p50(), times.p99())
}

/// What a message took.
struct Sample {
    first_event: Duration,
    first_token: Duration,
    answered: Duration,
}

/// A deployment, its stream, and a connection for messages.
pub(super) struct Talk {
    connection: Connection,
    events: EventStream,
    message: Vec<u8>,
}

impl Talk {
    async fn begin(server: &Server, script: &str) -> Result<Self> {
        let mut connection = Connection::open(server.address).await?;
        let id = deploy(&mut connection, script).await?;
        let events = EventStream::open(server.address, &id).await?;
        let message = post(&format!("/v1/deployments/{id}/messages"), &json!({"content": "Hello"}));
        Ok(Self { connection, events, message })
    }

    /// Sends a message and waits until its run has ended.
    async fn send(&mut self) -> Result<Sample> {
        let sent = Instant::now();
        let answered = async {
            self.connection.exchange(&self.message).await?.json(200)?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(sent.elapsed())
        };
        let followed = async {
            let (mut first_event, mut first_token) = (None, None);
            loop {
                let frame = self.events.next().await?;
                let after = sent.elapsed();
                first_event.get_or_insert(after);
                if frame.event == "token" {
                    first_token.get_or_insert(after);
                }
                if frame.is_end() {
                    return Ok((first_event.unwrap_or(after), first_token.ok_or("no token came")?));
                }
            }
        };
        let (answered, (first_event, first_token)) = tokio::try_join!(answered, followed)?;
        Ok(Sample { first_event, first_token, answered })
    }
}

/// Makes a deployment whose agent does what the script says, and waits until it is ready.
pub(super) async fn deploy(connection: &mut Connection, script: &str) -> Result<String> {
    let body = json!({"customer_id": "customer_1", "name": "Load", "runtime": "scripted",
        "system_prompt": format!("You are an agent.\n\n```script\n{script}\n```\n")});
    let created = connection.exchange(&post("/v1/deployments", &body)).await?.json(201)?;
    let id = created["deployment_id"].as_str().ok_or("a deployment without an id")?.to_owned();
    let read = get(&format!("/v1/deployments/{id}"));
    for _ in 0..1000 {
        if connection.exchange(&read).await?.json(200)?["status"] == "ready" {
            return Ok(id);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("a deployment does not become ready".into())
}
