//! The looking up of names, through the guard.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::FutureExt;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{Refusal, Rules};
use crate::ports::BoxFuture;

/// Looks names up.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a name.
    ///
    /// # Errors
    /// When the name cannot be looked up.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Looks names up as the system does.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    }
}

/// Gives a client the allowed addresses of a name and no others. The client connects to what it is given, so
/// what was checked is what is connected to.
pub(super) struct GuardedResolver {
    rules: Rules,
    lookup: Arc<dyn Lookup>,
}

impl GuardedResolver {
    pub(super) fn new(rules: Rules, lookup: Arc<dyn Lookup>) -> Self {
        Self { rules, lookup }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, allowed) = (self.lookup.lookup(name.as_str().to_owned()), self.rules.address);
        Box::pin(async move {
            let found = lookup.await?;
            let none_found = found.is_empty();
            // Port 0 stands for the port of the URL.
            let addresses: Vec<_> = found
                .into_iter()
                .filter(|address| allowed(*address))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if addresses.is_empty() && !none_found {
                return Err(Refusal::Forbidden.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::skill_fetcher::guard::is_public;

    struct Fixed(Vec<IpAddr>);

    impl Lookup for Fixed {
        fn lookup(&self, _name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            let addresses = self.0.clone();
            async { Ok(addresses) }.boxed()
        }
    }

    async fn resolve(addresses: &[&str]) -> Result<Vec<String>, String> {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let rules = Rules { address: is_public, port: |_| true };
        let resolver = GuardedResolver::new(rules, Arc::new(Fixed(addresses)));
        let found = resolver.resolve("example.com".parse().unwrap()).await;
        found
            .map(|found| found.map(|address| address.to_string()).collect())
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn only_public_addresses_are_given_to_the_client() {
        let mixed = resolve(&["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111", "::ffff:127.0.0.1"]).await;
        assert_eq!(mixed.unwrap(), ["8.8.8.8:0", "[2606:4700::1111]:0"]);
        let private = resolve(&["10.0.0.1", "fd00::1"]).await;
        assert_eq!(private.unwrap_err(), Refusal::Forbidden.to_string());
        assert_eq!(resolve(&[]).await.unwrap(), Vec::<String>::new());
    }
}
