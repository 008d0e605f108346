//! Upgraded connections, such as WebSockets: bytes in both directions.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Extensions, HeaderMap, header::UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes},
    time::timeout,
};

use super::{
    body::Lease,
    watch::{Activity, Watched},
};

/// Buffer for each direction, in bytes: there may be many tunnels, and most are silent.
const BUFFER: usize = 8 << 10;

/// Whether a service took the protocol that was asked for, or one of several.
pub(super) fn is_agreed(asked: &HeaderMap, answered: &HeaderMap) -> bool {
    let text = |headers: &HeaderMap| headers.get(UPGRADE)?.to_str().ok().map(str::to_ascii_lowercase);
    let Some((asked, answered)) = text(asked).zip(text(answered)) else { return false };
    answered.split(',').all(|one| asked.split(',').any(|other| other.trim() == one.trim()))
}

/// What a side becomes, taken out of its request or answer.
pub(super) fn side(extensions: &mut Extensions) -> Option<OnUpgrade> {
    extensions.remove::<OnUpgrade>()
}

/// Both sides of a tunnel, as soon as they have changed protocols.
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) service: OnUpgrade,
    /// How long they may take for that.
    pub(super) patience: Duration,
    pub(super) lease: Lease,
}

impl Tunnel {
    /// Carries bytes until both sides have ended, or it has to be cut off.
    pub(super) async fn carry(self, watched: Watched) {
        let Self { client, service, patience, lease } = self;
        let instance = lease.under_way.instance();
        let sides = timeout(patience, async { tokio::try_join!(client, service) }).await;
        let (client, service) = match sides {
            Ok(Ok(sides)) => sides,
            Ok(Err(error)) => return tracing::debug!(%instance, %error, "a connection was not upgraded"),
            Err(_) => return tracing::debug!(%instance, "a connection was not upgraded in time"),
        };
        let mut client = Moving { side: TokioIo::new(client), activity: lease.activity.clone() };
        let mut service = TokioIo::new(service);
        tokio::select! {
            carried = copy_bidirectional_with_sizes(&mut client, &mut service, BUFFER, BUFFER) => {
                if let Err(error) = carried {
                    tracing::debug!(%instance, %error, "an upgraded connection broke off");
                }
            }
            cut = watched.cut() => tracing::debug!(%instance, %cut, "an upgraded connection was cut off"),
        }
    }
}

/// A side of which it is noted when something moves there, which is whenever something moves at all.
struct Moving<S> {
    side: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Moving<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.side).poll_read(context, buffer));
        self.activity.moved();
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Moving<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.side).poll_write(context, bytes));
        self.activity.moved();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.side).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.side).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_service_takes_a_protocol_that_was_asked_for() {
        let agreed = |asked: &'static str, answered: &'static str| {
            let headers = |text| HeaderMap::from_iter([(UPGRADE, HeaderValue::from_static(text))]);
            is_agreed(&headers(asked), &headers(answered))
        };
        assert!(agreed("websocket", "WebSocket") && agreed("a, b", "b") && agreed("a,b", "a, b"));
        assert!(!agreed("websocket", "h2c") && !agreed("a", "a, b") && !agreed("a", ""));
        assert!(!is_agreed(&HeaderMap::new(), &HeaderMap::new()));
    }
}
