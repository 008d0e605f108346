//! Tenants, their API keys, and what a request may do.

use prism_types::{ApiKeyId, TenantId, Timestamp, Usage};

/// An owner of deployments, keys, secrets and credits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name, unique.
    pub name: String,
    /// The credits left; `None`: unlimited.
    pub credits: Option<u64>,
    /// The tokens that its agents have used; only [`Metered`] changes them.
    pub used: Usage,
    /// When it was created.
    pub created_at: Timestamp,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

/// What a call of a model has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record of one change: what meters builds it")]
pub struct Metered {
    /// Tokens sent to the model.
    pub input_tokens: u64,
    /// Tokens that the model answered.
    pub output_tokens: u64,
    /// What they cost.
    pub credits: u64,
}

impl Tenant {
    /// Whether work may be started.
    pub fn has_credits(&self) -> bool {
        self.credits != Some(0)
    }

    /// Adds up what was used and takes its price from the credits, which end at 0. `most` is the greatest sum
    /// that is kept; what is over it is left out.
    pub fn meter(&mut self, metered: &Metered, most: u64) {
        let add = |sum: u64, more: u64| sum.saturating_add(more).min(most);
        self.used.input_tokens = add(self.used.input_tokens, metered.input_tokens);
        self.used.output_tokens = add(self.used.output_tokens, metered.output_tokens);
        self.credits = self.credits.map(|credits| credits.saturating_sub(metered.credits));
    }
}

/// An API key. The key itself is shown once and never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct ApiKey {
    /// Its public id.
    pub id: ApiKeyId,
    /// The tenant it acts for.
    pub tenant_id: TenantId,
    /// A label for people.
    pub name: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// What it may do.
    pub scopes: Scopes,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A permission of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Read deployments and everything in them.
    DeploymentsRead,
    /// Create, change and delete deployments; send messages. Does not imply reading.
    DeploymentsWrite,
    /// Read the audit log.
    AuditRead,
    /// Read webhooks and their deliveries.
    WebhooksRead,
    /// Create, change and delete webhooks, make new secrets, send deliveries again. Does not imply reading.
    WebhooksWrite,
}

impl Scope {
    /// Every scope.
    pub const ALL: &'static [Self] = &[
        Self::DeploymentsRead,
        Self::DeploymentsWrite,
        Self::AuditRead,
        Self::WebhooksRead,
        Self::WebhooksWrite,
    ];

    /// Its name, such as `deployments:read`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeploymentsRead => "deployments:read",
            Self::DeploymentsWrite => "deployments:write",
            Self::AuditRead => "audit:read",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
        }
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u32);

impl Scopes {
    /// Every scope there is.
    pub fn all() -> Self {
        Scope::ALL.iter().copied().collect()
    }

    /// Whether the set has the scope.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The scopes of the set.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.contains(*scope))
    }

    /// Reads names separated by white space or commas.
    ///
    /// # Errors
    /// With the first name that is no scope.
    pub fn parse(names: &str) -> Result<Self, String> {
        names
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|name| !name.is_empty())
            .map(|name| {
                let scope = Scope::ALL.iter().copied().find(|scope| scope.as_str() == name);
                scope.ok_or_else(|| name.to_owned())
            })
            .collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.iter().map(Scope::as_str).collect();
        f.write_str(&names.join(" "))
    }
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "embedders with an authentication of their own build it")]
pub struct Principal {
    /// The tenant it acts for.
    pub tenant_id: TenantId,
    /// What it may do.
    pub scopes: Scopes,
    /// What rate limits count by: the key's id, or an embedder's own name of the caller.
    pub caller: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_survive_their_own_text() {
        for scopes in [Scopes::default(), Scopes::all(), Scopes::from_iter([Scope::DeploymentsWrite])] {
            assert_eq!(Scopes::parse(&scopes.to_string()).unwrap(), scopes);
        }
        assert_eq!(Scopes::parse("deployments:read, nonsense").unwrap_err(), "nonsense");
    }
}
