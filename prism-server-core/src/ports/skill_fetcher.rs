//! Fetching of `SKILL.md` files from URLs of users.

use super::BoxFuture;

/// Fetches a skill from a URL that a user gave.
pub trait SkillFetcher: Send + Sync + 'static {
    /// Fetches the text at `url`.
    ///
    /// # Errors
    /// When it cannot be had, or must not be: see [`FetchError`].
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<String, FetchError>>;
}

/// Why nothing was fetched. The text is for the user and tells nothing of the network behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL is not `http` or `https`, or has no host.
    #[error("the URL must be an absolute http or https URL")]
    InvalidUrl,
    /// The host is, or resolves to, an address that is not public, or the port is not allowed.
    #[error("the URL does not lead to a public address")]
    Forbidden,
    /// The host has no address, or does not answer.
    #[error("the host could not be reached")]
    Unreachable,
    /// It took too long; the limit is in seconds.
    #[error("the answer took longer than {0} seconds")]
    TimedOut(u64),
    /// The answer is longer than so many bytes.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// There were more redirects than this.
    #[error("the URL redirects more than {0} times")]
    TooManyRedirects(usize),
    /// The answer has a status other than 200.
    #[error("the host answered with status {0}")]
    Status(u16),
    /// The answer is not UTF-8 text.
    #[error("the answer is not UTF-8 text")]
    NotText,
}
