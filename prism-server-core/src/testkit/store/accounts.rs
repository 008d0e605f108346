//! Properties of tenants, API keys and secrets.

use std::sync::Arc;

use prism_types::Usage;

use super::{
    commit, is_conflict, is_missing,
    records::{api_key, at, id, secret, tenant},
};
use crate::{
    domain::tenant::{ApiKey, Metered, Scope, Tenant},
    ports::{ListQuery, Store, Write},
};

/// Tenants are found by id and name, have unique names and are guarded by revisions.
pub async fn tenants_have_unique_names(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let rich = Tenant { credits: Some(5), ..tenant(1) };
    commit(store, [Write::InsertTenant(rich.clone()), Write::InsertTenant(tenant(2))]).await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(store.tenant(&rich.id).await.unwrap(), Some(rich.clone()));
    assert_eq!(store.tenant_by_name("tenant 2").await.unwrap(), Some(tenant(2)));
    assert_eq!(store.tenant(&id("ten_", 9)).await.unwrap(), None);
    assert_eq!(store.tenant_by_name("Tenant 2").await.unwrap(), None);

    is_conflict(
        commit(store, [Write::InsertTenant(Tenant { name: "new".into(), ..tenant(1) })]).await,
        "tenant",
    );
    is_conflict(
        commit(store, [Write::InsertTenant(Tenant { id: id("ten_", 3), ..tenant(1) })]).await,
        "tenant",
    );

    let renamed = Tenant { name: "renamed".into(), credits: None, created_at: at(99), ..rich };
    commit(store, [Write::UpdateTenant(renamed.clone())]).await.unwrap();
    let kept = Tenant { created_at: at(1), revision: 1, ..renamed.clone() };
    assert_eq!(store.tenant(&kept.id).await.unwrap(), Some(kept.clone()));
    is_conflict(commit(store, [Write::UpdateTenant(renamed)]).await, "tenant");
    is_missing(commit(store, [Write::UpdateTenant(tenant(9))]).await, "tenant");
    let taken = Tenant { name: "tenant 2".into(), ..kept.clone() };
    is_conflict(commit(store, [Write::UpdateTenant(taken)]).await, "tenant");

    let page = |before, limit| store.tenants(ListQuery { before, limit });
    assert_eq!(page(None, 10).await.unwrap(), [tenant(2), kept.clone()]);
    assert_eq!(page(None, 1).await.unwrap(), [tenant(2)]);
    assert_eq!(page(Some(id("ten_", 2)), 10).await.unwrap(), [kept]);
    assert_eq!(page(None, 0).await.unwrap(), []);
}

/// What is metered is added up, whatever the revision; credits end at 0, unlimited ones stay so, and no update
/// changes what was used.
pub async fn metering_adds_up(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let limited = Tenant { credits: Some(10), ..tenant(1) };
    commit(store, [Write::InsertTenant(limited.clone()), Write::InsertTenant(tenant(2))]).await.unwrap();
    let meter = |number, input_tokens, output_tokens, credits| {
        let metered = Metered { input_tokens, output_tokens, credits };
        commit(store, [Write::Meter(id("ten_", number), metered)])
    };
    let read = |number| async move {
        let Tenant { credits, used: Usage { input_tokens, output_tokens, .. }, revision, .. } =
            store.tenant(&id("ten_", number)).await.unwrap().unwrap();
        (credits, input_tokens, output_tokens, revision)
    };
    meter(1, 3, 4, 7).await.unwrap();
    assert_eq!(read(1).await, (Some(3), 3, 4, 1));
    is_conflict(commit(store, [Write::UpdateTenant(limited.clone())]).await, "tenant");
    meter(1, 1, 0, 3).await.unwrap();
    assert_eq!(read(1).await, (Some(0), 4, 4, 2));
    meter(1, 1, 1, 1).await.unwrap();
    assert_eq!(read(1).await, (Some(0), 5, 5, 3));
    let filled = Tenant { credits: Some(8), revision: 3, ..limited };
    commit(store, [Write::UpdateTenant(filled)]).await.unwrap();
    assert_eq!(read(1).await, (Some(8), 5, 5, 4), "an update sets credits and not what was used");

    meter(2, 1, 1, u64::MAX).await.unwrap();
    assert_eq!(read(2).await, (None, 1, 1, 1));
    meter(2, u64::MAX, u64::MAX - 1, 0).await.unwrap();
    let most = i64::MAX.unsigned_abs();
    assert_eq!(read(2).await, (None, most, most, 2));
    is_missing(meter(9, 1, 1, 1).await, "tenant");
}

/// API keys are found by hash, revoked or not, and keep the date of their first revocation.
pub async fn api_keys_are_found_by_hash(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let narrow = ApiKey { scopes: [Scope::DeploymentsRead].into_iter().collect(), ..api_key(1, 1) };
    let keys = [narrow.clone(), api_key(1, 2), api_key(2, 3)];
    commit(store, keys.map(Write::InsertApiKey)).await.unwrap();
    assert_eq!(store.api_key_by_hash(&narrow.hash).await.unwrap(), Some(narrow.clone()));
    assert_eq!(store.api_key_by_hash(&[9; 32]).await.unwrap(), None);
    let same_hash = ApiKey { id: id("key_", 9), ..narrow.clone() };
    is_conflict(commit(store, [Write::InsertApiKey(same_hash)]).await, "api key");
    let same_id = ApiKey { hash: [9; 32], ..narrow.clone() };
    is_conflict(commit(store, [Write::InsertApiKey(same_id)]).await, "api key");

    let revoke =
        |tenant, key, at| commit(store, [Write::RevokeApiKey(id("ten_", tenant), id("key_", key), at)]);
    is_missing(revoke(1, 9, at(70)).await, "api key");
    is_missing(revoke(2, 1, at(70)).await, "api key");
    revoke(1, 1, at(70)).await.unwrap();
    revoke(1, 1, at(80)).await.unwrap();
    let revoked = ApiKey { revoked_at: Some(at(70)), ..narrow };
    assert_eq!(store.api_key_by_hash(&revoked.hash).await.unwrap(), Some(revoked.clone()));
    assert_eq!(store.api_keys(&id("ten_", 1)).await.unwrap(), [api_key(1, 2), revoked]);
    assert_eq!(store.api_keys(&id("ten_", 9)).await.unwrap(), []);
}

/// Secrets belong to one tenant, are replaced by a second put and listed by reference.
pub async fn secrets_are_replaced_and_removed(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let secrets = [secret(1, 2), secret(1, 1), secret(2, 1)];
    commit(store, secrets.map(Write::PutSecret)).await.unwrap();
    let mut replaced = secret(1, 1);
    (replaced.sealed, replaced.updated_at) = (Vec::new(), at(90));
    commit(store, [Write::PutSecret(replaced.clone())]).await.unwrap();
    assert_eq!(store.secrets(&id("ten_", 1)).await.unwrap(), [replaced.clone(), secret(1, 2)]);
    let read = |tenant| async move { store.secret(&id("ten_", tenant), &id("sec_", 1)).await.unwrap() };
    assert_eq!(read(1).await, Some(replaced));
    assert_eq!(read(2).await, Some(secret(2, 1)));

    let delete = || commit(store, [Write::DeleteSecret(id("ten_", 1), id("sec_", 1))]);
    delete().await.unwrap();
    assert_eq!(read(1).await, None);
    assert_eq!(read(2).await, Some(secret(2, 1)));
    is_missing(delete().await, "secret");
}
