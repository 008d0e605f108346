//! The transport that has connections of its own.

use futures_util::future::ready;

use super::{Body, Carry, Exchange, Outgoing};
use crate::{Error, error::Kind};

/// reqwest's client.
pub(crate) struct HttpClient(pub(crate) reqwest::Client);

impl HttpClient {
    fn execute(&self, request: reqwest::Request) -> Exchange {
        let answer = self.0.execute(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Error::transport)?;
            Ok(http::Response::<reqwest::Body>::from(answer).map(Body::received))
        })
    }
}

impl Carry for HttpClient {
    fn carry(&self, request: http::Request<Body>) -> Exchange {
        match translated(request) {
            Ok(request) => self.execute(request),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn send(&self, outgoing: Outgoing) -> Exchange {
        self.execute(outgoing.into())
    }
}

fn translated(request: http::Request<Body>) -> Result<reqwest::Request, Error> {
    let (head, body) = request.into_parts();
    let url = head.uri.to_string().parse().map_err(|_| {
        Error::new(Kind::Configuration("a layer made the URI one that cannot be asked for".to_owned()))
    })?;
    let mut request = reqwest::Request::new(head.method, url);
    *request.headers_mut() = head.headers;
    *request.version_mut() = head.version;
    *request.body_mut() = body.into_reqwest();
    Ok(request)
}
