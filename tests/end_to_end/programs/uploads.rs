//! Uploads in parts to sandboxes.

use std::{path::Path, time::Duration};

use futures::future::join_all;
use prism_server_core::{Settings, testkit::clock::TestClock};
use prism_tests::{Answer, Http, PrismServe, ServerOptions, TestServer, answer};
use prism_types::{
    Timestamp,
    nullspace::{CreateSandbox, CreateUpload, UploadKind},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::until;

/// The bytes of a part of what has several.
const PART: usize = 8 * 1024 * 1024;

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of which no piece is like another.
fn content(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8).collect()
}

/// A sandbox, for its uploads.
struct Sandbox {
    http: Http,
    path: String,
}

impl Sandbox {
    async fn create(http: Http) -> Self {
        let request = http.request("POST", "/v1/sandboxes").header("idempotency-key", key());
        let made = answer(request.json(&json!({ "timeout_ms": 600_000 }))).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let path = format!("/v1/sandboxes/{}", made.body["id"].as_str().unwrap());
        Self { http, path }
    }

    /// The same sandbox at another server or for somebody else.
    fn by(&self, http: Http) -> Self {
        Self { http, path: self.path.clone() }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &key()).await
    }

    async fn post_with(&self, path: &str, body: &Value, key: &str) -> Answer {
        let request = self.http.request("POST", &format!("{}{path}", self.path));
        answer(request.header("idempotency-key", key).json(body)).await
    }

    async fn begin(&self, path: &str, length: usize, conflict: &str) -> Answer {
        let (kind, target) = ("file", format!("/workspace/{path}"));
        let body =
            json!({ "kind": kind, "target_path": target, "content_length": length, "conflict": conflict });
        self.post("/uploads", &body).await
    }

    /// An upload that may be created; its id.
    async fn upload(&self, path: &str, length: usize) -> String {
        let begun = self.begin(path, length, "merge").await;
        assert_eq!(begun.status, 201, "{}", begun.body);
        begun.body["session"]["upload_id"].as_str().unwrap().to_owned()
    }

    async fn part(&self, upload: &str, number: &str, bytes: &[u8]) -> Answer {
        self.part_with(upload, number, bytes, &digest(bytes)).await
    }

    async fn part_with(&self, upload: &str, number: &str, bytes: &[u8], digest: &str) -> Answer {
        let path = format!("{}/uploads/{upload}/parts/{number}", self.path);
        let request = self.http.request("PUT", &path).header("x-nullspace-part-sha256", digest);
        answer(request.header("content-type", "application/octet-stream").body(bytes.to_vec())).await
    }

    async fn complete(&self, upload: &str, whole: Option<&[u8]>) -> Answer {
        let body = whole.map_or(json!({}), |whole| json!({ "whole_checksum_sha256": digest(whole) }));
        self.post(&format!("/uploads/{upload}/complete"), &body).await
    }

    async fn session(&self, upload: &str) -> Answer {
        self.http.get(&format!("{}/uploads/{upload}", self.path)).await
    }

    async fn abort(&self, upload: &str) -> Answer {
        self.http.delete(&format!("{}/uploads/{upload}", self.path)).await
    }

    async fn file(&self, path: &str) -> Vec<u8> {
        let read = self.http.get(&format!("{}/file?path=/workspace/{path}", self.path)).await;
        assert_eq!(read.status, 200, "{}", read.body);
        read.bytes
    }

    /// Writes a file and completes it.
    async fn whole(&self, path: &str, bytes: &[u8], conflict: &str) -> Answer {
        let begun = self.begin(path, bytes.len(), conflict).await;
        if begun.status != 201 {
            return begun;
        }
        let upload = begun.body["session"]["upload_id"].as_str().unwrap().to_owned();
        assert_eq!(self.part(&upload, "0", bytes).await.status, 200);
        self.complete(&upload, Some(bytes)).await
    }
}

