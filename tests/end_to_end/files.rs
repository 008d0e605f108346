//! Files of workspaces in memory and on the disk, by the client and by plain HTTP.

use std::{collections::BTreeSet, io, os::unix::fs::symlink, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use prism_client::resources::{FileBody, Files};
use prism_server_core::Settings;
use prism_tests::{Answer, Http, PrismServe, ServerOptions, TestServer, answer, scripted};
use prism_types::{
    CreateDeployment, DeploymentId, EventPayload, Features, FileChange, FileType, FileWritten, RunStatus,
    Skill, WriteFile,
};
use serde_json::json;

/// A server whose workspaces are on the disk.
async fn on_disk() -> TestServer {
    TestServer::with(ServerOptions { on_disk: true, ..ServerOptions::default() }).await
}

async fn names(files: &Files, directory: &str) -> Vec<String> {
    let listed = files.list(directory).await.unwrap().into_inner();
    listed.entries.into_iter().map(|entry| entry.name).collect()
}

async fn text(files: &Files, path: &str) -> String {
    files.read(path).await.unwrap().text().await.unwrap()
}

/// Plain requests about the files of one deployment.
struct Plain {
    http: Http,
    base: String,
}

impl Plain {
    fn new(server: &TestServer, id: &DeploymentId) -> Self {
        Self { http: server.http(), base: format!("/v1/deployments/{id}/files") }
    }

    async fn send(&self, method: &str, rest: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = self.http.request(method, &format!("{}{rest}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method == "PUT" {
            request = request.body(body.to_owned());
        }
        answer(request).await
    }

    async fn read(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", &format!("/content?path={path}"), headers, "").await
    }

    async fn write(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send("PUT", &format!("?path={path}"), headers, body).await
    }
}

#[tokio::test]
async fn files_are_written_listed_read_and_deleted() {
    for server in [TestServer::start().await, on_disk().await] {
        let id = server.deploy("say Hi").await;
        let files = server.client().deployment(&id).files();
        assert_eq!(names(&files, "").await, [""; 0], "a workspace is empty at first");
        let written = files.write("notes/plan.md", "# Plan").await.unwrap();
        assert_eq!((written.path.as_str(), written.size), ("notes/plan.md", 6));
        files.write("a", vec![0, 1, 2, 255]).await.unwrap();

        let listed = files.list("").await.unwrap().into_inner();
        let told: Vec<_> = listed.entries.iter().map(|e| (e.name.as_str(), e.kind.clone(), e.size)).collect();
        assert_eq!(told, [("a", FileType::File, Some(4)), ("notes", FileType::Directory, None)]);
        assert_eq!((listed.path.as_str(), listed.next_cursor), ("", None));
        for directory in ["notes", "notes/", "/workspace/notes", "./notes"] {
            let listed = files.list(directory).await.unwrap().into_inner();
            assert_eq!((listed.path.as_str(), listed.entries.len()), ("notes", 1), "{directory}");
            assert_eq!(listed.entries[0].modified_at, written.modified_at);
        }

        let read = files.read("notes/plan.md").await.unwrap();
        assert_eq!((read.status(), read.content_length()), (200, Some(6)));
        assert_eq!(read.etag(), written.header("etag"));
        assert_eq!(read.text().await.unwrap(), "# Plan");
        assert_eq!(&files.read("a").await.unwrap().bytes().await.unwrap()[..], [0, 1, 2, 255]);
        assert_eq!(&files.read("a").range(1..3).await.unwrap().bytes().await.unwrap()[..], [1, 2]);
        assert!(files.read("a").range(1..1).await.unwrap_err().is_configuration());

        files.write("notes/plan.md", "").await.unwrap();
        assert_eq!(text(&files, "notes/plan.md").await, "", "an empty file is a file");
        assert_eq!(files.delete("notes").await.unwrap().path, "notes");
        assert_eq!(names(&files, "").await, ["a"]);
        for gone in ["notes", "notes/plan.md"] {
            assert!(files.delete(gone).await.unwrap_err().is_not_found());
            assert!(files.read(gone).await.unwrap_err().is_not_found());
            assert!(files.list(gone).await.unwrap_err().is_not_found());
        }
    }
}

#[tokio::test]
async fn the_agent_and_its_users_see_the_same_files() {
    let server = TestServer::start().await;
    let skill = "---\nname: notes\ndescription: How to take notes\n---\n# Notes\n";
    let script = "token \"[{{skills}}]\"\nread brief.txt\nwrite answer.txt Done.";
    let request = CreateDeployment::new("cus_1", "Agent", scripted(script))
        .skill(Skill::file("notes", "skills/notes.md"));
    let id = server.deploy_request(request).await;
    let deployment = server.client().deployment(&id);
    deployment.files().write("skills/notes.md", skill).await.unwrap();
    deployment.files().write("brief.txt", "Hello").await.unwrap();
    let mut events = deployment.events().stream().open().await.unwrap();
    deployment.messages().send("go").await.unwrap();
    let mut said = String::new();
    loop {
        match events.next().await.unwrap().unwrap().payload {
            EventPayload::Token(token) => said.push_str(&token.delta),
            EventPayload::RunStatus(changed) if changed.status == RunStatus::Completed => break,
            _ => {}
        }
    }
    assert_eq!(said, "[notes]Hello");
    assert_eq!(text(&deployment.files(), "answer.txt").await, "Done.");
}

#[tokio::test]
async fn ranges_and_entity_tags_do_what_http_says() {
    for server in [TestServer::start().await, on_disk().await] {
        let id = server.deploy("say Hi").await;
        let plain = Plain::new(&server, &id);
        let first = plain.write("a.txt", &[], "0123456789").await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "a strong tag: {tag}");

        let whole = plain.read("a.txt", &[]).await;
        assert_eq!(
            (whole.status, whole.header("accept-ranges"), whole.header("etag")),
            (200, "bytes", &*tag)
        );
        for (range, content_range, bytes) in [
            ("bytes=0-0", "bytes 0-0/10", "0"),
            ("bytes=7-", "bytes 7-9/10", "789"),
            ("bytes=-2", "bytes 8-9/10", "89"),
            ("bytes=5-99", "bytes 5-9/10", "56789"),
        ] {
            let part = plain.read("a.txt", &[("range", range)]).await;
            assert_eq!((part.status, part.header("content-range")), (206, content_range));
            assert_eq!(part.bytes, bytes.as_bytes());
            assert_eq!(part.header("content-length"), bytes.len().to_string());
        }
        let past = plain.read("a.txt", &[("range", "bytes=10-")]).await;
        assert_eq!((past.status, past.code()), (416, "validation_error"), "{past:?}");
        assert_eq!(past.header("content-range"), "bytes */10");
        for range in ["bytes=0-1,3-4", "lines=1-2", "bytes=3-1"] {
            assert_eq!(plain.read("a.txt", &[("range", range)]).await.status, 200, "{range}");
        }
        let same = [("range", "bytes=0-0"), ("if-range", &tag)];
        assert_eq!(plain.read("a.txt", &same).await.status, 206);

        let unchanged = plain.read("a.txt", &[("if-none-match", &tag)]).await;
        assert_eq!((unchanged.status, unchanged.bytes.len(), unchanged.header("etag")), (304, 0, &*tag));
        let new = plain.write("a.txt", &[("if-none-match", "*")], "x").await;
        assert_eq!((new.status, new.code()), (412, "precondition_failed"), "{new:?}");
        let second = plain.write("a.txt", &[("if-match", &tag)], "9876543210").await;
        assert_eq!(second.status, 200, "{second:?}");
        assert_ne!(second.header("etag"), tag, "another version has another tag");
        assert_eq!(plain.write("a.txt", &[("if-match", &tag)], "x").await.status, 412);
        assert_eq!(plain.read("a.txt", &[("if-match", &tag)]).await.status, 412);
        assert_eq!(plain.read("a.txt", &[("if-none-match", &tag)]).await.bytes, b"9876543210");
        assert_eq!(plain.read("a.txt", &[("range", "bytes=0-0"), ("if-range", &tag)]).await.status, 200);
        assert_eq!(plain.send("DELETE", "?path=a.txt", &[("if-match", &tag)], "").await.status, 412);
        assert_eq!(plain.write("b.txt", &[("if-match", "*")], "x").await.status, 412, "there is none");
        let bad = plain.read("a.txt", &[("if-none-match", "a")]).await;
        assert_eq!((bad.status, bad.message().contains("header.if-none-match")), (400, true), "{bad:?}");

        let files = server.client().deployment(&id).files();
        let again = files.read("a.txt").if_none_match(second.header("etag")).await.unwrap_err();
        assert!(again.is_not_modified() && !again.is_retryable(), "{again}");
        assert!(files.write("a.txt", "x").only_if_new().await.unwrap_err().is_precondition_failed());
        assert!(files.write("a.txt", "x").if_match(&tag).await.unwrap_err().is_precondition_failed());
        assert!(files.delete("a.txt").if_match(&tag).await.unwrap_err().is_precondition_failed());
        let head = plain.send("HEAD", "/content?path=a.txt", &[], "").await;
        assert_eq!((head.status, head.header("content-length"), head.bytes.len()), (200, "10", 0));
    }
}

#[tokio::test]
async fn a_browser_saves_a_file_and_runs_nothing_of_it() {
    let server = TestServer::start().await;
    let plain = Plain::new(&server, &server.deploy("say Hi").await);
    for (path, content_type, disposition) in [
        ("a.html", "application/octet-stream", "attachment; filename=\"a.html\""),
        ("a.svg", "application/octet-stream", "attachment; filename=\"a.svg\""),
        ("d/a.png", "image/png", "attachment; filename=\"a.png\""),
        (
            "%C3%BC.md",
            "text/markdown; charset=utf-8",
            "attachment; filename=\"_.md\"; filename*=UTF-8''%C3%BC.md",
        ),
        (
            "a%0D%0Ab%22",
            "application/octet-stream",
            "attachment; filename=\"a__b_\"; filename*=UTF-8''a%0D%0Ab%22",
        ),
    ] {
        assert_eq!(
            plain.write(path, &[("content-type", "text/html")], "<script>").await.status,
            200,
            "{path}"
        );
        let read = plain.read(path, &[]).await;
        assert_eq!(
            (read.header("content-type"), read.header("content-disposition")),
            (content_type, disposition)
        );
        assert_eq!(read.header("x-content-type-options"), "nosniff");
        assert_eq!(read.header("content-security-policy"), "default-src 'none'; sandbox");
        assert_eq!(read.header("cache-control"), "private, no-cache");
    }
}

#[tokio::test]
async fn a_file_in_json_is_text_or_base64() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let plain = Plain::new(&server, &id);
    let put = async |body: serde_json::Value| plain.http.put(&plain.base, &body).await;
    for (body, content) in [
        (serde_json::to_value(WriteFile::text("d/a", "ü\0\n")).unwrap(), "ü\0\n".as_bytes()),
        (serde_json::to_value(WriteFile::base64("d/a", "AAH/")).unwrap(), &[0, 1, 255]),
        (json!({"path": "d/a", "content": "x", "encoding": "utf-8"}), b"x"),
        (json!({"path": "d/a", "content": "", "encoding": null}), b""),
    ] {
        let written = put(body).await;
        let told: FileWritten = serde_json::from_value(written.body.clone()).unwrap();
        assert_eq!((written.status, told.path.as_str(), told.size), (200, "d/a", content.len() as u64));
        assert_eq!(plain.read("d/a", &[]).await.bytes, content);
    }
    for (body, told) in [
        (json!({}), "$.path: is required"),
        (json!({"path": "a"}), "$.content: is required"),
        (json!({"path": "../a", "content": "x"}), "$.path: must be a path inside the workspace"),
        (json!({"path": "a", "content": 7}), "$.content: must be a string"),
        (json!({"path": "a", "content": "AAH/x", "encoding": "base64"}), "$.content: must be base64"),
        (
            json!({"path": "a", "content": "x", "encoding": "latin1"}),
            "$.encoding: must be `utf-8` or `base64`",
        ),
        (json!({"path": "a", "content": "x", "mode": 7}), "$.mode: is not a known field"),
    ] {
        let refused = put(body).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(refused.message().contains(told), "{refused:?}");
    }
    // JSON has its own path; a file of JSON is sent as what it is to the server.
    let refused = plain.write("raw.json", &[("content-type", "application/json")], "{\"path\": \"a\"}").await;
    assert!(refused.status == 400 && refused.message().contains("application/octet-stream"), "{refused:?}");
    let bytes = [("content-type", "application/octet-stream")];
    assert_eq!(plain.write("raw.json", &bytes, "{\"path\": 1").await.status, 200);
    let read = plain.read("raw.json", &[]).await;
    assert_eq!((read.header("content-type"), &read.bytes[..]), ("application/json", &b"{\"path\": 1"[..]));
    let nowhere = plain.send("PUT", "", &[("content-type", "text/plain")], "x").await;
    assert!(nowhere.message().contains("query.path: is required"), "{nowhere:?}");
}

