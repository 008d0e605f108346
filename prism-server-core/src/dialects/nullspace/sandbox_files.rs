//! `/v1/sandboxes/{sandbox_id}/files` and `.../file`: files of sandboxes.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{
    StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use prism_types::{
    FileType,
    nullspace::{SandboxFile, SandboxFileExists, SandboxFileType},
};
use serde_json::{Value, json};

use super::{Shared, convert, error::Answer, sandbox_bodies as bodies};
use crate::{
    domain::workspace::WorkspacePath,
    error::{Error, ErrorKind, Result},
    http::{change::Change, gate::Call, query::Query, upload::Upload},
    ports::FileInfo,
    service::machines::files,
};

/// Deepest listing.
pub(super) const DEPTH: u32 = 64;

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Vec<SandboxFile>>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let directory = query.required("path", bodies::place);
    let depth = query.read("depth", |text| {
        let depth = text.parse().ok().filter(|depth| (1..=DEPTH).contains(depth));
        depth.ok_or_else(|| format!("must be a whole number from 1 to {DEPTH}"))
    });
    query.read("user", bodies::user);
    let directory = query.finish_with(directory)?;
    let entries = files::list(&core, &call.principal, &id, directory, depth.unwrap_or(1)).await?;
    Ok(Json(entries.iter().map(|entry| told(&entry.path, &entry.info)).collect()))
}

pub(super) async fn download(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let path = query.required("path", bodies::file);
    query.read("user", bodies::user);
    let path = query.finish_with(path)?;
    let file = files::open(&core, &call.principal, &id, &path).await?;
    let size = file.info().size;
    // A body that ends before its length is broken off: a slow reader does not hold up a shutdown.
    let pieces = file.read(0..size).take_until(core.shutdown.clone().cancelled_owned());
    let headers = [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_LENGTH, size.to_string())];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

pub(super) async fn upload(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<StatusCode, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let mut query = Query::parse(change.parts.uri.query());
    let path = query.required("path", bodies::file);
    query.read("user", bodies::user);
    let path = query.finish_with(path)?;
    let declared = change.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let content = Upload::new(change.take_body(), core.settings.largest_file, declared)?.into_stream();
    let written = change.carry_out(&core, |core, author| async move {
        files::write(&core, &author, &id, &path, content).await
    });
    written.await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn read(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Json<Value>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let path = bodies::text_file(&change.json().await?)?;
    let content = files::read(&core, change.principal(), &id, &path).await?;
    let content = String::from_utf8(content).map_err(|_| {
        let message = "The file is no UTF-8. Read its bytes: `GET /v1/sandboxes/{sandbox_id}/file`.";
        Error::new(ErrorKind::Invalid, message)
    })?;
    Ok(Json(json!({ "path": absolute(&path), "content": content, "encoding": "utf8" })))
}

pub(super) async fn write(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Json<SandboxFile>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let (path, content) = bodies::write_file(&change.json().await?)?;
    let written = change.carry_out(&core, |core, author| async move {
        let content = stream::iter([Ok(Bytes::from(content))]);
        let info = files::write(&core, &author, &id, &path, content).await?;
        Ok(told(&path, &info))
    });
    Ok(Json(written.await?))
}

pub(super) async fn info(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Json<SandboxFile>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let path = bodies::path(&change.json().await?)?;
    let found = files::stat(&core, change.principal(), &id, &path).await?;
    let found = found.ok_or_else(|| Error::not_found("File"))?;
    Ok(Json(told(&path, &found)))
}

pub(super) async fn exists(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Json<SandboxFileExists>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let path = bodies::path(&change.json().await?)?;
    let found = files::stat(&core, change.principal(), &id, &path).await?;
    Ok(Json(SandboxFileExists::new(found.is_some())))
}

pub(super) async fn remove(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<StatusCode, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let path = bodies::path(&change.json().await?)?;
    let removed = change
        .carry_out(&core, |core, author| async move { files::remove(&core, &author, &id, &path).await });
    removed.await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn rename(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Json<SandboxFile>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let (from, to) = bodies::rename(&change.json().await?)?;
    let renamed = change.carry_out(&core, |core, author| async move {
        let info = files::rename(&core, &author, &id, &from, &to).await?;
        Ok(told(&to, &info))
    });
    Ok(Json(renamed.await?))
}

pub(super) async fn make_directory(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<StatusCode, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let path = bodies::path(&change.json().await?)?;
    let made = change.carry_out(&core, |core, author| async move {
        files::make_directory(&core, &author, &id, &path).await
    });
    made.await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn set_permissions(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<StatusCode, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let (path, permissions) = bodies::permissions(&change.json().await?)?;
    let set = change.carry_out(&core, |core, author| async move {
        files::set_permissions(&core, &author, &id, &path, &permissions).await
    });
    set.await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn told(path: &WorkspacePath, info: &FileInfo) -> SandboxFile {
    let kind = match info.kind {
        FileType::Directory => SandboxFileType::Directory,
        FileType::File => SandboxFileType::File,
        _ => SandboxFileType::Other,
    };
    SandboxFile::new(absolute(path), kind, info.size, info.modified_at())
}

fn absolute(path: &WorkspacePath) -> String {
    format!("/workspace/{path}")
}
