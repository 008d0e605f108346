//! Requests of this crate.

use reqwest::{Url, header::HeaderMap};

use super::{Attempt, Body, Operation};
use crate::{Error, error::Kind};

/// A request that has not yet the form which its transport wants: layers and services take one of [`http`], and reqwest one
/// of its own.
pub(crate) struct Outgoing {
    pub(crate) operation: Operation,
    pub(crate) attempt: Attempt,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

impl TryFrom<Outgoing> for http::Request<Body> {
    type Error = Error;

    fn try_from(outgoing: Outgoing) -> Result<Self, Error> {
        let uri = http::Uri::try_from(outgoing.url.as_str())
            .map_err(|_| Error::new(Kind::Configuration("the request is too long for a URL".to_owned())))?;
        let mut request = Self::new(outgoing.body);
        *request.method_mut() = outgoing.operation.method().clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = outgoing.headers;
        request.extensions_mut().insert(outgoing.attempt);
        request.extensions_mut().insert(outgoing.operation);
        Ok(request)
    }
}

impl From<Outgoing> for reqwest::Request {
    fn from(outgoing: Outgoing) -> Self {
        let mut request = Self::new(outgoing.operation.method, outgoing.url);
        *request.headers_mut() = outgoing.headers;
        *request.body_mut() = outgoing.body.into_reqwest();
        request
    }
}
