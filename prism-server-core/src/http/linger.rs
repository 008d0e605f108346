//! What is left of the body of a request that is refused.
//!
//! Whoever still sends does not read the answer, and loses it when the connection is closed meanwhile. So the rest of the body
//! is taken before a refusal is answered, up to a bound.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use bytes::Bytes;
use http::header::EXPECT;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::timeout;

/// A body that is no longer, in bytes, comes with its request, and the connection takes it by itself.
const SHORT: u64 = 8 * 1024;
/// The most that is taken, in bytes, and how long that may take.
const MOST: (usize, Duration) = (16 * 1024 * 1024, Duration::from_secs(5));

/// Takes what is left of the body of a request that is answered with an error.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let is_short = request.body().size_hint().upper().is_some_and(|length| length <= SHORT);
    // Who waits to be asked for the body has not sent it.
    if is_short || request.headers().contains_key(EXPECT) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let lent = Body::new(Lent(body.clone()));
    let response = next.run(Request::from_parts(parts, lent)).await;
    let is_refused = response.status().is_client_error() || response.status().is_server_error();
    if is_refused && let Some(body) = Arc::into_inner(body) {
        take(body.into_inner().unwrap_or_else(PoisonError::into_inner)).await;
    }
    response
}

async fn take(mut body: Body) {
    let rest = async {
        let mut taken = 0;
        while let Some(Ok(frame)) = body.frame().await {
            taken += frame.data_ref().map_or(0, Bytes::len);
            if taken > MOST.0 {
                return;
            }
        }
    };
    timeout(MOST.1, rest).await.ok();
}

/// A body that comes back from whoever drops it.
struct Lent(Arc<Mutex<Body>>);

impl Lent {
    /// A poll that panicked leaves a body that is polled no more.
    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{Router, middleware::from_fn, routing::post};
    use http::StatusCode;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    async fn server() -> SocketAddr {
        let router = Router::new()
            .route("/refused", post(async || StatusCode::UNAUTHORIZED))
            .route("/counted", post(async |body: Bytes| body.len().to_string()))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .layer(from_fn(layer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn connect(path: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(server().await).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    async fn answer(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        timeout(Duration::from_secs(60), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn who_sends_all_before_reading_reads_the_refusal() {
        let size = MOST.0;
        let mut stream = connect("/refused", &format!("content-length: {size}\r\n")).await;
        stream.write_all(&vec![b'x'; size]).await.unwrap();
        assert!(answer(stream).await.starts_with("HTTP/1.1 401 "));
    }

    #[tokio::test]
    async fn a_body_that_is_wanted_is_there_whole() {
        let size = 3 * MOST.0;
        let mut stream = connect("/counted", &format!("content-length: {size}\r\n")).await;
        stream.write_all(&vec![b'x'; size]).await.unwrap();
        assert!(answer(stream).await.ends_with(&format!("\r\n\r\n{size}")));
    }

    #[tokio::test]
    async fn an_endless_body_is_not_taken_for_ever() {
        let mut stream = connect("/refused", "transfer-encoding: chunked\r\n").await;
        let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
        let mut sent = 0;
        while stream.write_all(&chunk).await.is_ok() {
            sent += 0x10000;
            assert!(sent < 8 * MOST.0, "what is in buffers is not that much");
        }
        assert!(sent >= MOST.0, "{sent}");
    }

    #[tokio::test]
    async fn who_waits_to_be_asked_for_a_body_is_not_asked() {
        let stream = connect("/refused", "content-length: 10000000\r\nexpect: 100-continue\r\n").await;
        assert!(answer(stream).await.starts_with("HTTP/1.1 401 "));
    }
}
