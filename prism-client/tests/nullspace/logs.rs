//! Logs as streams.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use prism_client::{Error, nullspace::LogStream};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    deployment_of, log, run, service,
    support::script::{Script, json as answer},
};

/// A server of one log: parts in turn, the last one again and again, and statuses in the same way.
fn server(parts: Vec<Value>, statuses: Vec<Value>) -> Script {
    let turns = Arc::new(Mutex::new((parts.into_iter(), statuses.into_iter(), Value::Null, Value::Null)));
    Script::new(move |seen| {
        let mut turns = turns.lock().unwrap();
        let (parts, statuses, part, status) = &mut *turns;
        let (next, last) =
            if seen.uri.contains("/logs") { (parts.next(), part) } else { (statuses.next(), status) };
        *last = next.unwrap_or_else(|| last.clone());
        answer(200, last)
    })
}

async fn messages(log: LogStream) -> Vec<String> {
    log.map(|line| line.unwrap().message).collect().await
}

fn queries(script: &Script) -> Vec<String> {
    let seen = script.seen();
    let logs = seen.iter().filter(|seen| seen.uri.contains("/logs"));
    logs.map(|seen| seen.uri.split_once('?').map_or("", |(_, query)| query).to_owned()).collect()
}

fn run_log(script: &Script) -> prism_client::nullspace::ReadRunLogsCall {
    deployment_of(script).runs().logs(&"adrun_1".parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_log_is_followed_until_the_run_is_over_and_nothing_is_new() {
    let parts = vec![
        log([1, 2], 0, true, Some("a")),
        log([3], 2, false, Some("b")),
        log([], 3, false, Some("b")),
        log([], 3, false, Some("b")),
        // Written between the last look at the log and the look at the run.
        log([4], 3, false, Some("c")),
        log([], 4, false, Some("c")),
    ];
    let script = server(parts, vec![run("running"), run("succeeded")]);
    let begun = Instant::now();
    let lines = messages(run_log(&script).limit(100).follow()).await;
    assert_eq!(lines, ["line 1", "line 2", "line 3", "line 4"]);
    let expected = [
        "limit=100",
        "limit=100&cursor=a",
        "limit=100&cursor=b",
        "limit=100&cursor=b",
        "limit=100&cursor=b",
        "limit=100&cursor=c",
    ];
    assert_eq!(queries(&script), expected);
    assert_eq!(script.count("GET /v1/agent-deployments/{deployment_id}/runs/{run_id}"), 2);
    assert_eq!(begun.elapsed(), Duration::from_secs(1), "one pause, while nothing was new");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_stopped_ends_its_log_and_a_tail_is_the_beginning_only() {
    let script = server(vec![log([8, 9], 7, false, None), log([], 9, false, None)], vec![service("stopped")]);
    let logs = deployment_of(&script).services().logs(&"adsvc_1".parse().unwrap());
    let follow = logs.tail(2).follow().poll_interval(Duration::from_millis(10));
    assert_eq!(messages(follow).await, ["line 8", "line 9"]);
    assert_eq!(queries(&script), ["tail=2", "offset=9", "offset=9"], "without cursors, lines are counted");
}

#[tokio::test]
async fn the_lines_that_there_are_are_read_without_a_look_at_the_run() {
    let script = server(vec![log([1], 0, true, Some("a")), log([2], 1, false, Some("b"))], Vec::new());
    assert_eq!(messages(run_log(&script).lines()).await, ["line 1", "line 2"]);
    assert_eq!(script.seen().len(), 2);
}

#[tokio::test]
async fn the_cursor_misses_no_line() {
    let script = server(vec![log([1, 2], 0, true, Some("a")), log([3, 4], 2, false, Some("b"))], Vec::new());
    let mut lines = run_log(&script).lines();
    assert!(lines.cursor().is_none());
    lines.next().await.unwrap().unwrap();
    assert!(lines.cursor().is_none(), "line 2 was not read");
    lines.next().await.unwrap().unwrap();
    assert_eq!(lines.cursor().unwrap().as_str(), "a");
    lines.next().await.unwrap().unwrap();
    assert_eq!(lines.cursor().unwrap().as_str(), "a", "line 4 was not read");
    lines.next().await.unwrap().unwrap();
    assert_eq!(lines.cursor().unwrap().as_str(), "b");
    assert!(lines.next().await.is_none() && lines.next().await.is_none());
}

#[tokio::test]
async fn an_error_ends_the_stream_at_its_place() {
    let script = Script::new(|seen| match seen.uri.contains("cursor=a") {
        true => answer(503, &serde_json::json!({ "error": "no", "code": "internal_error" })),
        false => answer(200, &log([1], 0, true, Some("a"))),
    });
    let mut lines = run_log(&script).follow();
    lines.next().await.unwrap().unwrap();
    assert!(lines.next().await.unwrap().is_err_and(|error: Error| error.is_server()));
    assert_eq!(lines.cursor().unwrap().as_str(), "a");
    assert!(lines.next().await.is_none());
}

#[tokio::test]
async fn a_server_that_stays_at_one_place_is_not_asked_for_ever() {
    let script = server(vec![log([1], 0, true, Some("a"))], vec![run("running")]);
    let mut lines = run_log(&script).cursor("z").follow();
    lines.next().await.unwrap().unwrap();
    assert!(lines.next().await.unwrap().is_err_and(|error| error.is_decode()));
}
