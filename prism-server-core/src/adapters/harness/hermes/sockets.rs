//! The sockets on which the gateway listens, in the folder of an agent.

use std::{
    io,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::Path,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    serve::Listener,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;

/// Most connections that an agent may have at a time; further ones wait.
const CONNECTIONS: usize = 64;

/// Listens on a socket with this name; one that an earlier gateway left is replaced. Everybody who can reach the
/// folder can connect, since an agent in a container is another user.
pub(super) fn bind(directory: &Path, name: &str) -> io::Result<UnixListener> {
    let path = directory.join(name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // An address has 108 bytes at most; a path may be longer, so that it is named by its open directory.
    let opened = std::fs::File::open(directory)?;
    let listener = if cfg!(target_os = "linux") {
        UnixListener::bind(format!("/proc/self/fd/{}/{name}", opened.as_raw_fd()))?
    } else {
        UnixListener::bind(&path)?
    };
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// What the agent reaches over HTTP, which changes with its deployment.
pub(super) struct Outside {
    token: String,
    router: RwLock<Router>,
}

impl Outside {
    pub(super) fn new(token: String, router: Router) -> Arc<Self> {
        Arc::new(Self { token, router: RwLock::new(router) })
    }

    pub(super) fn replace(&self, router: Router) {
        *self.router.write().unwrap_or_else(PoisonError::into_inner) = router;
    }
}

/// Serves HTTP to whoever knows the token.
pub(super) async fn serve(listener: UnixListener, outside: Arc<Outside>) {
    let router = Router::new()
        .fallback(async |State(outside): State<Arc<Outside>>, request: Request<Body>| {
            let router = outside.router.read().unwrap_or_else(PoisonError::into_inner).clone();
            router.oneshot(request).await
        })
        .layer(middleware::from_fn_with_state(outside.clone(), check_token))
        .with_state(outside);
    let listener = Limited { listener, places: Arc::new(Semaphore::new(CONNECTIONS)) };
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "serving an agent ended");
    }
}

async fn check_token(State(outside): State<Arc<Outside>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|given| given.strip_prefix("Bearer ")).unwrap_or_default();
    // Every byte is looked at, so that the time tells nothing.
    let differs = token.bytes().zip(outside.token.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    if token.len() != outside.token.len() || differs != 0 {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    next.run(request).await
}

struct Limited {
    listener: UnixListener,
    places: Arc<Semaphore>,
}

impl Listener for Limited {
    type Io = Place;
    type Addr = ();

    async fn accept(&mut self) -> (Place, ()) {
        loop {
            let Ok(permit) = self.places.clone().acquire_owned().await else {
                // The semaphore is never closed.
                return std::future::pending().await;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => return (Place { stream, _permit: permit }, ()),
                Err(error) => {
                    tracing::warn!(%error, "a connection of an agent was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that gives its place back when it is closed.
struct Place {
    stream: UnixStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Place {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Place {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
