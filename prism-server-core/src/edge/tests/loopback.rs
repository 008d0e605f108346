//! On the loopback interface, with servers and clients as they are.

use std::{convert::Infallible, net::SocketAddr};

use axum::{Router, body::Body, extract::Request, routing::any};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::{net::TcpListener, time::timeout};

use super::world::{App, DEADLINE, LABEL, World};

async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
    });
    address
}

async fn world(app: Router) -> (World, SocketAddr) {
    let world = World::new(App::At(listen(app).await));
    let address = listen(world.router()).await;
    (world, address)
}

#[tokio::test]
async fn a_plain_client_uses_a_public_url() {
    let app = Router::new()
        .route("/", any(async |request: Request| format!("{:?}", request.headers()["x-forwarded-for"])))
        .route(
            "/count",
            any(async |request: Request| {
                let mut body = request.into_body();
                let mut count = 0;
                while let Some(frame) = body.frame().await {
                    count += frame.unwrap().into_data().map_or(0, |data| data.len());
                }
                count.to_string()
            }),
        );
    let (world, address) = world(app).await;
    let url = world.urls.public_url(&super::world::service(), Some(&address.to_string())).unwrap();
    let client = reqwest::Client::new();
    let response = timeout(DEADLINE, client.get(url.expose()).send()).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "\"127.0.0.1\"");

    let many = 32 << 20;
    let pieces =
        stream::iter(0..many / (64 << 10)).map(|_| Ok::<_, Infallible>(Bytes::from(vec![1; 64 << 10])));
    let url = format!("http://{address}{}", world.path("/count"));
    let sent = client.post(url).body(reqwest::Body::wrap_stream(pieces)).send();
    assert_eq!(timeout(DEADLINE, sent).await.unwrap().unwrap().text().await.unwrap(), many.to_string());
}

#[tokio::test]
async fn a_service_that_does_not_listen_is_told_as_such() {
    let (world, address) = world(Router::new()).await;
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    world.sandbox.set(App::At(unused));
    let response = reqwest::get(format!("http://{address}{}", world.path("/"))).await.unwrap();
    assert_eq!(response.status(), 502);
    assert!(response.text().await.unwrap().contains("service_unreachable"));
    assert_eq!(reqwest::get(format!("http://{address}/edge/{LABEL}/")).await.unwrap().status(), 401);
}

#[tokio::test]
async fn events_pass_at_once() {
    let (events, taken) = tokio::sync::mpsc::channel::<Bytes>(1);
    let taken = std::sync::Arc::new(tokio::sync::Mutex::new(Some(taken)));
    let app = async move || {
        let events = taken.lock().await.take().unwrap();
        let events = stream::unfold(events, async |mut events| {
            Some((Ok::<_, Infallible>(events.recv().await?), events))
        });
        ([("content-type", "text/event-stream")], Body::from_stream(events))
    };
    let (world, address) = world(Router::new().fallback(app)).await;
    let mut response = reqwest::get(format!("http://{address}{}", world.path("/"))).await.unwrap();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        events.send(event.into()).await.unwrap();
        let chunk = timeout(DEADLINE, response.chunk()).await.unwrap();
        assert_eq!(chunk.unwrap().unwrap(), event);
    }
    world.shutdown.cancel();
    assert!(
        timeout(DEADLINE, response.chunk()).await.unwrap().is_err(),
        "a stream that is cut off is not whole"
    );
}
