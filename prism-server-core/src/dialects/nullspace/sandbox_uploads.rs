//! `/v1/sandboxes/{sandbox_id}/uploads`: uploads in parts.

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{
    Problem, UploadId,
    nullspace::{CompletedUpload, CreatedUpload, UploadLimits, UploadSession, UploadStatus},
};
use serde_json::Value;

use super::{Shared, bodies::object, convert, error::Answer, sandbox_bodies};
use crate::{
    core::Core,
    domain::{
        decode::Node,
        idempotency::Reply,
        limits,
        machine::upload::{Collision, Upload, UploadContent, UploadSource, UploadState},
    },
    error::{Error, Result},
    http::{
        change::Change,
        decode::decode,
        gate::{Call, path_id},
        upload::Upload as Body,
    },
    service::machines::uploads::{self, NewUpload},
};

/// The header with the SHA-256 of a part.
const DIGEST: &str = "x-nullspace-part-sha256";

/// What the body of a new upload may have.
const CREATE: &[&str] = &[
    "kind",
    "source_kind",
    "target_path",
    "content_length",
    "conflict",
    "archive_format",
    "checksum_algorithm",
    "whole_checksum_sha256",
    "metadata",
    "user",
];

pub(super) async fn create(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let new = new_upload(&change.json().await?)?;
    let teller = core.clone();
    let created = change.carry_out(&core, move |core, author| async move {
        let tell = |upload: Upload| {
            Reply::json(StatusCode::CREATED, &CreatedUpload::new(told(&teller, &upload, false)))
        };
        uploads::create(&core, &author, &id, new, tell).await
    });
    Ok(created.await?)
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, upload)): Path<(String, String)>,
    call: Call,
) -> Result<Json<UploadSession>, Answer> {
    let (id, upload) = ids(&id, &upload)?;
    let seen = uploads::see(&core, &call.principal, &id, &upload).await?;
    Ok(Json(told(&core, &seen.upload, seen.is_completing)))
}

pub(super) async fn put_part(
    State(core): Shared,
    Path((id, upload, number)): Path<(String, String, String)>,
    mut change: Change,
) -> Result<Json<UploadSession>, Answer> {
    let (id, upload) = ids(&id, &upload)?;
    let digest = match change.headers().get(DIGEST) {
        Some(digest) => Some(
            digest_of(digest.to_str().unwrap_or_default())
                .map_err(|rule| Error::invalid(vec![Problem::new(format!("header.{DIGEST}"), rule)]))?,
        ),
        None => None,
    };
    let content = Body::new(change.take_body(), u64::MAX, None)?.into_stream();
    let kept = change.carry_out(&core, move |core, author| async move {
        let number = number.parse().ok();
        let upload = uploads::put_part(&core, &author, &id, &upload, number, digest, content).await?;
        Ok(told(&core, &upload, false))
    });
    Ok(Json(kept.await?))
}

pub(super) async fn complete(
    State(core): Shared,
    Path((id, upload)): Path<(String, String)>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let (id, upload) = ids(&id, &upload)?;
    let digest = decode(&change.json_if_any().await?, |node| {
        let body = node.object(&["whole_checksum_sha256"])?;
        Some(body.optional("whole_checksum_sha256", |node| node.parse(digest_of)))
    })?;
    let teller = core.clone();
    let completed = change.carry_out(&core, move |core, author| async move {
        let tell = |completed: uploads::Completed| {
            let (session, written) = (told(&teller, &completed.upload, false), completed.written);
            Reply::json(StatusCode::OK, &CompletedUpload::new(session, written.bytes, written.files))
        };
        uploads::complete(&core, &author, &id, &upload, digest, tell).await
    });
    Ok(completed.await?)
}

pub(super) async fn abort(
    State(core): Shared,
    Path((id, upload)): Path<(String, String)>,
    change: Change,
) -> Result<StatusCode, Answer> {
    let (id, upload) = ids(&id, &upload)?;
    let aborted = change.carry_out(&core, move |core, author| async move {
        uploads::abort(&core, &author, &id, &upload).await
    });
    aborted.await?;
    Ok(StatusCode::NO_CONTENT)
}

fn ids(id: &str, upload: &str) -> Result<(prism_types::InstanceId, UploadId)> {
    Ok((convert::sandbox_instance(id)?, path_id(upload, "Upload")?))
}

fn new_upload(body: &Value) -> Result<NewUpload> {
    decode(body, |node| {
        let body = node.object(CREATE)?;
        let content = body.required("kind", |node| word(node, UploadContent::ALL, UploadContent::as_str));
        let source = body.optional("source_kind", |node| word(node, UploadSource::ALL, UploadSource::as_str));
        let target = body.required("target_path", |node| match content {
            Some(UploadContent::Archive) => node.parse(sandbox_bodies::place),
            _ => node.parse(sandbox_bodies::file).map(Some),
        });
        let size = body.required("content_length", |node| node.count());
        let collision = body.optional("conflict", |node| word(node, Collision::ALL, Collision::as_str));
        body.optional("archive_format", |node| match content {
            Some(UploadContent::File) => node.refuse("must be left out: a file is no archive"),
            _ => node.choice::<String>(&["tar"]),
        });
        body.optional("checksum_algorithm", |node| node.choice::<String>(&["sha256"]));
        let digest = body.optional("whole_checksum_sha256", |node| node.parse(digest_of));
        body.optional("metadata", |node| object(node, limits::MACHINE_METADATA));
        body.optional("user", |node| node.parse(sandbox_bodies::user));
        let (content, target, collision) = (content?, target?, collision.unwrap_or(Collision::Merge));
        if target.is_none() && collision != Collision::Merge {
            return body.refuse_field("conflict", "must be `merge`: `/workspace` itself is there, and stays");
        }
        let source = source.unwrap_or(match content {
            UploadContent::File => UploadSource::File,
            UploadContent::Archive => UploadSource::Directory,
        });
        Some(NewUpload { content, source, target, collision, size: size?, digest })
    })
}

