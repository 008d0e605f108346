//! What is tried again, and under which key.

use std::collections::BTreeSet;

use prism_client::{
    RetryPolicy,
    nullspace::AgentDeploymentHandle,
    types::nullspace::{
        CancelRun, CreateRun, CreateService, RestartService, StopService, UpdateAgentDeployment,
    },
};
use serde_json::json;

use super::{
    deployment, run, service,
    support::script::{Script, Seen, json as answer},
    version,
};

fn handle(script: &Script) -> AgentDeploymentHandle {
    let client = script.builder().retries(RetryPolicy::new().max_attempts(4)).build().unwrap();
    client.nullspace().deployment(&"adpl_1".parse().unwrap())
}

/// Refuses the first attempts with this.
fn refusing(status: u16, code: &'static str, told: serde_json::Value) -> Script {
    Script::new(move |seen| match seen.attempt {
        1 | 2 => answer(status, &json!({ "error": "no", "code": code })),
        _ => answer(200, &told),
    })
}

fn keys(seen: &[Seen]) -> BTreeSet<Option<String>> {
    seen.iter().map(|seen| seen.header("idempotency-key").map(str::to_owned)).collect()
}

#[tokio::test(start_paused = true)]
async fn all_attempts_of_a_call_have_one_key() {
    let script = refusing(503, "internal_error", run("queued"));
    let made = handle(&script).runs().create(CreateRun::new()).await.unwrap();
    assert_eq!(made.attempts(), 3);
    let key = made.idempotency_key().map(str::to_owned);
    assert!(key.is_some());
    assert_eq!(keys(&script.seen()), BTreeSet::from([key]));

    let script = refusing(503, "internal_error", version("ready"));
    let upload = handle(&script).versions().upload_archive(&"adpv_1".parse().unwrap(), "c0ffee", "a tar");
    let answer = upload.on_progress(|_| ()).await.unwrap();
    assert_eq!(answer.attempts(), 3);
    assert_eq!(keys(&script.seen()), BTreeSet::from([answer.idempotency_key().map(str::to_owned)]));
    assert!(answer.idempotency_key().is_some() && script.seen().iter().all(|seen| seen.body == b"a tar"));
}

#[tokio::test(start_paused = true)]
async fn only_the_rate_limit_is_waited_for() {
    let script = refusing(429, "rate_limit_exceeded", service("starting"));
    assert_eq!(handle(&script).services().create(CreateService::new()).await.unwrap().attempts(), 3);
    for code in ["capacity_exceeded", "QUOTA_EXCEEDED", "something_new"] {
        let script = refusing(429, code, service("starting"));
        let error = handle(&script).services().create(CreateService::new()).await.unwrap_err();
        assert_eq!((error.attempts(), error.is_retryable()), (1, false), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_without_a_code_is_the_rate_limit() {
    let script = Script::new(|seen| match seen.attempt {
        1 => answer(429, &json!({ "error": "slow down" })),
        _ => answer(200, &service("starting")),
    });
    assert_eq!(handle(&script).services().create(CreateService::new()).await.unwrap().attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_key_is_not_sent_again_once_it_may_have_been_done() {
    let (id, run_id) = ("adsvc_1".parse().unwrap(), "adrun_1".parse().unwrap());
    for (status, code, attempts) in [(503, "internal_error", 1), (429, "rate_limit_exceeded", 3)] {
        let script = refusing(status, code, service("stopping"));
        let services = handle(&script).services();
        drop(services.stop(&id, StopService::new()).await);
        assert_eq!(script.seen().len(), attempts);
        let script = refusing(status, code, service("starting"));
        drop(handle(&script).services().restart(&id, RestartService::new()).await);
        assert_eq!(script.seen().len(), attempts);
        let script = refusing(status, code, run("cancelled"));
        drop(handle(&script).runs().cancel(&run_id, CancelRun::new()).await);
        assert_eq!(script.seen().len(), attempts);
        assert_eq!(keys(&script.seen()), BTreeSet::from([None]));
    }
    let script = refusing(503, "internal_error", deployment());
    assert_eq!(handle(&script).update(UpdateAgentDeployment::new()).await.unwrap().attempts(), 3);
}
