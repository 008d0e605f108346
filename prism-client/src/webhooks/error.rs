//! Why a request is not believed.

/// A text that is no secret of a webhook. It does not show the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a webhook's secret is `whsec_` and 24 to 64 bytes in base64")]
pub struct InvalidSecret(pub(super) ());

/// Why a request is not believed. Only [`InvalidPayload`](VerifyError::InvalidPayload) is about a request that the server
/// did sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A header is missing, or there more than once: the request is no webhook, or a proxy took it away.
    #[error("the header {0} is not there exactly once")]
    MissingHeader(&'static str),
    /// A header has no value that it could have.
    #[error("the header {0} has a value that it cannot have")]
    InvalidHeader(&'static str),
    /// No signature fits: it was forged, or the body was changed on its way, or the secret is not the webhook's.
    #[error("no signature fits")]
    WrongSignature,
    /// It was signed longer ago than is tolerated: somebody sends an old request again, or a clock is wrong.
    #[error("it was signed too long ago")]
    TooOld,
    /// It was signed later than is tolerated: a clock is wrong.
    #[error("it was signed in the future")]
    TooNew,
    /// The server signed it, and the body is no message that this version can read: update this crate.
    #[error("{0}")]
    InvalidPayload(String),
}
