//! `prism webhooks`, with a receiver on this machine.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::Stdio,
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use support::{Server, prism, run};

/// A receiver that answers every request with 204, and tells of each whether it was signed.
fn receiver() -> (String, Receiver<(bool, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut length, mut signed) = (0, false);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim_end().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
                signed |= line.starts_with("webhook-signature: v1,");
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").unwrap();
            if sender.send((signed, String::from_utf8(body).unwrap())).is_err() {
                return;
            }
        }
    });
    (origin, received)
}

/// Runs a command until it says so.
fn until(mut says_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !says_so() {
        assert!(Instant::now() < deadline, "it never says so");
    }
}

/// A server that reaches `https://hooks.example` at another origin.
fn server(data: &Path, origin: &str, stderr: Stdio) -> Server {
    let config = data.join("prism.toml");
    let origins = format!("[fetch.development_origins]\n\"https://hooks.example\" = \"{origin}\"\n");
    std::fs::write(&config, origins).unwrap();
    let mut serve = prism(&["serve", "--listen", "127.0.0.1:0"]);
    serve.arg("--data-dir").arg(data).arg("--config").arg(&config);
    serve.env("PRISM_BOOTSTRAP_API_KEY", support::KEY).env("PRISM_LOG", "trace").stderr(stderr);
    Server::start_as(serve)
}

#[test]
fn a_webhook_is_created_told_listed_changed_and_deleted() {
    let (origin, received) = receiver();
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path(), &origin, Stdio::null());
    let webhooks = |arguments: &[&str]| run(server.client(&["webhooks"]).args(arguments));

    let refused = webhooks(&["create", "http://127.0.0.1:9/hook"]).failed(1);
    assert!(refused.contains("$.url") && refused.contains("public address"), "{refused}");
    let created =
        webhooks(&["create", "https://hooks.example/a", "--description", "For tests", "-o", "json"]).json();
    let (id, secret) = (created["webhook_id"].as_str().unwrap(), created["secret"].as_str().unwrap());
    assert!(secret.starts_with("whsec_"), "{created}");

    let deployment = server.deployment("say Hi");
    run(&mut server.client(&["send", &deployment, "x", "--follow"])).ok();
    let mut told = Vec::new();
    while told.len() < 2 {
        let (signed, body) = received.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(signed);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        told.push(format!("{} {}", body["type"], body["data"]["status"]));
    }
    told.sort();
    assert_eq!(told, ["\"run_status\" \"completed\"", "\"run_status\" \"running\""]);

    let sent = webhooks(&["test", id, "-o", "json"]).json();
    let delivery = sent["delivery_id"].as_str().unwrap();
    assert!(received.recv_timeout(Duration::from_secs(60)).unwrap().1.contains("ping"));
    let shown = webhooks(&["deliveries", id, delivery]).ok();
    assert!(shown.contains(delivery) && shown.contains(r#"{"type":"ping","#), "{shown}");
    until(|| webhooks(&["deliveries", id, delivery]).ok().contains("delivered"));
    let again = webhooks(&["redeliver", id, delivery]).ok();
    assert!(again.contains(delivery), "{again}");
    assert!(received.recv_timeout(Duration::from_secs(60)).unwrap().1.contains("ping"));
    assert_eq!(webhooks(&["redeliver", id, "--since", "2026-01-01T00:00:00Z"]).ok(), "0 sent again\n");
    assert!(webhooks(&["deliveries", id]).ok().contains("run_status"));
    assert_eq!(
        webhooks(&["deliveries", id, "--status", "failed", "-o", "json"]).json(),
        serde_json::json!([])
    );

    let rotated = webhooks(&["rotate", id]).ok();
    assert!(rotated.contains("whsec_") && !rotated.contains(secret), "{rotated}");
    let changed = webhooks(&["update", id, "--event", "filesystem", "--disable", "--description", ""]).ok();
    assert!(changed.contains("filesystem") && changed.contains("false"), "{changed}");
    assert!(webhooks(&["test", id]).failed(1).contains("disabled"));
    assert!(webhooks(&["list"]).ok().contains(id) && webhooks(&["get", id]).ok().contains("hooks.example"));
    assert_eq!(webhooks(&["delete", id]).ok(), format!("deleted {id}\n"));
    assert!(webhooks(&["get", id]).failed(1).contains("404"));
    assert_eq!(webhooks(&["redeliver", id]).code, Some(2));
}

/// Two secrets are made and used. Neither is in the database, in the log at its most talkative, or in any other answer.
#[test]
fn no_secret_of_a_webhook_is_stored_logged_or_told_again() {
    let (origin, received) = receiver();
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let server = server(data.path(), &origin, std::fs::File::create(&log).unwrap().into());
    let webhooks = |arguments: &[&str]| run(server.client(&["webhooks"]).args(arguments));
    let created = webhooks(&["create", "https://hooks.example/a", "-o", "json"]).json();
    let id = created["webhook_id"].as_str().unwrap();
    let rotated = webhooks(&["rotate", id, "-o", "json"]).json();
    let sent = webhooks(&["test", id, "-o", "json"]).json();
    assert!(received.recv_timeout(Duration::from_secs(60)).unwrap().0);
    let delivery = sent["delivery_id"].as_str().unwrap();
    until(|| webhooks(&["deliveries", id, delivery]).ok().contains("delivered"));
    let mut told = String::new();
    for arguments in [&["list"][..], &["get", id], &["deliveries", id], &["deliveries", id, delivery]] {
        told.push_str(&webhooks(&[arguments, &["-o", "json"]].concat()).ok());
    }
    let mut files = 0;
    for secret in [&created["secret"], &rotated["secret"]] {
        let encoded = secret.as_str().unwrap().strip_prefix("whsec_").unwrap();
        assert!(!told.contains(encoded));
        let forms = [encoded.as_bytes().to_vec(), decoded(encoded)];
        for entry in std::fs::read_dir(data.path()).unwrap() {
            let path = entry.unwrap().path();
            let Ok(bytes) = std::fs::read(&path) else { continue };
            files += 1;
            for form in &forms {
                assert!(!bytes.windows(form.len()).any(|window| window == form), "{}", path.display());
            }
        }
    }
    let log = std::fs::read_to_string(log).unwrap();
    assert!(files >= 4 && log.contains("DEBUG") && log.contains("TRACE"), "the log is at its most talkative");
}

/// Bytes in base64.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.trim_end_matches('=').bytes().map(digit).collect();
    let bytes = digits.chunks(4).flat_map(|chunk| {
        let bits =
            chunk.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit)) << (6 * (4 - chunk.len()));
        bits.to_be_bytes()[1..chunk.len()].to_vec()
    });
    bytes.collect()
}
