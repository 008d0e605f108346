//! Workspaces that outlive their deployments, in memory and on the disk.

use std::time::Duration;

use prism_tests::{ServerOptions, TestServer, scripted, scripted_body};
use prism_types::{CreateDeployment, DeploymentId, Runtime, Snapshot, SnapshotStatus, UpdateDeployment};
use serde_json::json;

/// Deletes a deployment, keeps its workspace, and waits until that is done.
async fn deleted(server: &TestServer, id: &DeploymentId) -> Snapshot {
    let answer = server.client().deployments().delete(id).retain_filesystem(true).await.unwrap();
    let snapshot = answer.snapshot_id.clone().expect("the answer names the snapshot");
    let ready = async {
        loop {
            let found = server.client().snapshots().get(&snapshot).await.unwrap().into_inner();
            if found.status == SnapshotStatus::Ready {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ready).await.unwrap()
}

async fn text(server: &TestServer, id: &DeploymentId, path: &str) -> String {
    server.client().deployment(id).files().read(path).await.unwrap().text().await.unwrap()
}

async fn a_workspace_moves_from_one_deployment_to_others(server: TestServer) {
    let first = server.deploy("say Hi").await;
    let files = server.client().deployment(&first).files();
    files.write("plan.md", "the plan").await.unwrap();
    files.write("deep/er/notes.md", "the notes").await.unwrap();
    server.client().deployment(&first).memories().create("They like tea").await.unwrap();
    let snapshot = deleted(&server, &first).await;
    assert_eq!((&snapshot.deployment_id, snapshot.customer_id.as_str()), (&first, "cus_1"));
    assert_eq!(snapshot.name, "Test agent");
    let kept = snapshot.expires_at.as_millis() - snapshot.created_at.as_millis();
    assert_eq!(kept, 30 * 24 * 3600 * 1000, "for 30 days");
    assert_eq!(server.client().snapshots().list().await.unwrap().data, std::slice::from_ref(&snapshot));

    // Two begin with it, and each goes its own way; what else the first one had is gone.
    let request = CreateDeployment::new("cus_1", "Another", scripted("read plan.md"))
        .snapshot_id(snapshot.snapshot_id.clone());
    let second = server.deploy_request(request.clone()).await;
    let third = server.deploy_request(request).await;
    server.client().deployment(&second).files().write("plan.md", "another plan").await.unwrap();
    assert_eq!(text(&server, &second, "plan.md").await, "another plan");
    assert_eq!(text(&server, &third, "plan.md").await, "the plan");
    assert_eq!(text(&server, &third, "deep/er/notes.md").await, "the notes");
    assert!(server.client().deployment(&third).memories().list().await.unwrap().data.is_empty());

    // It can be left again, and deleted before its time.
    let again = deleted(&server, &second).await;
    assert_eq!(server.client().snapshots().list().limit(1).await.unwrap().data, std::slice::from_ref(&again));
    server.client().snapshots().delete(&snapshot.snapshot_id).await.unwrap();
    for _ in 0..2 {
        let gone = server.client().snapshots().get(&snapshot.snapshot_id).await.unwrap_err();
        assert_eq!(gone.status(), Some(404), "{gone}");
    }
    assert_eq!(
        server.client().snapshots().delete(&snapshot.snapshot_id).await.unwrap_err().status(),
        Some(404)
    );
    assert_eq!(server.client().snapshots().list().await.unwrap().data, [again]);
    server.stop().await;
}

#[tokio::test]
async fn a_workspace_in_memory_moves_to_other_deployments() {
    a_workspace_moves_from_one_deployment_to_others(TestServer::start().await).await;
}

#[tokio::test]
async fn a_workspace_on_the_disk_moves_to_other_deployments() {
    let options = ServerOptions { on_disk: true, ..ServerOptions::default() };
    a_workspace_moves_from_one_deployment_to_others(TestServer::with(options).await).await;
}

#[tokio::test]
async fn nothing_is_kept_unless_it_is_asked_for() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let deleted = server.client().deployments().delete(&id).await.unwrap();
    assert_eq!(deleted.snapshot_id, None);
    assert!(server.client().snapshots().list().await.unwrap().data.is_empty());
}

#[tokio::test]
async fn a_snapshot_that_does_not_fit_is_refused_with_the_reason() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let snapshot = deleted(&server, &id).await.snapshot_id;
    let body = |snapshot: &str| {
        let mut body = scripted_body("say Hi");
        body["snapshot_id"] = json!(snapshot);
        body
    };
    let refused = async |body: serde_json::Value, rule: &str| {
        let answer = server.http().post("/v1/deployments", &body).await;
        assert_eq!((answer.status, answer.code()), (400, "validation_error"), "{answer:?}");
        assert!(answer.message().contains(&format!("$.snapshot_id: {rule}")), "{answer:?}");
    };
    refused(body("dep_1"), "must be the id of a snapshot").await;
    refused(body("snap_unknown"), "there is no snapshot `snap_unknown`").await;
    let mut another = body(snapshot.as_str());
    another["customer_id"] = json!("cus_2");
    refused(another, "is of the customer `cus_1`").await;
    let mut fleeting = body(snapshot.as_str());
    fleeting["sandbox"] = json!({"persistent_filesystem": false});
    refused(fleeting, "needs `sandbox.persistent_filesystem`").await;

    let other = server.another_account().await;
    let theirs = server.http_with(Some(other.key.expose()));
    let answer = theirs.post("/v1/deployments", &body(snapshot.as_str())).await;
    assert!(answer.message().contains("there is no snapshot"), "{answer:?}");
    assert_eq!(server.http().post("/v1/deployments", &body(snapshot.as_str())).await.status, 201);
}

/// The copy is made once, whatever becomes of the deployment and of the snapshot afterwards.
#[tokio::test]
async fn what_a_deployment_began_with_is_its_own() {
    let server = TestServer::start().await;
    let first = server.deploy("say Hi").await;
    server.client().deployment(&first).files().write("plan.md", "the plan").await.unwrap();
    let snapshot = deleted(&server, &first).await.snapshot_id;
    let request = CreateDeployment::new("cus_1", "Another", scripted("provision fail broken No"))
        .runtime(Runtime::Scripted)
        .snapshot_id(snapshot.clone());
    let second = server.client().deployments().create(request).await.unwrap().deployment_id.clone();
    let ready = async || {
        server.client().deployments().wait_until_ready(&second).timeout(Duration::from_secs(20)).await
    };
    assert!(ready().await.unwrap_err().to_string().contains("broken"));
    server.client().snapshots().delete(&snapshot).await.unwrap();
    let mended = UpdateDeployment::new().system_prompt(scripted("say Hi"));
    server.client().deployment(&second).update(mended).await.unwrap();
    ready().await.unwrap();
    assert_eq!(text(&server, &second, "plan.md").await, "the plan");
}
