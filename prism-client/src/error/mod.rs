//! What can go wrong, as one opaque type with questions to ask.

mod kind;
#[cfg(feature = "nullspace")]
mod nullspace;

use std::{fmt, time::Duration};

use prism_types::{ErrorBody, ErrorCode, Failure};

use crate::retry::Tries;

pub(crate) use kind::{Kind, Misfit, unnamed};

/// Why a call, a wait or a stream failed.
///
/// Ask it what it is: each `is_…` method says when it is true and what to do then. Several may be true at
/// once. What the server said is in [`body`](Self::body), [`code`](Self::code) and
/// [`status`](Self::status); give [`request_id`](Self::request_id) to whoever runs the server.
///
/// Neither `Display` nor `Debug` shows the API key, a request's body, or anything of an answer's body but the
/// [`ErrorBody`] of the server.
///
/// ```no_run
/// # use prism_client::{Client, Error, types::DeploymentId};
/// # async fn example(client: Client, id: DeploymentId) -> Result<(), Error> {
/// match client.deployment(&id).messages().send("Hi").await {
///     Ok(receipt) => println!("run {}", receipt.run_id),
///     Err(error) if error.is_not_ready() => {
///         client.deployment(&id).wait_until_ready().await?;
///     }
///     Err(error) if error.is_rate_limited() => println!("again in {:?}", error.retry_after()),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
pub struct Error(Box<Inner>);

type Source = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
struct Inner {
    kind: Kind,
    operation: Option<Box<str>>,
    status: Option<u16>,
    request_id: Option<Box<str>>,
    retry_after: Option<Duration>,
    tries: Tries,
    source: Option<Source>,
    /// The body of a refusal by the API of agent deployments; the kind has its code and its text.
    #[cfg(feature = "nullspace")]
    nullspace: Option<prism_types::nullspace::ErrorBody>,
}

