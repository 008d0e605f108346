//! Who may pass.

use std::sync::Arc;

use prism_types::InstanceId;

use super::{
    Edge,
    address::Label,
    refusal::Refusal,
    token::{Claims, Kind, Service},
};
use crate::{
    error::Result,
    ports::{BoxFuture, Sandbox},
};

/// Most continuation cookies of one request that are looked at. There can be several: scripts can set cookies of the same
/// name for other paths.
const MOST_COOKIES: usize = 4;

/// Knows the services that there are.
pub(crate) trait Directory: Send + Sync + 'static {
    /// The service of an instance, or a port of a machine, as it is at present; `None`: there is none. Asked only about
    /// ports that somebody has a token for, and on every request, so it must be quick.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn target<'a>(&'a self, instance: &'a InstanceId, port: u16) -> BoxFuture<'a, Result<Option<Target>>>;

    /// Whether a bearer token may be an API key of ours. Such a header is not passed on. Default: what has the form of the
    /// keys that we make.
    fn is_api_key<'a>(&'a self, bearer: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(bearer.starts_with("prism_")))
    }
}

/// A service that can be reached.
#[derive(Clone)]
pub(crate) struct Target {
    /// Which one.
    pub(crate) service: Service,
    /// Where it runs.
    pub(crate) sandbox: Arc<dyn Sandbox>,
    /// Whether it has a public URL.
    pub(crate) is_public: bool,
    /// Whether that is all it takes; else a traffic access token is needed too.
    pub(crate) allows_public_traffic: bool,
    /// Whether it takes requests now.
    pub(crate) is_ready: bool,
}

/// What a request brings along.
#[derive(Debug)]
pub(super) struct Credentials<'a> {
    /// Edge tokens of the query.
    pub(super) tokens: Vec<String>,
    /// Continuation cookies.
    pub(super) cookies: Vec<String>,
    /// The traffic access token.
    pub(super) traffic_token: Option<&'a [u8]>,
    /// Whether the request asks for another protocol, for which no cookie is taken.
    pub(super) is_upgrade: bool,
}

/// A request may pass.
pub(super) struct Admitted {
    pub(super) target: Target,
    pub(super) claims: Claims,
    /// Whether it came with a token, and not with a cookie.
    pub(super) by_token: bool,
}

impl Edge {
    /// Lets a request pass, or not.
    pub(super) async fn admit(
        &self,
        label: &Label,
        credentials: Credentials<'_>,
    ) -> Result<Admitted, Refusal> {
        // Before the directory is asked: without a token of ours not even the time it takes tells anything.
        let (claims, by_token) = self.claims(label, &credentials)?;
        let target = self.target(&label.instance, label.port).await?.ok_or(Refusal::NoSuchService)?;
        claims.fits(&target.service)?;
        if !target.is_public {
            return Err(Refusal::Disabled);
        }
        if !target.allows_public_traffic {
            let token = credentials.traffic_token.unwrap_or_default();
            if !self.urls.keys.is_traffic_token(&target.service, token) {
                return Err(Refusal::TrafficTokenWrong);
            }
        }
        if !target.is_ready {
            return Err(Refusal::NotReady);
        }
        Ok(Admitted { target, claims, by_token })
    }

    /// Whether what was let pass may go on. Where nobody knows, it may.
    pub(super) async fn may_go_on(&self, claims: &Claims, instance: &InstanceId, port: u16) -> bool {
        match self.target(instance, port).await {
            Ok(Some(target)) => target.is_public && claims.fits(&target.service).is_ok(),
            Ok(None) => false,
            Err(_) => true,
        }
    }

    fn claims(&self, label: &Label, credentials: &Credentials<'_>) -> Result<(Claims, bool), Refusal> {
        let read = |kind, text: &str| {
            let claims = self.urls.keys.read(kind, text, self.urls.clock.now())?;
            claims.names(&label.instance, label.port)?;
            Ok(claims)
        };
        match credentials.tokens.as_slice() {
            [token] => return Ok((read(Kind::Token, token)?, true)),
            [] => {}
            // Which one was meant?
            _ => return Err(Refusal::TokenInvalid),
        }
        let mut refusal = Refusal::TokenMissing;
        if credentials.is_upgrade {
            return Err(refusal);
        }
        for cookie in credentials.cookies.iter().take(MOST_COOKIES) {
            match read(Kind::Cookie, cookie) {
                Ok(claims) => return Ok((claims, false)),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    async fn target(&self, instance: &InstanceId, port: u16) -> Result<Option<Target>, Refusal> {
        self.directory.target(instance, port).await.map_err(|error| {
            tracing::error!(%instance, %error, "a service cannot be looked up");
            Refusal::Unknown
        })
    }
}
