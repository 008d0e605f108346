//! Answers to changes: made before the commit, so that they can be kept with it.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE, header::ETAG};
use serde::Serialize;

use crate::{
    domain::idempotency::Reply,
    error::{Error, Result},
};

impl Reply {
    /// An answer with this value as JSON.
    ///
    /// # Errors
    /// When the value cannot be JSON, which none of the wire types is.
    pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_string(value).map_err(Error::internal)?;
        Ok(Self { status: status.as_u16(), etag: None, body })
    }

    /// Adds the entity tag of what is answered.
    pub(crate) fn etag(self, etag: String) -> Self {
        Self { etag: Some(etag), ..self }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let json = HeaderValue::from_static("application/json");
        let mut response = (status, [(CONTENT_TYPE, json)], self.body).into_response();
        if let Some(etag) = self.etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
            response.headers_mut().insert(ETAG, etag);
        }
        response
    }
}
