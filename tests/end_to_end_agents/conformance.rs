//! The conformance suite of harnesses with the real agent: whatever a run is cut off after, it goes on without
//! a gap and without a repeat.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::HeaderMap,
    routing::post,
};
use prism_server_core::{
    adapters::harness::HermesHarness,
    domain::{deployment::AgentSpec, scrubber::Scrubber},
    ports::{AgentSetup, BoxFuture, Harness, Outbound, Preparation, SandboxRequest},
    testkit::{
        harness::{self, HarnessFixture},
        model::ScriptedModel,
    },
};
use prism_types::Failure;
use tokio::runtime::Handle;

use crate::kind::{self, Kind};

/// Every kind of step but changes of files, since the trials share a workspace: text before and after tools, and a
/// question.
const SCRIPT: &str = r#"
when user contains "Hello"
  say Let me see.
  tool terminal {"command": "echo one"}
  then
  tool terminal {"command": "rm -rf absent"}
  then
  usage 1200 34
  say All is done.
"#;

pub(crate) async fn an_agent_conforms_to_its_port(kind: Kind) {
    let directory = tempfile::tempdir().unwrap();
    let model = ScriptedModel::start(SCRIPT).await.unwrap();
    let (sandboxes, harness) = (kind.sandboxes(directory.path()), kind::harness(directory.path()));
    let spec = AgentSpec::new("You are a test agent.");
    let (deployment, instance) = ("dep_conforms".parse().unwrap(), "ins_conforms".parse().unwrap());
    let setup = AgentSetup::new(deployment, instance, Arc::new(spec), "scripted/model-1".to_owned());
    let setup = setup.outbound(Arc::new(Model { base_url: model.base_url() }));
    let program = harness.program(setup.clone()).await.unwrap();
    let request = SandboxRequest::new(setup.instance_id.clone(), setup.deployment_id.clone(), true);
    let sandbox = sandboxes.ensure(request.program(program)).await.unwrap();
    let agent = Preparation::new(setup, sandbox);
    let id = agent.setup.instance_id.clone();
    let fixture = OneAgent { harness, agent };
    // A panic of a check must not leave the agent behind.
    let runtime = Handle::current();
    let (checked, fixture) = tokio::task::spawn_blocking(move || {
        let check = || runtime.block_on(harness::conforms(&fixture));
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
        (checked, fixture)
    })
    .await
    .unwrap();
    sandboxes.remove(&id).await.unwrap();
    fixture.harness.remove(&id).await.unwrap();
    checked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// One agent for all trials, whose threads know nothing of each other.
struct OneAgent {
    harness: HermesHarness,
    agent: Preparation,
}

impl HarnessFixture for OneAgent {
    fn harness(&self) -> &dyn Harness {
        &self.harness
    }

    fn agent(&self) -> BoxFuture<'_, Preparation> {
        Box::pin(async { self.agent.clone() })
    }
}

/// An outside where there is only a model.
struct Model {
    base_url: String,
}

impl Outbound for Model {
    fn router(&self) -> Router {
        let url = format!("{}/chat/completions", self.base_url);
        let forward =
            move |headers: HeaderMap, request: Request<Body>| forward(url.clone(), headers, request);
        Router::new().route("/model/v1/chat/completions", post(forward))
    }

    fn refusal(&self) -> Option<Failure> {
        None
    }

    fn scrubber(&self) -> Arc<Scrubber> {
        Arc::new(Scrubber::default())
    }
}

async fn forward(url: String, headers: HeaderMap, request: Request<Body>) -> axum::response::Response {
    let body: Bytes = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let sent = reqwest::Client::new().post(url).headers(headers).body(body).send().await.unwrap();
    let answer = axum::response::Response::builder().status(sent.status());
    let kind = sent.headers()["content-type"].clone();
    answer.header("content-type", kind).body(Body::from_stream(sent.bytes_stream())).unwrap()
}
