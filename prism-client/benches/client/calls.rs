//! One request through the client, and the same with bare reqwest.

use std::{hint::black_box, time::Instant};

use prism_client::{Client, resources::DeploymentHandle, types::Deployment};

use crate::{
    measure::{median, ratios, thread_time},
    report::{Report, Row},
    server,
};

/// Requests of each kind in a round. The two kinds take turns, call by call, over one connection each.
const CALLS: usize = 500;
/// What the client may add to a request, in microseconds.
const GOAL: f64 = 10.0;
const KEY: &str = "prism_bench";

/// A deployment as the server tells it.
const DEPLOYMENT: &str = r#"{"deployment_id":"dep_01jxk3v9qpf8r2m4t6w8y0a1b2","customer_id":"cus_123","name":"Acme","runtime":"hermes","status":"ready","model":"anthropic/claude-sonnet-4.5","thread_id":"thr_01jxk3v9qpf8r2m4t6w8y0a1b2","filesystem":{"workspace_path":"/workspace","persistent":true},"events":{"transport":"sse","url":"https://prism.example/v1/deployments/dep_01jxk3v9qpf8r2m4t6w8y0a1b2/events"},"created_at":"2026-06-11T20:55:03Z"}"#;

/// Microseconds of each call: on the clock, and of this thread's CPU, which does not do the server's work.
#[derive(Default)]
struct Times {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

pub(crate) fn run(rounds: usize, report: &mut Report) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let base = format!("http://{}", server::start(DEPLOYMENT));
        let client = Client::builder().base_url(&base).api_key(KEY).build().unwrap();
        let handle = client.deployment(&"dep_01jxk3v9qpf8r2m4t6w8y0a1b2".parse().unwrap());
        let bare = reqwest::Client::new();
        let url = format!("{base}/v1/deployments/{}", handle.id());
        let (mut ours, mut theirs) = (Times::default(), Times::default());
        // The first round makes the connections and warms up.
        for round in 0..=rounds {
            let (mut our_turn, mut their_turn) = (Times::default(), Times::default());
            for _ in 0..CALLS {
                our_turn.take(through_client(&handle)).await;
                their_turn.take(by_reqwest(&bare, &url)).await;
            }
            if round > 0 {
                ours.add_medians(&our_turn);
                theirs.add_medians(&their_turn);
            }
        }
        tell("wall time", &ours.wall, &theirs.wall, report);
        tell("CPU time", &ours.cpu, &theirs.cpu, report);
    });
}

impl Times {
    async fn take(&mut self, call: impl Future<Output = ()>) {
        let (cpu, wall) = (thread_time(), Instant::now());
        call.await;
        self.wall.push(wall.elapsed().as_secs_f64() * 1e6);
        self.cpu.push((thread_time() - cpu).as_secs_f64() * 1e6);
    }

    fn add_medians(&mut self, turn: &Self) {
        self.wall.push(median(&turn.wall));
        self.cpu.push(median(&turn.cpu));
    }
}

async fn through_client(handle: &DeploymentHandle) {
    black_box(handle.get().await.unwrap());
}

async fn by_reqwest(client: &reqwest::Client, url: &str) {
    let answer = client.get(url).bearer_auth(KEY).send().await.unwrap();
    let bytes = answer.error_for_status().unwrap().bytes().await.unwrap();
    black_box(serde_json::from_slice::<Deployment>(&bytes).unwrap());
}

fn tell(what: &str, ours: &[f64], theirs: &[f64], report: &mut Report) {
    let added: Vec<_> = ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs).collect();
    report.row(
        Row::new(
            format!("GET a deployment, {what} of a call"),
            format!("{:.1} µs, {:+.1} µs", median(ours), median(&added)),
        )
        .baseline(format!("bare reqwest and serde_json: {:.1} µs", median(theirs)))
        .ratios(&ratios(ours, theirs))
        .goal(format!("less than {GOAL} µs more"), median(&added) < GOAL),
    );
}
