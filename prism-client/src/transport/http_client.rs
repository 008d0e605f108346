//! The transport that has connections of its own.

use super::{Body, Carry, Exchange};
use crate::{Error, error::Kind};

/// reqwest's client.
pub(crate) struct HttpClient(pub(crate) reqwest::Client);

/// The URL of a request, which reqwest would have to parse out of the URI: an extension of requests. It counts as long as
/// no layer has changed the URI.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) url: reqwest::Url,
    pub(crate) uri: http::Uri,
}

impl Carry for HttpClient {
    fn carry(&self, request: http::Request<Body>) -> Exchange {
        let client = self.0.clone();
        Box::pin(async move {
            let answer = client.execute(translated(request)?).await.map_err(Error::transport)?;
            Ok(http::Response::<reqwest::Body>::from(answer).map(Body::new))
        })
    }
}

fn translated(mut request: http::Request<Body>) -> Result<reqwest::Request, Error> {
    let target = request.extensions_mut().remove::<Target>();
    let (mut head, body) = request.into_parts();
    let body = match body.into_whole() {
        Ok(bytes) if bytes.is_empty() => None,
        Ok(bytes) => Some(bytes.into()),
        Err(pieces) => Some(reqwest::Body::wrap(pieces)),
    };
    let url = match target {
        Some(target) if target.uri == head.uri => target.url,
        _ => head.uri.to_string().parse().map_err(|_| {
            Error::new(Kind::Configuration("a layer made the URI one that cannot be asked for".to_owned()))
        })?,
    };
    let mut request = reqwest::Request::new(head.method, url);
    *request.headers_mut() = std::mem::take(&mut head.headers);
    *request.version_mut() = head.version;
    *request.body_mut() = body;
    Ok(request)
}
