//! API keys: create, check, list, revoke.
//!
//! A key is `prism_` and 43 characters of base64url: 256 random bits. Only its SHA-256 is stored; a slow hash
//! would protect a guessable secret, which this is not.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use prism_types::{ApiKeyId, Problem, Secret, TenantId};
use sha2::{Digest, Sha256};

use super::{author::by_operator, known_keys::KnownKeys};
use crate::{
    domain::{
        limits,
        tenant::{ApiKey, Principal, Scopes},
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Clock, Commit, Store, Write},
};

/// Fewest characters of a key that an operator brings.
const OWN_KEY_MIN: usize = 24;

/// Creates a key of a tenant. The key is returned once and cannot be had again.
///
/// `own` is a key that the operator brings, 24 to 512 visible ASCII characters; it must not be guessable.
///
/// # Errors
/// When the name or the key is not fit, or the store fails.
pub(crate) async fn create(
    store: &dyn Store,
    clock: &dyn Clock,
    tenant_id: &TenantId,
    name: &str,
    scopes: Scopes,
    own: Option<&Secret>,
) -> Result<(ApiKey, Secret)> {
    if name.is_empty() || name.chars().count() > limits::LABEL {
        let message = format!("must be 1 to {} characters", limits::LABEL);
        return Err(Error::invalid(vec![Problem::new("name", message)]));
    }
    let secret = match own {
        Some(secret) => checked(secret)?.clone(),
        None => random_key()?,
    };
    let key = ApiKey {
        id: ApiKeyId::generate(),
        tenant_id: tenant_id.clone(),
        name: name.to_owned(),
        hash: hash(secret.expose()),
        scopes,
        created_at: clock.now(),
        revoked_at: None,
    };
    let entry = by_operator(clock, tenant_id, "create_key", &key.id);
    store.commit(Commit::new().with(Write::InsertApiKey(key.clone())).with(entry)).await?;
    Ok((key, secret))
}

/// Who sends this key.
pub(crate) async fn authenticate(store: &dyn Store, known: &KnownKeys, key: &str) -> Result<Principal> {
    let hash = hash(key);
    if let Some(principal) = known.find(&hash) {
        return Ok(principal);
    }
    let looked = known.look();
    let found = store.api_key_by_hash(&hash).await?.filter(|key| key.revoked_at.is_none());
    let key = found.ok_or_else(unauthorized)?;
    let principal = Principal { tenant_id: key.tenant_id, scopes: key.scopes, caller: key.id.to_string() };
    known.remember(hash, principal.clone(), looked);
    Ok(principal)
}

/// What whoever has no valid key is told.
pub(crate) fn unauthorized() -> Error {
    Error::new(ErrorKind::Unauthorized, "Invalid or missing API key")
}

/// The keys of a tenant, revoked ones too, newest first.
///
/// # Errors
/// When the store fails.
pub(crate) async fn list(store: &dyn Store, tenant_id: &TenantId) -> Result<Vec<ApiKey>> {
    Ok(store.api_keys(tenant_id).await?)
}

/// Revokes a key: from now on it is answered with 401; by other processes on the same store, within a second.
///
/// # Errors
/// When the tenant has no such key, or the store fails.
pub(crate) async fn revoke(
    store: &dyn Store,
    known: &KnownKeys,
    clock: &dyn Clock,
    tenant_id: &TenantId,
    id: &ApiKeyId,
) -> Result<()> {
    let write = Write::RevokeApiKey(tenant_id.clone(), id.clone(), clock.now());
    let entry = by_operator(clock, tenant_id, "revoke_key", id);
    store.commit(Commit::new().with(write).with(entry)).await?;
    known.forget(id);
    Ok(())
}

pub(super) fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn random_key() -> Result<Secret> {
    let mut bits = [0_u8; 32];
    getrandom::fill(&mut bits).map_err(Error::internal)?;
    Ok(Secret::new(format!("prism_{}", URL_SAFE_NO_PAD.encode(bits))))
}

fn checked(secret: &Secret) -> Result<&Secret> {
    let text = secret.expose();
    if (OWN_KEY_MIN..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(secret);
    }
    let message = format!("must be {OWN_KEY_MIN} to 512 visible ASCII characters");
    Err(Error::invalid(vec![Problem::new("key", message)]))
}
