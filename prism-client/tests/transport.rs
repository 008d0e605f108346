//! What carries requests: services in the place of connections, and layers around them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use prism_client::{
    Backoff, Client, Error, RetryPolicy,
    transport::{Attempt, Body, Operation},
};
use support::{
    KEY, deployment, deployment_id, error,
    script::{Script, json},
};
use tower::{BoxError, ServiceBuilder, service_fn};

const AT_ONCE: RetryPolicy =
    RetryPolicy::new().backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(2)));

fn ready() -> Script {
    Script::new(|_| json(200, &deployment("ready")))
}

#[tokio::test(start_paused = true)]
async fn a_service_can_take_the_place_of_connections() {
    let script = ready();
    let answer = script.client().deployment(&deployment_id()).get().await.unwrap();
    assert_eq!(answer.name, "Acme");
    assert_eq!(answer.request_id(), Some("req_script"));
    let seen = &script.seen()[0];
    assert_eq!(seen.operation, "GET /v1/deployments/{deployment_id}");
    assert_eq!(seen.uri, "http://script/v1/deployments/dep_7xK9s2");
}

#[tokio::test(start_paused = true)]
async fn a_layer_sees_every_attempt_with_its_operation() {
    let left = AtomicU32::new(2);
    let script = Script::new(move |_| {
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => json(503, &error("unavailable")),
            Err(_) => json(200, &deployment("ready")),
        }
    });
    let attempts = Arc::new(AtomicU32::new(0));
    let told = Arc::clone(&attempts);
    let layer = ServiceBuilder::new().map_request(move |request: http::Request<Body>| {
        assert!(request.extensions().get::<Operation>().is_some());
        assert!(request.headers()["authorization"].is_sensitive());
        assert!(!format!("{request:?}").contains(KEY), "a layer that logs requests does not log the key");
        let attempt = request.extensions().get::<Attempt>().unwrap().number();
        assert_eq!(request.headers()["x-prism-attempt"], attempt.to_string());
        told.store(attempt, Ordering::SeqCst);
        request
    });
    let client = script.builder().retries(AT_ONCE).layer(layer).build().unwrap();
    client.deployment(&deployment_id()).get().await.unwrap();
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn the_first_layer_is_the_outermost() {
    let script = ready();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let named = |name: &'static str| {
        let order = Arc::clone(&order);
        ServiceBuilder::new().map_request(move |request: http::Request<Body>| {
            order.lock().unwrap().push(name);
            request
        })
    };
    let client = script.builder().layer(named("first")).layer(named("second")).build().unwrap();
    client.deployment(&deployment_id()).get().await.unwrap();
    assert_eq!(*order.lock().unwrap(), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_layer_can_change_the_answers_body() {
    let layer = ServiceBuilder::new().map_response(|answer: http::Response<Body>| {
        answer.map(|_| Body::from(deployment("error").to_string()))
    });
    let client = ready().builder().layer(layer).build().unwrap();
    assert_eq!(client.deployment(&deployment_id()).get().await.unwrap().status.as_str(), "error");
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_reports_is_the_source_and_not_tried_again() {
    let script = ready();
    let layer = tower::layer::layer_fn(|_| {
        service_fn(async |_: http::Request<Body>| {
            Err::<http::Response<Body>, BoxError>("the circuit is open".into())
        })
    });
    let client = script.builder().retries(AT_ONCE).layer(layer).build().unwrap();
    let error = client.deployment(&deployment_id()).get().await.unwrap_err();
    assert!(error.is_middleware() && !error.is_retryable());
    assert_eq!(error.attempts(), 1);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the circuit is open");
    assert!(script.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_transport_says_itself_what_may_be_tried_again() {
    for (fault, attempts) in [(Error::connect as fn(&'static str) -> Error, 3), (Error::disconnected, 3)] {
        let script = Script::new(move |_| Err(fault("no route").into()));
        let client = script.builder().retries(AT_ONCE).build().unwrap();
        let error = client.deployment(&deployment_id()).get().await.unwrap_err();
        assert_eq!(error.attempts(), attempts);
        assert!(error.is_connect() || error.is_disconnected());
    }
}

#[tokio::test(start_paused = true)]
async fn time_limits_hold_for_every_transport() {
    let hanging = service_fn(async |_: http::Request<Body>| -> Result<http::Response<Body>, BoxError> {
        std::future::pending().await
    });
    let builder = Script::new(|_| unreachable!("it is replaced")).builder().transport(hanging);
    let client = builder.timeout(Duration::from_secs(7)).build().unwrap();
    let begun = tokio::time::Instant::now();
    let error = client.deployment(&deployment_id()).get().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(begun.elapsed(), Duration::from_secs(7));

    let client = builder_with_attempts(hanging).build().unwrap();
    let begun = tokio::time::Instant::now();
    let error = client.deployment(&deployment_id()).get().await.unwrap_err();
    assert_eq!((error.attempts(), error.is_timeout()), (3, true));
    assert!(begun.elapsed() >= Duration::from_secs(6) && begun.elapsed() < Duration::from_secs(7));
}

fn builder_with_attempts<S>(service: S) -> prism_client::ClientBuilder
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let builder = Script::new(|_| unreachable!("it is replaced")).builder().transport(service);
    builder.retries(AT_ONCE).attempt_timeout(Duration::from_secs(2))
}

#[tokio::test(start_paused = true)]
async fn each_request_says_for_how_long_it_is_waited_for() {
    let limits = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&limits);
    let layer = ServiceBuilder::new().map_request(move |request: http::Request<Body>| {
        told.lock().unwrap().push(request.headers()["x-prism-timeout-ms"].to_str().unwrap().to_owned());
        request
    });
    let client = ready().builder().layer(layer).build().unwrap();
    let deployment = client.deployment(&deployment_id());
    deployment.get().timeout(Duration::from_millis(1_500)).await.unwrap();
    deployment.get().attempt_timeout(Duration::from_millis(20)).await.unwrap();
    assert_eq!(*limits.lock().unwrap(), ["1500", "20"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_part_of_a_path_is_refused_before_it_is_sent() {
    let script = ready();
    for name in ["", ".", ".."] {
        let error = script.client().deployment(&deployment_id()).mcp_servers().get(name).await.unwrap_err();
        assert!(error.is_configuration(), "{error}");
    }
    assert!(script.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_too_long_for_a_url_is_refused_before_it_is_sent() {
    let script = ready();
    let own = Client::builder().base_url("http://127.0.0.1:9").api_key("key").build().unwrap();
    for client in [script.client(), own] {
        let error = client.deployments().list().customer_id("c".repeat(70_000)).await.unwrap_err();
        assert!(error.is_configuration(), "{error}");
        assert_eq!(error.attempts(), 1);
    }
    assert!(script.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_takes_little_memory() {
    let sending = ready().client().deployment(&deployment_id()).get().send();
    assert!(size_of_val(&sending) < 5_000, "{} bytes, which are moved and allocated", size_of_val(&sending));
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn headers_can_be_added_to_all_calls_and_to_one() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let layer = ServiceBuilder::new().map_request(move |request: http::Request<Body>| {
        assert!(!format!("{request:?}").contains("canary"), "a value may be a secret");
        told.lock().unwrap().push(request.headers()["x-tenant"].to_str().unwrap().to_owned());
        request
    });
    let client = ready().builder().header("X-Tenant", "canary").layer(layer).build().unwrap();
    assert!(!format!("{client:?}").contains("canary"));
    let deployment = client.deployment(&deployment_id());
    deployment.get().await.unwrap();
    deployment.get().header("x-tenant", "another").await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["canary", "another"]);
}

#[tokio::test(start_paused = true)]
async fn headers_of_the_crates_own_are_refused() {
    let script = ready();
    for (name, value) in [
        ("authorization", "canary"),
        ("Idempotency-Key", "canary"),
        ("no name", "canary"),
        ("x-a", "canary\n"),
    ] {
        let refused = [
            script.builder().header(name, value).build().unwrap_err(),
            script.client().deployment(&deployment_id()).get().header(name, value).await.unwrap_err(),
        ];
        for error in refused {
            assert!(error.is_configuration(), "{error}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
    }
    assert!(script.seen().is_empty());
}
