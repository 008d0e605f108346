//! Upgraded connections.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::any,
};
use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::{Instant, sleep, timeout},
};

use super::world::{App, DEADLINE, World};

/// Changes protocols and sends back what comes.
async fn echo(mut request: Request) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    let protocol = request.headers()["upgrade"].clone();
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    });
    let accept = request.headers().get("sec-websocket-key").cloned();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", "Upgrade".parse().unwrap());
    response.headers_mut().insert("upgrade", protocol);
    if let Some(accept) = accept {
        response.headers_mut().insert("sec-websocket-accept", accept);
    }
    response
}

fn app() -> App {
    let router = Router::new()
        .route("/echo", any(echo))
        .route("/refuse", any(async || (StatusCode::UPGRADE_REQUIRED, "not here").into_response()))
        .route(
            "/other",
            any(async || {
                (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "other")])
                    .into_response()
            }),
        );
    App::Router(router)
}

/// The head of the answer to a request for another protocol, and the connection.
async fn open(world: &World, path: &str) -> (String, DuplexStream) {
    let mut client = world.connect();
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: http://h\r\n\r\n",
        world.path(path)
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(DEADLINE, client.read_u8()).await.unwrap().unwrap());
    }
    (String::from_utf8(head).unwrap(), client)
}

#[tokio::test]
async fn what_is_upgraded_carries_bytes_both_ways() {
    let world = World::new(app());
    let (head, mut client) = open(&world, "/echo").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
    assert!(head.contains("sec-websocket-accept: "), "{head}");
    assert!(!head.contains("set-cookie"), "{head}");
    // A masked text frame, and bytes that are no frame at all.
    for bytes in [&b"\x81\x85\x01\x02\x03\x04igohn"[..], &[0xff; 9000]] {
        client.write_all(bytes).await.unwrap();
        let mut back = vec![0; bytes.len()];
        timeout(DEADLINE, client.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(back, bytes);
    }
    client.shutdown().await.unwrap();
    assert_eq!(timeout(DEADLINE, client.read(&mut [0])).await.unwrap().unwrap(), 0);
    drop(client);
    world.idle().await;
}

#[tokio::test]
async fn an_upgrade_can_be_refused() {
    let world = World::new(app());
    let (head, mut client) = open(&world, "/refuse").await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
    let mut body = [0; 8];
    client.read_exact(&mut body).await.unwrap();
    assert_eq!(&body, b"not here");
    let (head, _client) = open(&world, "/other").await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
}

#[tokio::test]
async fn http_2_is_never_what_a_connection_becomes() {
    let app = Router::new()
        .fallback(async |request: Request| format!("{}", request.headers().contains_key("upgrade")));
    let world = World::new(App::Router(app));
    let request = Request::get(world.path("/"))
        .header("connection", "Upgrade, HTTP2-Settings")
        .header("upgrade", "h2c")
        .header("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA");
    let response = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(super::world::text(response).await, "false");
}

#[tokio::test(start_paused = true)]
async fn a_silent_tunnel_is_cut_off() {
    let world = World::new(app());
    let (_, mut client) = open(&world, "/echo").await;
    let mut byte = [0];
    for _ in 0..5 {
        sleep(Duration::from_secs(299)).await;
        client.write_all(b"x").await.unwrap();
        client.read_exact(&mut byte).await.unwrap();
    }
    let began = Instant::now();
    assert_eq!(client.read(&mut byte).await.unwrap(), 0);
    assert_eq!(began.elapsed().as_secs(), 300);
    world.idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_ends_with_what_let_it_pass() {
    let world = World::new(app());
    let (_, mut client) = open(&world, "/echo").await;
    let began = Instant::now();
    world.clock.put(60 * 60 * 1000);
    client.write_all(b"x").await.unwrap();
    client.read_exact(&mut [0]).await.unwrap();
    world.change(|target| target.service.epoch = 2);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(began.elapsed().as_secs(), 30);
    world.idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_tunnels_at_once() {
    let world = World::new(app());
    let (_, mut client) = open(&world, "/echo").await;
    let began = Instant::now();
    world.shutdown.cancel();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(began.elapsed().as_secs(), 0);
    world.idle().await;
}

#[tokio::test]
async fn a_tunnel_counts_as_long_as_it_is_open() {
    let world = World::with(app(), |options| options.limits.per_service = 1);
    let (_, client) = open(&world, "/echo").await;
    assert_eq!(world.get("/refuse").await.status(), StatusCode::TOO_MANY_REQUESTS);
    drop(client);
    world.idle().await;
    assert_eq!(world.get("/refuse").await.status(), StatusCode::UPGRADE_REQUIRED);
}

#[tokio::test]
async fn a_server_that_cannot_upgrade_leaves_nothing_behind() {
    // What is asked without a connection has none to be upgraded.
    let world = World::new(app());
    let request =
        Request::get(world.path("/echo")).header("connection", "upgrade").header("upgrade", "websocket");
    let response = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    drop(response);
    world.idle().await;
}