/// What a caller could try to get out of the workspace, as it stands in a query.
const WAYS_OUT: &[&str] = &[
    "..",
    "../a",
    "a/..",
    "a/../../b",
    "./..",
    "%2e%2e/a",
    "..%2fa",
    "..%5ca",
    "a%5cb",
    "/etc/passwd",
    "//etc/passwd",
    "/",
    "/workspace/../etc/passwd",
    "/workspace//etc",
    "a%00b",
    "%00",
    "a//b",
    "a/./b",
    "a/",
    ".",
    "",
];

#[tokio::test]
async fn no_path_leads_out_of_the_workspace() {
    for server in [TestServer::start().await, on_disk().await] {
        let plain = Plain::new(&server, &server.deploy("say Hi").await);
        for path in WAYS_OUT {
            for answer in [
                plain.read(path, &[]).await,
                plain.write(path, &[], "x").await,
                plain.send("DELETE", &format!("?path={path}"), &[], "").await,
            ] {
                assert_eq!((answer.status, answer.code()), (400, "validation_error"), "{path}: {answer:?}");
                assert!(answer.message().contains("query.path"), "{path}: {answer:?}");
            }
            // These are the root, or a directory with a slash behind it, where a directory is meant.
            let is_directory = ["", ".", "/", "a/"].contains(path);
            let listed = plain.send("GET", &format!("?path={path}"), &[], "").await.status;
            assert_eq!(
                listed,
                if !is_directory {
                    400
                } else if *path == "a/" {
                    404
                } else {
                    200
                },
                "{path}"
            );
        }
        assert_eq!(plain.send("GET", "", &[], "").await.body["entries"], json!([]), "nothing was made");
        for method in ["GET", "DELETE"] {
            let rest = if method == "GET" { "/content" } else { "" };
            let missing = plain.send(method, rest, &[], "").await;
            assert!(missing.message().contains("query.path: is required"), "{missing:?}");
        }
    }
}

