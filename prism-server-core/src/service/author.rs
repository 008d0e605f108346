//! Who changes something, and what is written beside the change.
//!
//! A change is one commit. Into it go the entry of the audit log and, when the request has an idempotency key, its
//! answer. So nothing is changed without an entry, and a request that is repeated either finds the answer of the first
//! or the first has changed nothing.

use prism_types::{AuditEntryId, Secret, TenantId};
use serde_json::Value;

use crate::{
    core::Core,
    domain::{
        audit::{AuditEntry, OPERATOR, Subject},
        idempotency::{IdempotencyKey, KeptReply, Reply},
        limits,
        tenant::Principal,
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Clock, Write},
};

/// The caller of a request that changes something.
pub(crate) struct Author {
    pub(crate) principal: Principal,
    operation: &'static str,
    request_id: String,
    fields: Vec<String>,
    claim: Option<Claim>,
}

/// A key that is free, and to whose request it goes.
pub(crate) struct Claim {
    key: IdempotencyKey,
    fingerprint: [u8; 32],
}

impl Author {
    pub(crate) fn new(
        principal: Principal,
        operation: &'static str,
        request_id: String,
        claim: Option<Claim>,
    ) -> Self {
        Self { principal, operation, request_id, fields: Vec::new(), claim }
    }

    /// Notes which fields the body sets.
    pub(crate) fn set_fields(&mut self, body: &Value) {
        let names = body.as_object().into_iter().flat_map(serde_json::Map::keys);
        self.fields = names.take(limits::AUDIT_FIELDS).cloned().collect();
    }

    /// The idempotency key of the request, if it has one.
    pub(crate) fn idempotency_key(&self) -> Option<String> {
        self.claim.as_ref().map(|claim| claim.key.to_string())
    }

    /// The entry of the audit log for a change.
    pub(crate) fn entry(&self, core: &Core, subject: Subject) -> Write {
        Write::InsertAuditEntry(AuditEntry {
            id: AuditEntryId::generate(),
            tenant_id: self.principal.tenant_id.clone(),
            deployment_id: subject.deployment_id,
            actor: self.principal.caller.clone(),
            operation: self.operation.to_owned(),
            subject: subject.name,
            fields: self.fields.clone(),
            request_id: Some(self.request_id.clone()),
            created_at: core.clock.now(),
        })
    }

    /// What keeps the answer, when the request has a key.
    ///
    /// # Errors
    /// When the answer cannot be sealed.
    pub(crate) fn kept(&self, core: &Core, reply: &Reply) -> Result<Option<Write>> {
        let Some(Claim { key, fingerprint }) = &self.claim else { return Ok(None) };
        let tenant_id = &self.principal.tenant_id;
        let text = Secret::new(serde_json::to_string(reply).map_err(Error::internal)?);
        let sealed = core.secret_box.seal(&context(tenant_id, key), &text).map_err(Error::internal)?;
        Ok(Some(Write::KeepReply(KeptReply {
            tenant_id: tenant_id.clone(),
            key: key.clone(),
            fingerprint: *fingerprint,
            sealed,
            created_at: core.clock.now(),
        })))
    }
}

/// The answer that was given under a key, or the claim of the first request with it.
///
/// # Errors
/// When the key was used for another request.
pub(crate) async fn claim(
    core: &Core,
    tenant_id: &TenantId,
    key: IdempotencyKey,
    fingerprint: [u8; 32],
) -> Result<std::result::Result<Reply, Claim>> {
    let kept = core.store.kept_reply(tenant_id, &key).await?;
    let Some(kept) = kept.filter(|kept| !kept.has_expired(core.clock.now())) else {
        return Ok(Err(Claim { key, fingerprint }));
    };
    if kept.fingerprint != fingerprint {
        let message = "The idempotency key was used for another request within the last 24 hours. \
                       Use a new key for each request, and repeat a request with the same path and body.";
        return Err(Error::new(ErrorKind::KeyMismatch, message));
    }
    let text = core.secret_box.open(&context(tenant_id, &key), &kept.sealed).map_err(Error::internal)?;
    Ok(Ok(serde_json::from_str(text.expose()).map_err(Error::internal)?))
}

/// The entry of the audit log for a command of an operator.
pub(crate) fn by_operator(
    clock: &dyn Clock,
    tenant_id: &TenantId,
    operation: &str,
    subject: impl ToString,
) -> Write {
    Write::InsertAuditEntry(AuditEntry {
        id: AuditEntryId::generate(),
        tenant_id: tenant_id.clone(),
        deployment_id: None,
        actor: OPERATOR.to_owned(),
        operation: operation.to_owned(),
        subject: subject.to_string(),
        fields: Vec::new(),
        request_id: None,
        created_at: clock.now(),
    })
}

/// What a sealed answer is bound to: it cannot be moved to another tenant or another key.
fn context(tenant_id: &TenantId, key: &IdempotencyKey) -> Vec<u8> {
    format!("reply\0{tenant_id}\0{key}").into_bytes()
}
