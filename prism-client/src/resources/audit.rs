//! The audit log: who changed what.

use prism_types::{AuditEntry, Cursor, DeploymentId, Page};
use reqwest::Method;

use crate::{
    Client,
    call::{Call, calls, paged, query_setters},
};

/// The audit log of the tenant; from [`Client::audit_log`].
///
/// Cheap to clone; it sends nothing by itself.
#[derive(Debug, Clone)]
pub struct AuditLog {
    client: Client,
}

impl AuditLog {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Lists who changed what, newest first, a page at a time.
    ///
    /// ```no_run
    /// # async fn example(client: prism_client::Client) -> Result<(), prism_client::Error> {
    /// for entry in client.audit_log().list().limit(100).await?.into_inner().data {
    ///     println!("{} {} {} {}", entry.created_at, entry.actor, entry.operation, entry.subject);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(&self) -> ListAuditEntriesCall {
        ListAuditEntriesCall { call: Call::new(&self.client, Method::GET, "/v1/audit-log", &[]) }
    }
}

calls! {
    /// `GET /v1/audit-log`, from [`AuditLog::list`]. Needs the scope `audit:read`.
    ///
    /// A page may be empty and still not be the last: go on while it has a `next_cursor`.
    ListAuditEntriesCall -> Page<AuditEntry>;
}

paged!(ListAuditEntriesCall -> Page of AuditEntry);

query_setters!(ListAuditEntriesCall {
    /// Lists only changes of this deployment, which need not exist any more.
    deployment_id: DeploymentId,
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});
