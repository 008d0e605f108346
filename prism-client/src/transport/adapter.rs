//! Any service as a transport.

use std::future::poll_fn;

use bytes::Bytes;
use http_body::Body as HttpBody;
use tower_service::Service;

use super::{Body, BoxError, Carry, Exchange};
use crate::Error;

/// A service, cloned for each request, as tower wants it of those that are used by many.
pub(crate) struct Adapter<S>(pub(crate) S);

impl<S, B> Carry for Adapter<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn carry(&self, request: http::Request<Body>) -> Exchange {
        let mut service = self.0.clone();
        Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(Error::in_transit)?;
            let answer = service.call(request).await.map_err(Error::in_transit)?;
            Ok(answer.map(Body::new))
        })
    }
}
