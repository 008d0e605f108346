//! `POST /v1/sandboxes/{sandbox_id}/files/batch-write`: several files at once.
//!
//! The first part of the body says which files there are, and each other part is one of them. Each is written as it comes, by
//! itself: what has failed is told beside what has not.

use std::collections::HashMap;

use axum::{
    Json,
    extract::{Path, State},
};
use futures::stream;
use http::header::CONTENT_LENGTH;
use prism_types::InstanceId;
use serde_json::{Value, json};

use super::{Shared, convert, error::Answer, sandbox_bodies as bodies, sandbox_files::told};
use crate::{
    core::Core,
    domain::{limits, workspace::WorkspacePath},
    error::{Error, ErrorKind, Result},
    http::{change::Change, decode::decode, multipart::Multipart, upload::Upload},
    service::{
        author::Author,
        machines::{self, files},
    },
};

/// The field of the part that says which files there are.
const MANIFEST: &str = "manifest";

pub(super) async fn write(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Json<Value>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let (_, most) = limits::BATCH_FILES;
    let declared = change.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let body = change.take_body();
    let content = Upload::new(body, most as u64, declared)?.into_stream();
    let mut parts = Multipart::new(change.headers(), content)?;
    let files = manifest(&mut parts).await?;
    machines::running(&core, change.principal(), &id).await?;
    let written = change.carry_out(&core, move |core, author| async move {
        write_all(&core, &author, &id, files, parts).await
    });
    Ok(Json(json!({ "results": written.await? })))
}

/// A file, and the part that has its content.
struct Wanted {
    path: WorkspacePath,
    field: String,
}

async fn manifest(parts: &mut Multipart) -> Result<Vec<Wanted>> {
    if parts.next().await?.as_deref() != Some(MANIFEST) {
        return Err(invalid(format!("The first part must be `{MANIFEST}`, and say which files follow.")));
    }
    let mut text = Vec::new();
    while let Some(piece) = parts.piece().await? {
        text.extend_from_slice(&piece);
        if text.len() > limits::BODY {
            let message = format!("The part `{MANIFEST}` has more than {} bytes.", limits::BODY);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
    }
    let body = serde_json::from_slice(&text)
        .map_err(|error| invalid(format!("The part `{MANIFEST}` must be JSON: {error}")))?;
    wanted(&body)
}

fn wanted(body: &Value) -> Result<Vec<Wanted>> {
    decode(body, |node| {
        let body = node.object(&["files", "user"])?;
        body.optional("user", |node| node.parse(bodies::user));
        let (most, _) = limits::BATCH_FILES;
        body.required("files", |node| {
            node.list(most, |node| {
                let file = node.object(&["path", "field"])?;
                let path = file.required("path", |node| node.parse(bodies::file));
                let field = file.required("field", |node| node.label(1..=limits::LABEL));
                Some(Wanted { path: path?, field: field? })
            })
        })
    })
}

/// Writes the files whose parts come; what became of each, in the order in which they were announced.
async fn write_all(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    files: Vec<Wanted>,
    mut parts: Multipart,
) -> Result<Vec<Value>> {
    let mut results: Vec<Option<Value>> = vec![None; files.len()];
    let places: HashMap<_, _> =
        files.iter().enumerate().map(|(at, file)| (file.field.as_str(), at)).collect();
    if places.len() < files.len() {
        return Err(invalid("Each file must have a part of its own (`field`).".to_owned()));
    }
    while let Some(field) = parts.next().await? {
        let Some(at) = places.get(field.as_str()).copied().filter(|at| results[*at].is_none()) else {
            let message =
                "A part is of no file that was announced, or comes twice. What was written before stays.";
            return Err(invalid(message.to_owned()));
        };
        let path = &files[at].path;
        let content = stream::try_unfold(&mut parts, |parts| async move {
            Ok(parts.piece().await?.map(|piece| (piece, parts)))
        });
        results[at] = Some(match files::write(core, author, id, path, content).await {
            Ok(info) => json!({ "path": absolute(path), "status": "success", "info": told(path, &info) }),
            Err(error) if parts.is_broken() => return Err(error),
            Err(error) => failed(path, error.message()),
        });
    }
    let missing = |(file, result): (&Wanted, Option<Value>)| {
        result.unwrap_or_else(|| failed(&file.path, "The part with its content is missing."))
    };
    Ok(files.iter().zip(results).map(missing).collect())
}

fn failed(path: &WorkspacePath, message: &str) -> Value {
    json!({ "path": absolute(path), "status": "error", "error": message })
}

fn absolute(path: &WorkspacePath) -> String {
    format!("/workspace/{path}")
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_are_announced_as_the_limit_and_each_with_a_path() {
        let files = |count: usize| {
            let file =
                |number| json!({ "path": format!("/workspace/{number}"), "field": format!("file{number}") });
            json!({ "files": (0..count).map(file).collect::<Vec<_>>(), "user": null })
        };
        let (most, _) = limits::BATCH_FILES;
        assert_eq!(wanted(&files(most)).unwrap().len(), most);
        assert_eq!(wanted(&files(0)).unwrap().len(), 0);
        for wrong in [
            files(most + 1),
            json!({}),
            json!({ "files": [{ "path": "/etc/passwd", "field": "a" }] }),
            json!({ "files": [{ "path": "/workspace/a" }] }),
            json!({ "files": [], "user": "root" }),
        ] {
            assert!(wanted(&wrong).is_err(), "{wrong}");
        }
    }
}
