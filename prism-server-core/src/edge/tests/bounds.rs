//! Limits, at the limit and past it.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, extract::Request};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep},
};
use tower::ServiceExt as _;

use super::world::{App, World, bytes, refused, service, text};
use crate::{
    core::Settings,
    edge::{Edge, refusal::Refusal, router},
    ports::SandboxError,
};

fn refusal(refusal: Refusal, status: u16) -> (u16, String) {
    (status, refusal.code().to_owned())
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_as_such() {
    for (error, status, code) in [
        (SandboxError::Gone, 503, "sandbox_not_ready"),
        (SandboxError::Refused(8000), 502, "service_unreachable"),
        (SandboxError::Failed("canary".to_owned()), 502, "service_unreachable"),
        (SandboxError::Unavailable("canary".to_owned()), 503, "feature_unavailable"),
    ] {
        let world = World::new(App::Error(error));
        assert_eq!(refused(world.get("/").await).await, (status, code.to_owned()));
        world.idle().await;
    }
    let world = World::new(App::Silence);
    world.sandbox.can_host.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(refused(world.get("/").await).await, (503, "feature_unavailable".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn connecting_has_a_limit() {
    let (world, began) = (World::new(App::Silence), Instant::now());
    assert_eq!(refused(world.get("/").await).await, refusal(Refusal::TooSlow, 504));
    assert_eq!(began.elapsed().as_secs(), 10);
    world.idle().await;
}

#[tokio::test(start_paused = true)]
async fn the_head_of_an_answer_has_a_limit() {
    let after = |millis| {
        World::new(App::Router(Router::new().fallback(async move || {
            sleep(Duration::from_millis(millis)).await;
            "late"
        })))
    };
    assert_eq!(text(after(119_900).get("/").await).await, "late");
    let (world, began) = (after(120_100), Instant::now());
    assert_eq!(refused(world.get("/").await).await, refusal(Refusal::TooSlow, 504));
    assert_eq!(began.elapsed().as_secs(), 120);
    world.idle().await;
}

/// A body with a pause after its first piece.
fn halting(pause: Duration) -> Body {
    let later = stream::once(async move {
        sleep(pause).await;
        Ok(Bytes::from("b"))
    });
    Body::from_stream(stream::iter([Ok::<_, Infallible>(Bytes::from("a"))]).chain(later))
}

#[tokio::test(start_paused = true)]
async fn the_limit_counts_from_the_last_of_the_request() {
    let app = async |request: Request| {
        let got = axum::body::to_bytes(request.into_body(), 10).await.unwrap();
        sleep(Duration::from_secs(100)).await;
        got
    };
    let world = World::new(App::Router(Router::new().fallback(app)));
    let post = |pause| {
        let request = Request::post(world.path("/")).body(halting(Duration::from_secs(pause))).unwrap();
        world.send(request)
    };
    assert_eq!(text(post(119).await).await, "ab");
    assert_eq!(refused(post(121).await).await, refusal(Refusal::ClientTooSlow, 408));
    world.idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_answer_is_cut_off() {
    let world = World::new(App::Router(Router::new().fallback(async || halting(Duration::from_secs(299)))));
    assert_eq!(text(world.get("/").await).await, "ab");
    world.sandbox.set(App::Router(Router::new().fallback(async || halting(Duration::from_secs(301)))));
    world.change(|target| target.service.epoch = 2);
    let next = crate::edge::Service { epoch: 2, ..service() };
    let target = format!("/edge/8000-s-abc/?edge_token={}", world.token_for(&next));
    let response = world.send(Request::get(target).body(Body::empty()).unwrap()).await;
    assert!(bytes(response).await.is_err());
    world.idle().await;
}

#[tokio::test]
async fn a_service_has_a_limit_of_what_is_under_way() {
    let app = App::Router(
        Router::new().fallback(async || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())),
    );
    let world = World::with(app, |options| options.limits.per_service = 2);
    let (one, two) = (world.get("/").await, world.get("/").await);
    assert_eq!((one.status(), two.status()), (StatusCode::OK, StatusCode::OK));
    assert_eq!(refused(world.get("/").await).await, refusal(Refusal::TooMany, 429));
    drop(one);
    assert_eq!(world.get("/").await.status(), StatusCode::OK);
    drop(two);
    world.idle().await;
}

#[tokio::test]
async fn that_limit_is_the_operators() {
    let world = World::new(App::Silence);
    let settings = Settings { connections_per_service: 0, ..Settings::default() };
    let (shutdown, tasks) = (world.shutdown.clone(), world.tasks.clone());
    let edge = Edge::new(world.urls.clone(), world.directory.clone(), &settings, shutdown, tasks);
    let request = Request::get(world.path("/")).body(Body::empty()).unwrap();
    let response = router(edge.clone()).oneshot(request).await.unwrap();
    assert_eq!(refused(response).await, refusal(Refusal::TooMany, 429));
    assert!(edge.services.is_empty());
}

#[tokio::test]
async fn heads_of_answers_have_a_limit() {
    let with_header = |length: usize| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: {}\r\n\r\n", "a".repeat(length));
        World::with(App::answers(head), |options| options.limits.answer_head = 16 << 10)
    };
    assert_eq!(with_header(12 << 10).get("/").await.status(), StatusCode::OK);
    assert_eq!(refused(with_header(17 << 10).get("/").await).await, refusal(Refusal::BadAnswer, 502));
    let with_headers = |count: usize| {
        let headers: String = (0..count).map(|number| format!("x{number}: 1\r\n")).collect();
        World::new(App::answers(format!("HTTP/1.1 204 x\r\n{headers}\r\n")))
    };
    assert_eq!(with_headers(128).get("/").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(refused(with_headers(129).get("/").await).await, refusal(Refusal::BadAnswer, 502));
}

#[tokio::test]
async fn heads_of_requests_have_a_limit() {
    let world = World::with(App::Router(Router::new().fallback(async || "hello")), |options| {
        options.limits.request_head = 200;
        options.limits.target = 200;
    });
    let long = |length: usize| {
        let request = Request::get(world.path("/")).header("x-long", "a".repeat(length));
        world.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(long(100).await.status(), StatusCode::OK);
    assert_eq!(refused(long(200).await).await, (431, "invalid_request".to_owned()));
    assert_eq!(
        refused(world.get(&format!("/{}", "a".repeat(200))).await).await,
        (414, "invalid_request".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn an_open_answer_outlives_its_token() {
    let app = async || {
        let ticks = stream::unfold(0, async |tick| {
            sleep(Duration::from_secs(60)).await;
            (tick < 30).then(|| (Ok::<_, Infallible>(Bytes::from("x")), tick + 1))
        });
        Body::from_stream(ticks)
    };
    let world = World::new(App::Router(Router::new().fallback(app)));
    let target = world.path("/");
    let request = || Request::get(&target).body(Body::empty()).unwrap();
    let response = world.send(request()).await;
    assert_eq!(bytes(response).await.unwrap().len(), 30);
    assert_eq!(refused(world.send(request()).await).await.1, "edge_token_expired");
}

/// An answer that goes on, with something every second.
fn endless(kind: &'static str) -> App {
    App::Router(Router::new().fallback(async move || {
        let ticks = stream::unfold((), async |()| {
            sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>(Bytes::from("x")), ()))
        });
        ([("content-type", kind)], Body::from_stream(ticks))
    }))
}

#[tokio::test(start_paused = true)]
async fn an_open_answer_ends_with_what_let_it_pass() {
    let changes: [fn(&World); 3] = [
        |world| world.change(|target| target.service.epoch = 2),
        |world| world.change(|target| target.is_public = false),
        |world| world.directory.clear(),
    ];
    for change in changes {
        let (world, began) = (World::new(endless("text/plain")), Instant::now());
        let mut body = world.get("/").await.into_body().into_data_stream();
        for _ in 0..100 {
            body.next().await.unwrap().unwrap();
        }
        // Where nobody knows, it goes on.
        world.directory.fails.store(true, std::sync::atomic::Ordering::Relaxed);
        for _ in 0..100 {
            body.next().await.unwrap().unwrap();
        }
        world.directory.fails.store(false, std::sync::atomic::Ordering::Relaxed);
        change(&world);
        while body.next().await.unwrap().is_ok() {}
        assert!(began.elapsed() <= Duration::from_secs(200 + 31));
        drop(body);
        world.idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_streams_at_once_and_other_answers_soon() {
    for (kind, seconds) in [("text/event-stream; charset=utf-8", 0), ("text/plain", 5)] {
        let world = World::new(endless(kind));
        let mut body = world.get("/").await.into_body().into_data_stream();
        body.next().await.unwrap().unwrap();
        world.shutdown.cancel();
        let began = Instant::now();
        while body.next().await.unwrap().is_ok() {}
        assert_eq!(began.elapsed().as_secs(), seconds, "{kind}");
        drop(body);
        world.idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_a_while_for_an_answer() {
    for (seconds, answers) in [(4, true), (6, false)] {
        let world = World::new(App::Router(Router::new().fallback(async move || {
            sleep(Duration::from_secs(seconds)).await;
            "late"
        })));
        world.shutdown.cancel();
        let began = Instant::now();
        let response = world.get("/").await;
        assert_eq!(began.elapsed().as_secs(), seconds.min(5));
        if answers {
            assert_eq!(text(response).await, "late");
        } else {
            assert_eq!(refused(response).await, refusal(Refusal::NotReady, 503));
        }
        world.idle().await;
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_request_in_the_app() {
    let (gone, mut is_gone) = tokio::sync::mpsc::channel::<()>(1);
    let world = World::new(App::script(move |mut io| {
        let gone = gone.clone();
        async move {
            let mut got = Vec::new();
            let _ = io.read_to_end(&mut got).await;
            let _ = gone.send(()).await;
        }
    }));
    let mut client = world.connect();
    let request = format!("GET {} HTTP/1.1\r\nhost: h\r\n\r\n", world.path("/"));
    client.write_all(request.as_bytes()).await.unwrap();
    while world.sandbox.connections() == 0 {
        tokio::task::yield_now().await;
    }
    drop(client);
    is_gone.recv().await.unwrap();
    world.idle().await;
}
