//! The method, the path, the headers and the body of each operation, and its answer.

use std::fmt::Debug;

use prism_client::{
    Error, Response,
    nullspace::AgentDeploymentHandle,
    types::{
        Patch,
        nullspace::{
            AgentConfig, AgentDeploymentStatus, AgentMode, AgentRunStatus, AgentVersionStatus, BuildId,
            BundleManifest, CachePolicy, CancelRun, CreateAgentDeployment, CreateRun, CreateService,
            CreateVersion, JsonObject, OutputStatus, RestartService, ServiceStatus, StopService,
            UpdateAgentDeployment,
        },
    },
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    AT, deployment, deployment_of, log, nullspace, run, service,
    support::{
        KEY,
        script::{Script, Seen, json as answer},
    },
    version,
};

/// What one call sends, and what it makes of this answer.
struct Exchange<T> {
    sent: Seen,
    answer: Response<T>,
}

async fn exchange<T, C>(
    status: u16,
    told: Value,
    call: impl FnOnce(AgentDeploymentHandle, &Script) -> C,
) -> Exchange<T>
where
    C: IntoFuture<Output = Result<Response<T>, Error>> + Debug,
{
    let script = Script::new(move |_| answer(status, &told));
    let call = call(deployment_of(&script), &script);
    assert!(!format!("{call:?}").contains("canary"), "{call:?}");
    assert!(script.seen().is_empty(), "nothing is sent before it is asked for");
    let answer = call.await.unwrap();
    assert_eq!((answer.status(), answer.request_id()), (status, Some("req_script")));
    let [sent] = script.seen().try_into().unwrap();
    Exchange { sent, answer }
}

