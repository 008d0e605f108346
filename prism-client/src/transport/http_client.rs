//! The transport that has connections of its own.

use super::{Body, Carry, Exchange};
use crate::{Error, error::Kind};

/// reqwest's client.
pub(crate) struct HttpClient(pub(crate) reqwest::Client);

impl Carry for HttpClient {
    fn carry(&self, request: http::Request<Body>) -> Exchange {
        let client = self.0.clone();
        Box::pin(async move {
            let request = request.map(|body| match body.into_whole() {
                Ok(bytes) if bytes.is_empty() => reqwest::Body::default(),
                Ok(bytes) => bytes.into(),
                Err(pieces) => reqwest::Body::wrap(pieces),
            });
            let request = reqwest::Request::try_from(request).map_err(|error| {
                Error::new(Kind::Configuration("the request could not be built".to_owned()))
                    .caused_by(error.without_url())
            })?;
            let answer = client.execute(request).await.map_err(Error::transport)?;
            Ok(http::Response::<reqwest::Body>::from(answer).map(Body::new))
        })
    }
}
