//! `/v1/deployments/{deployment_id}/memories`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{DeletedMemory, Memory, MemoryId, Page};
use serde_json::Value;

use super::{Call, Shared, deployment_id, error::Answer, path_id};
use crate::{
    domain::{idempotency::Reply, limits, memory, memory::checked},
    error::Result,
    http::{change::Change, cursor, decode::decode, query::Query},
    service::{deployments, memories},
};

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Page<Memory>>, Answer> {
    let id = deployment_id(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    let words = query.read("q", |words| {
        let most = limits::MEMORY_QUERY;
        if words.chars().count() <= most {
            Ok(words.to_owned())
        } else {
            Err(format!("must have at most {most} characters"))
        }
    });
    query.finish()?;
    let words = words.unwrap_or_default();
    let listed = memories::list(&core, &call.principal, &id, &words, page).await?;
    let data = listed.items.into_iter().map(encode).collect();
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, memory)): Path<(String, String)>,
    call: Call,
) -> Result<Json<Memory>, Answer> {
    let (id, memory) = (deployment_id(&id)?, memory_id(&memory)?);
    Ok(Json(encode(memories::get(&core, &call.principal, &id, &memory).await?)))
}

pub(super) async fn create(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let content = content(&change.json().await?)?;
    let created = change.carry_out(&core, |core, author| async move {
        let tell = |memory| Reply::json(StatusCode::CREATED, &encode(memory));
        memories::create(&core, &author, &id, content, tell).await
    });
    Ok(created.await?)
}

pub(super) async fn update(
    State(core): Shared,
    Path((id, memory)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<Memory>, Answer> {
    let (id, memory) = (deployment_id(&id)?, memory_id(&memory)?);
    memories::get(&core, change.principal(), &id, &memory).await?;
    let content = content(&change.json().await?)?;
    let updated = change.carry_out(&core, |core, author| async move {
        memories::update(&core, &author, &id, &memory, content).await
    });
    Ok(Json(encode(updated.await?)))
}

pub(super) async fn delete(
    State(core): Shared,
    Path((id, memory)): Path<(String, String)>,
    change: Change,
) -> Result<Json<DeletedMemory>, Answer> {
    let (id, memory) = (deployment_id(&id)?, memory_id(&memory)?);
    let deleted = DeletedMemory::new(memory.clone());
    let work = change
        .carry_out(&core, |core, author| async move { memories::delete(&core, &author, &id, &memory).await });
    work.await?;
    Ok(Json(deleted))
}

fn memory_id(text: &str) -> Result<MemoryId> {
    path_id(text, "Memory")
}

/// The body of a memory that is made or changed.
fn content(body: &Value) -> Result<String> {
    decode(body, |node| {
        let object = node.object(&["content"])?;
        object.required("content", |node| node.parse(checked))
    })
}

fn encode(record: memory::Memory) -> Memory {
    Memory::new(record.id, record.content, record.source, record.created_at).updated_at(record.updated_at)
}
