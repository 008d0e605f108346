//! One request through the client, and the same with bare reqwest.

use std::{hint::black_box, time::Instant};

use prism_client::{Client, resources::DeploymentHandle, types::Deployment};

use crate::{
    measure::{median, ratios, thread_time},
    report::{Report, Row},
    server,
};

/// Requests of a turn.
const CALLS: usize = 500;
/// What the client may add to a request, in microseconds.
const GOAL: f64 = 10.0;
const KEY: &str = "prism_bench";

/// A deployment as the server tells it.
const DEPLOYMENT: &str = r#"{"deployment_id":"dep_01jxk3v9qpf8r2m4t6w8y0a1b2","customer_id":"cus_123","name":"Acme","runtime":"hermes","status":"ready","model":"anthropic/claude-sonnet-4.5","thread_id":"thr_01jxk3v9qpf8r2m4t6w8y0a1b2","filesystem":{"workspace_path":"/workspace","persistent":true},"events":{"transport":"sse","url":"https://prism.example/v1/deployments/dep_01jxk3v9qpf8r2m4t6w8y0a1b2/events"},"created_at":"2026-06-11T20:55:03Z"}"#;

/// Microseconds of a call: the median over a turn of the wall time, and the mean CPU time of this thread,
/// which does not do the server's work.
struct Turn {
    wall: f64,
    cpu: f64,
}

pub(crate) fn run(rounds: usize, report: &mut Report) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let base = format!("http://{}", server::start(DEPLOYMENT));
        let client = Client::builder().base_url(&base).api_key(KEY).build().unwrap();
        let handle = client.deployment(&"dep_01jxk3v9qpf8r2m4t6w8y0a1b2".parse().unwrap());
        let bare = reqwest::Client::new();
        let url = format!("{base}/v1/deployments/{}", handle.id());
        turn(async || through_client(&handle).await).await;
        turn(async || by_reqwest(&bare, &url).await).await;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds.max(1) {
            ours.push(turn(async || through_client(&handle).await).await);
            theirs.push(turn(async || by_reqwest(&bare, &url).await).await);
        }
        tell("wall time", ours.iter().map(|turn| turn.wall), theirs.iter().map(|turn| turn.wall), report);
        tell("CPU time", ours.iter().map(|turn| turn.cpu), theirs.iter().map(|turn| turn.cpu), report);
    });
}

async fn through_client(handle: &DeploymentHandle) {
    black_box(handle.get().await.unwrap());
}

async fn by_reqwest(client: &reqwest::Client, url: &str) {
    let answer = client.get(url).bearer_auth(KEY).send().await.unwrap();
    let bytes = answer.error_for_status().unwrap().bytes().await.unwrap();
    black_box(serde_json::from_slice::<Deployment>(&bytes).unwrap());
}

/// One call after the other, so that one connection is enough.
async fn turn(call: impl AsyncFn()) -> Turn {
    let (mut walls, began) = (Vec::with_capacity(CALLS), thread_time());
    for _ in 0..CALLS {
        let began = Instant::now();
        call().await;
        walls.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let cpu = (thread_time() - began).as_secs_f64() * 1e6 / CALLS as f64;
    Turn { wall: median(&walls), cpu }
}

fn tell(what: &str, ours: impl Iterator<Item = f64>, theirs: impl Iterator<Item = f64>, report: &mut Report) {
    let (ours, theirs): (Vec<_>, Vec<_>) = (ours.collect(), theirs.collect());
    let added: Vec<_> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours - theirs).collect();
    report.row(
        Row::new(
            format!("GET a deployment, {what} of a call"),
            format!("{:.1} µs, {:+.1} µs", median(&ours), median(&added)),
        )
        .baseline(format!("bare reqwest and serde_json: {:.1} µs", median(&theirs)))
        .ratios(&ratios(&ours, &theirs))
        .goal(format!("less than {GOAL} µs more"), median(&added) < GOAL),
    );
}