fn key() -> String {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    format!("key-{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

/// Why something was refused: the status and the reason.
fn why(refused: &Answer) -> (u16, &str) {
    let detail = &refused.body["error_detail"];
    let reason = detail["reason"].as_str().unwrap_or_default();
    if !reason.is_empty() {
        assert_eq!(refused.body["code"], "file_upload_error");
        assert_eq!(detail["message"], refused.body["error"]);
        assert!(detail["request_id"].is_string() && detail["retryable"].is_boolean(), "{}", refused.body);
    }
    (refused.status, reason)
}

fn left(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

async fn server(largest: u64) -> TestServer {
    let mut settings = Settings::default();
    settings.largest_file = largest;
    TestServer::with(ServerOptions { on_disk: true, settings, ..ServerOptions::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_a_killed_server_has_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let mut prism = PrismServe::start(directory.path()).await;
    let mut sandbox = Sandbox::create(prism.http()).await;
    let bytes = content(2 * PART + 5);
    let parts: Vec<_> = bytes.chunks(PART).collect();
    let begun = sandbox.begin("a/large", bytes.len(), "merge").await;
    let session = &begun.body["session"];
    assert_eq!((&session["status"], &session["part_count"]), (&json!("created"), &json!(3)));
    assert_eq!((&session["next_part"], &session["part_size"]), (&json!(0), &json!(PART)));
    let upload = session["upload_id"].as_str().unwrap();
    for number in [2, 0] {
        assert_eq!(sandbox.part(upload, &number.to_string(), parts[number]).await.status, 200);
    }

    prism.kill().await;
    let orphan = directory.path().join("uploads/upl_orphan");
    std::fs::create_dir(&orphan).unwrap();
    prism = PrismServe::start(directory.path()).await;
    sandbox = sandbox.by(prism.http());
    let session = sandbox.session(upload).await.body;
    assert_eq!((&session["status"], &session["next_part"]), (&json!("uploading"), &json!(1)));
    assert_eq!(session["accepted_bytes"], json!(PART + 5));
    until("what nobody knows is gone", async || (!orphan.exists()).then_some(())).await;

    let missing = sandbox.complete(upload, None).await;
    assert_eq!(why(&missing), (409, "missing_parts"));
    assert_eq!(missing.body["error_detail"]["part_number"], 1);
    let staged = sandbox.part(upload, "1", parts[1]).await;
    assert_eq!((&staged.body["status"], &staged.body["next_part"]), (&json!("staged"), &Value::Null));
    let (path, whole) =
        (format!("/uploads/{upload}/complete"), json!({ "whole_checksum_sha256": digest(&bytes) }));
    let completed = sandbox.post_with(&path, &whole, "once").await;
    assert_eq!(completed.status, 200, "{}", completed.body);
    assert_eq!(
        (&completed.body["published_bytes"], &completed.body["published_file_count"]),
        (&json!(bytes.len()), &json!(1))
    );
    assert!(sandbox.file("a/large").await == bytes, "the file is what was sent");
    let again = sandbox.post_with(&path, &whole, "once").await;
    assert_eq!((again.status, &again.body), (200, &completed.body));
    assert!(again.headers.contains_key("idempotent-replayed"));
    assert_eq!(why(&sandbox.complete(upload, None).await), (409, "upload_already_completed"));
    assert_eq!(why(&sandbox.part(upload, "1", parts[1]).await), (409, "upload_already_completed"));
    assert_eq!(why(&sandbox.abort(upload).await), (409, "upload_already_completed"));
    assert_eq!(sandbox.session(upload).await.body["status"], "completed");
    assert_eq!(left(&directory.path().join("uploads")), 0, "nothing is kept of it");
    assert_eq!(sandbox.http.delete(&sandbox.path).await.status, 200);
    let folder = directory.path().join("processes");
    until("nothing is left", async || (left(&folder) == 0).then_some(())).await;
    prism.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_it_completes_an_upload_has_placed_all_of_it_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut prism = PrismServe::start(directory.path()).await;
    let mut sandbox = Sandbox::create(prism.http()).await;
    let bytes = content(4 * PART);
    let upload = sandbox.upload("large", bytes.len()).await;
    for (number, part) in bytes.chunks(PART).enumerate() {
        assert_eq!(sandbox.part(&upload, &number.to_string(), part).await.status, 200);
    }
    let whole = json!({ "whole_checksum_sha256": digest(&bytes) });
    let status = async |sandbox: &Sandbox| sandbox.session(&upload).await.body["status"].clone();
    for _ in 0..3 {
        let path = format!("{}/uploads/{upload}/complete", sandbox.path);
        let request = sandbox.http.request("POST", &path).header("idempotency-key", "once").json(&whole);
        let completing = tokio::spawn(request.send());
        until("it is being completed", async || {
            matches!(status(&sandbox).await.as_str(), Some("completing" | "completed")).then_some(())
        })
        .await;
        prism.kill().await;
        // Answered or not: it was killed.
        let _ = completing.await.unwrap();
        prism = PrismServe::start(directory.path()).await;
        sandbox = sandbox.by(prism.http());
        let read = sandbox.http.get(&format!("{}/file?path=/workspace/large", sandbox.path)).await;
        assert!(read.status == 404 || read.bytes == bytes, "{}: {} bytes", read.status, read.bytes.len());
        match status(&sandbox).await.as_str() {
            Some("staged") => {}
            Some("completed") => assert_eq!(read.status, 200),
            other => panic!("{other:?}"),
        }
    }
    let completed = sandbox.post_with(&format!("/uploads/{upload}/complete"), &whole, "once").await;
    assert_eq!(completed.status, 200, "{}", completed.body);
    assert!(sandbox.file("large").await == bytes, "the file is what was sent");
    assert_eq!(sandbox.shell("ls -A | grep -v home").await, "large\n", "nothing else is left");
    assert_eq!(left(&directory.path().join("uploads")), 0);
    assert_eq!(sandbox.http.delete(&sandbox.path).await.status, 200);
    let folder = directory.path().join("processes");
    until("nothing is left", async || (left(&folder) == 0).then_some(())).await;
    prism.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_held_to_what_was_announced() {
    let server = server(64 * 1024 * 1024).await;
    let sandbox = Sandbox::create(server.http()).await;
    let bytes = content(PART + 10);
    let (first, last) = bytes.split_at(PART);
    let upload = sandbox.upload("file", bytes.len()).await;
    for (number, part, refused) in [
        ("2", last, (400, "part_out_of_range")),
        ("4294967296", last, (400, "part_out_of_range")),
        ("-1", last, (400, "part_out_of_range")),
        ("1", &last[1..], (400, "part_size_mismatch")),
        ("1", &first[..11], (400, "part_size_mismatch")),
        ("1", b"", (400, "part_size_mismatch")),
        ("0", &first[1..], (400, "part_size_mismatch")),
        ("0", &bytes[..=PART], (400, "part_size_mismatch")),
    ] {
        assert_eq!(why(&sandbox.part(&upload, number, part).await), refused, "{number}: {}", part.len());
    }
    let wrong = sandbox.part_with(&upload, "1", last, &digest(b"other")).await;
    assert_eq!(
        (why(&wrong), &wrong.body["error_detail"]["retryable"]),
        ((400, "invalid_part_checksum"), &json!(true))
    );
    let no_digest = sandbox.part_with(&upload, "1", last, "abc").await;
    assert_eq!((no_digest.status, no_digest.body["code"].as_str()), (400, Some("invalid_request")));
    assert_eq!(sandbox.session(&upload).await.body["status"], "created", "none of them has come");

    // The last one that came counts, and the same again is fine.
    assert_eq!(sandbox.part(&upload, "1", &first[..10]).await.status, 200);
    assert_eq!(sandbox.part(&upload, "0", first).await.status, 200);
    assert_eq!(why(&sandbox.complete(&upload, Some(&bytes)).await), (400, "whole_checksum_mismatch"));
    for _ in 0..2 {
        assert_eq!(sandbox.part(&upload, "1", last).await.body["status"], "staged");
    }
    let files = std::fs::read_dir(server.uploads().join(&upload)).unwrap().map(|file| file.unwrap().path());
    let files: Vec<_> = files.collect();
    assert_eq!(files.len(), 2, "nothing is kept of what was refused or replaced");

    // A part that is not any more what came has to be sent again.
    let second =
        files.iter().find(|file| file.file_name().unwrap().to_str().unwrap().starts_with("1-")).unwrap();
    std::fs::write(second, b"damaged 10").unwrap();
    let damaged = sandbox.complete(&upload, Some(&bytes)).await;
    assert_eq!(
        (why(&damaged), &damaged.body["error_detail"]["part_number"]),
        ((400, "invalid_part_checksum"), &json!(1))
    );
    assert_eq!(sandbox.session(&upload).await.body["next_part"], 1);
    assert_eq!(sandbox.http.get(&format!("{}/file?path=/workspace/file", sandbox.path)).await.status, 404);
    std::fs::remove_file(second).unwrap();
    assert_eq!(sandbox.part(&upload, "1", last).await.status, 200);

    // Of many who complete it, one does.
    let all = join_all((0..6).map(|_| sandbox.complete(&upload, Some(&bytes)))).await;
    assert_eq!(all.iter().filter(|answer| answer.status == 200).count(), 1);
    let others = all.iter().filter(|answer| answer.status != 200);
    assert!(others.clone().all(|answer| why(answer) == (409, "upload_already_completed")));
    assert!(sandbox.file("file").await == bytes);

    let empty = sandbox.upload("empty", 0).await;
    assert_eq!(sandbox.session(&empty).await.body["status"], "staged");
    assert_eq!(why(&sandbox.part(&empty, "0", b"").await), (400, "part_out_of_range"));
    // The body may be left out.
    let complete = format!("{}/uploads/{empty}/complete", sandbox.path);
    let request = sandbox.http.request("POST", &complete).header("idempotency-key", key());
    assert_eq!(answer(request).await.status, 200);
    assert_eq!(sandbox.file("empty").await, b"");
    assert_eq!(sandbox.http.delete(&sandbox.path).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_sends_in_parts_and_goes_on() {
    let server = server(64 << 20).await;
    let sandboxes = server.client().nullspace().sandboxes();
    let sandbox = sandboxes.create(CreateSandbox::new()).await.unwrap().into_inner();
    let uploads = sandboxes.uploads(&sandbox.id);
    let bytes = content(3 * PART + 5);
    let create = async |path: &str, length: usize| {
        let request = CreateUpload::new(UploadKind::File, path, length as u64);
        uploads.create(request).await.unwrap().into_inner().session
    };
    let upload = create("/workspace/large", bytes.len()).await;
    uploads.put_part(&upload.upload_id, 0, bytes[..PART].to_vec()).await.unwrap();
    let wrong = uploads.put_part(&upload.upload_id, 1, "short").await.unwrap_err();
    assert!(wrong.to_string().contains("must have 8388608 bytes"), "{wrong}");
    let upload = uploads.get(&upload.upload_id).await.unwrap().into_inner();
    assert_eq!((upload.next_part, upload.accepted_bytes), (Some(1), PART as u64));
    let done = uploads.send(&upload, bytes.clone()).await.unwrap();
    assert_eq!((done.published_bytes, done.published_file_count), (bytes.len() as u64, 1));
    let read = sandboxes.files(&sandbox.id).read("/workspace/large").await.unwrap();
    assert!(read.bytes().await.unwrap() == bytes);
    // What is empty has no part.
    let empty = create("/workspace/empty", 0).await;
    assert_eq!(uploads.send(&empty, "").await.unwrap().published_file_count, 1);
    let given_up = create("/workspace/other", 5).await;
    uploads.abort(&given_up.upload_id).await.unwrap();
    let refused = uploads.send(&given_up, "12345").await.unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");
    sandboxes.destroy(&sandbox.id).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_the_target_stays_or_goes_as_was_asked() {
    let server = server(1000).await;
    let sandbox = Sandbox::create(server.http()).await;
    for (conflict, content, status) in
        [("error", "one", 200), ("error", "two", 409), ("merge", "three", 200), ("replace", "four", 200)]
    {
        let done = sandbox.whole("a/file", content.as_bytes(), conflict).await;
        assert_eq!(done.status, status, "{conflict}: {}", done.body);
        if status == 409 {
            assert_eq!(why(&done), (409, "target_conflict"));
        } else {
            assert_eq!(sandbox.file("a/file").await, content.as_bytes());
        }
    }
    // A directory is replaced only when that is asked for.
    for conflict in ["error", "merge"] {
        assert_eq!(why(&sandbox.whole("a", b"five", conflict).await), (409, "target_conflict"));
    }
    assert_eq!(why(&sandbox.whole("a/file/below", b"six", "replace").await), (409, "target_conflict"));
    // What comes while the parts do counts as well.
    let begun = sandbox.begin("late", 4, "error").await;
    let upload = begun.body["session"]["upload_id"].as_str().unwrap();
    assert_eq!(sandbox.part(upload, "0", b"late").await.status, 200);
    assert_eq!(sandbox.whole("late", b"first", "error").await.status, 200);
    assert_eq!(why(&sandbox.complete(upload, None).await), (409, "target_conflict"));
    assert_eq!(sandbox.file("late").await, b"first");
    assert_eq!(sandbox.whole("a", b"a file now", "replace").await.status, 200);
    assert_eq!(sandbox.file("a").await, b"a file now");
    assert_eq!(sandbox.http.delete(&sandbox.path).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_limited_and_are_their_owners() {
    let server = server(1000).await;
    let sandbox = Sandbox::create(server.http()).await;
    let most = sandbox.upload("most", 1000).await;
    assert_eq!(why(&sandbox.begin("more", 1001, "merge").await), (413, "size_limit_exceeded"));
    let session = sandbox.session(&most).await.body;
    assert_eq!(
        (&session["limits"]["max_upload_bytes"], &session["reserved_staging_bytes"]),
        (&json!(1000), &json!(1000))
    );
    assert_eq!(session["limits"]["sandbox_staging_quota_bytes"], 2000);
    // Twice the largest file has room.
    let second = sandbox.upload("second", 1000).await;
    assert_eq!(why(&sandbox.begin("third", 1, "merge").await), (429, "insufficient_staging_space"));
    for _ in 0..2 {
        assert_eq!(sandbox.abort(&second).await.status, 204);
    }
    assert_eq!(why(&sandbox.part(&second, "0", &[0; 1000]).await), (409, "upload_aborted"));
    for number in 0..15 {
        sandbox.upload(&format!("file {number}"), 1).await;
    }
    let full = sandbox.begin("one more", 1, "merge").await;
    assert_eq!((full.status, full.body["code"].as_str()), (429, Some("capacity_exceeded")));

    let stranger = server.another_account().await;
    let theirs = sandbox.by(server.http_with(Some(stranger.key.expose())));
    let own = Sandbox::create(server.http_with(Some(stranger.key.expose()))).await;
    for (asked, code) in [
        (theirs.session(&most).await, "sandbox_not_found"),
        (theirs.part(&most, "0", &[0; 1000]).await, "sandbox_not_found"),
        (theirs.complete(&most, None).await, "sandbox_not_found"),
        (theirs.abort(&most).await, "sandbox_not_found"),
        (theirs.begin("x", 1, "merge").await, "sandbox_not_found"),
        (own.session(&most).await, "upload_not_found"),
        (own.part(&most, "0", &[0; 1000]).await, "upload_not_found"),
        (own.complete(&most, None).await, "upload_not_found"),
        (own.abort(&most).await, "upload_not_found"),
        (sandbox.session("upl_none").await, "upload_not_found"),
        (sandbox.session("nonsense").await, "upload_not_found"),
    ] {
        assert_eq!((asked.status, asked.body["code"].as_str()), (404, Some(code)));
    }
    assert_eq!(sandbox.session(&most).await.body["status"], "created");
    // With the sandbox its uploads go.
    assert_eq!(sandbox.part(&most, "0", &[0; 1000]).await.status, 200);
    assert_eq!(left(&server.uploads()), 1);
    for sandbox in [&sandbox, &own] {
        assert_eq!(sandbox.http.delete(&sandbox.path).await.status, 200);
    }
    assert_eq!(sandbox.session(&most).await.status, 404);
    until("its parts are gone", async || (left(&server.uploads()) == 0).then_some(())).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_to_which_nothing_comes_expires_and_is_forgotten() {
    const HOUR: i64 = 60 * 60 * 1000;
    let clock = TestClock::at(Timestamp::from_millis(1_800_000_000_000));
    let mut settings = Settings::default();
    settings.sweep = Duration::from_millis(50);
    let options =
        ServerOptions { on_disk: true, settings, clock: Some(clock.clone()), ..ServerOptions::default() };
    let server = TestServer::with(options).await;
    let sandbox = Sandbox::create(server.http()).await;
    let path = format!("{}/timeout", sandbox.path);
    assert_eq!(server.http().post(&path, &json!({ "timeout_ms": 604_800_000 })).await.status, 200);
    let upload = sandbox.upload("file", PART + 1).await;
    clock.put(HOUR / 2);
    assert_eq!(sandbox.part(&upload, "1", b"x").await.status, 200);
    clock.put(HOUR * 3 / 4);
    assert_eq!(sandbox.session(&upload).await.body["status"], "uploading", "a part has put its end off");
    clock.put(HOUR / 2);
    assert_eq!(sandbox.session(&upload).await.body["status"], "expired");
    for refused in [sandbox.part(&upload, "1", b"x").await, sandbox.complete(&upload, None).await] {
        assert_eq!(why(&refused), (409, "upload_expired"));
    }
    assert_eq!(sandbox.abort(&upload).await.status, 204, "it is gone already");
    until("its parts are gone", async || (left(&server.uploads()) == 0).then_some(())).await;
    clock.put(25 * HOUR);
    until("it is forgotten", async || (sandbox.session(&upload).await.status == 404).then_some(())).await;
    assert_eq!(sandbox.http.delete(&sandbox.path).await.status, 200);
    server.stop().await;
}

/// An archive of these members: their names, kinds and contents, or where they lead.
fn archive(members: &[(&str, u8, &str)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, kind, content) in members {
        let (target, bytes) = if *kind == b'2' { (*content, "") } else { ("", *content) };
        let mut header = [0_u8; 512];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, "0000644");
        put(124, &format!("{:011o}", bytes.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(157, target);
        put(257, "ustar\x0000");
        header[156] = *kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend(header);
        archive.extend(bytes.as_bytes());
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

impl Sandbox {
    /// Sends an archive and completes it.
    async fn directory(&self, path: &str, members: &[(&str, u8, &str)], conflict: &str) -> Answer {
        let bytes = archive(members);
        let (kind, target) = ("directory_tar", format!("/workspace{path}"));
        let body = json!({
            "kind": kind, "target_path": target, "content_length": bytes.len(), "conflict": conflict,
            "archive_format": "tar", "source_kind": "directory_archive", "whole_checksum_sha256": digest(&bytes),
        });
        let begun = self.post("/uploads", &body).await;
        if begun.status != 201 {
            return begun;
        }
        let upload = begun.body["session"]["upload_id"].as_str().unwrap().to_owned();
        assert_eq!(self.part(&upload, "0", &bytes).await.status, 200);
        self.complete(&upload, Some(&bytes)).await
    }

    async fn shell(&self, text: &str) -> String {
        let told = self.post("/exec", &json!({ "command": text, "shell": true })).await;
        assert_eq!((told.status, &told.body["exit_code"]), (200, &json!(0)), "{text}: {}", told.body);
        told.body["stdout"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_goes_to_its_target_or_leaves_it_as_it_was() {
    let server = server(1 << 20).await;
    let sandbox = Sandbox::create(server.http()).await;
    let all = [("d/", b'5', ""), ("d/f", b'0', "one"), ("d/l", b'2', "f"), ("top", b'0', "two")];
    let done = sandbox.directory("/a/b", &all, "error").await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!((&done.body["published_bytes"], &done.body["published_file_count"]), (&json!(6), &json!(3)));
    assert_eq!(
        sandbox.shell("cd a/b && cat d/f d/l top && ls -A ../.. | grep -v home").await,
        "oneonetwoa\n"
    );
    assert_eq!(why(&sandbox.directory("/a/b", &all, "error").await), (409, "target_conflict"));

    // Into what is there, and not over what is of another kind: then nothing is changed.
    sandbox.shell("cd a/b && echo own > d/own && echo old > top && ln -s /etc out").await;
    assert_eq!(
        sandbox.directory("/a/b", &[("top", b'0', "new"), ("d/g", b'0', "more")], "merge").await.status,
        200
    );
    assert_eq!(sandbox.shell("cd a/b && cat top d/own d/g d/f").await, "newown\nmoreone");
    for members in [
        [("top/x", b'0', "x"), ("aaa", b'0', "x")],
        [("d", b'0', "x"), ("aaa", b'0', "x")],
        [("out/x", b'0', "x"), ("aaa", b'0', "x")],
    ] {
        assert_eq!(
            why(&sandbox.directory("/a/b", &members, "merge").await),
            (409, "target_conflict"),
            "{members:?}"
        );
    }
    assert_eq!(sandbox.shell("cd a/b && ls && cat top").await, "d\nout\ntop\nnew");
    for (path, conflict) in [("/a/b/top", "merge"), ("/a/b/top/x", "replace"), ("/a/b/out/x", "merge")] {
        assert_eq!(why(&sandbox.directory(path, &all, conflict).await), (409, "target_conflict"), "{path}");
    }
    assert_eq!(sandbox.directory("/a/b", &all, "replace").await.status, 200);
    assert_eq!(sandbox.shell("cd a/b && ls && ls d").await, "d\ntop\nf\nl\n");
    assert_eq!(sandbox.directory("", &[("at the root", b'0', "x")], "merge").await.status, 200);
    assert_eq!(sandbox.shell("ls").await, "a\nat the root\n");
    assert_eq!(sandbox.directory("", &all, "replace").await.status, 400, "the workspace itself stays");
    assert_eq!(sandbox.directory("/empty", &[], "merge").await.body["published_file_count"], 0);

    for (members, reason) in [
        (vec![("../x", b'0', "x")], "directory_extract_invalid_path"),
        (vec![("/x", b'0', "x")], "directory_extract_invalid_path"),
        (vec![("x", b'0', "1"), ("x", b'0', "2")], "directory_extract_invalid_path"),
        (vec![("x", b'2', "../../x")], "directory_extract_invalid_symlink"),
        (vec![("x", b'2', "/etc/passwd")], "directory_extract_invalid_symlink"),
        (vec![("x", b'1', "y")], "directory_extract_unsupported_entry"),
        (vec![("x", b'3', "")], "directory_extract_unsupported_entry"),
        (vec![("x", b'6', "")], "directory_extract_unsupported_entry"),
    ] {
        let refused = sandbox.directory("/bad", &members, "merge").await;
        assert_eq!(why(&refused), (400, reason), "{members:?}: {}", refused.body);
    }
    assert_eq!(
        sandbox.shell("ls -A | grep -v home").await,
        "a\nat the root\nempty\n",
        "nothing of them is there"
    );
    assert_eq!(sandbox.http.delete(&sandbox.path).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_are_written_by_one_request() {
    let server = server(1000).await;
    let sandbox = Sandbox::create(server.http()).await;
    let path = format!("{}/files/batch-write", sandbox.path);
    let send = async |body: Vec<u8>, http: &Http| {
        let request = http.request("POST", &path).header("content-type", "multipart/form-data; boundary=b0");
        answer(request.body(body)).await
    };
    let part = |field: &str, content: &str| {
        format!("--b0\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{content}\r\n")
    };
    let manifest = |paths: &[&str]| {
        let files = paths.iter().enumerate();
        let files: Vec<_> =
            files.map(|(at, path)| json!({ "path": path, "field": format!("file{at}") })).collect();
        part("manifest", &json!({ "files": files }).to_string())
    };
    let whole = |parts: &[String]| format!("{}--b0--\r\n", parts.concat()).into_bytes();
    let three = manifest(&["/workspace/a/1", "/workspace/a/1/below", "/workspace/none"]);
    let written = send(whole(&[three, part("file1", "x"), part("file0", "one")]), &sandbox.http).await;
    assert_eq!(written.status, 200, "{}", written.body);
    let results = written.body["results"].as_array().unwrap();
    let told: Vec<_> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    // The parts are written as they come: the first file was below the second.
    assert_eq!(told, ["error", "success", "error"]);
    assert_eq!(sandbox.file("a/1/below").await, b"x");
    assert!(results[2]["error"].as_str().unwrap().contains("missing"));
    let one = || manifest(&["/workspace/fine"]);
    for (body, status) in [
        (whole(&[part("file0", "x")]), 400),
        (whole(&[one(), part("other", "x")]), 400),
        (whole(&[one(), part("file0", "x"), part("file0", "y")]), 400),
        (whole(&[manifest(&["/etc/passwd"]), part("file0", "x")]), 400),
        (one().into_bytes(), 400),
        (b"{}".to_vec(), 400),
    ] {
        assert_eq!(send(body, &sandbox.http).await.status, status);
    }
    let stranger = server.another_account().await;
    let refused =
        send(whole(&[one(), part("file0", "x")]), &server.http_with(Some(stranger.key.expose()))).await;
    assert_eq!((refused.status, refused.body["code"].as_str()), (404, Some("sandbox_not_found")));
    assert_eq!(sandbox.http.delete(&sandbox.path).await.status, 200);
    server.stop().await;
}
