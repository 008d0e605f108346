//! Waiting for versions, runs and services.

use prism_client::{
    types::nullspace::{AgentRun, AgentRunStatus, ServiceInstance},
    wait::{Condition, Look, Over, WaitState},
};
use serde_json::{Value, json};

use super::{
    deployment_of, run, service,
    support::script::{Script, json as answer},
    version,
};

/// Answers these in turn, and the last one from then on.
fn in_turn(answers: Vec<Value>) -> Script {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    Script::new(move |_| {
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        answer(200, &answers[turn.min(answers.len() - 1)])
    })
}

#[tokio::test(start_paused = true)]
async fn what_becomes_ready_or_completed_is_returned() {
    let script =
        in_turn(vec![service("starting"), service("waking"), service("unhealthy"), service("ready")]);
    deployment_of(&script).services().wait_until_ready(&"adsvc_1".parse().unwrap()).await.unwrap();
    assert_eq!(script.seen().len(), 4);
    let script = in_turn(vec![version("created"), version("building"), version("ready")]);
    deployment_of(&script).versions().wait_until_ready(&"adpv_1".parse().unwrap()).await.unwrap();
    assert_eq!(script.seen().len(), 3);
    let script = in_turn(vec![run("queued"), run("installing"), run("running"), run("succeeded")]);
    deployment_of(&script).runs().wait_until_completed(&"adrun_1".parse().unwrap()).await.unwrap();
    assert_eq!(script.seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_hopeless_and_says_why() {
    let mut failed = service("failed");
    failed["failure_reason"] = json!("readiness: no answer at /healthz");
    let script = in_turn(vec![service("starting"), failed]);
    let error =
        deployment_of(&script).services().wait_until_ready(&"adsvc_1".parse().unwrap()).await.unwrap_err();
    assert!(error.is_hopeless() && !error.is_retryable() && !error.is_deployment_failed());
    let failure = error.failure().unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.message.as_str()),
        ("failed", "readiness: no answer at /healthz")
    );
    assert_eq!(
        error.to_string(),
        "waiting for adsvc_1: the service is `failed`, and what was waited for cannot come any more: \
         readiness: no answer at /healthz. Read it, and decide anew."
    );

    let script = in_turn(vec![run("timed_out")]);
    let error =
        deployment_of(&script).runs().wait_until_completed(&"adrun_1".parse().unwrap()).await.unwrap_err();
    assert!(error.is_hopeless() && error.failure().is_none(), "{error:?}");
    let script = in_turn(vec![run("running"), run("timed_out")]);
    let over = deployment_of(&script).runs().get(&"adrun_1".parse().unwrap()).wait_until(Over).await.unwrap();
    assert_eq!(over.status, AgentRunStatus::TimedOut);
    let stopped: ServiceInstance = serde_json::from_value(service("stopped")).unwrap();
    assert_eq!(Over.look(&stopped), Look::Met);
}

#[tokio::test(start_paused = true)]
async fn a_wait_goes_on_in_another_process() {
    let script = in_turn(vec![run("running"), run("succeeded")]);
    let wait = deployment_of(&script).runs().wait_until_completed(&"adrun_1".parse().unwrap());
    let stored = serde_json::to_string(&wait.state()).unwrap();
    let state: WaitState = serde_json::from_str(&stored).unwrap();
    let run = script.client().resume_wait::<AgentRun>(state, Over).await.unwrap();
    assert_eq!(run.id, "adrun_1");
}
