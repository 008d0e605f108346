//! Properties of what is written beside a change: kept answers and the audit log.

use std::sync::Arc;

use prism_types::Timestamp;

use super::{
    commit, is_conflict,
    records::{at, audit_entry, id, reply, thread, whole_deployment},
};
use crate::{
    domain::{audit::AuditEntry, idempotency::KeptReply, limits},
    ports::{Expiring, ListQuery, Store, Write},
};

/// A key is taken for 24 hours, together with the change of its request, and by one tenant only.
pub async fn a_key_is_taken_once(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, whole_deployment(1)).await.unwrap();
    let first = reply(1, 1);
    let read = |tenant| {
        let (tenant, key) = (id("ten_", tenant), reply(1, 1).key);
        async move { store.kept_reply(&tenant, &key).await.unwrap() }
    };
    assert_eq!(read(1).await, None);
    commit(store, [Write::KeepReply(first.clone())]).await.unwrap();
    assert_eq!(read(1).await, Some(first.clone()));
    assert_eq!(read(2).await, None);

    let again = KeptReply { sealed: vec![9], created_at: at(2), ..first.clone() };
    let change = Write::InsertThread(thread(1, 7));
    is_conflict(commit(store, [change, Write::KeepReply(again.clone())]).await, "reply");
    assert_eq!(store.thread(&id("thr_", 7)).await.unwrap(), None, "the change went with its answer");
    commit(store, [Write::KeepReply(KeptReply { tenant_id: id("ten_", 2), ..again })]).await.unwrap();
    assert_eq!(read(1).await, Some(first.clone()));

    let day = i64::try_from(limits::REPLY_RETENTION.as_millis()).unwrap();
    let after = |millis| Timestamp::from_millis(first.created_at.as_millis() + millis);
    let early = KeptReply { created_at: after(day - 1), fingerprint: [7; 32], ..first.clone() };
    is_conflict(commit(store, [Write::KeepReply(early)]).await, "reply");
    let late = KeptReply { created_at: after(day), fingerprint: [7; 32], ..first };
    commit(store, [Write::KeepReply(late.clone())]).await.unwrap();
    assert_eq!(read(1).await, Some(late));
}

/// The audit log of a tenant, or of one of its deployments, is read newest first, and outlives the deployment.
pub async fn the_audit_log_is_read_newest_first(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, whole_deployment(1)).await.unwrap();
    let general =
        AuditEntry { deployment_id: None, request_id: None, fields: vec![], ..audit_entry(1, 1, 2) };
    let entries = [audit_entry(1, 1, 1), general.clone(), audit_entry(1, 1, 3), audit_entry(2, 2, 4)];
    commit(store, entries.clone().map(Write::InsertAuditEntry)).await.unwrap();
    is_conflict(commit(store, [Write::InsertAuditEntry(general.clone())]).await, "audit entry");
    commit(store, [Write::PurgeDeployment(id("dep_", 1))]).await.unwrap();

    let read = |deployment: Option<u32>, before: Option<u32>, limit| {
        let deployment = deployment.map(|number| id("dep_", number));
        let before = before.map(|number| id("aud_", number));
        async move {
            let query = ListQuery { before, limit };
            store.audit_entries(&id("ten_", 1), deployment.as_ref(), query).await.unwrap()
        }
    };
    let [first, _, third, _] = entries;
    assert_eq!(read(None, None, 9).await, [third.clone(), general.clone(), first.clone()]);
    assert_eq!(read(None, Some(3), 1).await, [general]);
    assert_eq!(read(Some(1), None, 9).await, [third, first.clone()]);
    assert_eq!(read(Some(1), Some(3), 9).await, [first]);
    assert_eq!(read(Some(2), None, 9).await, []);
}

/// What is too old is found and removed, the oldest first, and nothing else.
pub async fn old_records_expire(store: Arc<dyn Store>) {
    let store = store.as_ref();
    for number in 1..=4 {
        let entry = Write::InsertAuditEntry(audit_entry(1, 1, number));
        commit(store, [Write::KeepReply(reply(1, number)), entry]).await.unwrap();
    }
    for records in [Expiring::Replies, Expiring::AuditEntries] {
        assert!(!store.has_before(records, at(1)).await.unwrap());
        assert!(store.has_before(records, at(4)).await.unwrap());
        commit(store, [Write::Expire(records, at(4), 2)]).await.unwrap();
        assert!(!store.has_before(records, at(3)).await.unwrap());
        assert!(store.has_before(records, at(4)).await.unwrap());
        commit(store, [Write::Expire(records, at(4), 9), Write::Expire(records, at(1), 9)]).await.unwrap();
        assert!(!store.has_before(records, at(4)).await.unwrap());
        assert!(store.has_before(records, at(5)).await.unwrap());
    }
    let left = store.audit_entries(&id("ten_", 1), None, ListQuery { before: None, limit: 9 }).await;
    assert_eq!(left.unwrap(), [audit_entry(1, 1, 4)]);
    assert_eq!(store.kept_reply(&id("ten_", 1), &reply(1, 3).key).await.unwrap(), None);
    assert_eq!(store.kept_reply(&id("ten_", 1), &reply(1, 4).key).await.unwrap(), Some(reply(1, 4)));
}