impl<T> Exchange<T> {
    /// Holds the request against its first line, whether it has a key, and its JSON body.
    #[track_caller]
    fn sends(self, operation: &str, path: &str, has_key: bool, body: Option<Value>) -> Response<T> {
        let Self { sent, answer } = self;
        assert_eq!(sent.operation, operation);
        assert_eq!(sent.uri.strip_prefix("http://script"), Some(path));
        assert_eq!(sent.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        assert_eq!(sent.header("idempotency-key").is_some(), has_key);
        assert_eq!(answer.idempotency_key(), sent.header("idempotency-key"));
        match body {
            Some(body) => {
                assert_eq!(sent.header("content-type"), Some("application/json"));
                assert_eq!(sent.json(), body);
            }
            None => assert!(sent.body.is_empty() && sent.header("content-type").is_none()),
        }
        answer
    }
}

/// What was answered is what is written again.
#[track_caller]
fn assert_kept<T: Serialize>(response: &Response<T>, told: &Value) {
    assert_eq!(&serde_json::to_value(response.as_ref()).unwrap(), told);
}

const DEPLOYMENTS: &str = "/v1/agent-deployments";
const DEPLOYMENT: &str = "/v1/agent-deployments/{deployment_id}";

fn named(method: &str, path: &str) -> String {
    format!("{method} {DEPLOYMENT}{path}")
}

fn page(item: &Value) -> Value {
    json!({ "items": [item], "next_cursor": "c=2" })
}

#[tokio::test]
async fn deployments() {
    let request = CreateAgentDeployment::new("demo", AgentMode::Job).description("x");
    let request = request.metadata(JsonObject::parse(r#"{"a":1}"#).unwrap());
    let made = exchange(201, deployment(), |_, script| nullspace(script).deployments().create(request)).await;
    let body = json!({ "name": "demo", "mode": "job", "description": "x", "metadata": { "a": 1 } });
    let made = made.sends(&format!("POST {DEPLOYMENTS}"), DEPLOYMENTS, true, Some(body));
    assert_eq!(made.status, AgentDeploymentStatus::Active);
    assert_kept(&made, &deployment());

    let list = exchange(200, page(&deployment()), |_, script| {
        let list = nullspace(script).deployments().list().mode(AgentMode::Job).status("hidden");
        list.limit(200).cursor("c=1")
    });
    let path = format!("{DEPLOYMENTS}?mode=job&status=hidden&limit=200&cursor=c%3D1");
    let list = list.await.sends(&format!("GET {DEPLOYMENTS}"), &path, false, None);
    assert_kept(&list, &page(&deployment()));

    let path = format!("{DEPLOYMENTS}/adpl_1");
    let got = exchange(200, deployment(), |handle, _| handle.get()).await;
    assert_kept(&got.sends(&named("GET", ""), &path, false, None), &deployment());

    let change = UpdateAgentDeployment::new().description(Patch::Clear).status(AgentDeploymentStatus::Paused);
    let change = change.name("other").metadata(JsonObject::default());
    let change =
        change.active_version_id("adpv_1".parse::<prism_client::types::nullspace::AgentVersionId>().unwrap());
    let changed = exchange(200, deployment(), |handle, _| handle.update(change)).await;
    let body = json!({
        "name": "other", "description": null, "status": "paused", "active_version_id": "adpv_1", "metadata": {},
    });
    changed.sends(&named("PATCH", ""), &path, false, Some(body));
}

#[tokio::test]
async fn a_delete_is_answered_without_a_body() {
    let empty = |_: &Seen| {
        let mut answer = http::Response::new(prism_client::transport::Body::empty());
        *answer.status_mut() = http::StatusCode::NO_CONTENT;
        Ok(answer)
    };
    let script = Script::new(empty);
    let deleted = deployment_of(&script).delete().await.unwrap();
    assert_eq!((deleted.status(), deleted.into_inner()), (204, ()));
    let [sent] = script.seen().try_into().unwrap();
    assert_eq!(
        (sent.operation, sent.uri.as_str()),
        (named("DELETE", ""), "http://script/v1/agent-deployments/adpl_1")
    );
    assert_eq!(sent.headers.get("idempotency-key"), None);
}

#[tokio::test]
async fn versions() {
    let manifest = BundleManifest::new(AT.parse().unwrap()).bundle_digest("c0ffee").config_digest("beef");
    let config = AgentConfig::job("demo", "python main.py");
    let request = CreateVersion::new(&manifest, &config).cache_policy(CachePolicy::Rebuild);
    let made = exchange(201, version("created"), |handle, _| handle.versions().create(request)).await;
    let body = json!({
        "bundle_digest": "c0ffee", "bundle_manifest": serde_json::to_value(&manifest).unwrap(),
        "config": serde_json::to_value(&config).unwrap(), "cache_policy": "rebuild",
    });
    let path = format!("{DEPLOYMENTS}/adpl_1/versions");
    let made = made.sends(&named("POST", "/versions"), &path, true, Some(body));
    assert_kept(&made, &version("created"));
    let build: BuildId = "adpb_1".parse().unwrap();
    assert_eq!(made.cache_summary.as_ref().unwrap().build_id, Some(build));

    let list = exchange(200, page(&version("ready")), |handle, _| {
        handle.versions().list().status(AgentVersionStatus::Ready).limit(3).cursor("c")
    });
    let path = format!("{path}?status=ready&limit=3&cursor=c");
    let list = list.await.sends(&named("GET", "/versions"), &path, false, None);
    assert_kept(&list, &page(&version("ready")));

    let id = "adpv_1".parse().unwrap();
    let got = exchange(200, version("dreaming"), |handle, _| handle.versions().get(&id)).await;
    let path = format!("{DEPLOYMENTS}/adpl_1/versions/adpv_1");
    let got = got.sends(&named("GET", "/versions/{version_id}"), &path, false, None);
    assert_eq!(got.status.as_str(), "dreaming", "a status of tomorrow is kept");
    assert_kept(&got, &version("dreaming"));
}

#[tokio::test]
async fn a_bundle_is_uploaded_as_it_is() {
    let id = "adpv_1".parse().unwrap();
    let upload = exchange(200, version("ready"), |handle, _| {
        handle.versions().upload_archive(&id, "c0ffee", "a tar").idempotency_key("mine")
    });
    let Exchange { sent, answer } = upload.await;
    assert_kept(&answer, &version("ready"));
    assert_eq!(sent.operation, named("PUT", "/versions/{version_id}/bundle"));
    assert_eq!(sent.uri, "http://script/v1/agent-deployments/adpl_1/versions/adpv_1/bundle");
    assert_eq!(sent.header("content-type"), Some("application/x-tar"));
    assert_eq!(sent.header("x-nullspace-bundle-digest"), Some("c0ffee"));
    assert_eq!(sent.header("idempotency-key"), Some("mine"));
    assert_eq!(sent.body, b"a tar");
}

#[tokio::test]
async fn runs() {
    let path = format!("{DEPLOYMENTS}/adpl_1/runs");
    let request = CreateRun::new()
        .version_id("adpv_1".parse::<prism_client::types::nullspace::AgentVersionId>().unwrap())
        .input(JsonObject::parse(r#"{"q":1}"#).unwrap())
        .env("KEY", "canary")
        .retain_on_failure(true)
        .retention_seconds(60);
    let made = exchange(201, run("queued"), |handle, _| handle.runs().create(request)).await;
    let body = json!({
        "version_id": "adpv_1", "input": { "q": 1 }, "envs": { "KEY": "canary" }, "retain_on_failure": true,
        "retention_seconds": 60,
    });
    let made = made.sends(&named("POST", "/runs"), &path, true, Some(body));
    assert_eq!(made.status, AgentRunStatus::Queued);
    assert_kept(&made, &run("queued"));
    let made = exchange(201, run("queued"), |handle, _| handle.runs().create(CreateRun::new())).await;
    made.sends(&named("POST", "/runs"), &path, true, Some(json!({})));

    let version = "adpv_1".parse::<prism_client::types::nullspace::AgentVersionId>().unwrap();
    let list = exchange(200, page(&run("running")), |handle, _| {
        handle.runs().list().status(AgentRunStatus::TimedOut).version_id(version).limit(3).cursor("c")
    });
    let listed = format!("{path}?status=timed_out&version_id=adpv_1&limit=3&cursor=c");
    let list = list.await.sends(&named("GET", "/runs"), &listed, false, None);
    assert_kept(&list, &page(&run("running")));

    let id = "adrun_1".parse().unwrap();
    let got = exchange(200, run("running"), |handle, _| handle.runs().get(&id)).await;
    let got = got.sends(&named("GET", "/runs/{run_id}"), &format!("{path}/adrun_1"), false, None);
    assert_kept(&got, &run("running"));

    for (request, body) in
        [(CancelRun::new(), json!({})), (CancelRun::new().reason("r"), json!({ "reason": "r" }))]
    {
        let over = exchange(200, run("cancelled"), |handle, _| handle.runs().cancel(&id, request)).await;
        let cancel = format!("{path}/adrun_1/cancel");
        let over = over.sends(&named("POST", "/runs/{run_id}/cancel"), &cancel, false, Some(body));
        assert!(over.status.is_terminal());
    }

    let outputs = json!({
        "run_id": "adrun_1", "output_manifest": { "sandbox_id": "sb_1" },
        "outputs": [{
            "configured_path": "out", "path": "/workspace/project/out", "kind": "file", "status": "available",
            "size_bytes": 7, "name": "out",
            "access": { "type": "sandbox_file_api", "sandbox_id": "sb_1", "path": "/workspace/project/out" },
        }],
    });
    let got = exchange(200, outputs.clone(), |handle, _| handle.runs().outputs(&id)).await;
    let got =
        got.sends(&named("GET", "/runs/{run_id}/outputs"), &format!("{path}/adrun_1/outputs"), false, None);
    assert_eq!(got.outputs[0].status, OutputStatus::Available);
    assert_kept(&got, &outputs);

    let got =
        exchange(200, log([1, 2], 0, false, Some("c")), |handle, _| handle.runs().logs(&id).limit(7)).await;
    let logs = format!("{path}/adrun_1/logs?limit=7");
    let got = got.sends(&named("GET", "/runs/{run_id}/logs"), &logs, false, None);
    assert_kept(&got, &log([1, 2], 0, false, Some("c")));
}

#[tokio::test]
async fn services() {
    let path = format!("{DEPLOYMENTS}/adpl_1/services");
    let version = "adpv_1".parse::<prism_client::types::nullspace::AgentVersionId>().unwrap();
    let request = CreateService::new().version_id(version.clone()).env("A", "canary");
    let made = exchange(201, service("starting"), |handle, _| handle.services().create(request)).await;
    let body = json!({ "version_id": "adpv_1", "envs": { "A": "canary" } });
    let made = made.sends(&named("POST", "/services"), &path, true, Some(body));
    assert_eq!((made.status.clone(), made.port), (ServiceStatus::Starting, 32768));
    assert_kept(&made, &service("starting"));
    let made = exchange(201, service("starting"), |handle, _| {
        handle.services().create(CreateService::new()).idempotency_key("mine")
    });
    let made = made.await.sends(&named("POST", "/services"), &path, true, Some(json!({})));
    assert_eq!(made.idempotency_key(), Some("mine"));

    let list = exchange(200, page(&service("ready")), |handle, _| {
        handle.services().list().status(ServiceStatus::Ready).version_id(version).limit(3).cursor("c")
    });
    let listed = format!("{path}?status=ready&version_id=adpv_1&limit=3&cursor=c");
    let list = list.await.sends(&named("GET", "/services"), &listed, false, None);
    assert_kept(&list, &page(&service("ready")));

    let id = "adsvc_1234abcd".parse().unwrap();
    let one = format!("{path}/adsvc_1234abcd");
    let got = exchange(200, service("ready"), |handle, _| handle.services().get(&id)).await;
    assert_kept(&got.sends(&named("GET", "/services/{service_id}"), &one, false, None), &service("ready"));

    let request = StopService::new().reason("r").retain_sandbox(true);
    let stopped = exchange(200, service("stopping"), |handle, _| handle.services().stop(&id, request)).await;
    let body = json!({ "reason": "r", "retain_sandbox": true });
    stopped.sends(&named("POST", "/services/{service_id}/stop"), &format!("{one}/stop"), false, Some(body));

    let request = RestartService::new().reason("r").env("A", "canary");
    let begun = exchange(200, service("starting"), |handle, _| handle.services().restart(&id, request)).await;
    let body = json!({ "reason": "r", "envs": { "A": "canary" } });
    begun.sends(
        &named("POST", "/services/{service_id}/restart"),
        &format!("{one}/restart"),
        false,
        Some(body),
    );

    let url = json!({
        "service_id": "adsvc_1234abcd", "status": "ready", "public_url": "https://x/?edge_token=canary", "port": 80,
    });
    let got = exchange(200, url.clone(), |handle, _| handle.services().url(&id)).await;
    let got = got.sends(&named("GET", "/services/{service_id}/url"), &format!("{one}/url"), false, None);
    assert!(!format!("{got:?}").contains("canary"), "{got:?}");
    assert_kept(&got, &url);

    let got =
        exchange(200, log([], 0, false, None), |handle, _| handle.services().logs(&id).tail(5).offset(9))
            .await;
    let logs = format!("{one}/logs?offset=9");
    got.sends(&named("GET", "/services/{service_id}/logs"), &logs, false, None);
}

#[tokio::test]
async fn lists_are_streams() {
    let script = Script::new(|seen| {
        let is_first = !seen.uri.contains("cursor");
        let next = is_first.then_some("2");
        answer(200, &json!({ "items": [service("ready")], "next_cursor": next }))
    });
    let items = deployment_of(&script).services().list().limit(1).items().all().await.unwrap();
    assert_eq!(items.len(), 2);
    let uris: Vec<_> = script.seen().into_iter().map(|seen| seen.uri).collect();
    let path = "http://script/v1/agent-deployments/adpl_1/services?limit=1";
    assert_eq!(uris, [path.to_owned(), format!("{path}&cursor=2")]);
}
