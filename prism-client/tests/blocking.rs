//! The client without `async`, in a program that has no runtime.

#![cfg(feature = "blocking")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    sync::{Arc, Mutex, mpsc},
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use prism_client::{
    RetryPolicy,
    blocking::{Block as _, BlockStream as _, block_on},
    events::Signal,
    transport::Body,
};
use serde_json::json as value;
use support::{
    deployment, deployment_id, error,
    faulty::{Server, status},
    script::{Script, events, json},
};

fn server() -> Script {
    Script::new(|seen| match seen.operation.as_str() {
        "GET /v1/deployments/{deployment_id}" => json(200, &deployment("ready")),
        "GET /v1/deployments/{deployment_id}/runs" if seen.uri.contains("cursor") => {
            json(200, &value!({ "data": [], "next_cursor": null }))
        }
        "GET /v1/deployments/{deployment_id}/runs" => {
            json(200, &value!({ "data": [], "next_cursor": "more" }))
        }
        "GET /v1/deployments/{deployment_id}/events" if seen.attempt == 1 => {
            let token = "id: evt_a_1\nevent: token\ndata: {\"run_id\":\"run_1\",\"delta\":\"Hi\"}\n\n";
            let end =
                "id: evt_a_2\nevent: run_status\ndata: {\"run_id\":\"run_1\",\"status\":\"completed\"}\n\n";
            events(Body::from(format!("{token}{end}")))
        }
        other => unreachable!("{other}"),
    })
}

#[test]
fn calls_waits_lists_and_streams_are_read_on_the_thread_that_asks() {
    let client = server().client();
    let agent = client.deployment(&deployment_id());
    assert_eq!(agent.get().block().unwrap().name, "Acme");
    assert_eq!(agent.wait_until_ready().block().unwrap().name, "Acme");
    assert_eq!(agent.runs().list().items().block_iter().count(), 0);

    let stream = block_on(agent.events().stream().run("run_1".parse().unwrap()).open()).unwrap();
    let mut events = stream.block_iter();
    let names: Vec<_> = events.by_ref().map(|event| event.unwrap().payload.name().to_owned()).collect();
    assert_eq!(names, ["token", "run_status"]);
    assert_eq!(events.get_ref().last_event_id().unwrap(), &"evt_a_2");
    let stream = block_on(agent.events().stream().run("run_1".parse().unwrap()).open()).unwrap();
    assert!(matches!(stream.signals().block_iter().next(), Some(Ok(Signal::Connected))));
}

#[test]
fn connections_and_pauses_need_no_runtime_of_the_caller() {
    // The server is driven by the runtime of the facade, as any other task would be.
    let server =
        block_on(Server::start(vec![status("503 Busy", "retry-after: 0\r\n"), status("401 No", "")]));
    let client = prism_client::Client::builder().base_url(&server.url).api_key(support::KEY);
    let client = client.retries(RetryPolicy::new()).build().unwrap();
    let failed = client.deployment(&deployment_id()).get().block().unwrap_err();
    assert_eq!((failed.status(), failed.attempts()), (Some(401), 2));
}

#[tokio::test]
async fn within_async_code_it_blocks_and_does_not_panic() {
    let script = Script::new(|_| json(404, &error("not_found")));
    assert!(script.client().deployment(&deployment_id()).get().block().unwrap_err().is_not_found());
}

/// Begins a thread that wakes this waker first, and then ends the future.
fn woken_beside(first: Waker) -> impl Future<Output = ()> {
    let done = Arc::new(Mutex::new(false));
    let mut first = Some(first);
    std::future::poll_fn(move |context| {
        if let Some(first) = first.take() {
            let (done, own) = (Arc::clone(&done), context.waker().clone());
            thread::spawn(move || {
                first.wake();
                *done.lock().unwrap() = true;
                own.wake();
            });
        }
        if *done.lock().unwrap() { Poll::Ready(()) } else { Poll::Pending }
    })
}

#[test]
fn what_blocks_within_what_blocks_takes_no_wake_up_from_it() {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut polls = 0;
        block_on(std::future::poll_fn(|context| {
            polls += 1;
            if polls > 1 {
                return Poll::Ready(());
            }
            block_on(woken_beside(context.waker().clone()));
            Poll::Pending
        }));
        tell.send(()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(20)).expect("the wake-up is not lost");
}
