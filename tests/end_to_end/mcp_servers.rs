//! MCP servers of a live deployment.

use futures::future::join_all;
use prism_tests::{TestServer, scripted};
use prism_types::{CreateDeployment, McpServer, SecretRef, UpdateMcpServer};
use serde_json::json;

const URL: &str = "https://acme.example/mcp";
const VALUE: &str = "literal-5f2c9a71e0";

#[tokio::test]
async fn servers_are_added_changed_and_removed_and_no_value_of_a_header_is_told() {
    let server = TestServer::start().await;
    let reference: SecretRef = "sec_acme".parse().unwrap();
    server.plane.admin().set_secret(&server.account.tenant.id, &reference, &"hunter2".into()).await.unwrap();
    let request = CreateDeployment::new("cus_1", "Agent", scripted("say Hi")).secret("ACME", reference);
    let deployment = server.client().deployment(&server.deploy_request(request).await);
    let servers = deployment.mcp_servers();
    assert_eq!(servers.list().await.unwrap().data, []);

    let new = McpServer::new("acme", URL).header("Authorization", "Bearer ${ACME}").header("X-Key", VALUE);
    let added = servers.add(new.clone()).await.unwrap().into_inner();
    assert_eq!((added.name.as_str(), added.url.as_str()), ("acme", URL));
    assert_eq!(
        (added.tools.as_ref(), &added.headers[..]),
        (None, &["Authorization", "X-Key"].map(str::to_owned)[..])
    );
    let taken = servers.add(new).await.unwrap_err();
    assert_eq!(taken.status(), Some(409), "{taken}");

    let update =
        UpdateMcpServer::new().url("https://new.example/mcp").tools(["search"]).remove_header("x-key");
    let changed = servers.update("acme", update).await.unwrap().into_inner();
    assert_eq!(
        (changed.url.as_str(), &changed.headers[..]),
        ("https://new.example/mcp", &["Authorization".to_owned()][..])
    );
    assert_eq!(changed.tools, Some(vec!["search".to_owned()]));
    assert_eq!(servers.get("acme").await.unwrap().into_inner(), changed);
    let all = servers.update("acme", UpdateMcpServer::new().all_tools()).await.unwrap().into_inner();
    assert_eq!(all.tools, None);
    let listed = servers.list().await.unwrap().into_inner();
    assert_eq!(listed.data, [all]);
    assert!(!format!("{listed:?}{added:?}").contains(VALUE));

    servers.remove("acme").await.unwrap();
    for gone in [
        servers.get("acme").await.map(drop),
        servers.update("acme", UpdateMcpServer::new()).await.map(drop),
        servers.remove("acme").await.map(drop),
    ] {
        let gone = gone.unwrap_err();
        assert_eq!(gone.status(), Some(404), "{gone}");
        assert!(gone.to_string().contains("MCP server not found"), "{gone}");
    }
}

#[tokio::test]
async fn a_deployment_has_twenty_servers() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy("say Hi").await);
    let servers = deployment.mcp_servers();
    for number in 0..19 {
        servers.add(McpServer::new(format!("server-{number}"), URL)).await.unwrap();
    }
    let last = |number: usize| servers.add(McpServer::new(format!("last-{number}"), URL)).into_future();
    let added = join_all((0..4).map(last)).await;
    assert_eq!(added.iter().filter(|added| added.is_ok()).count(), 1, "{added:?}");
    for refused in added.into_iter().filter_map(Result::err) {
        assert_eq!(refused.status(), Some(400), "{refused}");
        assert!(refused.to_string().contains("at most 20 MCP servers"), "{refused}");
    }
    assert_eq!(servers.list().await.unwrap().data.len(), 20);
}

#[tokio::test]
async fn bodies_that_do_not_fit_are_refused_with_every_problem() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let http = server.http();
    let path = format!("/v1/deployments/{id}/mcp-servers");
    for (body, told) in [
        (json!({}), "$.url: is required"),
        (json!({"name": "builtin", "url": URL}), "$.name: must not be `builtin`"),
        (json!({"name": "a", "url": "ftp://x/"}), "$.url: must be an absolute http or https URL"),
        (json!({"name": "a", "url": URL, "headers": {"Host": "x"}}), "$.headers.Host: the name"),
        (json!({"name": "a", "url": URL, "headers": {"X-Key": "${ACME}"}}), "`secrets` has no `ACME`"),
        (json!({"name": "a", "url": URL, "transport": "sse"}), "$.transport: is not a known field"),
    ] {
        let answer = http.post(&path, &body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.message().contains(told), "{answer:?}");
    }
    assert_eq!(http.post(&path, &json!({"name": "a", "url": URL})).await.status, 201);
    let one = format!("{path}/a");
    for (body, told) in [
        (json!({"name": "b"}), "$.name: cannot be changed"),
        (json!({"url": null}), "$.url: must be a value"),
        (json!({"headers": {"X-Key": "${ACME}"}}), "$.headers[\"X-Key\"]: uses `${ACME}`"),
    ] {
        let answer = http.patch(&one, &body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.message().contains(told), "{answer:?}");
    }
}

/// A secret that a header needs cannot be taken away from below it.
#[tokio::test]
async fn a_server_keeps_the_secrets_that_it_needs() {
    let server = TestServer::start().await;
    let reference: SecretRef = "sec_acme".parse().unwrap();
    server.plane.admin().set_secret(&server.account.tenant.id, &reference, &"hunter2".into()).await.unwrap();
    let request = CreateDeployment::new("cus_1", "Agent", scripted("say Hi")).secret("ACME", reference);
    let id = server.deploy_request(request).await;
    let servers = server.client().deployment(&id).mcp_servers();
    servers.add(McpServer::new("acme", URL).header("X-Key", "${ACME}")).await.unwrap();
    let without = json!({"secrets": {"ACME": null}});
    let path = format!("/v1/deployments/{id}");
    let refused = server.http().patch(&path, &without).await;
    assert!(refused.message().contains("$.mcp_servers[0].headers"), "{refused:?}");
    servers.remove("acme").await.unwrap();
    assert_eq!(server.http().patch(&path, &without).await.status, 200);
}
