//! Connections: accepted, served over HTTP/1.1, closed.
//!
//! An event stream is a connection that stays, so what counts is what one costs while nothing happens on it: a
//! buffer of 8 KiB for reading, its task, and the subscription. There is no HTTP/2 here. A proxy in front of the
//! server can offer it, and should do so together with TLS. A connection can become one of another protocol, such as that
//! of WebSockets; whoever made it so has it from then on.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a client may take to send the head of a request, and be silent between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest head of a request, and the most of a body that is read ahead.
const BUFFER: usize = 16 << 10;
/// How long to wait when the process has no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until it is closed.
pub(super) struct Connections {
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Connections {
    /// Serves `router` on connections to `listener`, at most so many at a time; more wait in the backlog.
    pub(super) fn accept(listener: TcpListener, router: Router, limit: usize) -> Self {
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        let acceptor =
            Acceptor { router, http: Arc::new(http()), closing: closing.clone(), tasks: tasks.clone() };
        let permits = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        tasks.spawn(closing.clone().run_until_cancelled_owned(acceptor.run(listener, permits)));
        Self { closing, tasks }
    }

    /// Accepts no more, and waits until every connection has answered the request it is at.
    pub(super) async fn close(self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Acceptor {
    router: Router,
    http: Arc<http1::Builder>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Acceptor {
    async fn run(self, listener: TcpListener, permits: Arc<Semaphore>) {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = permits.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let served = self.serve(stream, peer);
                    self.tasks.spawn(async move {
                        served.await;
                        drop(permit);
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + Send + use<> {
        // Events are small and must not wait for each other.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.call(request)
        });
        let (http, closing) = (self.http.clone(), self.closing.clone());
        async move {
            let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
            let mut connection = pin!(connection);
            let closed = tokio::select! {
                closed = connection.as_mut() => closed,
                () = closing.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = closed {
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }
}

fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(BUFFER);
    http
}

/// Errors of a connection that was gone before it was accepted.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Allows this process as many open files as the system lets it have: each connection is one, and the usual
/// limit of 1,024 is there for programs that cannot handle more.
pub(super) fn allow_many() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of open files stays as it is");
        }
    }
}