impl Error {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: None,
            status: None,
            request_id: None,
            retry_after: None,
            tries: Tries::default(),
            source: None,
            #[cfg(feature = "nullspace")]
            nullspace: None,
        }))
    }

    /// What the HTTP library reports, without its URL, since a query may name customers.
    pub(crate) fn transport(error: reqwest::Error) -> Self {
        let kind = if error.is_timeout() {
            Kind::Timeout
        } else if error.is_connect() {
            Kind::Connect
        } else if error.is_builder() {
            Kind::Configuration("the request could not be built".to_owned())
        } else {
            Kind::Disconnected
        };
        Self::new(kind).caused_by(error.without_url())
    }

    /// What a transport, a layer or a body reports: an error of ours, one of the HTTP library, or whatever else.
    pub(crate) fn in_transit(error: impl Into<Source>) -> Self {
        let error = match error.into().downcast::<Self>() {
            Ok(error) => return *error,
            Err(error) => error,
        };
        match error.downcast::<reqwest::Error>() {
            Ok(error) => Self::transport(*error),
            Err(error) => Self::new(Kind::Middleware).caused_by(error),
        }
    }

    /// There was no connection, so the server saw nothing: for a [transport](crate::transport) of your own to tell.
    /// [`is_connect`](Self::is_connect) is true of it, and the call is tried again.
    pub fn connect(source: impl Into<Source>) -> Self {
        Self::new(Kind::Connect).caused_by(source)
    }

    /// The connection broke, and what became of the request is not known: for a [transport](crate::transport) of your own
    /// to tell. [`is_disconnected`](Self::is_disconnected) is true of it, and the call is tried again if it can be.
    pub fn disconnected(source: impl Into<Source>) -> Self {
        Self::new(Kind::Disconnected).caused_by(source)
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Names the operation, unless one is named already.
    pub(crate) fn during(mut self, operation: &str) -> Self {
        self.0.operation.get_or_insert_with(|| operation.into());
        self
    }

    pub(crate) fn answered(mut self, status: u16, request_id: Option<&str>) -> Self {
        self.0.status = Some(status);
        if let Some(id) = request_id {
            self.0.request_id = Some(id.into());
        }
        self
    }

    pub(crate) fn hinted(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retry_after = retry_after;
        self
    }

    pub(crate) fn tried(mut self, tries: Tries) -> Self {
        self.0.tries = tries;
        self
    }

    /// How often the request was sent; 0 when it was no request that failed.
    pub fn attempts(&self) -> u32 {
        self.0.tries.attempts
    }

    /// How long the call took, with the pauses between attempts.
    pub fn elapsed(&self) -> Duration {
        self.0.tries.elapsed
    }

    /// The key that all attempts had. Whoever sends the request again should give it the
    /// same one: then it is carried out once, whatever became of the first. `None` for what needs none.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.0.tries.idempotency_key.as_deref()
    }

    /// The HTTP status of the answer; `None` when there was no answer.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The stable code of the server's error body.
    pub fn code(&self) -> Option<&ErrorCode> {
        self.body().map(|body| &body.error)
    }

    /// The server's error body; `None` when there was no answer or its body has another form, as when a proxy
    /// answers in the server's place.
    pub fn body(&self) -> Option<&ErrorBody> {
        match &self.0.kind {
            Kind::Refused(body) => body.as_ref(),
            _ => None,
        }
    }

    /// The id of the request, from the answer's header `x-request-id`.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// How long the server asked to wait before the next try, from the answer's header `retry-after`
    /// (seconds or a date) or `retry-after-ms`.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Why the deployment could not be started, or the run failed; see
    /// [`is_deployment_failed`](Self::is_deployment_failed) and [`is_run_failed`](Self::is_run_failed). Of a version, a run
    /// or a service of an agent deployment (feature `nullspace`), what it says of that.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.0.kind {
            Kind::RunFailed(failure) => Some(failure),
            Kind::DeploymentFailed(failure) | Kind::Hopeless { failure, .. } => failure.as_ref(),
            _ => None,
        }
    }

    /// What to do next, in one sentence for whoever reads the logs. The methods below say it for programs.
    pub fn advice(&self) -> &'static str {
        match (&self.0.kind, self.0.status) {
            (Kind::Refused(_), _) if self.has_no_room() => "Stop what you do not need, or try again later.",
            (Kind::Refused(_), _) if self.is_rate_limited() => {
                "Wait as long as it says, or a while, then try again."
            }
            (Kind::Refused(_), _) if self.is_unauthorized() => {
                "Check the API key; get a new one if it was revoked."
            }
            (Kind::Refused(_), _) if self.is_forbidden() => "Use a key that has the scope.",
            (Kind::Refused(_), _) if self.is_insufficient_credits() => "Add credits.",
            (Kind::Refused(_), _) if self.is_not_found() => "Check the id, and whose API key it is.",
            (Kind::Refused(_), _) if self.is_not_ready() => {
                "Wait until the deployment is ready, then send it again."
            }
            (Kind::Refused(_), _) if self.is_conflict() => "Read it again, then decide again.",
            (Kind::Refused(_), _) if self.is_idempotency_mismatch() => {
                "Use a new idempotency key for each request."
            }
            (Kind::Refused(_), _) if self.is_precondition_failed() => "Read it again, then decide again.",
            (Kind::Refused(_), Some(304)) => "Use the copy that you have.",
            (Kind::Refused(_), Some(300..=399)) => {
                "Set the base URL to where the server really is: redirects are not followed."
            }
            (Kind::Refused(_), Some(500..)) => "Try again later; if it stays, report the request id.",
            (Kind::Refused(_), _) => "Mend the request: the same one fails again.",
            (Kind::Configuration(_), _) => "Mend the setting; nothing was sent.",
            (Kind::Timeout, _) => "Look whether it was done, then send it again or raise the time limit.",
            (Kind::Silence(_), _) => "Check the network and the proxies between, or raise the time limit.",
            (Kind::Connect, _) => "Check the base URL, and that the server runs; nothing was done.",
            (Kind::Disconnected, _) => "Look whether it was done, then send it again.",
            (Kind::Middleware, _) => "Look at the source of this error.",
            (Kind::Decode(_), _) => "Check the base URL, then the versions of client and server.",
            (Kind::TooLarge(_), _) => "Raise the limit, or ask for less.",
            (Kind::DeploymentFailed(_), _) => "Mend the cause, then create a new deployment.",
            (Kind::RunFailed(_), _) => "Mend the cause, then send another message.",
            (Kind::Hopeless { .. }, _) => "Read it, and decide anew.",
            (Kind::NotInTime { .. }, _) => "Wait longer, or look why it takes so long.",
        }
    }

    /// Whether the message is of this crate alone, so that it does not say by itself what to do.
    fn needs_advice(&self) -> bool {
        !matches!(self.0.kind, Kind::Configuration(_) | Kind::Refused(Some(_)))
    }

    /// The client was not built, or a request cannot be made, because of a setting: a missing API key, a bad
    /// base URL. Mend the setting; nothing was sent.
    pub fn is_configuration(&self) -> bool {
        matches!(self.0.kind, Kind::Configuration(_))
    }

    /// Time ran out: for the connection, for the whole call, for the wait, or silence on the stream. The
    /// server may have done what was asked; look before sending it again, or raise the time limit.
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::Timeout | Kind::Silence(_) | Kind::NotInTime { .. })
    }

    /// No connection was made, so the server saw nothing. Check the base URL and that the server runs; trying
    /// again is safe.
    pub fn is_connect(&self) -> bool {
        matches!(self.0.kind, Kind::Connect) || self.http_source().is_some_and(reqwest::Error::is_connect)
    }

    /// The connection broke before the whole answer was here. The server may have done what was asked; look
    /// before sending it again.
    pub fn is_disconnected(&self) -> bool {
        matches!(self.0.kind, Kind::Disconnected)
    }

    /// A layer or a transport that is not this crate's failed, or a stream that was to be sent; the
    /// [source](std::error::Error::source) is its error. It is not tried again.
    pub fn is_middleware(&self) -> bool {
        matches!(self.0.kind, Kind::Middleware)
    }

    /// 401: the API key is missing, wrong or revoked. Get a new key; trying again does not help.
    pub fn is_unauthorized(&self) -> bool {
        self.is_refusal(&ErrorCode::Unauthorized, 401)
    }

    /// 402: the account has no credits left. Add credits.
    pub fn is_insufficient_credits(&self) -> bool {
        self.is_refusal(&ErrorCode::InsufficientCredits, 402)
    }

    /// 403: the API key lacks the scope. Use a key with the scope that the message names.
    pub fn is_forbidden(&self) -> bool {
        self.is_refusal(&ErrorCode::Forbidden, 403)
    }

    /// 404: there is no such thing, or it belongs to somebody else. Check the id.
    pub fn is_not_found(&self) -> bool {
        self.is_refusal(&ErrorCode::NotFound, 404)
    }

    /// 409: the deployment is not ready for messages. Wait with
    /// [`wait_until_ready`](crate::resources::DeploymentHandle::wait_until_ready), then send again.
    pub fn is_not_ready(&self) -> bool {
        self.code() == Some(&ErrorCode::DeploymentNotReady)
    }

    /// 409: somebody else changed the same thing at the same time. Read it again, then try again.
    pub fn is_conflict(&self) -> bool {
        self.has_code(&ErrorCode::Conflict)
    }

    /// 409: the idempotency key was used for another request. Use a new key for each request.
    pub fn is_idempotency_mismatch(&self) -> bool {
        self.has_code(&ErrorCode::IdempotencyMismatch)
    }

    /// 304: the file is the one whose `ETag` was given to
    /// [`if_none_match`](crate::resources::ReadFileCall::if_none_match). Use the copy that you have.
    pub fn is_not_modified(&self) -> bool {
        self.status() == Some(304)
    }

    /// 412: the thing is not what `if_match` said, or there is a file where
    /// [`only_if_new`](crate::resources::WriteFileCall::only_if_new) allows none. Nothing was changed: read it again and
    /// decide again.
    pub fn is_precondition_failed(&self) -> bool {
        self.is_refusal(&ErrorCode::PreconditionFailed, 412)
    }

    /// 400 or 413: the body or the parameters are invalid or too large. Mend what
    /// [`ErrorBody::problems`] names; the same request fails again.
    pub fn is_validation(&self) -> bool {
        self.is_refusal(&ErrorCode::ValidationError, 400) || self.is_refusal(&ErrorCode::ValidationError, 413)
    }

    /// 422: a skill could not be fetched or parsed. Mend the skill or its URL.
    pub fn is_invalid_skill(&self) -> bool {
        self.code() == Some(&ErrorCode::InvalidSkill)
    }

    /// 422: a secret reference does not exist. Store the secret first, or mend the reference.
    pub fn is_invalid_secret_ref(&self) -> bool {
        self.code() == Some(&ErrorCode::InvalidSecretRef)
    }

    /// 429: too many requests. Wait for [`retry_after`](Self::retry_after), or else a growing time, then try
    /// again; nothing was done.
    pub fn is_rate_limited(&self) -> bool {
        self.is_refusal(&ErrorCode::RateLimited, 429)
    }

    /// 5xx: the server or something before it failed. Try again later; if it stays, report the
    /// [`request_id`](Self::request_id).
    pub fn is_server(&self) -> bool {
        self.status().is_some_and(|status| status >= 500)
    }

    /// An answer or an event does not have its form; the message names the place. The server is not a Prism
    /// server, or newer or older than this client: check the base URL, then the versions.
    pub fn is_decode(&self) -> bool {
        matches!(self.0.kind, Kind::Decode(_))
    }

    /// An event or an answer is larger than the limit. Raise
    /// [`max_event_size`](crate::events::OpenEventStream::max_event_size) and resume after
    /// [`last_event_id`](crate::EventStream::last_event_id).
    pub fn is_too_large(&self) -> bool {
        matches!(self.0.kind, Kind::TooLarge(_))
    }

    /// The deployment that was waited for has the status `error`; [`failure`](Self::failure) says why. Mend
    /// the cause and create a new deployment.
    pub fn is_deployment_failed(&self) -> bool {
        matches!(self.0.kind, Kind::DeploymentFailed(_))
    }

    /// What was waited for cannot come any more; among them [`is_deployment_failed`](Self::is_deployment_failed) and
    /// [`is_run_failed`](Self::is_run_failed). Read it, and decide anew.
    pub fn is_hopeless(&self) -> bool {
        matches!(self.0.kind, Kind::Hopeless { .. } | Kind::DeploymentFailed(_) | Kind::RunFailed(_))
    }

    /// The run that was waited for failed, or was cancelled; [`failure`](Self::failure) says why. Another message starts
    /// another run.
    pub fn is_run_failed(&self) -> bool {
        matches!(self.0.kind, Kind::RunFailed(_))
    }

    /// The same request may succeed later: time-outs, broken connections, 408, 425, 429, 5xx without 501, and
    /// 409 `conflict`. Whether it is safe to send again what is not idempotent depends on the case: it is
    /// after [`is_connect`](Self::is_connect) and [`is_rate_limited`](Self::is_rate_limited).
    pub fn is_retryable(&self) -> bool {
        match &self.0.kind {
            Kind::Timeout | Kind::Connect | Kind::Disconnected | Kind::Silence(_) => true,
            Kind::Refused(_) if self.has_no_room() => false,
            Kind::Refused(_) => {
                self.code() == Some(&ErrorCode::Conflict)
                    || matches!(self.status(), Some(408 | 425 | 429 | 500 | 502..))
            }
            _ => false,
        }
    }

    /// Whether the same request may be sent at once again. One that cannot be sent twice may be, when it is sure that the
    /// server has done nothing.
    pub(crate) fn may_be_repeated(&self, is_repeatable: bool) -> bool {
        let has_done_nothing = self.is_connect() || (self.status() == Some(429) && !self.has_no_room());
        // A conflict is told of what was read, and the same request conflicts again.
        has_done_nothing || (is_repeatable && self.is_retryable() && self.status() != Some(409))
    }

    /// One word for what it is, which holds nothing of what was sent or answered.
    pub(crate) fn label(&self) -> &str {
        #[cfg(feature = "nullspace")]
        if let Some(code) = self.nullspace_body().and_then(prism_types::nullspace::ErrorBody::error_code) {
            return if code.is_known() { code.as_str() } else { self.0.kind.label() };
        }
        match (&self.0.kind, self.code()) {
            (_, Some(code)) if code.is_known() => code.as_str(),
            (kind, _) => kind.label(),
        }
    }

    fn is_refusal(&self, code: &ErrorCode, status: u16) -> bool {
        match &self.0.kind {
            Kind::Refused(Some(_)) => self.has_code(code),
            Kind::Refused(None) => self.status() == Some(status),
            _ => false,
        }
    }

    /// Whether the server's code is this one, or one of the API of agent deployments that says the same.
    fn has_code(&self, code: &ErrorCode) -> bool {
        #[cfg(feature = "nullspace")]
        if let Some(body) = &self.0.nullspace {
            return body.error_code().and_then(nullspace::native).as_ref() == Some(code);
        }
        self.code() == Some(code)
    }

    /// Whether it is a 429 that does not pass by waiting for the rate limit.
    fn has_no_room(&self) -> bool {
        #[cfg(feature = "nullspace")]
        if let (Some(body), Some(429)) = (&self.0.nullspace, self.status()) {
            let limited = prism_types::nullspace::ErrorCode::RateLimitExceeded;
            return body.error_code().is_some_and(|code| *code != limited);
        }
        false
    }

    fn http_source(&self) -> Option<&reqwest::Error> {
        self.0.source.as_deref()?.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = &self.0.operation {
            write!(f, "{operation}: ")?;
        }
        match (&self.0.kind, self.0.status) {
            (Kind::Refused(Some(body)), Some(status)) => write!(f, "{status} {body}")?,
            (Kind::Refused(_), Some(status)) => write!(f, "{status} without an error body of Prism")?,
            (kind, _) => write!(f, "{kind}")?,
        }
        if let Some(id) = &self.0.request_id {
            write!(f, " (request {id})")?;
        }
        if self.0.tries.attempts > 1 {
            write!(f, ", after {} attempts", self.0.tries.attempts)?;
        }
        if self.needs_advice() {
            write!(f, ". {}", self.advice())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
