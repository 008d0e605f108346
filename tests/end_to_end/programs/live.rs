//! Programs that are watched over WebSockets.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _, future::join};
use prism_client::nullspace::Sandboxes;
use prism_tests::{PrismServe, TestServer, answer};
use prism_types::nullspace::{CreateSandbox, ExecuteProgram, SandboxId};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::frame::coding::CloseCode},
};

use super::{DEADLINE, server, until};

const MIB: usize = 1024 * 1024;

/// A channel to a sandbox.
struct Channel(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Channel {
    async fn open(base_url: &str, key: &str, id: &SandboxId) -> Self {
        Self::try_open(base_url, key, &format!("{id}/ws?channel=exec")).await.unwrap()
    }

    /// The status and the code of a refusal.
    async fn try_open(base_url: &str, key: &str, path: &str) -> Result<Self, (u16, String)> {
        let url = format!("{}/v1/sandboxes/{path}", base_url.replace("http://", "ws://"));
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        match connect_async(request).await {
            Ok((socket, answer)) => {
                assert_eq!(answer.status(), 101);
                Ok(Self(socket))
            }
            Err(Error::Http(refusal)) => {
                let body = refusal.body().as_deref().unwrap_or_default();
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                Err((refusal.status().as_u16(), body["code"].as_str().unwrap_or_default().to_owned()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Starts a line of the shell; its number.
    async fn start(&mut self, id: &str, line: &str) -> u64 {
        self.send(
            json!({ "type": "exec_start", "id": id, "command": line, "shell": true, "timeout_secs": 600 }),
        )
        .await;
        let told = self.next().await;
        assert_eq!((told["type"].as_str(), told["id"].as_str()), (Some("exec_started"), Some(id)), "{told}");
        told["pid"].as_u64().unwrap()
    }

    /// What is told next.
    async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(DEADLINE, self.0.next()).await.expect("it is told in time");
            match message.expect("it is open").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// All that is told of an id until it ends: its output, its errors, and the last message.
    async fn rest(&mut self, id: &str) -> (String, String, Value) {
        let (mut out, mut errors) = (String::new(), String::new());
        loop {
            let told = self.next().await;
            if told["id"] != id {
                continue;
            }
            let data = told["data"].as_str().unwrap_or_default();
            match told["type"].as_str() {
                Some("exec_stdout") => out.push_str(data),
                Some("exec_stderr") => errors.push_str(data),
                Some("exec_started") => {}
                _ => return (out, errors, told),
            }
        }
    }

    /// With which status it is closed.
    async fn closed(&mut self) -> u16 {
        let close = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                    Some(Ok(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        tokio::time::timeout(DEADLINE, close).await.expect("it is closed in time")
    }
}

fn ended(told: &Value) -> Option<i64> {
    (told["type"] == "exec_exit").then(|| told["exit_code"].as_i64())?
}

/// A sandbox that runs.
async fn sandbox(sandboxes: &Sandboxes) -> SandboxId {
    let made = sandboxes.create(CreateSandbox::new().timeout_ms(3_600_000_u32)).await.unwrap().into_inner();
    sandboxes.wait_until_ready(&made.id).await.unwrap();
    made.id
}

async fn shell(sandboxes: &Sandboxes, id: &SandboxId, text: &str) -> Option<i32> {
    sandboxes.execute(id, ExecuteProgram::shell(text)).await.unwrap().exit_code
}

async fn open(server: &TestServer, id: &SandboxId) -> Channel {
    Channel::open(&server.base_url, server.account.key.expose(), id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_writes_is_told_before_it_ends() {
    let server = server().await;
    let (sandboxes, http) = (server.client().nullspace().sandboxes(), server.http());
    let id = sandbox(&sandboxes).await;
    let mut channel = open(&server, &id).await;
    let first = channel
        .start("first", "printf 'begun ü'; until [ -e go ]; do sleep 0.01; done; echo error >&2; exit 3")
        .await;
    assert_eq!(channel.next().await["data"], "begun ü");
    // Another one meanwhile, over the same channel.
    channel.start("second", "echo second").await;
    let second = channel.rest("second").await;
    assert_eq!((&*second.0, ended(&second.2)), ("second\n", Some(0)));
    let processes = http.get(&format!("/v1/sandboxes/{id}/processes")).await.body;
    let running = processes.as_array().unwrap().iter().find(|process| process["pid"] == first).unwrap();
    assert_eq!(running["running"], true);
    assert_eq!(shell(&sandboxes, &id, ": > go").await, Some(0));
    let first = channel.rest("first").await;
    assert_eq!((&*first.0, &*first.1, ended(&first.2)), ("", "error\n", Some(3)));

    // It reads what it is given, and is killed.
    let pid = channel.start("reads", "while read -r line; do echo \"<$line>\"; done").await;
    let input = format!("/v1/sandboxes/{id}/processes/{pid}/stdin");
    let given = http.post(&input, &json!({ "data": "one\n" })).await;
    assert_eq!(given.status, 204, "{}", given.body);
    assert_eq!(channel.next().await["data"], "<one>\n");
    let killed = http.post(&format!("/v1/sandboxes/{id}/processes/{pid}/kill"), &json!({})).await;
    assert_eq!((killed.status, ended(&channel.rest("reads").await.2)), (204, Some(137)));
    assert_eq!(http.post(&input, &json!({ "data": "two\n" })).await.status, 409);

    // Its time ends it, with what it has started.
    channel.send(json!({ "type": "exec_start", "id": "slow", "command": "sleep 1000; :", "shell": true, "timeout_secs": 1 })).await;
    let (_, _, told) = channel.rest("slow").await;
    assert_eq!((told["type"].as_str(), told["code"].as_str()), (Some("error"), Some("exec_timeout")));
    channel.start("left", "sleep 1000 & exit 4").await;
    assert_eq!(ended(&channel.rest("left").await.2), Some(4), "what it leaves does not keep it");

    // Whoever goes leaves it running, and can come again.
    let pid =
        channel.start("goes", "echo kept; until [ -e over ]; do sleep 0.01; done; echo later; exit 5").await;
    assert_eq!(channel.next().await["data"], "kept\n");
    drop(channel);
    let mut channel = open(&server, &id).await;
    channel.send(json!({ "type": "exec_connect", "id": "again", "pid": pid })).await;
    assert_eq!(channel.next().await["pid"], pid);
    assert_eq!(channel.next().await["data"], "kept\n");
    assert_eq!(shell(&sandboxes, &id, ": > over").await, Some(0));
    let again = channel.rest("again").await;
    assert_eq!((&*again.0, ended(&again.2)), ("later\n", Some(5)));
    let logs = http.get(&format!("/v1/sandboxes/{id}/processes/{pid}/logs")).await.body;
    assert_eq!((&logs["stdout"], &logs["exit_code"]), (&json!("kept\nlater\n"), &json!(5)));

    // With the sandbox all of it ends.
    channel.start("last", "sleep 1000").await;
    sandboxes.destroy(&id).await.unwrap();
    let (_, _, told) = channel.rest("last").await;
    assert_eq!(told["type"], "error", "{told}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_opens_a_channel_and_what_is_no_message_is_refused() {
    let server = server().await;
    let sandboxes = server.client().nullspace().sandboxes();
    let id = sandbox(&sandboxes).await;
    let (key, stranger) = (server.account.key.expose(), server.another_account().await);
    let (_, reader) = server.key("deployments:read").await;
    let path = format!("{id}/ws");
    for (key, path, status, code) in [
        ("prism_wrong_key_0123456789abcdefghijk", path.clone(), 401, "unauthorized"),
        (stranger.key.expose(), path.clone(), 404, "sandbox_not_found"),
        (reader.expose(), path.clone(), 403, "forbidden"),
        (key, "sb_none/ws".to_owned(), 404, "sandbox_not_found"),
        (key, format!("{path}?channel=pty"), 501, "feature_unavailable"),
        (key, format!("{path}?channel=other"), 400, "invalid_request"),
        (key, format!("{path}?other=exec"), 400, "invalid_request"),
    ] {
        let refused = Channel::try_open(&server.base_url, key, &path).await.err();
        assert_eq!(refused, Some((status, code.to_owned())), "{path}");
    }
    let plain = answer(server.http().request("GET", &format!("/v1/sandboxes/{path}"))).await;
    assert_eq!((plain.status, &plain.body["code"]), (400, &json!("invalid_request")));

    let mut channel = open(&server, &id).await;
    let most = 4 * MIB;
    for (text, id) in [
        ("what?".to_owned(), Value::Null),
        (json!({ "type": "exec_stop", "id": "a" }).to_string(), json!("a")),
        (
            json!({ "type": "exec_start", "id": "a", "command": "true", "timeout_secs": 3601 }).to_string(),
            json!("a"),
        ),
        ("x".repeat(most), Value::Null),
    ] {
        channel.0.send(Message::text(text)).await.unwrap();
        let told = channel.next().await;
        assert_eq!(
            (&told["type"], &told["code"], &told["id"]),
            (&json!("error"), &json!("invalid_request"), &id)
        );
    }
    channel.send(json!({ "type": "exec_connect", "id": "a", "pid": 999_999 })).await;
    assert_eq!(channel.next().await["code"], "not_found");
    channel.start("once", "until [ -e over ]; do sleep 0.01; done").await;
    channel.send(json!({ "type": "exec_start", "id": "once", "command": "true" })).await;
    assert_eq!(channel.next().await["code"], "invalid_request");
    for other in 1..16 {
        channel.start(&format!("other {other}"), "until [ -e over ]; do sleep 0.01; done").await;
    }
    channel.send(json!({ "type": "exec_start", "id": "more", "command": "true" })).await;
    assert_eq!(channel.next().await["code"], "rate_limit_exceeded");
    assert_eq!(shell(&sandboxes, &id, ": > over").await, Some(0));
    channel.0.send(Message::text("x".repeat(most + 1))).await.ok();
    assert_eq!(channel.closed().await, u16::from(CloseCode::Size));
    let mut channel = open(&server, &id).await;
    channel.0.send(Message::binary(vec![0])).await.unwrap();
    assert_eq!(channel.closed().await, u16::from(CloseCode::Unsupported));

    let mut all = Vec::new();
    until("the others are closed", async || {
        let opened = Channel::try_open(&server.base_url, key, &path).await;
        opened.ok().map(drop)
    })
    .await;
    let refused = loop {
        match Channel::try_open(&server.base_url, key, &path).await {
            Ok(channel) => all.push(channel),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, (429, "rate_limit_exceeded".to_owned()));
    assert!((60..=64).contains(&all.len()), "{}", all.len());
    drop(all);
    until("there is room again", async || Channel::try_open(&server.base_url, key, &path).await.ok()).await;
    sandboxes.destroy(&id).await.unwrap();
    server.stop().await;
}

/// Lets time fly while something is done: a second at a time, in which all that can be done at that moment is done.
async fn meanwhile<T>(work: impl Future<Output = T>) -> T {
    tokio::time::pause();
    let flight = async {
        loop {
            tokio::time::advance(Duration::from_secs(1)).await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = flight => unreachable!("it has no end"),
    };
    tokio::time::resume();
    done
}

// On one thread, for time flies only there.
#[tokio::test]
async fn a_channel_is_closed_when_it_is_idle_and_takes_requests_for_a_time() {
    let server = server().await;
    let sandboxes = server.client().nullspace().sandboxes();
    let id = sandbox(&sandboxes).await;
    let (mut idle, mut silent, mut busy) =
        (open(&server, &id).await, open(&server, &id).await, open(&server, &id).await);
    let opened = Instant::now();
    for channel in [&mut silent, &mut busy] {
        channel.start("works", "until [ -e over ]; do sleep 0.01; done").await;
    }
    let listen = async |channel: &mut Channel, until: u64| {
        let heard = async { while channel.0.next().await.unwrap().is_ok() {} };
        let end = opened + Duration::from_secs(until);
        tokio::time::timeout_at(end, heard).await.expect_err("it is asked whether it is there, and kept");
    };

    // Nothing is watched over it: it is asked twice, and closed at the third look.
    let (messages, ()) = meanwhile(async {
        let messages = async {
            let mut messages = Vec::new();
            while let Some(Ok(message)) = idle.0.next().await {
                messages.push(message);
            }
            messages
        };
        join(messages, listen(&mut busy, 295)).await
    })
    .await;
    let (last, asked) = messages.split_last().unwrap();
    assert!(matches!(asked, [Message::Ping(_), Message::Ping(_)]), "{asked:?}");
    assert!(matches!(last, Message::Close(Some(frame)) if frame.code == CloseCode::Normal), "{last:?}");

    // Who says nothing is not waited for, though a program is watched.
    while let Some(Ok(message)) = silent.0.next().await {
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
    }

    // After its time it takes nothing more; what is watched is watched to its end.
    busy.start("in time", "true").await;
    assert_eq!(ended(&busy.rest("in time").await.2), Some(0));
    meanwhile(listen(&mut busy, 300)).await;
    busy.send(json!({ "type": "exec_start", "id": "late", "command": "true" })).await;
    let late = busy.next().await;
    assert_eq!(
        (&late["id"], &late["code"]),
        (&json!("late"), &json!("agent_deployment_invalid_state")),
        "{late}"
    );
    assert_eq!(shell(&sandboxes, &id, ": > over").await, Some(0));
    assert_eq!(ended(&busy.rest("works").await.2), Some(0));
    assert_eq!(meanwhile(busy.closed()).await, u16::from(CloseCode::Normal));
    sandboxes.destroy(&id).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_is_taken_at_its_limit_and_not_past_it() {
    let server = server().await;
    let (sandboxes, http) = (server.client().nullspace().sandboxes(), server.http());
    let id = sandbox(&sandboxes).await;
    let counts =
        ExecuteProgram::shell("head -c 1048576 | wc -c; : > counted; exec sleep 600").background(true);
    let pid = sandboxes.execute(&id, counts).await.unwrap().pid.unwrap();
    let input = format!("/v1/sandboxes/{id}/processes/{pid}/stdin");
    let most = |more: usize| json!({ "data": "x".repeat(MIB + more) });
    assert_eq!(http.post(&input, &most(1)).await.status, 400);
    assert_eq!(http.post(&input, &most(0)).await.status, 204);
    assert_eq!(shell(&sandboxes, &id, "until [ -e counted ]; do sleep 0.01; done").await, Some(0));
    let logs = http.get(&format!("/v1/sandboxes/{id}/processes/{pid}/logs")).await.body;
    assert_eq!(logs["stdout"].as_str().unwrap().trim(), "1048576");
    let deaf = http.post(&input, &most(0)).await;
    assert_eq!((deaf.status, &deaf.body["code"]), (504, &json!("exec_timeout")), "it does not read any more");
    for (body, pid) in [(json!({}), pid), (json!({ "data": 5 }), pid)] {
        let path = format!("/v1/sandboxes/{id}/processes/{pid}/stdin");
        assert_eq!(http.post(&path, &body).await.status, 400, "{body}");
    }
    let missing =
        http.post(&format!("/v1/sandboxes/{id}/processes/999999/stdin"), &json!({ "data": "" })).await;
    assert_eq!((missing.status, &missing.body["code"]), (404, &json!("not_found")));
    sandboxes.destroy(&id).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_the_program_down_and_gets_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let prism = PrismServe::start(directory.path()).await;
    let sandboxes = prism.client().nullspace().sandboxes();
    let id = sandbox(&sandboxes).await;
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", prism.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
    };
    let mut channel = Channel::open(&prism.base_url, PrismServe::KEY, &id).await;
    // All that it takes to watch a program is there.
    channel.start("before", "head -c 1000000 /dev/zero | tr '\\0' x").await;
    assert_eq!(channel.rest("before").await.0.len(), 1_000_000);
    let before = peak();
    let line = "head -c 67108864 /dev/zero | tr '\\0' x; : > done; echo last >&2; exit 3";
    channel.start("much", line).await;
    assert_eq!(channel.next().await["type"], "exec_stdout");
    assert_eq!(shell(&sandboxes, &id, "sleep 1; [ -e done ]").await, Some(1), "it waits");
    let (mut found, mut errors, mut last) = (0, String::new(), Value::Null);
    while last["type"] != "exec_exit" {
        last = channel.next().await;
        match last["type"].as_str() {
            Some("exec_stdout") => found += last["data"].as_str().unwrap().len(),
            Some("exec_stderr") => errors.push_str(last["data"].as_str().unwrap()),
            _ => {}
        }
    }
    // One message was read before.
    assert!((64 * MIB - 64 * 1024..64 * MIB).contains(&found), "{found}");
    assert_eq!((&*errors, ended(&last)), ("last\n", Some(3)));
    let grown = peak().saturating_sub(before);
    assert!(grown < 24 * MIB, "the server takes {grown} bytes more");
    sandboxes.destroy(&id).await.unwrap();
    prism.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_watched_outlives_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let prism = PrismServe::start(directory.path()).await;
    let sandboxes = prism.client().nullspace().sandboxes();
    let id = sandbox(&sandboxes).await;
    let line = "i=0; until [ -e over ]; do echo $i; i=$((i+1)); sleep 0.01; done; echo the end; exit 5";
    let mut channel = Channel::open(&prism.base_url, PrismServe::KEY, &id).await;
    let pid = channel.start("x", line).await;
    assert_eq!(channel.next().await["type"], "exec_stdout");
    prism.kill().await;
    let prism = PrismServe::start(directory.path()).await;
    let sandboxes = prism.client().nullspace().sandboxes();
    let mut channel = Channel::open(&prism.base_url, PrismServe::KEY, &id).await;
    channel.send(json!({ "type": "exec_connect", "id": "x", "pid": pid })).await;
    assert_eq!(channel.next().await["type"], "exec_started");
    assert_eq!(shell(&sandboxes, &id, ": > over").await, Some(0));
    let (out, _, told) = channel.rest("x").await;
    assert!(out.starts_with("0\n1\n") && out.ends_with("the end\n"), "{out}");
    assert_eq!(ended(&told), Some(5));
    sandboxes.destroy(&id).await.unwrap();
    until("nothing is left", async || {
        let left = std::fs::read_dir(directory.path().join("processes")).map_or(0, Iterator::count);
        (left == 0).then_some(())
    })
    .await;
    tokio::time::timeout(Duration::from_secs(10), prism.kill()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_closes_its_channels() {
    let server = server().await;
    let sandboxes = server.client().nullspace().sandboxes();
    let id = sandbox(&sandboxes).await;
    let mut channel = open(&server, &id).await;
    channel.start("x", "sleep 600").await;
    let (code, ()) = tokio::join!(channel.closed(), server.stop());
    assert_eq!(code, u16::from(CloseCode::Away));
}
