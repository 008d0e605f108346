//! What carries the requests of a client, as its builder sets it.

use std::{fmt, sync::Arc, time::Duration};

use super::builder::invalid;
use crate::{
    Error,
    transport::{HttpClient, Transport},
};

/// How long a connection is kept that is not used. That is less than the default time limit of a call, and has to be: Tokio
/// wakes its driver up for a timer that is due before all others, which is two system calls. While the pool has a timer that
/// is due before those of calls, they cost none.
const KEPT: Duration = Duration::from_secs(50);

/// Where connections come from, and what is put around them.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) base: Base,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) read_timeout: Option<Duration>,
    /// The proxy for everything; `None`: what the environment says.
    pub(super) proxy: Option<Proxy>,
    /// Certificates in PEM that are trusted besides those of the platform.
    pub(super) roots: Vec<Vec<u8>>,
    layers: Vec<Arc<dyn Fn(Transport) -> Transport + Send + Sync>>,
}

/// What is at the bottom.
#[derive(Clone)]
pub(super) enum Base {
    /// A client that is made by these settings.
    Own,
    Http(reqwest::Client),
    Other(Transport),
}

#[derive(Clone)]
pub(super) enum Proxy {
    None,
    Url(String),
}

impl Connections {
    pub(super) fn new() -> Self {
        Self {
            base: Base::Own,
            connect_timeout: None,
            read_timeout: None,
            proxy: None,
            roots: Vec::new(),
            layers: Vec::new(),
        }
    }

    /// Puts a layer around what is there, inside the layers that were added before.
    pub(super) fn add_layer(&mut self, wrap: impl Fn(Transport) -> Transport + Send + Sync + 'static) {
        self.layers.push(Arc::new(wrap));
    }

    pub(super) fn transport(self, connect_timeout: Duration) -> Result<Transport, Error> {
        let base = match &self.base {
            Base::Own => Transport::new(HttpClient(self.http_client(connect_timeout)?)),
            Base::Http(client) => Transport::new(HttpClient(client.clone())),
            Base::Other(transport) => transport.clone(),
        };
        Ok(self.layers.iter().rev().fold(base, |inner, layer| layer(inner)))
    }

    fn http_client(&self, connect_timeout: Duration) -> Result<reqwest::Client, Error> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(self.connect_timeout.unwrap_or(connect_timeout))
            .pool_idle_timeout(KEPT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("prism-client/", env!("CARGO_PKG_VERSION")));
        if let Some(timeout) = self.read_timeout {
            builder = builder.read_timeout(timeout);
        }
        match &self.proxy {
            None => {}
            Some(Proxy::None) => builder = builder.no_proxy(),
            // The URL is not quoted, here or by the source: it may have a password.
            Some(Proxy::Url(url)) => {
                let proxy = reqwest::Proxy::all(url);
                builder = builder.proxy(proxy.map_err(|_| invalid("the URL of the proxy is invalid"))?);
            }
        }
        builder = self.with_roots(builder)?;
        builder.build().map_err(|error| invalid("the HTTP client could not be set up").caused_by(error))
    }

    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    fn with_roots(&self, mut builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, Error> {
        for pem in &self.roots {
            let certificates =
                reqwest::Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty());
            let certificates = certificates.ok_or_else(|| invalid("a root certificate is not in PEM"))?;
            builder = certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        Ok(builder)
    }

    #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
    fn with_roots(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, Error> {
        debug_assert!(self.roots.is_empty(), "without TLS there is no way to set roots");
        Ok(builder)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("layers", &self.layers.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BehaviorVersion;

    #[test]
    fn timers_of_calls_are_due_after_the_pools() {
        assert!(KEPT < BehaviorVersion::latest().defaults().timeout);
    }
}
