//! Services: ready, unhealthy and ready again, failed, stopped, and started again under the same id.

use prism_client::nullspace::AgentDeploymentHandle;
use prism_types::nullspace::{
    AgentConfig, CreateService, RestartService, ServiceInstance, ServiceInstanceId, ServiceStatus,
    StopService,
};
use serde_json::json;

use super::{deploy, remove, server, until};

/// Answers `/healthz` with what the file `status` says. It needs Python, as the agents do.
const APP: &str = r#"exec python3 -c '
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(open("../status").read()) if os.path.exists("../status") else 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(self.headers.get("X-Forwarded-Proto", "none").encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'"#;

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn configured(line: &str, readiness: serde_json::Value) -> serde_json::Value {
    let mut config = serde_json::to_value(AgentConfig::service("web", line, free_port())).unwrap();
    config["service"]["readiness"] = readiness;
    config["permissions"] = json!({ "public_url": true });
    config
}

async fn once(
    deployment: &AgentDeploymentHandle,
    id: &ServiceInstanceId,
    status: ServiceStatus,
) -> ServiceInstance {
    until(status.as_str(), async || {
        let service = deployment.services().get(id).await.unwrap().into_inner();
        (service.status == status).then_some(service)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_looked_at_for_as_long_as_it_runs() {
    let server = server().await;
    let client = server.client();
    let readiness = json!({
        "type": "http", "path": "/healthz", "timeout_seconds": 60, "interval_seconds": 1, "failure_threshold": 1,
    });
    let web = deploy(&client, "web", configured(APP, readiness)).await;
    let created = web.services().create(CreateService::new()).await.unwrap();
    assert_eq!((created.status.clone(), created.public_url.is_none()), (ServiceStatus::Starting, true));
    let ready = once(&web, &created.id, ServiceStatus::Ready).await;
    let url = ready.public_url.unwrap();
    assert_eq!(reqwest::get(url.expose()).await.unwrap().text().await.unwrap(), "http");

    let workspace = server.sandboxes().join(created.id.as_str().replace("adsvc_", "ins_")).join("workspace");
    std::fs::write(workspace.join("status"), "500").unwrap();
    let unhealthy = once(&web, &created.id, ServiceStatus::Unhealthy).await;
    assert!(unhealthy.public_url.is_none());
    std::fs::write(workspace.join("status"), "204").unwrap();
    once(&web, &created.id, ServiceStatus::Ready).await;

    // Stopped it keeps its files, when that is asked for, and has them when it starts again.
    web.services().stop(&created.id, StopService::new().retain_sandbox(true)).await.unwrap();
    let stopped = once(&web, &created.id, ServiceStatus::Stopped).await;
    assert!(stopped.sandbox_id.is_some() && stopped.stopped_at.is_some());
    assert!(reqwest::get(url.expose()).await.unwrap().status().is_server_error());
    let again = web.services().stop(&created.id, StopService::new()).await.unwrap();
    assert_eq!(again.status, ServiceStatus::Stopped, "it has stopped already");
    let restarted = web.services().restart(&created.id, RestartService::new()).await.unwrap();
    assert_eq!((&restarted.id, &restarted.status), (&created.id, &ServiceStatus::Starting));
    once(&web, &created.id, ServiceStatus::Ready).await;
    assert_eq!(std::fs::read_to_string(workspace.join("status")).unwrap(), "204");
    assert!(!reqwest::get(url.expose()).await.unwrap().status().is_success(), "a token is of one start");
    web.services().stop(&created.id, StopService::new()).await.unwrap();
    until("its sandbox is gone", async || {
        web.services().get(&created.id).await.unwrap().sandbox_id.is_none().then_some(())
    })
    .await;
    remove(&client, web, &server.sandboxes()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ends_or_never_answers_has_failed() {
    let server = server().await;
    let client = server.client();
    let tcp = json!({ "type": "tcp", "timeout_seconds": 1 });
    let silent = deploy(&client, "silent", configured("exec sleep 600", tcp.clone())).await;
    let created = silent.services().create(CreateService::new()).await.unwrap();
    let failed = once(&silent, &created.id, ServiceStatus::Failed).await;
    let reason = failed.failure_reason.unwrap();
    assert!(reason.contains("did not take a connection") && reason.contains("0.0.0.0"), "{reason}");

    let ends = deploy(&client, "ends", configured("echo no >&2; exit 4", tcp)).await;
    let created = ends.services().create(CreateService::new()).await.unwrap();
    let failed = once(&ends, &created.id, ServiceStatus::Failed).await;
    assert!(failed.failure_reason.unwrap().contains("ended with status 4"));

    let lives = json!({ "type": "timeout", "timeout_seconds": 1 });
    let lives = deploy(&client, "lives", configured("sleep 3", lives)).await;
    let created = lives.services().create(CreateService::new()).await.unwrap();
    once(&lives, &created.id, ServiceStatus::Ready).await;
    once(&lives, &created.id, ServiceStatus::Failed).await;
    silent.delete().await.unwrap();
    ends.delete().await.unwrap();
    remove(&client, lives, &server.sandboxes()).await;
    server.stop().await;
}
