//! Export of traces by OpenTelemetry's protocol: OTLP over HTTP, with protobuf.
//!
//! It is on when `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set; those and the other variables of
//! [OpenTelemetry](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/) configure it. A request
//! goes on with the trace that its `traceparent` names ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
};
use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use tracing::{Instrument as _, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::failure::Failure;

/// Where a collector is, each more special than the one before.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// An export under way. When it is dropped, what was not sent yet is.
pub(super) struct Traces(SdkTracerProvider);

/// Starts the export, if a collector is named.
///
/// # Errors
/// When its address is not fit.
pub(super) fn start() -> Result<Option<Traces>, Failure> {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !ENDPOINTS.iter().any(is_set) {
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_http().build().map_err(|error| {
        Failure::usage(format!("traces cannot be exported: {error}"))
            .advice("Mend OTEL_EXPORTER_OTLP_ENDPOINT; `http://127.0.0.1:4318` is an example.")
    })?;
    let resource = Resource::builder().with_service_name(service_name()).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    global::set_text_map_propagator(TraceContextPropagator::new());
    Ok(Some(Traces(provider)))
}

impl Traces {
    /// What hands the spans of the log on.
    pub(super) fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("prism"))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}

/// Lets requests go on with the traces that they name.
pub(super) fn continued(router: Router) -> Router {
    router.layer(middleware::from_fn(async |request: Request, next: Next| -> Response {
        let span = tracing::info_span!(
            "http",
            otel.kind = "server",
            http.request.method = %request.method(),
            http.response.status_code = tracing::field::Empty,
        );
        let parent = global::get_text_map_propagator(|propagator| {
            propagator.extract(&HeaderExtractor(request.headers()))
        });
        // It fails only where nothing is exported.
        let _ = span.set_parent(parent);
        let response = next.run(request).instrument(span.clone()).await;
        span.record("http.response.status_code", response.status().as_u16());
        response
    }))
}

fn service_name() -> String {
    let given = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    given.unwrap_or_else(|| "prism".to_owned())
}
