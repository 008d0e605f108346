//! `prism serve`: starts, stops, settings.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{fs, path::Path};

use support::{Server, prism, run};

#[test]
fn the_first_start_prints_a_key_that_works_and_the_second_does_not() {
    let data = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = prism(&["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(data.path());
        Server::start_as(command)
    };
    let server = start();
    let line =
        std::iter::repeat_with(|| server.line()).find(|line| line.trim().starts_with("prism_")).unwrap();
    let key = line.trim();
    let curl = std::iter::repeat_with(|| server.line()).find(|line| line.contains("curl")).unwrap();
    assert!(curl.contains(&server.url), "{curl}");
    let list = |server: &Server| {
        run(server.client(&["deployments", "list", "--output", "json"]).env("PRISM_API_KEY", key)).json()
    };
    assert_eq!(list(&server), serde_json::json!([]));
    drop(server);

    let mut server = start();
    assert_eq!(list(&server), serde_json::json!([]));
    let keys = run(prism(&["keys", "list", "-o", "json", "--data-dir"]).arg(data.path())).json();
    assert_eq!(keys.as_array().unwrap().len(), 1);
    stop(&mut server);
}

#[test]
fn a_key_that_is_brought_along_works_and_is_not_printed() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path());
    run(&mut server.client(&["deployments", "list"])).ok();
    #[cfg(unix)]
    server.signal(rustix::process::Signal::TERM);
    assert!(server.ended().success());
}

#[test]
fn a_key_that_can_be_guessed_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let mut serve = prism(&["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    let error = run(serve.arg(data.path()).env("PRISM_BOOTSTRAP_API_KEY", "hunter2")).failed(2);
    assert!(error.contains("PRISM_BOOTSTRAP_API_KEY") && error.contains("24"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let _server = Server::start(data.path());
    let mut second = prism(&["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    let error = run(second.arg(data.path())).failed(1);
    assert!(error.contains("another `prism serve` (process "), "{error}");
    assert!(error.contains(data.path().to_str().unwrap()), "{error}");
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("prism.toml");
    let place = |name: &str| root.path().join(name);
    fs::write(&config, format!("listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n", place("file"))).unwrap();

    let with_file = || {
        let mut command = prism(&["serve", "--config"]);
        command.arg(&config);
        command
    };
    drop(Server::start_as(with_file()));
    assert!(is_data(&place("file")));

    let mut command = with_file();
    command.env("PRISM_DATA_DIR", place("environment"));
    drop(Server::start_as(command));
    assert!(is_data(&place("environment")));

    let mut command = with_file();
    command.env("PRISM_DATA_DIR", place("unused")).arg("--data-dir").arg(place("flag"));
    drop(Server::start_as(command));
    assert!(is_data(&place("flag")) && !place("unused").exists());
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let data = tempfile::tempdir().unwrap();
    let mut command = prism(&["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(data.path());
    for name in ["PRISM_LISTEN", "PRISM_DATA_DIR", "PRISM_CONFIG", "PRISM_PUBLIC_URL", "PRISM_DEFAULT_MODEL"]
    {
        command.env(name, "");
    }
    for name in ["PRISM_MASTER_KEY", "PRISM_BOOTSTRAP_API_KEY", "PRISM_LOG", "PRISM_LOG_FORMAT"] {
        command.env(name, "");
    }
    drop(Server::start_as(command));
}

#[test]
fn bad_settings_are_named() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("prism.toml");
    let serve = |file: &str| {
        fs::write(&config, file).unwrap();
        let mut command = prism(&["serve", "--listen", "127.0.0.1:0", "--config"]);
        command.arg(&config).arg("--data-dir").arg(root.path().join("data"));
        command
    };
    for (file, named) in [
        ("lissten = \"127.0.0.1:1\"", "lissten"),
        ("[limits]\nrequests_per_second = 0", "limits.requests_per_second"),
        ("[fetch.development_origins]\n\"example.com\" = \"http://127.0.0.1:1\"", "example.com"),
        ("public_url = \"example.com\"", "public_url"),
        ("edge_domain = \"https://example.com\"", "edge_domain"),
        ("[limits]\nbundle_files = 100001", "limits.bundle_files"),
        ("log = \"nonsense=verbose\"", "nonsense=verbose"),
    ] {
        let error = run(&mut serve(file)).failed(2);
        assert!(error.contains(named), "{file}: {error}");
    }
    let error = run(serve("").env("PRISM_MASTER_KEY", "canary")).failed(2);
    assert!(error.contains("PRISM_MASTER_KEY") && !error.contains("canary"), "{error}");
    let missing = run(&mut prism(&["serve", "--config", "/nowhere/prism.toml"])).failed(2);
    assert!(missing.contains("/nowhere/prism.toml"), "{missing}");
}

#[test]
fn the_documents_of_the_apis_are_told_without_a_key() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
    for (path, file) in
        [("/openapi.json", "openapi.json"), ("/openapi/nullspace.json", "nullspace/openapi.json")]
    {
        let golden: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(golden.join(file)).unwrap()).unwrap();
        assert!(server.get(path) == golden, "{path} is not {file}");
    }
}

#[cfg(unix)]
#[test]
fn a_stop_ends_open_streams_and_succeeds() {
    use rustix::process::Signal;

    for signal in [Signal::TERM, Signal::INT] {
        let data = tempfile::tempdir().unwrap();
        let mut server = Server::start(data.path());
        let deployment = server.deployment("say Hi");
        let mut events = server.events(&deployment);
        server.signal(signal);
        let rest = support::read_to_end(&mut events);
        assert!(rest.ends_with("0\r\n\r\n"), "the stream must end and not be cut off: {rest:?}");
        assert_eq!(server.ended().code(), Some(0));
    }
}

#[cfg(unix)]
#[test]
fn a_second_signal_does_not_wait_for_requests() {
    use rustix::process::Signal;
    use std::io::{Read, Write};

    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path());
    let deployment = server.deployment("say Hi");
    let mut request = std::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    request.set_read_timeout(Some(support::DEADLINE)).unwrap();
    let head = format!(
        "POST /v1/deployments HTTP/1.1\r\nhost: prism\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n",
        support::KEY
    );
    request.write_all(head.as_bytes()).unwrap();
    // The server asks for the body, so the request is under way; the body never comes.
    let mut line = [0; 12];
    request.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 100");

    let mut events = server.events(&deployment);
    server.signal(Signal::TERM);
    support::read_to_end(&mut events);
    server.signal(Signal::INT);
    assert_eq!(server.ended().code(), Some(1));
}

#[test]
fn the_log_can_be_json_and_holds_no_key() {
    let data = tempfile::tempdir().unwrap();
    let log = fs::File::create(data.path().join("log")).unwrap();
    let mut command = prism(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--log", "trace"]);
    command.arg("--data-dir").arg(data.path()).env("PRISM_BOOTSTRAP_API_KEY", support::KEY).stderr(log);
    let mut server = Server::start_as(command);
    run(&mut server.client(&["deployments", "list"])).ok();
    stop(&mut server);
    let log = fs::read_to_string(data.path().join("log")).unwrap();
    assert!(!log.is_empty() && !log.contains(support::KEY), "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string(), "{line}");
    }
}

fn is_data(path: &Path) -> bool {
    ["prism.db", "master.key", "prism.lock"].iter().all(|name| path.join(name).is_file())
}

fn stop(server: &mut Server) {
    #[cfg(unix)]
    {
        server.signal(rustix::process::Signal::TERM);
        assert!(server.ended().success());
    }
    let _ = server;
}
