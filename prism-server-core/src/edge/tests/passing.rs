//! What passes, and how.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    routing::any,
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::world::{App, LABEL, World, bytes, mirror, refused, text};

const MANY: usize = 100 << 20;
const PIECE: usize = 32 << 10;

#[tokio::test]
async fn an_app_sees_the_request_without_what_is_ours() {
    let world = World::new(App::Router(Router::new().fallback(mirror)));
    let token = world.token();
    let request = Request::builder()
        .method("PROPFIND")
        .uri(format!("/edge/{LABEL}/a%20b?x=1&edge%5Ftoken={token}&y=%26"))
        .header("host", "h.example")
        .header("referer", format!("http://h.example/edge/{LABEL}/?edge_token={token}&z"))
        .header("cookie", "edge_session=old; app=1")
        .header("authorization", "Bearer of-the-app")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("x-request-id", "r-1")
        .extension(ConnectInfo(std::net::SocketAddr::from(([10, 0, 0, 9], 1))))
        .body(Body::from("body"))
        .unwrap();
    let response = world.send(request).await;
    assert_eq!(response.headers()["x-request-id"], "r-1");
    let seen: Value = serde_json::from_str(&text(response).await).unwrap();
    let expected = json!({
        "method": "PROPFIND",
        "target": "/a%20b?x=1&y=%26",
        "body": "body",
        "headers": {
            "host": ["h.example"],
            "referer": [format!("http://h.example/edge/{LABEL}/?z")],
            "cookie": ["app=1"],
            "authorization": ["Bearer of-the-app"],
            "content-length": ["4"],
            "x-request-id": ["r-1"],
            "x-forwarded-for": ["10.0.0.9"],
            "x-forwarded-host": ["h.example"],
            "x-forwarded-proto": ["http"],
            "x-forwarded-prefix": [format!("/edge/{LABEL}")],
        },
    });
    assert_eq!(seen, expected);
    assert!(!seen.to_string().contains(&token));
}

#[tokio::test]
async fn a_key_to_the_api_does_not_reach_an_app() {
    let world = World::new(App::Router(Router::new().fallback(mirror)));
    for (value, passes) in [
        ("Bearer prism_abc", false),
        ("bearer  prism_abc", false),
        ("Bearer sk-abc", true),
        ("Basic cHJpc21fYWJj", true),
    ] {
        let request = Request::get(world.path("/")).header("authorization", value);
        let seen = text(world.send(request.body(Body::empty()).unwrap()).await).await;
        assert_eq!(seen.contains("\"authorization\""), passes, "{value}");
    }
}

