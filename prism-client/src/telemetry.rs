//! What is told of calls and streams to whoever listens by [`tracing`].
//!
//! Nothing is told but what stands here: names of operations, numbers, statuses, the server's request id, and the kind of an
//! error. No headers, no bodies, no queries, no ids of customers, no messages. The names of the fields are those of
//! OpenTelemetry's conventions for HTTP clients, where there is one.

#[cfg(feature = "tracing")]
mod listened {
    use std::time::Duration;

    use tracing::{Instrument, Span, field::Empty};

    use crate::{
        Error,
        call::{Call, header},
        transport::Body,
    };

    /// The span of a call, with all its attempts.
    #[derive(Clone)]
    pub(crate) struct CallSpan(Span);

    impl CallSpan {
        pub(crate) fn new(call: &Call) -> Self {
            let operation = call.operation();
            Self(tracing::info_span!(
                target: "prism_client",
                "prism_client.call",
                otel.name = %operation,
                otel.kind = "client",
                otel.status_code = Empty,
                http.request.method = %operation.method(),
                url.template = operation.path(),
                http.request.resend_count = Empty,
                http.response.status_code = Empty,
                error.r#type = Empty,
                prism.request_id = Empty,
            ))
        }

        pub(crate) fn around<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = T> {
            work.instrument(self.0.clone())
        }

        /// The head of an answer is there.
        pub(crate) fn answered(&self, answer: &http::Response<Body>) {
            if self.0.is_disabled() {
                return;
            }
            self.0.record("http.response.status_code", answer.status().as_u16());
            if let Some(id) = header(answer.headers(), "x-request-id") {
                self.0.record("prism.request_id", id);
            }
        }

        /// An attempt failed, and there is another one after a pause.
        pub(crate) fn pauses(&self, attempts: u32, error: &Error, pause: Duration) {
            let _entered = self.0.enter();
            tracing::info!(
                target: "prism_client",
                attempt = attempts,
                error.r#type = error.label(),
                http.response.status_code = error.status(),
                prism.request_id = error.request_id(),
                pause_ms = milliseconds(pause),
                "tried again after a pause",
            );
        }

        /// The call is over.
        pub(crate) fn ends(&self, attempts: u32, error: Option<&Error>) {
            self.0.record("http.request.resend_count", attempts.saturating_sub(1));
            let Some(error) = error else { return };
            self.0.record("otel.status_code", "ERROR");
            self.0.record("error.type", error.label());
        }
    }

    /// A stream lost its connection, and tries another one after a pause.
    pub(crate) fn stream_pauses(failures: u32, error: &Error, pause: Duration) {
        tracing::info!(
            target: "prism_client",
            failures,
            error.r#type = error.label(),
            http.response.status_code = error.status(),
            pause_ms = milliseconds(pause),
            "an event stream resumes after a pause",
        );
    }

    fn milliseconds(time: Duration) -> u64 {
        time.as_millis().try_into().unwrap_or(u64::MAX)
    }
}

#[cfg(not(feature = "tracing"))]
mod silent {
    use std::time::Duration;

    use crate::{Error, call::Call, transport::Body};

    /// Nobody listens.
    #[derive(Clone)]
    pub(crate) struct CallSpan;

    impl CallSpan {
        pub(crate) fn new(call: &Call) -> Self {
            let _ = call.operation();
            Self
        }

        pub(crate) fn around<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = T> {
            work
        }

        pub(crate) fn answered(&self, _: &http::Response<Body>) {}

        pub(crate) fn pauses(&self, _: u32, error: &Error, _: Duration) {
            let _ = error.label();
        }

        pub(crate) fn ends(&self, _: u32, _: Option<&Error>) {}
    }

    pub(crate) fn stream_pauses(_: u32, _: &Error, _: Duration) {}
}

#[cfg(feature = "tracing")]
pub(crate) use listened::{CallSpan, stream_pauses};
#[cfg(not(feature = "tracing"))]
pub(crate) use silent::{CallSpan, stream_pauses};
