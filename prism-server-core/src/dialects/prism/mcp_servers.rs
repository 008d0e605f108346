//! `/v1/deployments/{deployment_id}/mcp-servers`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{DeletedMcpServer, McpServer, McpServerInfo, McpServerList};
use serde_json::Value;

use super::{Call, Shared, bodies, deployment_id, error::Answer};
use crate::{
    domain::{checks, idempotency::Reply},
    error::Result,
    http::{change::Change, decode::decode},
    service::{
        deployments,
        mcp_servers::{self, McpServerChange},
    },
};

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<McpServerList>, Answer> {
    let servers = mcp_servers::list(&core, &call.principal, &deployment_id(&id)?).await?;
    Ok(Json(McpServerList::new(servers.into_iter().map(McpServerInfo::from).collect())))
}

pub(super) async fn add(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let server = decode_new(&change.json().await?)?;
    let added = change.carry_out(&core, |core, author| async move {
        let tell = |server| Reply::json(StatusCode::CREATED, &McpServerInfo::from(server));
        mcp_servers::add(&core, &author, &id, server, tell).await
    });
    Ok(added.await?)
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, name)): Path<(String, String)>,
    call: Call,
) -> Result<Json<McpServerInfo>, Answer> {
    let server = mcp_servers::get(&core, &call.principal, &deployment_id(&id)?, &name).await?;
    Ok(Json(server.into()))
}

pub(super) async fn update(
    State(core): Shared,
    Path((id, name)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<McpServerInfo>, Answer> {
    let id = deployment_id(&id)?;
    mcp_servers::get(&core, change.principal(), &id, &name).await?;
    let wanted = decode_change(&change.json().await?)?;
    let updated = change.carry_out(&core, |core, author| async move {
        mcp_servers::update(&core, &author, &id, &name, wanted).await
    });
    Ok(Json(updated.await?.into()))
}

pub(super) async fn remove(
    State(core): Shared,
    Path((id, name)): Path<(String, String)>,
    change: Change,
) -> Result<Json<DeletedMcpServer>, Answer> {
    let id = deployment_id(&id)?;
    let removed = name.clone();
    let work = change.carry_out(&core, |core, author| async move {
        mcp_servers::remove(&core, &author, &id, &name).await
    });
    work.await?;
    Ok(Json(DeletedMcpServer::new(removed)))
}

fn decode_new(body: &Value) -> Result<McpServer> {
    decode(body, bodies::mcp_server)
}

fn decode_change(body: &Value) -> Result<McpServerChange> {
    decode(body, |node| {
        let object = node.object(&["name", "url", "tools", "headers"])?;
        object.change::<()>("name", |node| node.refuse("cannot be changed; add another MCP server"));
        Some(McpServerChange {
            url: object.change("url", |node| node.parse(checks::http_url)),
            tools: bodies::patch(&object, "tools", bodies::mcp_tools),
            headers: object
                .change("headers", |node| {
                    bodies::headers(node, |node| node.or_null(|node| node.parse(checks::header_value)))
                })
                .unwrap_or_default(),
        })
    })
}

#[cfg(test)]
mod tests {
    use prism_types::UpdateMcpServer;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn whatever_the_client_type_can_say_is_understood_the_same(
            url in proptest::option::of("https://[a-z]{1,9}/[a-z]{0,9}"),
            tools in proptest::option::of(proptest::option::of(proptest::collection::vec("[a-z]{1,9}", 0..3))),
            headers in proptest::collection::btree_map("X-[a-z]{1,9}", proptest::option::of("[a-z]{1,9}"), 0..4),
        ) {
            let mut request = UpdateMcpServer::new();
            request.url = url;
            request = match tools {
                None => request,
                Some(None) => request.all_tools(),
                Some(Some(tools)) => request.tools(tools),
            };
            request.headers = headers;
            let change = decode_change(&serde_json::to_value(&request).unwrap()).unwrap();
            prop_assert_eq!((change.url, change.tools, change.headers), (request.url, request.tools, request.headers));
        }
    }

    #[test]
    fn every_problem_of_a_change_is_told_at_once() {
        let body =
            json!({"name": "b", "url": null, "tools": [""], "headers": {"Host": "x", "A": "", "B": null}});
        let error = decode_change(&body).unwrap_err();
        let paths: Vec<_> = error.problems().iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["$.name", "$.url", "$.tools[0]", "$.headers.A", "$.headers.Host"]);
        let error = decode_new(&json!({"name": "builtin", "url": "https://x/"})).unwrap_err();
        assert!(error.message().contains("must not be `builtin`"), "{error}");
    }
}
