//! Who makes a request.
//!
//! By default a caller sends `Authorization: Bearer <key>` with an API key of the store. A gateway with an authentication of
//! its own puts a [`Principal`] into the request's extensions and uses [`TrustedPrincipal`].

use std::sync::Arc;

use http::{header::AUTHORIZATION, request::Parts};

use crate::{
    domain::tenant::Principal,
    error::Result,
    ports::{BoxFuture, Store},
    service::{api_keys, known_keys::KnownKeys},
};

/// Finds out who makes a request.
pub trait Authenticator: Send + Sync + 'static {
    /// The caller, or an error of kind [`Unauthorized`](crate::ErrorKind::Unauthorized).
    fn authenticate<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Principal>>;
}

/// Callers send an API key of the store as a bearer token.
///
/// A key that was good is believed for a second without looking again. A revocation by the same control plane is
/// seen at once all the same, one by another process within that second.
pub(crate) struct ApiKeys {
    store: Arc<dyn Store>,
    known: Arc<KnownKeys>,
}

impl ApiKeys {
    pub(crate) fn new(store: Arc<dyn Store>, known: Arc<KnownKeys>) -> Self {
        Self { store, known }
    }
}

impl Authenticator for ApiKeys {
    fn authenticate<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Principal>> {
        Box::pin(async move {
            let key = bearer(request).ok_or_else(api_keys::unauthorized)?;
            api_keys::authenticate(self.store.as_ref(), &self.known, key).await
        })
    }
}

/// An outer layer has authenticated the caller and left a [`Principal`] in the request's extensions.
///
/// The layer must be the only way in: whatever principal it leaves is believed.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct TrustedPrincipal;

impl Authenticator for TrustedPrincipal {
    fn authenticate<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Principal>> {
        let principal = request.extensions.get::<Principal>().cloned();
        Box::pin(std::future::ready(principal.ok_or_else(api_keys::unauthorized)))
    }
}

/// The token of `Authorization: Bearer <token>`; the word is not case-sensitive (RFC 9110, section 11.1).
fn bearer(request: &Parts) -> Option<&str> {
    let (scheme, token) = request.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_taken() {
        let parts = |value: &str| {
            let request = http::Request::builder().header(AUTHORIZATION, value).body(()).unwrap();
            request.into_parts().0
        };
        assert_eq!(bearer(&parts("Bearer abc")), Some("abc"));
        assert_eq!(bearer(&parts("bearer  abc ")), Some("abc"));
        for value in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer(&parts(value)), None, "{value:?}");
        }
    }
}
