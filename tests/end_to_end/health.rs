//! What load balancers and supervisors ask, without a key.

use prism_server_core::{
    ControlPlane,
    adapters::secret_box::{MasterKey, SealedBox},
};
use prism_tests::{Http, PrismServe, serve};
use serde_json::json;

#[tokio::test]
async fn a_control_plane_is_ready_while_its_engine_runs() {
    let plane = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32]))).build().await.unwrap();
    let http = Http::new(&serve(plane.health_router()).await, None);
    let ready = async || {
        let answer = http.get("/readyz").await;
        (answer.status, answer.body)
    };
    let not_ready = |problem| (503, json!({"status": "not_ready", "problems": [problem]}));
    assert_eq!(ready().await, not_ready("the engine does not run"));

    let engine = tokio::spawn(plane.run());
    let becomes_ready = async { while ready().await != (200, json!({"status": "ready"})) {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), becomes_ready).await.unwrap();

    plane.shutdown();
    engine.await.unwrap();
    assert_eq!(ready().await, not_ready("the server is stopping"));
    assert_eq!(http.get("/healthz").await.body, json!({"status": "ok"}), "it lives all the same");
}

#[tokio::test]
async fn prism_serve_answers_without_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let prism = PrismServe::start(directory.path()).await;
    let http = Http::new(&prism.base_url, None);
    assert_eq!(http.get("/healthz").await.status, 200);
    let becomes_ready = async { while http.get("/readyz").await.status != 200 {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), becomes_ready).await.unwrap();
    assert_eq!(http.get("/v1/deployments").await.status, 401);
}
