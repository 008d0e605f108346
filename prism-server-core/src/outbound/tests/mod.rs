//! Tests of outsides against servers on loopback addresses.

mod mcp;
mod model;
mod tools;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, extract::Request, response::Response};
use http::HeaderMap;
use http_body_util::BodyExt;
use prism_types::{McpServer, Secret};
use tokio::{net::TcpListener, task::JoinHandle};

use super::*;
use crate::{
    adapters::{
        egress::HttpEgress,
        secret_box::{MasterKey, SealedBox},
        store::MemoryStore,
    },
    domain::tenant::Tenant,
    ports::{Clock, SystemClock, Write},
    service,
    testkit::store::{commit, records},
};

/// A server on a loopback address that keeps what it was asked.
struct Server {
    origin: String,
    asked: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers every request with `answer`, which gets the request's number and body.
    async fn answering<F>(
        answer: impl Fn(usize, HeaderMap, Bytes) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response> + Send,
    {
        let asked: Arc<Mutex<Vec<_>>> = Arc::default();
        let (kept, number) = (asked.clone(), Arc::new(AtomicUsize::new(0)));
        let router = Router::new().fallback(move |request: Request| async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            kept.lock().unwrap().push((head.headers.clone(), body.clone()));
            answer(number.fetch_add(1, Ordering::SeqCst), head.headers, body).await
        });
        let (origin, task) = serve(router).await;
        Self { origin, asked, task }
    }

    fn asked(&self) -> Vec<(HeaderMap, Bytes)> {
        self.asked.lock().unwrap().clone()
    }

    /// The body of the last request.
    fn last(&self) -> serde_json::Value {
        serde_json::from_slice(&self.asked().last().unwrap().1).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(router: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    (origin, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

/// The outside of the deployment 1 of the tenant 1, served.
struct Outside {
    store: Arc<MemoryStore>,
    outbounds: Outbounds,
    deployment: Deployment,
    spec: Arc<AgentSpec>,
    outbound: Arc<dyn Outbound>,
    origin: String,
    task: JoinHandle<()>,
}

const SECRET: &str = "hunter2-\"secret\"";

impl Outside {
    async fn new(
        credits: Option<u64>,
        providers: &[(&str, Provider)],
        server: Option<(McpServer, &Server)>,
    ) -> Self {
        Self::with(credits, providers, server, |_| {}).await
    }

    async fn with(
        credits: Option<u64>,
        providers: &[(&str, Provider)],
        server: Option<(McpServer, &Server)>,
        change: impl FnOnce(&mut AgentSpec),
    ) -> Self {
        let store = Arc::new(MemoryStore::new());
        let tenant = Tenant { credits, ..records::tenant(1) };
        commit(store.as_ref(), [Write::InsertTenant(tenant)]).await.unwrap();
        let mut egress = HttpEgress::builder();
        let mut spec = AgentSpec { secrets: records::spec().secrets, ..AgentSpec::new("") };
        if let Some((server, upstream)) = server {
            egress = egress.development_origin("https://mcp.example", upstream.origin.as_str());
            spec.mcp_servers.push(server);
        }
        change(&mut spec);
        let spec = Arc::new(spec);
        let providers = providers.iter().map(|(name, provider)| ((*name).to_owned(), provider.clone()));
        let outbounds = Outbounds::new(Gateway::new(
            store.clone(),
            Arc::new(secret_box()),
            Arc::new(egress.build().unwrap()),
            providers.collect(),
            TaskTracker::new(),
        ));
        set_secret(&store, SECRET).await;
        let deployment = Deployment { customer_id: "cus ü%".to_owned(), ..records::deployment(1, 1) };
        let model = "anthropic/claude-sonnet-4.5".to_owned();
        let outbound = outbounds.make(&deployment, &spec, model).await.unwrap();
        let (origin, task) = serve(outbound.router()).await;
        Self { store, outbounds, deployment, spec, outbound, origin, task }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    async fn tenant(&self) -> Tenant {
        self.store.tenant(&records::id("ten_", 1)).await.unwrap().unwrap()
    }

    /// Waits until this many calls were metered, and gives tokens sent, tokens answered and credits.
    async fn metered(&self, calls: u64) -> (u64, u64, Option<u64>) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let Tenant { used, credits, revision, .. } = self.tenant().await;
            if revision >= calls {
                assert_eq!(revision, calls);
                return (used.input_tokens, used.output_tokens, credits);
            }
            assert!(tokio::time::Instant::now() < deadline, "{revision} of {calls} calls were metered");
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn secret_box() -> SealedBox {
    SealedBox::new(MasterKey::from_bytes([7; 32]))
}

/// Sets the secret of the variable `TOKEN`.
async fn set_secret(store: &MemoryStore, value: &str) {
    let (tenant, reference) = (records::id("ten_", 1), records::id("sec_", 1));
    let value = Secret::new(value);
    service::secrets::set(store, &secret_box(), &SystemClock, &tenant, &reference, &value).await.unwrap();
}

/// Reading an answer as JSON.
trait ReadJson {
    async fn read_json(self) -> serde_json::Value;
}

impl ReadJson for reqwest::Response {
    async fn read_json(self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes().await.unwrap()).unwrap()
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn all_outsides_of_a_deployment_share_what_lasts() {
    let outside = Outside::new(None, &[], None).await;
    let chat = client().post(outside.url("/model/v1/chat/completions")).body("{}").send().await.unwrap();
    assert_eq!(chat.status(), 404);
    let make = |number| {
        let deployment = records::deployment(1, number);
        let spec = Arc::new(records::spec());
        let outbounds = &outside.outbounds;
        async move { outbounds.make(&deployment, &spec, "a/b".to_owned()).await.unwrap() }
    };
    assert_eq!(make(1).await.refusal().unwrap().code, "model_unavailable");
    assert_eq!(make(2).await.refusal(), None);
    assert_eq!(make(1).await.scrubber().text(&format!("a {SECRET} b")), "a [redacted] b");
    outside.outbounds.forget(&records::id("dep_", 1));
    assert_eq!(make(1).await.refusal(), None);
    assert!(SystemClock.now() > records::at(0));
}
