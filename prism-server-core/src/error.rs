//! The one error type of the control plane.
//!
//! It has two messages: one for the caller, and a cause for the operator's log that never leaves the process.
//! Each dialect maps it to its own status and body, in one place.

use std::{borrow::Cow, fmt, time::Duration};

use prism_types::{Failure, Problem};

use crate::{
    domain::{
        Refused,
        machine::upload::{UploadFault, UploadReason},
    },
    ports::StoreError,
};

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
    noun: Option<&'static str>,
    upload: Option<Box<UploadFault>>,
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
    /// The deployment takes no messages now, or the machine executes nothing.
    NotReady,
    /// Somebody else changed the same thing; try again.
    Conflict,
    /// It is not possible in the state in which the thing is: bring it into another one.
    InvalidState,
    /// Another one has the name: choose another name.
    NameTaken,
    /// There are as many as there may be: remove one.
    Full,
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
    /// It took longer than it may: give it more time, or let it do less.
    TooSlow,
    /// Too much at once: wait and try again.
    RateLimited,
    /// The platform cannot do this at all.
    Unsupported,
    /// The platform is starting, stopping or overloaded: try again.
    Unavailable,
    /// The platform failed.
    Internal,
}

impl Error {
    /// An error of a kind with a message for the caller.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            problems: Vec::new(),
            retry_after: None,
            cause: None,
            noun: None,
            upload: None,
        }
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
    pub fn not_found(noun: &'static str) -> Self {
        Self { noun: Some(noun), ..Self::new(ErrorKind::NotFound, format!("{noun} not found")) }
    }

    /// Something of an upload in parts is refused.
    pub(crate) fn of_upload(fault: UploadFault, message: impl Into<Cow<'static, str>>) -> Self {
        use UploadReason as R;
        let kind = match fault.reason {
            R::TooLarge => ErrorKind::TooLarge,
            R::NoRoom => ErrorKind::Full,
            R::Expired | R::Aborted | R::Completed | R::Target | R::Missing => ErrorKind::InvalidState,
            R::PartDigest | R::PartNumber | R::PartSize | R::Digest => ErrorKind::Invalid,
            R::ArchivePath | R::ArchiveLink | R::ArchiveEntry => ErrorKind::Invalid,
        };
        Self { upload: Some(Box::new(fault)), ..Self::new(kind, message) }
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

    /// What was not found, such as `Deployment`, where that is known.
    pub fn noun(&self) -> Option<&'static str> {
        self.noun
    }

    /// What is refused of an upload in parts.
    pub(crate) fn upload(&self) -> Option<&UploadFault> {
        self.upload.as_deref()
    }

    /// The cause, for the operator's log only.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Whether the present state of things forbids it.
    pub fn is_conflict(&self) -> bool {
        use ErrorKind::{Conflict, Full, InvalidState, NameTaken};
        matches!(self.kind, Conflict | InvalidState | NameTaken | Full)
    }

    /// Whether the same call may work later without a change.
    pub fn retryable(&self) -> bool {
        use ErrorKind::{Internal, NotReady, RateLimited, Unavailable};
        self.is_conflict() || matches!(self.kind, NotReady | RateLimited | Unavailable | Internal)
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
                Self::new(ErrorKind::Full, message)
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
        Self::new(ErrorKind::InvalidState, refused.to_string())
    }
}

/// What a record keeps of an error, as the reason of its failure.
pub(crate) fn failure(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(code, message)
}
