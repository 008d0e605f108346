//! Answers that are none: errors of the server, and connections that break.

use std::time::Duration;

use prism_types::{ErrorBody, ErrorCode, Problem};

/// Why a [`Stub`](super::Stub) does not answer: an error of the server, or something that happens to the connection.
///
/// ```
/// use std::time::Duration;
/// use prism_client::{mock::Refusal, types::ErrorCode};
///
/// let busy = Refusal::of_status(503).retry_after(Duration::from_secs(2));
/// let taken = Refusal::new(409, ErrorCode::Conflict, "There is a skill of this name");
/// assert_eq!((busy.status(), taken.status()), (Some(503), Some(409)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub(super) Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) cause: Cause,
    pub(super) retry_after: Option<Duration>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// The server answers with an error, or with a status alone.
    Status(u16, Option<ErrorBody>),
    /// There is no connection: the server sees nothing.
    NoConnection,
    /// The connection breaks before the answer.
    Disconnected,
}

impl Refusal {
    /// The server answers with this status and an error body of this code.
    pub fn new(status: u16, code: ErrorCode, message: impl Into<String>) -> Self {
        Self::by(Cause::Status(status, Some(ErrorBody::new(code, message))))
    }

    /// The server answers with this status and the code that belongs to it.
    pub fn of_status(status: u16) -> Self {
        Self::new(status, code(status), format!("The mock answers with status {status}"))
    }

    /// 404 `not_found`: there is no such thing, such as `Deployment`.
    pub fn not_found(what: &str) -> Self {
        Self::new(404, ErrorCode::NotFound, format!("{what} not found"))
    }

    /// 409 `conflict`.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, ErrorCode::Conflict, message)
    }

    /// 400 `validation_error` about a place of the request, such as `$.name`.
    pub fn invalid(path: impl Into<String>, rule: impl Into<String>) -> Self {
        let problem = Problem::new(path, rule);
        let message = format!("1 problem: {}: {}", problem.path, problem.message);
        Self::new(400, ErrorCode::ValidationError, message).problem(problem)
    }

    /// 400 `validation_error` about nothing that could be pointed at.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, ErrorCode::ValidationError, message)
    }

    /// An answer without a body, such as 304; or one that a proxy gives in the server's place.
    pub fn without_body(status: u16) -> Self {
        Self::by(Cause::Status(status, None))
    }

    /// There is no connection, so the server sees nothing. The client sends every call again.
    pub fn no_connection() -> Self {
        Self::by(Cause::NoConnection)
    }

    /// The connection breaks before the answer. The client sends again what can be sent twice.
    pub fn disconnected() -> Self {
        Self::by(Cause::Disconnected)
    }

    /// 501: the stub does not have the method that the request needs. It is not tried again.
    pub(super) fn not_stubbed(method: &str, path: &str, name: &str) -> Self {
        let message =
            format!("{method} {path} is not stubbed: implement `{name}` of `prism_client::mock::Stub`");
        Self::new(501, ErrorCode::from("not_stubbed"), message)
    }

    fn by(cause: Cause) -> Self {
        Self(Box::new(Parts { cause, retry_after: None, headers: Vec::new(), delay: Duration::ZERO }))
    }

    /// Adds a problem to the error body.
    #[must_use]
    pub fn problem(mut self, problem: Problem) -> Self {
        if let Cause::Status(_, Some(body)) = &mut self.0.cause {
            body.problems.push(problem);
        }
        self
    }

    /// Asks to wait before the next try: the header `retry-after`, in whole seconds, at least 1.
    #[must_use]
    pub fn retry_after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time);
        self
    }

    /// Sets a header of the answer.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    /// Tells it so long after the request came, by tokio's time. Default: at once.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.0.delay = delay;
        self
    }

    /// The status; `None` when there is no answer.
    pub fn status(&self) -> Option<u16> {
        match self.0.cause {
            Cause::Status(status, _) => Some(status),
            _ => None,
        }
    }

    /// The error body; `None` when there is none.
    pub fn body(&self) -> Option<&ErrorBody> {
        match &self.0.cause {
            Cause::Status(_, body) => body.as_ref(),
            _ => None,
        }
    }
}

/// The code that the server gives with a status.
fn code(status: u16) -> ErrorCode {
    match status {
        401 => ErrorCode::Unauthorized,
        402 => ErrorCode::InsufficientCredits,
        403 => ErrorCode::Forbidden,
        404 => ErrorCode::NotFound,
        405 => ErrorCode::MethodNotAllowed,
        409 => ErrorCode::Conflict,
        412 => ErrorCode::PreconditionFailed,
        422 => ErrorCode::InvalidSkill,
        429 => ErrorCode::RateLimited,
        503 => ErrorCode::Unavailable,
        500.. => ErrorCode::ServerError,
        _ => ErrorCode::ValidationError,
    }
}
