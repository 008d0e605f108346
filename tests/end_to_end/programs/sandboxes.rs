//! Sandboxes that are made by themselves.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use prism_client::nullspace::Sandboxes;
use prism_tests::{PrismServe, TestServer, answer};
use prism_types::{
    Secret,
    nullspace::{
        CreateSandbox, ErrorCode, ExecuteProgram, ProbePort, SandboxFileType, SandboxId, SandboxStatus,
        SetSandboxTimeout,
    },
};
use serde_json::{Value, json};

use super::{server, until};

/// A program of the shell; what it writes.
async fn shell(sandboxes: &Sandboxes, id: &SandboxId, text: &str) -> String {
    let told = sandboxes.execute(id, ExecuteProgram::shell(text)).await.unwrap();
    assert_eq!((told.exit_code, &*told.stderr), (Some(0), ""), "{text}");
    told.stdout.clone()
}

fn code(error: &prism_client::Error) -> Option<ErrorCode> {
    error.nullspace_body().and_then(|body| body.error_code().cloned())
}

/// Waits until nothing of any sandbox is left.
async fn none_left(server: &TestServer) {
    let sandboxes = server.sandboxes();
    let left = || std::fs::read_dir(&sandboxes).map_or(0, Iterator::count);
    until("the sandboxes are gone", async || (left() == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_are_made_copied_and_destroyed() {
    let server = server().await;
    let sandboxes = server.client().nullspace().sandboxes();
    let request = CreateSandbox::new().env("TOKEN", "canary").cwd("/workspace/a").timeout_ms(600_000_u32);
    let sandbox = sandboxes.create(request).await.unwrap();
    assert_eq!((&sandbox.status, sandbox.timeout_ms), (&SandboxStatus::Creating, Some(600_000)));
    assert_eq!(shell(&sandboxes, &sandbox.id, "echo kept > file; echo $TOKEN").await, "canary\n");
    let ready = sandboxes.wait_until_ready(&sandbox.id).await.unwrap();
    assert_eq!((ready.cwd.as_deref(), ready.started_at.is_some()), (Some("/workspace/a"), true));
    let snapshot = sandboxes.create_snapshot(&sandbox.id).await.unwrap();
    let fork = sandboxes.fork(&sandbox.id).await.unwrap();
    assert_eq!(
        shell(&sandboxes, &fork.id, "cat file; echo $TOKEN; echo changed > file").await,
        "kept\ncanary\n"
    );
    assert_eq!(shell(&sandboxes, &sandbox.id, "cat file").await, "kept\n");
    sandboxes.destroy(&sandbox.id).await.unwrap();
    let gone = sandboxes.execute(&sandbox.id, ExecuteProgram::new("true", [""; 0])).await.unwrap_err();
    assert_eq!(code(&gone), Some(ErrorCode::SandboxNotFound));
    let another = sandboxes.create(CreateSandbox::of_snapshot(snapshot.id.clone())).await.unwrap();
    assert_eq!(shell(&sandboxes, &another.id, "cat file; echo [$TOKEN]").await, "kept\n[]\n");
    let ids: Vec<_> = sandboxes.list().await.unwrap().iter().map(|sandbox| sandbox.id.clone()).collect();
    assert_eq!(ids, [another.id.clone(), fork.id.clone()]);
    let found = sandboxes.snapshots().sandbox_id(sandbox.id.clone()).await.unwrap().into_inner();
    assert_eq!(found, [sandboxes.snapshot(&snapshot.id).await.unwrap().into_inner()]);
    sandboxes.delete_snapshot(&snapshot.id).await.unwrap();
    let missing = sandboxes.snapshot(&snapshot.id).await.unwrap_err();
    assert_eq!(code(&missing), Some(ErrorCode::SnapshotNotFound));
    // What was done is written down, without what was executed.
    let log = server.http().get("/v1/audit-log?limit=100").await;
    let entries = log.body["data"].as_array().unwrap();
    let operations: BTreeSet<_> = entries.iter().filter_map(|entry| entry["operation"].as_str()).collect();
    for operation in
        ["create_sandbox", "execute_in_sandbox", "fork_sandbox", "create_sandbox_snapshot", "destroy_sandbox"]
    {
        assert!(operations.contains(operation), "{operation}: {operations:?}");
    }
    assert!(!log.body.to_string().contains("canary"));
    // A snapshot of this API is none of the native one.
    assert_eq!(server.http().get(&format!("/v1/snapshots/{}", snapshot.id)).await.status, 404);
    for id in [another.id.clone(), fork.id.clone()] {
        sandboxes.destroy(&id).await.unwrap();
    }
    none_left(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_sandbox_is_read_and_changed() {
    let server = server().await;
    let sandboxes = server.client().nullspace().sandboxes();
    let sandbox = sandboxes.create(CreateSandbox::new()).await.unwrap();
    let files = sandboxes.files(&sandbox.id);

    // Bytes of any kind, of any length, both ways.
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let sent = Arc::new(AtomicU64::new(0));
    let told = sent.clone();
    let write = files.write("/workspace/data/large", content.clone());
    write.on_progress(move |at| told.store(at.bytes, Ordering::Relaxed)).await.unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), 12_000_000);
    let read = files.read("/workspace/data/large").await.unwrap();
    assert_eq!(read.content_length(), Some(12_000_000));
    assert!(read.bytes().await.unwrap() == content);
    files.write("/workspace/data/empty", "").await.unwrap();
    assert_eq!(files.read("/workspace/data/empty").await.unwrap().text().await.unwrap(), "");

    // Paths.
    let info = files.info("/workspace/data/large").await.unwrap().into_inner();
    let expected = (Some(SandboxFileType::File), 12_000_000, "large", false);
    assert_eq!((info.kind.clone(), info.size, &*info.name, info.is_dir), expected);
    files.make_directory("/workspace/data/made/below").await.unwrap();
    let renamed = files.rename("/workspace/data/empty", "/workspace/data/tool").await.unwrap();
    assert_eq!(renamed.path, "/workspace/data/tool");
    files.set_permissions("/workspace/data/tool", 0o750).await.unwrap();
    assert_eq!(shell(&sandboxes, &sandbox.id, "stat -c %a data/tool").await, "750\n");
    let names = async |depth: u32| {
        let all = files.list("/workspace/data").depth(depth).await.unwrap().into_inner();
        let mut names: Vec<_> = all.iter().map(|file| file.path.replace("/workspace/data/", "")).collect();
        names.sort();
        names
    };
    assert_eq!(names(1).await, ["large", "made", "tool"]);
    assert_eq!(names(2).await, ["large", "made", "made/below", "tool"]);
    files.remove("/workspace/data/made").await.unwrap();
    assert!(!files.exists("/workspace/data/made").await.unwrap().exists);
    assert!(files.exists("/workspace/data/tool").await.unwrap().exists);
    assert!(files.info("/workspace/none").await.unwrap_err().is_not_found());
    let astray = files.read("/etc/passwd").await.unwrap_err();
    assert!(astray.is_validation() && astray.to_string().contains("below `/workspace`"), "{astray}");

    // Processes in the background, and a port.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = format!("echo begun; exec python3 -m http.server --bind 127.0.0.1 {port}");
    let started = sandboxes.execute(&sandbox.id, ExecuteProgram::shell(line).background(true)).await.unwrap();
    let pid = started.pid.unwrap();
    let ready =
        sandboxes.probe_port(&sandbox.id, port, ProbePort::http("/").interval_ms(50_u32)).await.unwrap();
    assert_eq!((ready.ready, ready.port, &ready.error), (true, port, &None));
    let processes = sandboxes.processes(&sandbox.id).await.unwrap().into_inner();
    assert_eq!((processes.len(), processes[0].pid, processes[0].running), (1, pid, true));
    sandboxes.kill_process(&sandbox.id, pid).await.unwrap();
    let logs = sandboxes.process_logs(&sandbox.id, pid).await.unwrap().into_inner();
    assert_eq!((&*logs.stdout, logs.exit_code), ("begun\n", Some(137)));
    let probe = ProbePort::tcp().timeout_secs(1_u32).interval_ms(50_u32);
    let silent = sandboxes.probe_port(&sandbox.id, port, probe).await.unwrap();
    assert!(!silent.ready && silent.error.is_some() && silent.attempts > 1, "{silent:?}");

    sandboxes.destroy(&sandbox.id).await.unwrap();
    none_left(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_sandboxes_are_made_as_there_are_keys() {
    let server = server().await;
    let http = server.http();
    let answers = stream::iter(0..60).map(|request| {
        let key = format!("key-{}", request % 6);
        let request = http.request("POST", "/v1/sandboxes").header("idempotency-key", key).json(&json!({}));
        answer(request)
    });
    let answers: Vec<_> = answers.buffer_unordered(30).collect().await;
    assert!(answers.iter().all(|answer| answer.status == 201));
    let ids: BTreeSet<_> = answers.iter().filter_map(|answer| answer.body["id"].as_str()).collect();
    let sandboxes = server.client().nullspace().sandboxes();
    let listed = sandboxes.list().await.unwrap().into_inner();
    assert_eq!((ids.len(), listed.len()), (6, 6));
    for sandbox in listed {
        sandboxes.destroy(&sandbox.id).await.unwrap();
    }
    none_left(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn bodies_are_taken_at_their_limits_and_not_past_them() {
    let server = server().await;
    let http = server.http();
    let mut number = 0;
    let mut ask = async |method: &str, path: &str, body: Value| {
        number += 1;
        let request = http.request(method, path).header("idempotency-key", format!("key-{number}"));
        answer(request.json(&body)).await
    };
    let path = "/v1/sandboxes";
    let most = json!({ "vcpus": 256, "memory_mb": 1_048_576, "timeout_ms": 604_800_000 });
    let made = ask("POST", path, most).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let sandbox = format!("{path}/{}", made.body["id"].as_str().unwrap());
    for (body, field) in [
        (json!({ "vcpus": 257 }), "vcpus"),
        (json!({ "vcpus": 0 }), "vcpus"),
        (json!({ "memory_mb": 1_048_577 }), "memory_mb"),
        (json!({ "timeout_ms": 999 }), "timeout_ms"),
        (json!({ "timeout_ms": 604_800_001_u64 }), "timeout_ms"),
        (json!({ "timeout_action": "hibernate" }), "timeout_action"),
        (json!({ "lifecycle": { "on_timeout": "pause" } }), "lifecycle"),
        (json!({ "auto_resume": true }), "auto_resume"),
        (json!({ "volumes": [{}] }), "volumes"),
        (json!({ "desktop": {} }), "desktop"),
        (json!({ "warm_pool": {} }), "warm_pool"),
        (json!({ "network": { "deny_out": ["x"] } }), "network"),
        (json!({ "cwd": "/etc" }), "cwd"),
        (json!({ "envs": { "PATH": "x" } }), "envs"),
        (json!({ "template": "a b" }), "template"),
        (json!({ "snapshot_id": "snap_1", "cwd": "/workspace" }), "cwd"),
        (json!({ "metadata": [] }), "metadata"),
        (json!({ "colour": "red" }), "colour"),
    ] {
        let refused = ask("POST", path, body.clone()).await;
        assert_eq!((refused.status, refused.body["code"].as_str()), (400, Some("invalid_request")), "{body}");
        assert!(refused.body["error"].as_str().unwrap().contains(field), "{body}: {}", refused.body);
    }
    let run = format!("{sandbox}/exec");
    let arguments = |count: usize| vec!["x"; count];
    let most = json!({ "command": "true", "args": arguments(1000), "timeout_secs": 3600 });
    let taken = ask("POST", &run, most).await;
    assert_eq!((taken.status, &taken.body["exit_code"]), (200, &json!(0)), "{}", taken.body);
    for body in [
        json!({ "command": "true", "args": arguments(1001) }),
        json!({ "command": "true", "timeout_secs": 3601 }),
        json!({ "command": "true", "timeout_secs": 0 }),
        json!({ "command": "" }),
        json!({ "command": "a\u{0}b" }),
        json!({ "command": "true", "args": vec!["x".repeat(60_000); 18] }),
    ] {
        assert_eq!(ask("POST", &run, body).await.status, 400);
    }
    let most = 8 * 1024 * 1024;
    let write = |bytes: usize| json!({ "command": "head", "args": ["-c", bytes.to_string(), "/dev/zero"] });
    let told = ask("POST", &run, write(most)).await;
    assert_eq!(told.body["stdout"].as_str().map(str::len), Some(most));
    assert_eq!(ask("POST", &run, write(most + 1)).await.status, 413);
    let file = |bytes: usize| json!({ "path": "/workspace/file", "content": "x".repeat(bytes) });
    let write = format!("{sandbox}/files/write");
    let (most, most_read) = (16 * 1024 * 1024, 2 * 1024 * 1024);
    assert_eq!(ask("POST", &write, file(most)).await.body["size"], most);
    assert_eq!(ask("POST", &write, file(most + 1)).await.status, 400);
    for (bytes, status) in [(most_read, 200), (most_read + 1, 413)] {
        assert_eq!(ask("POST", &write, file(bytes)).await.status, 200);
        let read = ask("POST", &format!("{sandbox}/files/read"), json!({ "path": "/workspace/file" })).await;
        assert_eq!(read.status, status);
    }
    for port in [0, 65_536] {
        assert_eq!(ask("POST", &format!("{sandbox}/host"), json!({ "port": port })).await.status, 400);
        assert_eq!(http.get(&format!("{sandbox}/ports/{port}/preview-url")).await.status, 404);
    }
    for seconds in [59, 86_401] {
        let path = format!("{sandbox}/ports/8000/signed-preview-url");
        assert_eq!(ask("POST", &path, json!({ "expires_in_seconds": seconds })).await.status, 400);
    }
    let slow = ask("POST", &run, json!({ "command": "sleep", "args": ["60"], "timeout_secs": 1 })).await;
    assert_eq!((slow.status, slow.body["code"].as_str()), (504, Some("exec_timeout")));
    assert_eq!(answer(http.request("DELETE", &sandbox)).await.body["status"], "destroyed");
    none_left(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_outlive_the_server_and_not_their_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut prism = PrismServe::start(directory.path()).await;
    let mut sandboxes = prism.client().nullspace().sandboxes();
    let secret = Secret::new("a-secret-of-this-test");
    let request = CreateSandbox::new().env("TOKEN", secret.clone());
    let kept = sandboxes.create(request).await.unwrap().into_inner();
    let [short, killed] = [
        sandboxes.create(CreateSandbox::new()).await.unwrap().into_inner(),
        sandboxes.create(CreateSandbox::new()).await.unwrap().into_inner(),
    ];
    let background = ExecuteProgram::shell("while :; do date > beat; sleep 0.02; done").background(true);
    let process = sandboxes.execute(&kept.id, background).await.unwrap().pid;
    for id in [&short.id, &killed.id] {
        sandboxes.wait_until_ready(id).await.unwrap();
    }
    shell(&sandboxes, &killed.id, "printf kept > kept").await;
    sandboxes.set_timeout(&short.id, SetSandboxTimeout::new(1000)).await.unwrap();

    prism.kill().await;
    prism = PrismServe::start(directory.path()).await;
    sandboxes = prism.client().nullspace().sandboxes();
    let text = "rm beat; until [ -e beat ]; do sleep 0.01; done; echo $TOKEN";
    assert_eq!(shell(&sandboxes, &kept.id, text).await, format!("{}\n", secret.expose()));
    let processes = prism.http().get(&format!("/v1/sandboxes/{}/processes", kept.id)).await.body;
    let found = (&processes[0]["pid"], &processes[0]["running"]);
    assert_eq!(found, (&json!(process), &json!(true)), "{processes}");
    until("its time is over", async || {
        let found = sandboxes.get(&short.id).await;
        found.is_err_and(|error| error.is_not_found()).then_some(())
    })
    .await;

    // What kills all that runs in it kills the sandbox, and its owner is told.
    let all = "grep -alz PRISM_SANDBOX=$PRISM_SANDBOX /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3";
    let end_all = ExecuteProgram::shell(format!("kill -9 $({all})"));
    drop(sandboxes.execute(&killed.id, end_all).await);
    let failed = until("it has failed", async || {
        let found = sandboxes.get(&killed.id).await.unwrap().into_inner();
        (found.status == SandboxStatus::Error).then_some(found)
    })
    .await;
    assert!(failed.failure_reason.unwrap().contains("ended"));
    let refused = sandboxes.execute(&killed.id, ExecuteProgram::new("true", [""; 0])).await.unwrap_err();
    assert_eq!(code(&refused), Some(ErrorCode::SandboxNotReady));
    let file = format!("/v1/sandboxes/{}/file?path=/workspace/kept", killed.id);
    assert_eq!(prism.http().get(&file).await.bytes, b"kept", "what it has left can be read");
    let hopeless = sandboxes.wait_until_ready(&killed.id).await.unwrap_err();
    assert!(hopeless.is_hopeless(), "{hopeless}");
    for id in [&kept.id, &killed.id] {
        sandboxes.destroy(id).await.unwrap();
    }
    let folder = directory.path().join("processes");
    let left = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    until("nothing is left", async || (left() == 0).then_some(())).await;
    tokio::time::timeout(Duration::from_secs(10), prism.kill()).await.unwrap();
}
