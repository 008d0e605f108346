//! Secrets: set, list, delete. Values go in and are only ever opened for what a deployment runs.

use prism_types::{Problem, Secret, SecretRef, TenantId};

use super::author::by_operator;
use crate::{
    domain::{limits, secret::SealedSecret},
    error::{Error, Result},
    ports::{Clock, Commit, SecretBox, SecretBoxError, Store, Write},
};

/// Seals and stores the value of a secret, new or replaced.
///
/// # Errors
/// When the value is empty or longer than 65,536 bytes, or cannot be stored.
pub(crate) async fn set(
    store: &dyn Store,
    secret_box: &dyn SecretBox,
    clock: &dyn Clock,
    tenant_id: &TenantId,
    reference: &SecretRef,
    value: &Secret,
) -> Result<()> {
    if value.expose().is_empty() || value.expose().len() > limits::SECRET_VALUE {
        let message = format!("must be 1 to {} bytes", limits::SECRET_VALUE);
        return Err(Error::invalid(vec![Problem::new("value", message)]));
    }
    let sealed = secret_box.seal(&context(tenant_id, reference), value).map_err(Error::internal)?;
    let secret = SealedSecret {
        tenant_id: tenant_id.clone(),
        reference: reference.clone(),
        sealed,
        updated_at: clock.now(),
    };
    let entry = by_operator(clock, tenant_id, "set_secret", reference);
    Ok(store.commit(Commit::new().with(Write::PutSecret(secret)).with(entry)).await?)
}

/// The secrets of a tenant, sealed, by reference.
///
/// # Errors
/// When the store fails.
pub(crate) async fn list(store: &dyn Store, tenant_id: &TenantId) -> Result<Vec<SealedSecret>> {
    Ok(store.secrets(tenant_id).await?)
}

/// Opens a stored secret.
///
/// # Errors
/// When the master key is not the one that it was sealed with, or the record is damaged.
pub(crate) fn open(secret_box: &dyn SecretBox, secret: &SealedSecret) -> Result<Secret, SecretBoxError> {
    secret_box.open(&context(&secret.tenant_id, &secret.reference), &secret.sealed)
}

/// Removes a secret.
///
/// # Errors
/// When there is none, or the store fails.
pub(crate) async fn delete(
    store: &dyn Store,
    clock: &dyn Clock,
    tenant_id: &TenantId,
    reference: &SecretRef,
) -> Result<()> {
    let write = Write::DeleteSecret(tenant_id.clone(), reference.clone());
    let entry = by_operator(clock, tenant_id, "delete_secret", reference);
    Ok(store.commit(Commit::new().with(write).with(entry)).await?)
}

/// What a sealed value is bound to: it cannot be moved to another tenant or another name.
fn context(tenant_id: &TenantId, reference: &SecretRef) -> Vec<u8> {
    format!("secret\0{tenant_id}\0{reference}").into_bytes()
}
