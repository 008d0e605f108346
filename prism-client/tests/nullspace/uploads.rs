//! Uploads in parts: what is sent of them, and what when something broke.

use std::sync::{Arc, Mutex};

use prism_client::{
    RetryPolicy,
    nullspace::SandboxUploads,
    types::nullspace::{CreateUpload, UploadConflict, UploadKind, UploadSession, UploadStatus},
};
use serde_json::{Value, json};

use super::{
    AT,
    support::script::{Script, Seen, json as answer},
};

const PART: &str = "PUT /v1/sandboxes/{sandbox_id}/uploads/{upload_id}/parts/{part_number}";
const COMPLETE: &str = "POST /v1/sandboxes/{sandbox_id}/uploads/{upload_id}/complete";
const CONTENT: &[u8] = b"0123456789012345678901234";
/// Of `CONTENT`.
const DIGEST: &str = "0f4267b9f51b25b6066a7c7aa8af3129eff2ec38ea5f87cf72d02de6402afdae";

fn session(next_part: Option<u32>) -> Value {
    let limits = json!({
        "max_upload_bytes": 100, "max_part_bytes": 10, "max_concurrency": 2, "sandbox_staging_quota_bytes": 200,
    });
    json!({
        "upload_id": "upl_1", "kind": "file", "source_kind": "restartable_file", "target_path": "/workspace/a",
        "content_length": 25, "accepted_bytes": 0, "reserved_staging_bytes": 25, "part_size": 10, "part_count": 3,
        "max_concurrency": 2, "status": "created", "conflict": "merge", "checksum_algorithm": "sha256",
        "limits": limits, "created_at": AT, "updated_at": AT, "expires_at": AT, "next_part": next_part,
        "archive_format": null, "whole_checksum_sha256": null,
    })
}

fn upload(next_part: Option<u32>) -> UploadSession {
    serde_json::from_value(session(next_part)).unwrap()
}

fn uploads(script: &Script) -> SandboxUploads {
    let client = script.builder().retries(RetryPolicy::new().max_attempts(3)).build().unwrap();
    client.nullspace().sandboxes().uploads(&"sb_1".parse().unwrap())
}

/// Answers as a server would, but for the first attempts of the part 1.
fn server(refused: u32) -> Script {
    Script::new(move |seen| match &*seen.operation {
        PART if seen.uri.ends_with("/1") && seen.attempt <= refused => {
            answer(503, &json!({ "error": "no", "code": "internal_error" }))
        }
        COMPLETE => {
            let mut session = session(None);
            session["status"] = "completed".into();
            answer(200, &json!({ "session": session, "published_bytes": 25, "published_file_count": 1 }))
        }
        _ => answer(200, &session(None)),
    })
}

/// The bodies of the parts that came, by their numbers.
fn parts(seen: &[Seen]) -> Vec<(&str, &[u8])> {
    let parts = seen.iter().filter(|seen| seen.operation == PART);
    let mut parts: Vec<_> = parts.map(|seen| (seen.uri.rsplit('/').next().unwrap(), &*seen.body)).collect();
    parts.sort_unstable();
    parts
}

#[tokio::test(start_paused = true)]
async fn each_part_is_tried_again_by_itself_and_then_it_is_completed() {
    let script = server(2);
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let send = uploads(&script).send(&upload(Some(0)), CONTENT);
    assert!(!format!("{send:?}").contains("0123456789"));
    let done = send.on_progress(move |at| listener.lock().unwrap().push((at.bytes, at.total))).await.unwrap();
    assert_eq!((&done.session.status, done.published_bytes), (&UploadStatus::Completed, 25));
    let seen = script.seen();
    let one = ("1", &CONTENT[10..20]);
    assert_eq!(parts(&seen), [("0", &CONTENT[..10]), one, one, one, ("2", &CONTENT[20..])]);
    for part in seen.iter().filter(|seen| seen.operation == PART) {
        assert_eq!(part.header("content-type"), Some("application/octet-stream"));
        assert_eq!(part.header("x-nullspace-part-sha256").map(str::len), Some(64));
        assert!(part.header("idempotency-key").is_none());
    }
    let last = seen.last().unwrap();
    assert_eq!(last.operation, COMPLETE);
    assert!(last.header("idempotency-key").is_some());
    assert_eq!(last.json(), json!({ "whole_checksum_sha256": DIGEST }));
    let told = told.lock().unwrap();
    assert_eq!((told.len(), told.last()), (3, Some(&(25, Some(25)))));
}

#[tokio::test(start_paused = true)]
async fn what_was_broken_off_goes_on_with_what_is_missing() {
    let script = server(9);
    let broken = uploads(&script).send(&upload(Some(0)), CONTENT).await.unwrap_err();
    assert_eq!((broken.status(), script.count(COMPLETE)), (Some(503), 0));
    let script = server(0);
    uploads(&script).send(&upload(Some(1)), CONTENT).await.unwrap();
    assert_eq!(parts(&script.seen()), [("1", &CONTENT[10..20]), ("2", &CONTENT[20..])]);
    let script = server(0);
    uploads(&script).send(&upload(None), CONTENT).await.unwrap();
    assert_eq!((parts(&script.seen()), script.count(COMPLETE)), (Vec::new(), 1));
}

#[tokio::test]
async fn content_of_another_length_is_refused_before_anything_is_sent() {
    for content in [&CONTENT[..24], b"01234567890123456789012345"] {
        let script = server(0);
        let refused = uploads(&script).send(&upload(Some(0)), content).await.unwrap_err();
        assert!(refused.to_string().contains("was created for 25"), "{refused}");
        assert!(script.seen().is_empty());
    }
}

#[tokio::test]
async fn an_upload_is_created_read_and_given_up() {
    let script = Script::new(|seen| match seen.headers.get("content-type") {
        Some(_) => answer(201, &json!({ "session": session(Some(0)) })),
        None if seen.operation.starts_with("GET") => answer(200, &session(Some(2))),
        None => {
            let mut answer = http::Response::new(prism_client::transport::Body::empty());
            *answer.status_mut() = http::StatusCode::NO_CONTENT;
            Ok(answer)
        }
    });
    let uploads = uploads(&script);
    let request = CreateUpload::new(UploadKind::File, "/workspace/a", 25).conflict(UploadConflict::Error);
    let created = uploads.create(request).await.unwrap().into_inner().session;
    assert_eq!(uploads.get(&created.upload_id).await.unwrap().next_part, Some(2));
    uploads.abort(&created.upload_id).await.unwrap();
    let [create, get, abort] = script.seen().try_into().unwrap();
    let body =
        json!({ "kind": "file", "target_path": "/workspace/a", "content_length": 25, "conflict": "error" });
    assert_eq!((create.json(), create.header("idempotency-key").is_some()), (body, true));
    assert_eq!(create.uri, "http://script/v1/sandboxes/sb_1/uploads");
    for (seen, method) in [(get, "GET"), (abort, "DELETE")] {
        assert_eq!(seen.operation, format!("{method} /v1/sandboxes/{{sandbox_id}}/uploads/{{upload_id}}"));
        assert_eq!(seen.uri, "http://script/v1/sandboxes/sb_1/uploads/upl_1");
    }
}