fn word<T: Copy>(node: Node<'_>, all: &[T], word: fn(T) -> &'static str) -> Option<T> {
    let words: Vec<_> = all.iter().map(|value| word(*value)).collect();
    let chosen: String = node.choice(&words)?;
    all.iter().copied().find(|value| word(*value) == chosen)
}

/// A SHA-256 in hexadecimal digits.
fn digest_of(text: &str) -> Result<String, String> {
    let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("must be a SHA-256 in 64 hexadecimal digits".to_owned())
    }
}

/// An upload, in the form that the client reads.
fn told(core: &Core, upload: &Upload, is_completing: bool) -> UploadSession {
    let target = match upload.target.as_str() {
        "" => "/workspace".to_owned(),
        path => format!("/workspace/{path}"),
    };
    let largest = core.settings.largest_file;
    let quota = largest.saturating_mul(limits::UPLOAD_ROOM.0);
    let limits = UploadLimits::new(largest, upload.part_size, limits::UPLOAD_CONCURRENCY, quota);
    let state = upload.state_at(core.clock.now());
    let archive = (upload.content == UploadContent::Archive).then(|| "tar".to_owned());
    UploadSession::new(
        upload.id.clone(),
        upload.content.as_str().into(),
        target,
        upload.size,
        limits,
        upload.created_at,
    )
    .source_kind(upload.source.as_str())
    .accepted_bytes(upload.accepted())
    .reserved_staging_bytes(if state == UploadState::Open { upload.size } else { 0 })
    .part_count(upload.part_count())
    .status(status(upload, state, is_completing))
    .conflict(upload.collision.as_str())
    .updated_at(upload.updated_at)
    .expires_at(upload.expires_at)
    .next_part(upload.next_part())
    .archive_format(archive)
    .whole_checksum_sha256(upload.digest.clone())
}

fn status(upload: &Upload, state: UploadState, is_completing: bool) -> UploadStatus {
    match state {
        UploadState::Open if is_completing => UploadStatus::Completing,
        UploadState::Open if upload.next_part().is_none() => UploadStatus::Staged,
        UploadState::Open if upload.parts.is_empty() => UploadStatus::Created,
        UploadState::Open => UploadStatus::Uploading,
        UploadState::Completed => UploadStatus::Completed,
        UploadState::Aborted => UploadStatus::Aborted,
        UploadState::Expired => UploadStatus::Expired,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body() -> Value {
        json!({ "kind": "file", "target_path": "/workspace/a/b", "content_length": 9 })
    }

    #[test]
    fn what_the_client_sends_is_read() {
        let mut sent = json!({
            "source_kind": "spooled_stream", "conflict": "replace", "archive_format": null,
            "checksum_algorithm": "sha256", "whole_checksum_sha256": "AB".repeat(32), "metadata": {}, "user": "user",
        });
        sent.as_object_mut().unwrap().extend(body().as_object().unwrap().clone());
        let new = new_upload(&sent).unwrap();
        assert_eq!((new.content, new.source), (UploadContent::File, UploadSource::Stream));
        assert_eq!((new.target.unwrap().as_str(), new.size), ("a/b", 9));
        assert_eq!((new.collision, new.digest), (Collision::Replace, Some("ab".repeat(32))));
        let new = new_upload(&body()).unwrap();
        assert_eq!((new.source, new.collision), (UploadSource::File, Collision::Merge));
        let archive = json!({ "kind": "directory_tar", "target_path": "/workspace", "content_length": 9 });
        let new = new_upload(&archive).unwrap();
        assert_eq!((new.target, new.source), (None, UploadSource::Directory));
    }

    #[test]
    fn each_problem_names_its_field() {
        for (field, value) in [
            ("kind", json!("pipe")),
            ("source_kind", json!("x")),
            ("target_path", json!("/etc/passwd")),
            ("target_path", json!("/workspace/../x")),
            ("target_path", json!("/workspace")),
            ("content_length", json!(-1)),
            ("conflict", json!("keep")),
            ("archive_format", json!("tar")),
            ("checksum_algorithm", json!("md5")),
            ("whole_checksum_sha256", json!("ab")),
            ("whole_checksum_sha256", json!("x".repeat(64))),
            ("metadata", json!([])),
            ("user", json!("root")),
            ("colour", json!("red")),
        ] {
            let mut wrong = body();
            wrong[field] = value.clone();
            let error = new_upload(&wrong).unwrap_err();
            assert!(error.message().starts_with(&format!("$.{field}")), "{value}: {}", error.message());
        }
        let whole = json!({
            "kind": "directory_tar", "target_path": "/workspace", "content_length": 9, "conflict": "replace",
        });
        assert!(new_upload(&whole).unwrap_err().message().starts_with("$.conflict"));
    }
}