#[tokio::test]
async fn answers_pass_as_they_are() {
    let app = Router::new()
        .route("/status", any(async || (StatusCode::IM_A_TEAPOT, [("x-app", "1")], "short")))
        .route("/empty", any(async || StatusCode::NO_CONTENT))
        .route("/not-modified", any(async || (StatusCode::NOT_MODIFIED, [("etag", "\"e\"")])))
        .route("/redirect", any(async || (StatusCode::FOUND, [("location", "/login")])));
    let world = World::new(App::Router(app));
    let response = world.get("/status").await;
    assert_eq!(
        (response.status(), &response.headers()["x-app"]),
        (StatusCode::IM_A_TEAPOT, &"1".parse().unwrap())
    );
    assert_eq!(response.headers()["content-length"], "5");
    assert_eq!(text(response).await, "short");
    assert_eq!(world.get("/empty").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(world.get("/not-modified").await.headers()["etag"], "\"e\"");
    assert_eq!(world.get("/redirect").await.headers()["location"], format!("/edge/{LABEL}/login").as_str());
    let head = Request::head(world.path("/status")).body(Body::empty()).unwrap();
    let response = world.send(head).await;
    assert_eq!(response.headers()["content-length"], "5");
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn apps_of_old_protocols_are_understood() {
    let world = World::new(App::answers("HTTP/1.0 200 Fine\r\nServer: old\r\n\r\nuntil the end"));
    let response = world.get("/").await;
    assert_eq!(response.version(), http::Version::HTTP_11);
    assert_eq!(text(response).await, "until the end");
    world.sandbox.set(App::answers(
        "HTTP/1.1 200\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ));
    let response = world.get("/").await;
    assert!(!response.headers().contains_key("content-length"));
    assert_eq!(text(response).await, "ab");
}

#[tokio::test]
async fn events_pass_at_once() {
    let (events, taken) = mpsc::channel::<Bytes>(1);
    let taken = Arc::new(tokio::sync::Mutex::new(Some(taken)));
    let app = async move || {
        let events = taken.lock().await.take().unwrap();
        let events = stream::unfold(events, async |mut events| {
            Some((Ok::<_, Infallible>(events.recv().await?), events))
        });
        ([("content-type", "text/event-stream")], Body::from_stream(events))
    };
    let world = World::new(App::Router(Router::new().fallback(app)));
    let mut body = world.get("/").await.into_body().into_data_stream();
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        // The next one is only made when this one has come.
        events.send(event.into()).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), event);
    }
    drop(events);
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn both_directions_of_a_request_are_open_at_once() {
    let app = async |request: Request| Body::from_stream(request.into_body().into_data_stream());
    let world = World::new(App::Router(Router::new().fallback(app)));
    let (pieces, taken) = mpsc::channel::<Bytes>(1);
    let sent =
        stream::unfold(taken, async |mut taken| Some((Ok::<_, Infallible>(taken.recv().await?), taken)));
    let request = Request::post(world.path("/")).body(Body::from_stream(sent)).unwrap();
    let mut echo = world.send(request).await.into_body().into_data_stream();
    for piece in ["one", "two"] {
        pieces.send(piece.into()).await.unwrap();
        assert_eq!(echo.next().await.unwrap().unwrap(), piece);
    }
    drop(pieces);
    assert!(echo.next().await.is_none());
}

/// How much is on its way at most.
#[derive(Default)]
struct OnTheWay {
    sent: AtomicUsize,
    taken: AtomicUsize,
    most: AtomicUsize,
}

impl OnTheWay {
    fn source(self: &Arc<Self>) -> Body {
        let this = self.clone();
        let piece = Bytes::from(vec![7; PIECE]);
        Body::from_stream(stream::iter(0..MANY / PIECE).map(move |_| {
            let sent = this.sent.fetch_add(PIECE, Relaxed) + PIECE;
            this.most.fetch_max(sent - this.taken.load(Relaxed), Relaxed);
            Ok::<_, Infallible>(piece.clone())
        }))
    }

    async fn drain(&self, mut body: Body) -> usize {
        while let Some(frame) = body.frame().await {
            let length = frame.unwrap().into_data().map_or(0, |data| data.len());
            self.taken.fetch_add(length, Relaxed);
        }
        self.taken.load(Relaxed)
    }
}

#[tokio::test]
async fn large_bodies_pass_and_little_of_them_is_held() {
    let (up, down) = (Arc::<OnTheWay>::default(), Arc::<OnTheWay>::default());
    let app = {
        let (up, down) = (up.clone(), down.clone());
        Router::new()
            .route("/up", any(async move |request: Request| up.drain(request.into_body()).await.to_string()))
            .route("/down", any(async move || down.source()))
    };
    let world = World::new(App::Router(app));
    let request = Request::post(world.path("/up")).body(up.source()).unwrap();
    assert_eq!(text(world.send(request).await).await, MANY.to_string());
    let response = world.get("/down").await;
    assert_eq!(down.drain(response.into_body()).await, MANY);
    for way in [up, down] {
        let most = way.most.load(Relaxed);
        assert!(most < 1 << 20, "{most} bytes were on their way");
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_slows_down_who_writes() {
    let way = Arc::<OnTheWay>::default();
    let app = {
        let way = way.clone();
        Router::new().fallback(async move || way.source())
    };
    let world = World::new(App::Router(app));
    let response = world.get("/").await;
    // Paused time goes on when nothing else can.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let sent = way.sent.load(Relaxed);
    assert!((PIECE..1 << 20).contains(&sent), "{sent} bytes were written and nobody read them");
    drop(response);
    world.idle().await;
}

#[tokio::test]
async fn a_broken_answer_is_not_a_whole_one() {
    let world = World::new(App::answers("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"));
    let response = world.get("/").await;
    assert_eq!(response.status(), 200);
    assert!(bytes(response).await.is_err());
    world.sandbox.set(App::answers("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"));
    assert!(bytes(world.get("/").await).await.is_err());
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_such() {
    for garbage in [
        "",
        "HTTP/1.1",
        "HTTP/1.1 200 OK\r\nx",
        "\0\0\0\r\n\r\n",
        "SSH-2.0-x\r\n",
        "HTTP/1.1 999999 x\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    ] {
        let world = World::new(App::answers(garbage));
        let told = refused(world.get("/").await).await;
        assert_eq!(told, (502, "service_bad_response".to_owned()), "{garbage:?}");
    }
    // Nobody has asked for another protocol.
    let world =
        World::new(App::answers("HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"));
    assert_eq!(refused(world.get("/").await).await.0, 502);
}

#[tokio::test]
async fn connections_are_used_again_by_what_can_be_repeated() {
    let world = World::new(App::Router(Router::new().fallback(async || "hello")));
    for _ in 0..5 {
        assert_eq!(text(world.get("/").await).await, "hello");
    }
    assert_eq!(world.sandbox.connections(), 1);
    let post = || Request::post(world.path("/")).body(Body::empty()).unwrap();
    text(world.send(post()).await).await;
    text(world.send(post()).await).await;
    assert_eq!(world.sandbox.connections(), 3);
    let body = Request::get(world.path("/")).body(Body::from("x")).unwrap();
    text(world.send(body).await).await;
    assert_eq!(world.sandbox.connections(), 4);
    // Another epoch is another app.
    world.change(|target| target.service.epoch = 2);
    let next = crate::edge::Service { epoch: 2, ..super::world::service() };
    let target = format!("/edge/{LABEL}/?edge_token={}", world.token_for(&next));
    text(world.send(Request::get(target).body(Body::empty()).unwrap()).await).await;
    assert_eq!(world.sandbox.connections(), 5);
}

#[tokio::test]
async fn requests_at_once_find_the_connections_of_those_before() {
    const AT_ONCE: usize = 32;
    let world = World::new(App::Router(Router::new().fallback(async || "hello")));
    for _ in 0..3 {
        let mut answers = Vec::new();
        for _ in 0..AT_ONCE {
            answers.push(world.get("/").await);
        }
        for answer in answers {
            assert_eq!(text(answer).await, "hello");
        }
        assert_eq!(world.sandbox.connections(), AT_ONCE);
    }
}

#[tokio::test]
async fn a_connection_that_an_app_closes_meanwhile_costs_nothing() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // It answers once and closes the connection at the next request.
    let world = World::new(App::script(async |mut io| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            io.read_buf(&mut head).await.unwrap();
        }
        io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        let _ = io.read_u8().await;
    }));
    for _ in 0..3 {
        assert_eq!(text(world.get("/").await).await, "ok");
    }
    assert_eq!(world.sandbox.connections(), 3);
}

#[tokio::test(start_paused = true)]
async fn connections_that_wait_are_closed_in_time() {
    let world = World::new(App::Router(Router::new().fallback(async || "hello")));
    text(world.get("/").await).await;
    tokio::time::sleep(Duration::from_millis(3_900)).await;
    text(world.get("/").await).await;
    assert_eq!(world.sandbox.connections(), 1);
    tokio::time::sleep(Duration::from_secs(4)).await;
    text(world.get("/").await).await;
    assert_eq!(world.sandbox.connections(), 2);
    world.idle().await;
}

#[tokio::test]
async fn an_early_answer_is_passed_on_though_the_request_goes_on() {
    let world = World::new(App::Router(Router::new().fallback(async || StatusCode::PAYLOAD_TOO_LARGE)));
    let (_open, never) = oneshot::channel::<()>();
    let sent =
        stream::once(async { Ok::<_, Infallible>(Bytes::from("x")) }).chain(stream::once(async move {
            let _ = never.await;
            Ok(Bytes::new())
        }));
    let request = Request::post(world.path("/")).body(Body::from_stream(sent)).unwrap();
    let response = world.send(request).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    drop(response);
    world.idle().await;
}

#[tokio::test]
async fn a_request_that_breaks_off_is_no_fault_of_the_app() {
    let app = async |request: Request| {
        let _ = request.into_body().collect().await;
    };
    let world = World::new(App::Router(Router::new().fallback(app)));
    let sent = stream::iter([Ok(Bytes::from("x")), Err(std::io::Error::other("gone"))]);
    let request = Request::post(world.path("/")).body(Body::from_stream(sent)).unwrap();
    assert_eq!(refused(world.send(request).await).await, (400, "invalid_request".to_owned()));
    world.idle().await;
}
