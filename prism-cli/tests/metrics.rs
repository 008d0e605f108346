//! `/metrics`: what an operator sees.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
};

use support::{KEY, Server, prism, run};

/// Reads the metrics at a URL.
fn read(url: &str) -> String {
    let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix("/metrics")).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: prism\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    answer
}

/// The value of a series.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not in {metrics}")).parse().unwrap()
}

#[test]
fn figures_tell_of_requests_runs_and_the_store_and_all_of_them_are_documented() {
    let data = tempfile::tempdir().unwrap();
    let mut command = prism(&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(data.path()).env("PRISM_BOOTSTRAP_API_KEY", KEY);
    let server = Server::start_as(command);
    let url = server.line().strip_prefix("prism metrics on ").unwrap().to_owned();

    let deployment = server.deployment("say Hi\ntool look {} => {}");
    let stream = server.events(&deployment);
    run(&mut server.client(&["send", &deployment, "Hello", "--follow"])).ok();
    run(&mut server.client(&["deployments", "get", "dep_none"])).failed(1);
    let metrics = read(&url);
    assert_eq!(
        value(&metrics, "prism_http_requests_total{operation=\"create_deployment\",status=\"201\"}"),
        1.0
    );
    assert_eq!(
        value(&metrics, "prism_http_requests_total{operation=\"get_deployment\",status=\"404\"}"),
        1.0
    );
    assert_eq!(value(&metrics, "prism_event_streams"), 1.0);
    assert_eq!(value(&metrics, "prism_run_transitions_total{status=\"completed\"}"), 1.0);
    assert_eq!(value(&metrics, "prism_events_total{type=\"tool_call\"}"), 1.0);
    assert_eq!(value(&metrics, "prism_provisioning_duration_seconds_count{outcome=\"ready\"}"), 1.0);
    assert!(value(&metrics, "prism_store_commits_total{outcome=\"ok\"}") >= 4.0);
    assert!(value(&metrics, "prism_store_transaction_duration_seconds_sum") > 0.0);
    assert!(value(&metrics, "process_resident_memory_bytes") > 1e6);
    assert!(!metrics.contains(&deployment) && !metrics.contains("cus_1"), "{metrics}");
    drop(stream);

    let page = include_str!("../../docs/reference/metrics.md");
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let names: BTreeSet<_> = names.filter(|name| name.starts_with("prism_")).collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name} is not on the page");
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name} is not described");
    }
}

#[test]
fn without_an_address_there_are_no_metrics() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: prism\r\nconnection: close\r\n\r\n").unwrap();
    assert!(support::read_to_end(&mut stream).starts_with("HTTP/1.1 404 Not Found\r\n"));
}
