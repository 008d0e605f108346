//! `/v1/deployments/{deployment_id}/files`

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prism_types::{DeletedFile, FileEncoding, FileEntry, FileList, FileType, FileWritten, Problem};
use serde_json::Value;

use super::{Call, Shared, deployment_id, error::Answer};
use crate::{
    domain::{idempotency::Reply, limits, workspace::WorkspacePath},
    error::{Error, ErrorKind, Result},
    http::{
        body::is_json,
        change::Change,
        conditions::{if_match, if_none_match},
        cursor,
        decode::decode,
        media_type,
        query::Query,
        range::{Wanted, wanted},
        upload::Upload,
    },
    ports::FileInfo,
    service::{
        deployments,
        files::{self, Conditions},
    },
};

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<FileList>, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, &call.principal, &id).await?;
    let mut query = Query::parse(call.request.uri().query());
    let directory = query.read("path", directory).flatten();
    let limit = query.read("limit", |text| {
        let limit = text.parse().ok().filter(|limit| (1..=limits::ENTRIES).contains(limit));
        limit.ok_or_else(|| format!("must be a whole number from 1 to {}", limits::ENTRIES))
    });
    let after: Option<String> = query.read("cursor", |text| {
        cursor::decode(text).ok_or_else(|| "must be the `next_cursor` of this list".to_owned())
    });
    query.finish()?;
    let limit = limit.unwrap_or(limits::ENTRIES);
    let listed =
        files::list(&core, &call.principal, &id, directory.as_ref(), after.as_deref(), limit).await?;
    let next = listed.entries.last().filter(|_| listed.more).map(|(name, _)| cursor::encode(name));
    let path = directory.map_or(String::new(), |directory| directory.to_string());
    Ok(Json(FileList::new(path, listed.entries.into_iter().map(entry).collect(), next)))
}

