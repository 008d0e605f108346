//! Connections through proxies, with certificates of one's own, and of streams that are opened again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use prism_client::{Backoff, BehaviorVersion, Client, ClientBuilder, RetryPolicy, transport::Body};
use std::time::Duration;
use support::{
    KEY, deployment, deployment_id,
    faulty::{Server, Step, status, stream_head, token},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

fn builder(url: &str) -> ClientBuilder {
    let at_once =
        RetryPolicy::new().backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(2)));
    Client::builder().base_url(url).api_key(KEY).retries(at_once)
}

fn answer() -> Vec<Step> {
    let body = deployment("ready").to_string();
    vec![Step::Send(
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
            .into_bytes(),
    )]
}

#[tokio::test]
async fn a_proxy_is_asked_for_what_it_is_told_of() {
    let mut proxy = Server::start(vec![answer()]).await;
    let client = builder("http://prism.example").proxy(&*proxy.url).build().unwrap();
    client.deployment(&deployment_id()).get().await.unwrap();
    let request = proxy.request().await;
    assert!(request.starts_with("get http://prism.example/v1/deployments/dep_7xk9s2 http/1.1"), "{request}");
}

#[tokio::test]
async fn a_proxy_for_https_gets_no_key() {
    let mut proxy = Server::start(vec![status("403 Forbidden", "")]).await;
    let url = proxy.url.replace("http://", "http://user:pass@");
    let client = builder("https://prism.example").proxy(url).build().unwrap();
    let error = client.deployment(&deployment_id()).get().retries(RetryPolicy::none()).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    let request = proxy.request().await;
    assert!(request.starts_with("connect prism.example:443 http/1.1"), "{request}");
    assert!(request.contains("proxy-authorization: basic ") && !request.contains(KEY), "{request}");
}

#[test]
fn a_proxy_that_is_no_url_is_refused_without_being_quoted() {
    let error = builder("http://h").proxy("http://canary:canary@").build().unwrap_err();
    assert!(error.is_configuration());
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}

/// A server of TLS with a certificate that nobody knows, and that certificate in PEM.
async fn tls() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let Ok(mut socket) = acceptor.accept(socket).await else { continue };
            let mut request = [0; 4_096];
            let _ = socket.read(&mut request).await;
            for step in answer() {
                let Step::Send(bytes) = step else { unreachable!("it sends") };
                socket.write_all(&bytes).await.unwrap();
            }
            let _ = socket.shutdown().await;
        }
    });
    (url, made.cert.pem())
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_when_it_is_told() {
    let (url, pem) = tls().await;
    let trusting = builder(&url).no_proxy().root_certificate(pem).build().unwrap();
    assert_eq!(trusting.deployment(&deployment_id()).get().await.unwrap().name, "Acme");
    let careful = builder(&url).no_proxy().retries(RetryPolicy::none()).build().unwrap();
    let error = careful.deployment(&deployment_id()).get().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    for pem in ["", "canary", "-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n"] {
        let error = builder(&url).root_certificate(pem).build().unwrap_err();
        assert!(error.is_configuration() && !format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn a_layer_can_send_a_request_elsewhere() {
    let mut elsewhere = Server::start(vec![answer()]).await;
    let url = elsewhere.url.clone();
    let layer = tower::ServiceBuilder::new().map_request(move |mut request: http::Request<Body>| {
        *request.uri_mut() = format!("{url}/moved{}", request.uri().path()).parse().unwrap();
        request
    });
    let client = builder("http://nowhere.example").no_proxy().layer(layer).build().unwrap();
    client.deployment(&deployment_id()).get().await.unwrap();
    assert!(elsewhere.request().await.starts_with("get /moved/v1/deployments/dep_7xk9s2 "));
}

#[tokio::test]
async fn opening_a_stream_is_tried_again_as_calls_are() {
    let stream = vec![stream_head(), Step::Send(token(1).into_bytes()), Step::Hang];
    let server = Server::start(vec![status("503 Busy", ""), vec![Step::Reset], stream]).await;
    let client = builder(&server.url).build().unwrap();
    let events = client.deployment(&deployment_id()).events();
    let mut stream = events.stream().open().await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().id, "evt_7xK9s2_1");

    let server = Server::start(vec![status("503 Busy", "")]).await;
    let client = builder(&server.url).build().unwrap();
    let open = client.deployment(&deployment_id()).events().stream();
    let error = open.retries(RetryPolicy::none()).open().await.unwrap_err();
    assert_eq!((error.status(), error.attempts()), (Some(503), 1));

    let server = Server::start(vec![vec![Step::Hang], vec![Step::Hang]]).await;
    let client = builder(&server.url).build().unwrap();
    let open = client.deployment(&deployment_id()).events().stream();
    assert!(open.timeout(Duration::from_millis(100)).open().await.unwrap_err().is_timeout());
}

#[test]
fn a_version_of_the_defaults_can_be_pinned() {
    let [pinned, latest] = [BehaviorVersion::v2026_11(), BehaviorVersion::latest()]
        .map(|version| format!("{:?}", builder("http://h").behavior_version(version).build().unwrap()));
    assert!(pinned.contains("60s"), "{pinned}");
    assert!(BehaviorVersion::latest() >= BehaviorVersion::v2026_11());
    assert_eq!(pinned, latest, "there is one version so far");
}
