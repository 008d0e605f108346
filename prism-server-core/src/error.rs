//! The one error type of the control plane.
//!
//! It has two messages: one for the caller, and a cause for the operator's log that never leaves the process.
//! Each dialect maps it to its own status and body, in one place.

use std::{borrow::Cow, fmt, time::Duration};

use prism_types::{Failure, Problem};

use crate::{domain::Refused, ports::StoreError};

/// The result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a use case was not carried out.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    problems: Vec<Problem>,
    retry_after: Option<Duration>,
    cause: Option<String>,
}

/// What kind of error it is; a caller decides by it what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is malformed: mend it.
    Invalid,
    /// The request is too large: send less.
    TooLarge,
    /// The caller is unknown: send a valid key.
    Unauthorized,
    /// The tenant has no credits: buy some.
    InsufficientCredits,
    /// The caller may not do this: use another key.
    Forbidden,
    /// There is no such thing, or it is somebody else's.
    NotFound,
    /// The path does not have this method.
    MethodNotAllowed,
    /// The deployment does not take messages now.
    NotReady,
    /// Somebody else changed the same thing; try again.
    Conflict,
    /// The idempotency key was used for another request: use a new one.
    KeyMismatch,
    /// The thing is not what the caller has seen: read it again.
    PreconditionFailed,
    /// The range is past the end of the file: ask for another one.
    RangeNotSatisfiable,
    /// A skill could not be fetched or parsed: mend the skill.
    InvalidSkill,
    /// A secret reference does not exist: set the secret.
    InvalidSecretRef,
    /// Too much at once: wait and try again.
    RateLimited,
    /// The platform is starting, stopping or overloaded: try again.
    Unavailable,
    /// The platform failed.
    Internal,
}

impl Error {
    /// An error of a kind with a message for the caller.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), problems: Vec::new(), retry_after: None, cause: None }
    }

    /// The request has these problems, at least one.
    pub fn invalid(problems: Vec<Problem>) -> Self {
        let message = match problems.as_slice() {
            [one] => format!("{}: {}", one.path, one.message),
            many => {
                let all: Vec<_> = many.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
                format!("{} problems: {}", many.len(), all.join("; "))
            }
        };
        Self { problems, ..Self::new(ErrorKind::Invalid, message) }
    }

    /// There is no such `noun`.
    pub fn not_found(noun: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("{noun} not found"))
    }

    /// The platform failed; `cause` is for the operator only.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let message = "The server failed. Try again; if it goes on, give the operator the request id.";
        Self { cause: Some(cause.to_string()), ..Self::new(ErrorKind::Internal, message) }
    }

    /// Tells the caller when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Every problem of an invalid request.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// When to try again.
    pub fn retry_hint(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The cause, for the operator's log only.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Whether the same call may work later without a change.
    pub fn retryable(&self) -> bool {
        use ErrorKind::{Conflict, Internal, NotReady, RateLimited, Unavailable};
        matches!(self.kind, Conflict | NotReady | RateLimited | Unavailable | Internal)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.cause {
            Some(cause) => write!(f, " (cause: {cause})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => Self::new(
                ErrorKind::Conflict,
                "Somebody else changed the same thing at the same time. Try again.",
            ),
            StoreError::Full(nouns) => {
                let message = format!("There are as many {nouns} as there may be. Delete one first.");
                Self::new(ErrorKind::Conflict, message)
            }
            StoreError::Missing(noun) => Self::not_found(noun),
            StoreError::Unavailable(cause) => {
                let message = "The server is busy or stopping. Try again.";
                let error = Self::new(ErrorKind::Unavailable, message).retry_after(Duration::from_secs(1));
                Self { cause: Some(cause), ..error }
            }
            StoreError::Failed(cause) => Self::internal(cause),
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::new(ErrorKind::Conflict, refused.to_string())
    }
}

/// What a record keeps of an error, as the reason of its failure.
pub(crate) fn failure(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(code, message)
}
