//! `/metrics`: figures for Prometheus, on an address of their own, since they need no key.

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use prism_server_core::describe_metrics;

use crate::failure::Failure;

/// The form of the answer.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The upper bounds of histograms, in seconds.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Begins to collect, and answers what serves the figures.
///
/// # Errors
/// When this process collects already.
pub(super) fn start() -> Result<Router, Failure> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .and_then(|builder| builder.install_recorder())
        .map_err(|error| Failure::new(format!("metrics cannot be collected: {error}")))?;
    describe_metrics();
    let process = Collector::default();
    process.describe();
    Ok(Router::new()
        .route("/metrics", get(async move || ([(CONTENT_TYPE, TEXT)], render(&recorder, &process)))))
}

fn render(recorder: &PrometheusHandle, process: &Collector) -> String {
    process.collect();
    recorder.run_upkeep();
    recorder.render()
}
