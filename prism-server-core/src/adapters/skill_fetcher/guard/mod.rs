//! The guard of outgoing requests: where a URL that a user gave may lead.
//!
//! A gateway can reach what its users cannot: its own ports, its neighbours, the metadata service of a cloud.
//! So a request for a user goes to public addresses only. Three things make that hold:
//!
//! * [`Guard::check`] looks at the URL itself. A host that is an address, in whatever spelling, is never
//!   looked up, so it has to be refused here; and a redirect is a new URL, so it has to be checked as well.
//! * [`Guard::client`] makes a client that looks names up through the guard. It connects to the very
//!   addresses that were checked, so a name that changes its answer between a check and a connection gains
//!   nothing.
//! * That client follows no redirects, knows no proxy, sends no credentials and keeps no connection: the next
//!   request is checked like the first.

mod address;
mod resolver;

use std::{error::Error, net::IpAddr, sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, redirect};
use url::{Host, Url};

pub use self::{
    address::is_public,
    resolver::{Lookup, SystemLookup},
};
use crate::domain::limits;

/// The ports that a URL of a user may name: those of public web servers. Other ports are those of mail
/// servers, databases and the like, which a request can be made to talk to.
pub const PORTS: [u16; 4] = [80, 443, 8080, 8443];
/// How long a connection may take to be made.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells where requests for users may go, and makes clients that go nowhere else.
#[derive(Clone)]
pub struct Guard {
    rules: Rules,
    lookup: Arc<dyn Lookup>,
}

/// What is allowed. Tests have only loopback addresses and chance ports, so they bring rules of their own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) address: fn(IpAddr) -> bool,
    pub(super) port: fn(u16) -> bool,
}

/// Why a URL must not be requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is not `http` or `https`, has no host, is too long, or carries a user name or password.
    #[error("the URL must be an absolute http or https URL")]
    Invalid,
    /// It leads, or could lead, to an address that is not public, or to a port that is not in [`PORTS`].
    #[error("the URL does not lead to a public address")]
    Forbidden,
}

impl Guard {
    /// A guard that looks names up with `lookup`.
    pub fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self { rules: Rules { address: is_public, port: |port| PORTS.contains(&port) }, lookup }
    }

    /// A guard with other rules.
    #[cfg(test)]
    pub(super) fn with_rules(rules: Rules, lookup: Arc<dyn Lookup>) -> Self {
        Self { rules, lookup }
    }

    /// Reads a URL and checks it.
    ///
    /// # Errors
    /// When it must not be requested.
    pub fn parse(&self, text: &str) -> Result<Url, Refusal> {
        let url = Url::parse(text).map_err(|_| Refusal::Invalid)?;
        self.check(&url)?;
        Ok(url)
    }

    /// Checks a URL: before the first request, and again for the target of every redirect.
    ///
    /// # Errors
    /// When it must not be requested.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        check_form(url)?;
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(Refusal::Invalid),
        };
        let port_fits = url.port_or_known_default().is_some_and(self.rules.port);
        if port_fits && address.is_none_or(self.rules.address) { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    /// The settings of a client that connects to allowed addresses only. URLs have to be checked with
    /// [`Guard::check`] before they are given to it. Its limit of a whole request is the caller's to set.
    pub fn client(&self) -> ClientBuilder {
        plain_client().dns_resolver(Arc::new(resolver::GuardedResolver::new(self.rules, self.lookup.clone())))
    }
}

/// Whether a request of a [`Guard::client`] failed because its host has no allowed address.
pub fn is_refusal(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<Refusal>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// What holds for every URL of a user, wherever it leads.
pub(in crate::adapters) fn check_form(url: &Url) -> Result<(), Refusal> {
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.as_str().len() <= limits::URL;
    if fits { Ok(()) } else { Err(Refusal::Invalid) }
}

/// A client without anything that acts by itself; it connects anywhere.
pub(in crate::adapters) fn plain_client() -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("prism/", env!("CARGO_PKG_VERSION")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), Refusal> {
        Guard::new(Arc::new(SystemLookup)).parse(text).map(drop)
    }

    #[test]
    fn public_urls_pass() {
        for url in [
            "https://example.com/a?b#c",
            "http://example.com",
            "http://example.com:80",
            "https://example.com:8443/",
            "http://example.com:8080/",
            "http://8.8.8.8/",
            "https://[2606:4700::1111]/",
            "http://localhost/", // refused by its address, once that is looked up
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn addresses_are_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.0.1.",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.0x1",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "127。0。0。1",
            "0",
            "0.0.0.0",
            "10.0.0.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "192.168.0.1",
            "172.31.255.255",
            "100.64.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[0:0:0:0:0:ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[64:ff9b::10.0.0.1]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[ff02::1]",
        ] {
            let url = format!("http://{host}/");
            assert_eq!(check(&url), Err(Refusal::Forbidden), "{url}");
        }
    }

    #[test]
    fn other_ports_are_refused() {
        for port in [0, 1, 22, 25, 79, 81, 3306, 6379, 8000, 8081, 65535] {
            assert_eq!(check(&format!("http://example.com:{port}/")), Err(Refusal::Forbidden), "{port}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let long = format!("https://example.com/{}", "a".repeat(limits::URL - 19));
        for url in [
            "",
            "example.com",
            "/a",
            "//example.com/a",
            "http://",
            "http:///",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://127.0.0.1/",
            "data:text/plain,a",
            "javascript:1",
            "http://user@example.com/",
            "http://user:password@example.com/",
            "http://:password@example.com/",
            "http://example.com@127.0.0.1/",
            "http://[::1%25lo]/",
            "http://[fe80::1%25eth0]/",
            "http://256.0.0.1/",
            "http://1.2.3.4.5/",
            "http://exa mple.com/",
            "http://example.com:99999/",
            &long,
        ] {
            assert_eq!(check(url), Err(Refusal::Invalid), "{url}");
        }
        assert_eq!(check(&long[..long.len() - 1]), Ok(()));
    }
}
