//! Fetching of skills from URLs of users.
//!
//! What a user may make the gateway ask for is decided by the [`guard`]; what comes back is bounded here: in
//! time as a whole, so that an answer that drips does not hold a task, in length, and in redirects.
//!
//! During development a skill is often served by the machine itself. An origin can be replaced for that, see
//! [`GuardedFetcherBuilder::development_origin`].

pub mod guard;
pub(in crate::adapters) mod origin;

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use reqwest::{Client, Response, StatusCode, header};
use url::Url;

pub use self::origin::InvalidOrigin;
use self::{
    guard::{Guard, Lookup, Refusal, SystemLookup},
    origin::Replacement,
};
use crate::{
    domain::limits,
    ports::{BoxFuture, FetchError, SkillFetcher},
};

/// Most redirects of one fetch.
const REDIRECTS: usize = 3;
/// How long a fetch may take in all, when the builder does not say.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Fetches skills from public addresses: `http` and `https` on the ports of [`guard::PORTS`], status 200 only,
/// UTF-8 of at most [`limits::SKILL_FILE`] bytes, within 10 seconds, after at most 3 redirects, none of them
/// from `https` to `http`. It sends no credentials and no cookies and uses no proxy.
#[derive(Clone)]
pub struct GuardedFetcher {
    guard: Guard,
    guarded: Client,
    /// For the targets of replacements only.
    unguarded: Client,
    replacements: Vec<Replacement>,
    time_limit: Duration,
}

/// Settings of a [`GuardedFetcher`].
#[must_use]
pub struct GuardedFetcherBuilder {
    guard: Guard,
    origins: Vec<(String, String)>,
    time_limit: Duration,
}

/// Why there is no fetcher.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A development origin is not an origin.
    #[error(transparent)]
    Origin(#[from] InvalidOrigin),
    /// The HTTP client cannot be made, for example because the system's certificates cannot be read.
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

impl GuardedFetcher {
    /// A fetcher with every setting at its default.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new() -> Result<Self, BuildError> {
        Self::builder().build()
    }

    /// The settings of a fetcher.
    pub fn builder() -> GuardedFetcherBuilder {
        let guard = Guard::new(Arc::new(SystemLookup));
        GuardedFetcherBuilder { guard, origins: Vec::new(), time_limit: TIME_LIMIT }
    }

    async fn follow(&self, text: &str) -> Result<String, FetchError> {
        let mut url = Url::parse(text).map_err(|_| FetchError::InvalidUrl)?;
        for _ in 0..=REDIRECTS {
            let response = self.request(&url).await?;
            match redirect_target(&url, &response) {
                Some(target) => url = target?,
                None => return read(response).await,
            }
        }
        Err(FetchError::TooManyRedirects(REDIRECTS))
    }

    /// Asks once. Every URL passes here, the first one and the targets of redirects alike.
    async fn request(&self, url: &Url) -> Result<Response, FetchError> {
        let request = match self.replacements.iter().find_map(|replacement| replacement.apply(url)) {
            Some(replaced) => {
                guard::check_form(url)?;
                self.unguarded.get(replaced)
            }
            None => {
                self.guard.check(url)?;
                self.guarded.get(url.clone())
            }
        };
        let response = request.header(header::ACCEPT_ENCODING, "identity").send().await;
        response.map_err(|error| {
            if guard::is_refusal(&error) { FetchError::Forbidden } else { FetchError::Unreachable }
        })
    }
}

impl SkillFetcher for GuardedFetcher {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<String, FetchError>> {
        async move {
            let fetched = tokio::time::timeout(self.time_limit, self.follow(url)).await;
            let seconds = self.time_limit.as_millis().div_ceil(1000);
            fetched.unwrap_or_else(|_| Err(FetchError::TimedOut(u64::try_from(seconds).unwrap_or(u64::MAX))))
        }
        .boxed()
    }
}

impl GuardedFetcherBuilder {
    /// Fetches URLs of `origin` from `target` instead, wherever that is: for development, where a skill is
    /// served by the machine itself. Path and query are kept. Redirects from there are treated like any other
    /// URL, so they cannot leave the origin for an address that is not public.
    ///
    /// Both are origins in canonical spelling, such as `https://example.com` and `http://127.0.0.1:9000`.
    pub fn development_origin(mut self, origin: impl Into<String>, target: impl Into<String>) -> Self {
        self.origins.push((origin.into(), target.into()));
        self
    }

    /// Sets how long a fetch may take in all. Default: 10 seconds.
    pub fn time_limit(mut self, time_limit: Duration) -> Self {
        self.time_limit = time_limit;
        self
    }

    /// Looks names up with `lookup`. Default: as the system does.
    pub fn lookup(mut self, lookup: Arc<dyn Lookup>) -> Self {
        self.guard = Guard::new(lookup);
        self
    }

    #[cfg(test)]
    fn guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// The fetcher.
    ///
    /// # Errors
    /// When a development origin is not an origin, or the HTTP client cannot be made.
    pub fn build(self) -> Result<GuardedFetcher, BuildError> {
        let replacements = self.origins.iter().map(|(origin, target)| Replacement::new(origin, target));
        Ok(GuardedFetcher {
            replacements: replacements.collect::<Result<_, _>>()?,
            guarded: self.guard.client().build()?,
            unguarded: guard::plain_client().build()?,
            guard: self.guard,
            time_limit: self.time_limit,
        })
    }
}

impl From<Refusal> for FetchError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid => Self::InvalidUrl,
            Refusal::Forbidden => Self::Forbidden,
        }
    }
}

/// Where a response redirects to; `None` when it does not. The target is not checked yet.
fn redirect_target(from: &Url, response: &Response) -> Option<Result<Url, FetchError>> {
    let status = response.status();
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok());
    Some(match target {
        Some(target) if from.scheme() == "https" && target.scheme() == "http" => Err(FetchError::Forbidden),
        Some(target) => Ok(target),
        None => Err(FetchError::Status(status.as_u16())),
    })
}

/// Reads a body that is not longer than a skill can be, and no further.
async fn read(mut response: Response) -> Result<String, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let too_large = FetchError::TooLarge(limits::SKILL_FILE);
    if response.content_length().is_some_and(|length| length > limits::SKILL_FILE as u64) {
        return Err(too_large);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| FetchError::Unreachable)? {
        if body.len() + chunk.len() > limits::SKILL_FILE {
            return Err(too_large);
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| FetchError::NotText)
}

#[cfg(test)]
mod tests;
