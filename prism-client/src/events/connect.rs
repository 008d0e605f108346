//! Opening one connection of a stream.

use std::{pin::Pin, time::Duration};

use prism_types::EventId;
use reqwest::{StatusCode, header::CONTENT_TYPE};
use tokio::time::timeout;

use crate::{
    Error,
    call::{Call, header},
    error::{Kind, Misfit},
    transport::Body,
};

/// A connection that is being made.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send>>;

pub(super) enum Opened {
    Body(Body),
    /// The server says that there is nothing to follow (204).
    Nothing,
}

/// Makes connections; a trait so that tests can script what happens to them.
pub(super) trait Connect: Send {
    /// Starts to connect, to what comes after an event.
    fn connect(&self, after: Option<&EventId>) -> Opening;

    /// How errors name what is done.
    fn operation(&self) -> String;
}

/// Connects to a server.
pub(super) struct HttpConnect {
    call: Call,
    patience: Duration,
}

impl HttpConnect {
    /// Sends `call` for every connection and waits for the head of the answer for at most `patience`.
    pub(super) fn new(call: Call, patience: Duration) -> Self {
        Self { call, patience }
    }
}

impl Connect for HttpConnect {
    fn connect(&self, after: Option<&EventId>) -> Opening {
        let mut call = self.call.clone();
        start_after(&mut call, after);
        Box::pin(open(call.exchange(), self.patience))
    }

    fn operation(&self) -> String {
        self.call.name()
    }
}

/// Has a call ask for what comes after an event.
pub(super) fn start_after(call: &mut Call, event: Option<&EventId>) {
    if let Some(id) = event {
        call.set_header("last-event-id", id.as_str());
    }
}

/// Makes one connection.
pub(super) async fn open(
    exchange: impl Future<Output = Result<http::Response<Body>, Error>>,
    patience: Duration,
) -> Result<Opened, Error> {
    let answer =
        timeout(patience, exchange).await.unwrap_or_else(|_| Err(Error::new(Kind::Silence(patience))))?;
    if answer.status() == StatusCode::NO_CONTENT {
        return Ok(Opened::Nothing);
    }
    let headers = answer.headers();
    let content_type = header(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    if !is_event_stream(content_type) {
        let misfit = Misfit::new("the answer", "its content type is not text/event-stream");
        return Err(Error::new(Kind::Decode(misfit))
            .answered(answer.status().as_u16(), header(headers, "x-request-id")));
    }
    Ok(Opened::Body(answer.into_body()))
}

fn is_event_stream(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}

#[cfg(test)]
mod tests {
    use super::is_event_stream;

    #[test]
    fn parameters_and_case_do_not_matter() {
        assert!(is_event_stream("text/event-stream"));
        assert!(is_event_stream("Text/Event-Stream ; charset=utf-8"));
        assert!(!is_event_stream("text/html"));
        assert!(!is_event_stream(""));
    }
}
