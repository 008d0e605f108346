//! What is never logged.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, extract::Request};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

use super::world::{App, LABEL, World, bytes, mirror, service};
use crate::ports::SandboxError;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_credential_and_nothing_of_a_request_is_logged() {
    let log = Log::default();
    // As long as there is one subscriber alone, what is said at a place is heard only if the first thread that came there has
    // it, and the threads of other tests have none.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let world = World::new(App::Router(Router::new().fallback(mirror)));
    let (token, traffic) = (world.token(), world.urls.traffic_token(&service()));
    let ask = async |token: &str| {
        let request = Request::post(format!("/edge/{LABEL}/canary-path?canary-query&edge_token={token}"))
            .header("referer", format!("http://h/?edge_token={token}"))
            .header("x-nullspace-traffic-access-token", traffic.expose())
            .header("authorization", "Bearer canary-authorization")
            .header("cookie", format!("edge_session={token}; canary-cookie=1"));
        let response = world.send(request.body(Body::from("canary-body")).unwrap()).await;
        let cookie = response.headers().get("set-cookie").map(|set| set.to_str().unwrap().to_owned());
        let _ = bytes(response).await;
        cookie.map(|cookie| cookie.split(['=', ';']).nth(1).unwrap().to_owned())
    };
    let cookie = ask(&token).await.unwrap();
    // Every way to be refused that says something to the log.
    ask("canary-token").await;
    for app in [
        App::Error(SandboxError::Failed("no route".to_owned())),
        App::answers("canary-garbage"),
        App::answers("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncanary-half"),
    ] {
        world.sandbox.set(app);
        ask(&token).await;
    }
    world.directory.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    ask(&token).await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for told in ["no route", "broke its answer off", "the disk is on fire", "edge_token_invalid", "ins_abc"] {
        assert!(log.contains(told), "{told} should be in the log:\n{log}");
    }
    for secret in ["canary", "edge_token=", &token, &cookie, traffic.expose()] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