#[tokio::test]
async fn links_that_an_agent_made_lead_nowhere() {
    let server = on_disk().await;
    let plain = Plain::new(&server, &server.deploy("say Hi").await);
    let (workspace, outside) = (server.sandbox().join("workspace"), tempfile::tempdir().unwrap());
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    symlink(outside.path(), workspace.join("dir")).unwrap();
    symlink(outside.path().join("secret"), workspace.join("link")).unwrap();
    symlink("..", workspace.join("up")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(workspace.join("pipe")).status().unwrap();
    assert!(pipe.success());
    for path in ["dir/secret", "link", "dir", "up/workspace/link", "up", "pipe", "dir/new/file"] {
        for answer in [
            plain.read(path, &[]).await,
            plain.write(path, &[], "x").await,
            plain.send("GET", &format!("?path={path}"), &[], "").await,
        ] {
            assert_eq!((answer.status, answer.code()), (400, "validation_error"), "{path}: {answer:?}");
            assert!(answer.message().contains("Links are not followed"), "{path}: {answer:?}");
        }
    }
    let listed = plain.send("GET", "", &[], "").await.body;
    let kinds: BTreeSet<_> =
        listed["entries"].as_array().unwrap().iter().map(|e| e["type"].to_string()).collect();
    assert_eq!(kinds, BTreeSet::from(["\"other\"".to_owned()]));
    for path in ["dir", "link", "up", "pipe"] {
        assert_eq!(plain.send("DELETE", &format!("?path={path}"), &[], "").await.status, 200, "{path}");
    }
    assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "secret");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn limits_hold_at_the_limit_and_one_past_it() {
    let mut settings = Settings::default();
    settings.largest_file = 100_000;
    let server =
        TestServer::with(ServerOptions { settings, on_disk: true, ..ServerOptions::default() }).await;
    let id = server.deploy("say Hi").await;
    let (plain, files) = (Plain::new(&server, &id), server.client().deployment(&id).files());
    let pieces = |bytes: usize| {
        let whole = stream::iter((0..bytes / 1000).map(|_| Bytes::from(vec![b'x'; 1000])));
        let rest = stream::iter([Bytes::from(vec![b'x'; bytes % 1000])]);
        FileBody::stream(whole.chain(rest).map(Ok::<_, io::Error>))
    };
    assert_eq!(files.write("declared", vec![b'x'; 100_000]).await.unwrap().size, 100_000);
    assert_eq!(files.write("streamed", pieces(100_000)).await.unwrap().size, 100_000);
    for body in [FileBody::from(vec![b'x'; 100_001]), pieces(100_001)] {
        let refused = files.write("declared", body).await.unwrap_err();
        assert_eq!((refused.status(), refused.is_validation()), (Some(413), true), "{refused}");
        assert!(refused.to_string().contains("at most 100000 bytes"), "{refused}");
    }
    assert_eq!(names(&files, "").await, ["declared", "streamed"]);
    // 1,024 bytes of path, 255 of each part.
    let longest = format!("{}{}", format!("{}/", "p".repeat(127)).repeat(7), "n".repeat(128));
    assert_eq!(longest.len(), 1024);
    assert_eq!(plain.write(&longest, &[], "x").await.status, 200);
    assert_eq!(plain.write(&(longest + "e"), &[], "x").await.status, 400);
    assert_eq!(plain.write(&"n".repeat(255), &[], "x").await.status, 200);
    let long = plain.write(&"n".repeat(256), &[], "x").await;
    assert!(long.message().contains("parts of at most 255 bytes"), "{long:?}");
    for (limit, status) in [("1", 200), ("10000", 200), ("0", 400), ("10001", 400), ("x", 400)] {
        assert_eq!(plain.send("GET", &format!("?limit={limit}"), &[], "").await.status, status, "{limit}");
    }
}

#[tokio::test]
async fn a_large_directory_is_listed_in_pages() {
    let server = on_disk().await;
    let id = server.deploy("say Hi").await;
    let workspace = server.sandbox().join("workspace");
    for index in 0..10_001 {
        std::fs::write(workspace.join(format!("f{index:05}")), "").unwrap();
    }
    let files = server.client().deployment(&id).files();
    let first = files.list("").await.unwrap().into_inner();
    assert_eq!((first.entries.len(), first.entries[9_999].name.as_str()), (10_000, "f09999"));
    let rest = files.list("").cursor(first.next_cursor.unwrap()).await.unwrap().into_inner();
    let names: Vec<_> = rest.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!((names, rest.next_cursor), (vec!["f10000"], None));
    let page = files.list("").limit(3).await.unwrap().into_inner();
    assert_eq!((page.entries.len(), page.next_cursor.is_some()), (3, true));
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_the_old_file_and_nothing_else() {
    let server = on_disk().await;
    let id = server.deploy("say Hi").await;
    let files = server.client().deployment(&id).files();
    files.write("a", "old").await.unwrap();
    let folder = || {
        let names = |path: std::path::PathBuf| {
            let entries = std::fs::read_dir(path).unwrap();
            entries.map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>()
        };
        (names(server.sandbox()), names(server.sandbox().join("workspace")))
    };
    let before = folder();
    for _ in 0..5 {
        let half = stream::iter([
            Ok(Bytes::from(vec![b'x'; 1_000_000])),
            Err(io::Error::other("the source of the upload fails")),
        ]);
        let failed = files.write("a", FileBody::stream(half)).await.unwrap_err();
        assert!(failed.status().is_none(), "{failed}");
    }
    // Once one is written, those before it are over.
    files.write("b", "new").await.unwrap();
    assert_eq!(text(&files, "a").await, "old");
    files.delete("b").await.unwrap();
    assert_eq!(folder(), before);
}

#[tokio::test]
async fn of_many_that_make_a_file_at_once_one_does() {
    for server in [TestServer::start().await, on_disk().await] {
        let files = server.client().deployment(&server.deploy("say Hi").await).files();
        let write = |number: usize| files.write("a", number.to_string()).only_if_new().into_future();
        let answers = futures::future::join_all((0..8).map(write)).await;
        let done: Vec<_> = (0..8).filter(|number| answers[*number].is_ok()).collect();
        assert_eq!(done.len(), 1, "{answers:?}");
        assert_eq!(text(&files, "a").await, done[0].to_string());
        assert!(answers.into_iter().filter_map(Result::err).all(|error| error.is_precondition_failed()));
    }
}

#[tokio::test]
async fn a_deployment_that_is_not_ready_has_no_files_yet() {
    let server = TestServer::start().await;
    for (script, word) in
        [("provision delay 3600s", "provisioning"), ("provision fail boom It broke.", "in error")]
    {
        let created = server.http().post("/v1/deployments", &prism_tests::scripted_body(script)).await.body;
        let id: DeploymentId = created["deployment_id"].as_str().unwrap().parse().unwrap();
        if word == "in error" {
            let failed = server.client().deployments().wait_until_ready(&id).timeout(Duration::from_secs(30));
            assert!(failed.await.unwrap_err().is_deployment_failed());
        }
        let plain = Plain::new(&server, &id);
        for answer in [
            plain.send("GET", "", &[], "").await,
            plain.read("a", &[]).await,
            plain.write("a", &[], "x").await,
            plain.send("DELETE", "?path=a", &[], "").await,
        ] {
            assert_eq!((answer.status, answer.code()), (409, "deployment_not_ready"), "{answer:?}");
            assert!(answer.message().contains(word), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn changes_by_users_are_told_when_the_feature_is_on() {
    let server = TestServer::start().await;
    let reference = "sec_canary".parse().unwrap();
    server
        .plane
        .admin()
        .set_secret(&server.account.tenant.id, &reference, &"canary-7f3a9c1e".into())
        .await
        .unwrap();
    for told in [true, false] {
        let request = CreateDeployment::new("cus_1", "Agent", scripted("say Hi"))
            .secret("CANARY", "sec_canary".parse().unwrap())
            .features(Features::default().filesystem_webhooks(told));
        let deployment = server.client().deployment(&server.deploy_request(request).await);
        let (files, mut events) = (deployment.files(), deployment.events().stream().open().await.unwrap());
        files.write("a/b", "1").await.unwrap();
        files.write("a/b", "2").await.unwrap();
        files.write("canary-7f3a9c1e.txt", "3").await.unwrap();
        files.delete("a").await.unwrap();
        files.delete("a").await.unwrap_err();
        files.write("a", "4").if_match("\"x\"").await.unwrap_err();
        deployment.messages().send("go").await.unwrap();
        let mut changes = Vec::new();
        loop {
            match events.next().await.unwrap().unwrap().payload {
                EventPayload::Filesystem(changed) => {
                    assert_eq!((changed.run_id, changed.thread_id), (None, None), "no run made it");
                    changes.push((changed.change, changed.path));
                }
                EventPayload::RunStatus(changed) if changed.status == RunStatus::Completed => break,
                _ => {}
            }
        }
        let expected = [
            (FileChange::Created, "a/b"),
            (FileChange::Modified, "a/b"),
            (FileChange::Created, "[redacted].txt"),
            (FileChange::Deleted, "a"),
        ];
        let expected: Vec<_> = expected.map(|(change, path)| (change, path.to_owned())).into();
        assert_eq!(changes, if told { expected } else { Vec::new() });
    }
}

#[tokio::test]
async fn a_workspace_in_memory_is_empty_after_a_restart_and_works() {
    let data = tempfile::tempdir().unwrap();
    let server = PrismServe::start(data.path()).await;
    let created = server.http().post("/v1/deployments", &prism_tests::scripted_body("say Hi")).await.body;
    let id: DeploymentId = created["deployment_id"].as_str().unwrap().parse().unwrap();
    server.client().deployments().wait_until_ready(&id).timeout(Duration::from_secs(30)).await.unwrap();
    server.client().deployment(&id).files().write("a", "1").await.unwrap();
    server.kill().await;
    let server = PrismServe::start(data.path()).await;
    let files = server.client().deployment(&id).files();
    assert_eq!(names(&files, "").await, [""; 0]);
    files.write("b", "2").await.unwrap();
    assert_eq!(text(&files, "b").await, "2");
}
