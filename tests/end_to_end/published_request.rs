//! The request of the published API reference works as it stands.

use axum::{Router, routing::get};
use prism_tests::{ACME_AGENT, Http, PrismServe, ServerOptions, TestServer, serve};
use prism_types::Secret;
use serde_json::{Value, json};

const SKILL: &str = "---\nname: social-media-visual-effects\ndescription: Effects\n---\n";

/// A server that takes `https://example.com` from a local host, with the two secrets of the request set.
async fn server() -> TestServer {
    let path = "/skills/social-media-visual-effects/SKILL.md";
    let host = serve(Router::new().route(path, get(|| async { SKILL }))).await;
    let development_origins = vec![("https://example.com".to_owned(), host)];
    let server = TestServer::with(ServerOptions { development_origins, ..Default::default() }).await;
    for reference in ["sec_meta_ads_token", "sec_google_drive_token"] {
        let (tenant, reference) = (&server.account.tenant.id, reference.parse().unwrap());
        server.plane.admin().set_secret(tenant, &reference, &Secret::new("value")).await.unwrap();
    }
    server
}

#[tokio::test]
async fn the_body_byte_for_byte_answers_every_published_field() {
    let server = server().await;
    let answer = server.http().post_bytes("/v1/deployments", ACME_AGENT).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let body = &answer.body;
    let id = body["deployment_id"].as_str().unwrap();
    assert!(id.starts_with("dep_"));
    assert!(body["thread_id"].as_str().unwrap().starts_with("thr_"));
    assert_eq!(body["customer_id"], "cus_123");
    assert_eq!(body["name"], "Acme Creative Agent");
    assert_eq!(body["runtime"], "hermes");
    assert_eq!(body["status"], "provisioning");
    assert_eq!(body["model"], "anthropic/claude-sonnet-4.5");
    assert_eq!(body["filesystem"], json!({"workspace_path": "/workspace", "persistent": true}));
    let url = format!("{}/v1/deployments/{id}/events", server.base_url);
    assert_eq!(body["events"], json!({"transport": "sse", "url": url}));
    let text = body.to_string();
    for write_only in ["system_prompt", "secrets", "skills", "mcp_servers", "features", "sec_meta"] {
        assert!(!text.contains(write_only), "{write_only} is echoed");
    }
}

#[tokio::test]
async fn the_three_kinds_of_skills_are_listed_with_their_state() {
    let server = server().await;
    let created = server.http().post_bytes("/v1/deployments", ACME_AGENT).await;
    let id = created.body["deployment_id"].as_str().unwrap();
    let skills = server.http().get(&format!("/v1/deployments/{id}/skills")).await;
    let told = |skill: &Value| format!("{} {} {}", skill["name"], skill["source"], skill["state"]);
    let told: Vec<_> = skills.body["data"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(
        told,
        [
            r#""ugc-video-creation" "file" "pending""#,
            r#""storyboarding" "inline" "ready""#,
            r#""social-media-visual-effects" "url" "ready""#,
        ]
    );
}

#[tokio::test]
async fn a_runtime_that_this_server_cannot_run_says_so() {
    let server = server().await;
    let created = server.http().post_bytes("/v1/deployments", ACME_AGENT).await;
    let id = created.body["deployment_id"].as_str().unwrap().parse().unwrap();
    let error = server.client().deployments().wait_until_ready(&id).await.unwrap_err();
    assert!(error.is_deployment_failed());
    assert_eq!(error.failure().unwrap().code, "runtime_unavailable");
    let deployment = server.client().deployment(&id).get().await.unwrap();
    assert_eq!(deployment.status.as_str(), "error");
    assert!(deployment.error.as_ref().unwrap().message.contains("scripted"));
    let refused = server.client().deployment(&id).messages().send("Hi").await.unwrap_err();
    assert!(refused.is_not_ready(), "{refused}");
}

/// What the reference's shell command does, with its address replaced and nothing else.
#[tokio::test]
async fn the_published_curl_command_works_against_the_binary() {
    let directory = tempfile::tempdir().unwrap();
    let prism = PrismServe::start(directory.path()).await;
    let body = ACME_AGENT.replace('\'', "'\\''");
    let command = format!(
        "curl -s \"{}/v1/deployments\" -X POST -H \"Authorization: Bearer $PRISM_API_KEY\" \
         -H \"Content-Type: application/json\" -d '{body}'",
        prism.base_url,
    );
    let output = tokio::process::Command::new("sh")
        .args(["-c", &command])
        .env("PRISM_API_KEY", PrismServe::KEY)
        .output()
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Its secrets were not set here.
    assert_eq!(answer["error"], "invalid_secret_ref", "{answer}");
    let known: Http = prism.http();
    assert_eq!(known.get("/v1/deployments").await.body["data"], json!([]));
}
