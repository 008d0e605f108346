//! Waiting for what has events: they say when to look, and what is read decides. In paused time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use futures::{StreamExt, stream};
use prism_client::{
    transport::Body,
    types::{Run, RunId, RunStatus},
    wait::{Asking, Completed, Over, WaitState, all, any, not},
};
use serde_json::{Value, json as value};
use support::{
    deployment_id,
    script::{Script, events, json},
};
use tokio::time::{Instant, sleep};

const RUN: &str = "GET /v1/deployments/{deployment_id}/runs/{run_id}";
const EVENTS: &str = "GET /v1/deployments/{deployment_id}/events";

fn id() -> RunId {
    "run_1".parse().unwrap()
}

fn run(status: &str) -> Value {
    let mut run = value!({
        "run_id": "run_1", "deployment_id": "dep_7xK9s2", "thread_id": "thr_1", "status": status,
        "attempts": 1, "usage": { "input_tokens": 3, "output_tokens": 4 }, "created_at": "2026-06-11T20:55:03Z",
    });
    if status == "error" {
        run["error"] = value!({ "code": "harness_failed", "message": "It broke." });
    }
    run
}

/// A run that goes through these statuses, each after so many seconds, and tells by events or keeps quiet.
fn server(statuses: &'static [(u64, &'static str)], tells: bool) -> Script {
    let begun = Instant::now();
    let now = move || {
        let passed = |(after, _): &&(u64, &str)| begun.elapsed() >= Duration::from_secs(*after);
        statuses.iter().take_while(passed).last().unwrap().1
    };
    Script::new(move |seen| match seen.operation.as_str() {
        RUN => json(200, &run(now())),
        EVENTS if tells => {
            let head = stream::once(async { Ok::<_, prism_client::Error>("id: evt_a_0\n\n".to_owned()) });
            let changes = stream::iter(statuses.iter().enumerate().skip(1)).then(move |(number, (after, status))| async move {
                sleep(Duration::from_secs(*after).saturating_sub(begun.elapsed())).await;
                let token = format!("event: token\nid: evt_a_{}\ndata: {{\"run_id\":\"run_1\",\"delta\":\"x\"}}\n\n", number * 2 - 1);
                let change = format!(
                    "event: run_status\nid: evt_a_{}\ndata: {{\"run_id\":\"run_1\",\"status\":\"{status}\"}}\n\n",
                    number * 2
                );
                Ok(token + &change)
            });
            // Comments, as the server sends them, so that silence is no reason to resume.
            let beats = stream::unfold((), |()| async {
                sleep(Duration::from_secs(10)).await;
                Some((Ok(": keep-alive\n\n".to_owned()), ()))
            });
            events(Body::from_stream(head.chain(stream::select(changes, beats))))
        }
        EVENTS => json(503, &support::error("unavailable")),
        other => unreachable!("{other}"),
    })
}

#[tokio::test(start_paused = true)]
async fn an_event_ends_the_wait_and_nothing_is_polled() {
    let script = server(&[(0, "running"), (20, "completed")], true);
    let begun = Instant::now();
    let run =
        script.client().deployment(&deployment_id()).runs().get(&id()).wait_until(Completed).await.unwrap();
    assert_eq!(run.status, RunStatus::Completed);
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
    assert_eq!(
        (script.count(RUN), script.count(EVENTS)),
        (3, 1),
        "before and after the stream is there, and at the end"
    );
}

#[tokio::test(start_paused = true)]
async fn without_events_it_is_polled() {
    let script = server(&[(0, "running"), (20, "completed")], false);
    let begun = Instant::now();
    script.client().deployment(&deployment_id()).runs().get(&id()).wait_until(Completed).await.unwrap();
    assert!((20..23).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!(script.count(EVENTS), 1);
    assert!((10..40).contains(&script.count(RUN)), "{}", script.count(RUN));
}

#[tokio::test(start_paused = true)]
async fn conditions_can_be_put_together() {
    let script = server(&[(0, "running"), (5, "waiting_on_human"), (60, "running"), (90, "completed")], true);
    let runs = script.client().deployment(&deployment_id()).runs();
    assert_eq!(
        runs.get(&id()).wait_until(any(Over, Asking)).await.unwrap().status,
        RunStatus::WaitingOnHuman
    );
    let works = |run: &Run| run.status == RunStatus::Running;
    assert_eq!(runs.get(&id()).wait_until(all(works, not(Over))).await.unwrap().status, RunStatus::Running);
    assert_eq!(runs.get(&id()).wait_until(Over).await.unwrap().status, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_come_any_more_is_not_waited_for() {
    let script = server(&[(0, "running"), (3, "completed")], true);
    let runs = script.client().deployment(&deployment_id()).runs();
    let error = runs.get(&id()).wait_until(Asking).await.unwrap_err();
    assert!(error.is_hopeless() && !error.is_run_failed() && !error.is_retryable());
    assert!(error.to_string().contains("the run is `completed`"), "{error}");

    let script = server(&[(0, "error")], true);
    let runs = script.client().deployment(&deployment_id()).runs();
    let error = runs.get(&id()).wait_until(Completed).await.unwrap_err();
    assert!(error.is_hopeless() && error.is_run_failed());
    assert_eq!(error.failure().unwrap().code, "harness_failed");
    assert!(runs.get(&id()).wait_until(Over).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_holds_while_events_are_listened_to() {
    let script = server(&[(0, "running")], true);
    let runs = script.client().deployment(&deployment_id()).runs();
    let begun = Instant::now();
    let error = runs.get(&id()).wait_until(Over).timeout(Duration::from_secs(100)).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(begun.elapsed(), Duration::from_secs(100));
    assert_eq!(
        error.to_string(),
        "waiting for run_1: the run was still `running` after 100s. Wait longer, or look why it takes so long."
    );
    assert_eq!(script.count(RUN), 5, "once in 30 s, should an event be missing");
}

#[tokio::test(start_paused = true)]
async fn another_process_goes_on_with_what_was_stored() {
    let script = server(&[(0, "running"), (20, "completed")], true);
    let client = script.client();
    let wait = client.deployment(&deployment_id()).runs().get(&id()).wait_until(Over);
    let stored = serde_json::to_string(&wait.timeout(Duration::from_secs(3_600)).state()).unwrap();
    drop(client);
    assert!(!stored.contains(support::KEY));

    let state: WaitState = serde_json::from_str(&stored).unwrap();
    let client = script.client();
    assert_eq!(client.resume_wait::<Run>(state.clone(), Over).await.unwrap().run_id, id());
    let error = client.resume_wait::<prism_client::types::Dream>(state, Over).await.unwrap_err();
    assert!(error.is_configuration(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_state_whose_time_is_up_is_told_so() {
    let script = server(&[(0, "running")], true);
    let wait = script.client().deployment(&deployment_id()).runs().get(&id()).wait_until(Over);
    let mut state = serde_json::to_value(wait.state()).unwrap();
    state["ends_at"] = value!("2020-01-01T00:00:00Z");
    let state: WaitState = serde_json::from_value(state).unwrap();
    assert!(script.client().resume_wait::<Run>(state, Over).await.unwrap_err().is_timeout());
}
