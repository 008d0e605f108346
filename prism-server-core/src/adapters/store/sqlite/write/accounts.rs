//! Tenants, their API keys and secrets.

use prism_types::{ApiKeyId, SecretRef, TenantId, Timestamp};
use rusqlite::{Connection, params};

use super::{super::super::storable, execute, existed, failed, insert, millis, update};
use crate::{
    domain::{
        secret::SealedSecret,
        tenant::{ApiKey, Metered, Tenant},
    },
    ports::StoreResult,
};

pub(super) fn insert_tenant(connection: &Connection, tenant: &Tenant) -> StoreResult<()> {
    let revision = storable(tenant.revision, "tenants.revision")?;
    insert(
        connection,
        "tenant",
        "INSERT INTO tenants (id, name, credits, created_at, revision, input_tokens, output_tokens)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            tenant.id.as_str(),
            tenant.name,
            credits(tenant)?,
            tenant.created_at.as_millis(),
            revision,
            storable(tenant.used.input_tokens, "tenants.input_tokens")?,
            storable(tenant.used.output_tokens, "tenants.output_tokens")?,
        ],
    )?;
    Ok(())
}

pub(super) fn update_tenant(connection: &Connection, tenant: &Tenant) -> StoreResult<()> {
    let revision = storable(tenant.revision, "tenants.revision")?;
    update(
        connection,
        "tenant",
        "UPDATE tenants SET name = ?3, credits = ?4, revision = revision + 1 WHERE id = ?1 AND revision = ?2",
        params![tenant.id.as_str(), revision, tenant.name, credits(tenant)?],
        ("SELECT 1 FROM tenants WHERE id = ?1", tenant.id.as_str()),
    )
}

/// Adds up. SQLite makes a sum that is too large a floating-point number, so it is looked at beforehand.
pub(super) fn meter(connection: &Connection, id: &TenantId, metered: &Metered) -> StoreResult<()> {
    let most = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let found = execute(
        connection,
        "UPDATE tenants SET
             input_tokens = iif(input_tokens > ?5 - ?2, ?5, input_tokens + ?2),
             output_tokens = iif(output_tokens > ?5 - ?3, ?5, output_tokens + ?3),
             credits = max(credits - ?4, 0),
             revision = revision + 1
         WHERE id = ?1",
        params![
            id.as_str(),
            most(metered.input_tokens),
            most(metered.output_tokens),
            most(metered.credits),
            i64::MAX,
        ],
    );
    existed("tenant", found.map_err(|error| failed(&error))? > 0)
}

pub(super) fn insert_api_key(connection: &Connection, key: &ApiKey) -> StoreResult<()> {
    insert(
        connection,
        "api key",
        "INSERT INTO api_keys (id, tenant_id, name, hash, scopes, created_at, revoked_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            key.id.as_str(),
            key.tenant_id.as_str(),
            key.name,
            key.hash,
            key.scopes.to_string(),
            key.created_at.as_millis(),
            millis(key.revoked_at),
        ],
    )?;
    Ok(())
}

pub(super) fn revoke_api_key(
    connection: &Connection,
    tenant: &TenantId,
    id: &ApiKeyId,
    at: Timestamp,
) -> StoreResult<()> {
    let revoked = execute(
        connection,
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?3) WHERE id = ?1 AND tenant_id = ?2",
        params![id.as_str(), tenant.as_str(), at.as_millis()],
    );
    existed("api key", revoked.map_err(|error| failed(&error))? > 0)
}

pub(super) fn put_secret(connection: &Connection, secret: &SealedSecret) -> StoreResult<()> {
    insert(
        connection,
        "secret",
        "INSERT INTO secrets (tenant_id, reference, sealed, updated_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at",
        params![
            secret.tenant_id.as_str(),
            secret.reference.as_str(),
            secret.sealed,
            secret.updated_at.as_millis(),
        ],
    )?;
    Ok(())
}

pub(super) fn delete_secret(
    connection: &Connection,
    tenant: &TenantId,
    reference: &SecretRef,
) -> StoreResult<()> {
    let deleted = execute(
        connection,
        "DELETE FROM secrets WHERE tenant_id = ?1 AND reference = ?2",
        params![tenant.as_str(), reference.as_str()],
    );
    existed("secret", deleted.map_err(|error| failed(&error))? > 0)
}

fn credits(tenant: &Tenant) -> StoreResult<Option<i64>> {
    tenant.credits.map(|credits| storable(credits, "tenants.credits")).transpose()
}