pub(super) async fn read(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, &call.principal, &id).await?;
    let (parts, _) = call.request.into_parts();
    let mut query = Query::parse(parts.uri.query());
    let path = query.required("path", file);
    let path = query.finish_with(path)?;
    let Conditions { if_match, if_none_match } = conditions(&parts.headers)?;
    let opened = files::open(&core, &call.principal, &id, &path).await?;
    let info = opened.file.info().clone();
    Conditions { if_match, if_none_match: None }.check(Some(&info))?;
    if if_none_match.is_some_and(|known| known.name_weakly(&info.etag())) {
        let headers = [(header::ETAG, info.etag()), (header::CACHE_CONTROL, CACHING.to_owned())];
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let (status, range) = match wanted(&parts.headers, info.size, &info.etag()) {
        Wanted::Whole => (StatusCode::OK, 0..info.size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::PastTheEnd => return Ok(past_the_end(info.size)),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    describe(response.headers_mut(), &path, &info);
    if status == StatusCode::PARTIAL_CONTENT {
        let content_range = format!("bytes {}-{}/{}", range.start, range.end - 1, info.size);
        insert(response.headers_mut(), header::CONTENT_RANGE, &content_range);
    }
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    let transfer = opened.transfer;
    // A body that ends before its length is broken off: a slow reader does not hold up a shutdown.
    let pieces = opened.file.read(range).take_until(core.shutdown.clone().cancelled_owned());
    let pieces = pieces.map(move |piece| {
        let _until_the_end = &transfer;
        piece.map_err(|error| {
            tracing::warn!(%error, "a file was not sent to its end");
            error
        })
    });
    *response.body_mut() = Body::from_stream(pieces);
    Ok(response)
}

pub(super) async fn write(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let mut query = Query::parse(change.parts.uri.query());
    let path = query.read("path", file);
    query.finish()?;
    let conditions = conditions(change.headers())?;
    let is_json = change.headers().contains_key(header::CONTENT_TYPE) && is_json(change.headers());
    let (path, content) = match path {
        Some(_) if is_json => {
            let message = "does not go with a body of JSON, which has a `path` of its own; \
                           send a JSON file with `Content-Type: application/octet-stream`";
            return Err(Error::invalid(vec![Problem::new("query.path", message)]).into());
        }
        Some(path) => {
            let declared =
                change.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
            let declared = declared.and_then(|length| length.parse().ok());
            let upload = Upload::new(change.take_body(), core.settings.largest_file, declared)?;
            (path, upload.into_stream().left_stream())
        }
        None if is_json => {
            let (path, content) = write_file(&change.json().await?)?;
            (path, stream::iter([Ok(content)]).right_stream())
        }
        None => {
            let message = "is required, unless the body is JSON with a `path` of its own";
            return Err(Error::invalid(vec![Problem::new("query.path", message)]).into());
        }
    };
    let place = path.clone();
    let written = change.carry_out(&core, |core, author| async move {
        files::write(&core, &author, &id, &place, &conditions, content).await
    });
    let info = written.await?;
    let answer = FileWritten::new(path.as_str(), info.size, info.modified_at());
    Ok(Reply::json(StatusCode::OK, &answer)?.etag(info.etag()))
}

pub(super) async fn delete(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<Json<DeletedFile>, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let mut query = Query::parse(change.parts.uri.query());
    let path = query.required("path", file);
    let path = query.finish_with(path)?;
    let conditions = conditions(change.headers())?;
    let deleted = DeletedFile::new(path.as_str());
    let work = change.carry_out(&core, |core, author| async move {
        files::delete(&core, &author, &id, &path, &conditions).await
    });
    work.await?;
    Ok(Json(deleted))
}

/// A file may change at any time; whoever keeps a copy has to ask.
const CACHING: &str = "private, no-cache";

/// The JSON form of a write: the path and the bytes.
fn write_file(body: &Value) -> Result<(WorkspacePath, Bytes)> {
    decode(body, |node| {
        let object = node.object(&["path", "content", "encoding"])?;
        let path = object.required("path", |node| node.parse(file));
        let encoding = object.optional("encoding", |node| node.choice::<FileEncoding>(FileEncoding::KNOWN));
        let content = object.required("content", |node| {
            if encoding != Some(FileEncoding::Base64) {
                return node.any_string().map(|text| Bytes::from(text.to_owned()));
            }
            node.parse(|text| {
                let bytes = STANDARD.decode(text).map(Bytes::from);
                bytes.map_err(|_| "must be base64 with the standard alphabet and padding".to_owned())
            })
        });
        Some((path?, content?))
    })
}

/// The path of a file.
fn file(text: &str) -> Result<WorkspacePath, String> {
    let path: WorkspacePath =
        text.parse().map_err(|error: crate::domain::workspace::InvalidPath| error.to_string())?;
    if path.as_str().split('/').any(|part| part.len() > limits::NAME) {
        return Err(format!("must have parts of at most {} bytes", limits::NAME));
    }
    Ok(path)
}

/// The path of a directory; `None`: the root.
fn directory(text: &str) -> Result<Option<WorkspacePath>, String> {
    match text {
        "" | "." | "./" | "/" | "/workspace" | "/workspace/" => Ok(None),
        text => file(text.strip_suffix('/').unwrap_or(text)).map(Some),
    }
}

fn conditions(headers: &HeaderMap) -> Result<Conditions> {
    Ok(Conditions { if_match: if_match(headers)?, if_none_match: if_none_match(headers)? })
}

fn past_the_end(size: u64) -> Response {
    let message = format!("The range is past the end of the file, which has {size} bytes.");
    let mut response = Answer(Error::new(ErrorKind::RangeNotSatisfiable, message)).into_response();
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

/// What is told of a file: enough to keep and to check a copy, and nothing that has a browser run it.
fn describe(headers: &mut HeaderMap, path: &WorkspacePath, info: &FileInfo) {
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type::of(name)));
    insert(headers, header::CONTENT_DISPOSITION, &media_type::attachment(name));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let nothing = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHING));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert(headers, header::ETAG, &info.etag());
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn entry((name, info): (String, FileInfo)) -> FileEntry {
    match info.kind {
        FileType::File => FileEntry::file(name, info.size, info.modified_at()),
        ref kind => FileEntry::other(name, kind.clone(), info.modified_at()),
    }
}
