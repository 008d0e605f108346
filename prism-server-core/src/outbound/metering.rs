//! Writing down what was used.

use std::{sync::Arc, time::Duration};

use prism_types::TenantId;
use tokio::runtime::Handle;

use super::{Agent, Gateway, Prices, usage::UsageReader};
use crate::{
    domain::tenant::Metered,
    ports::{Commit, Store, StoreError, Write},
    telemetry,
};

/// Waits between tries to write; after the last one it is given up.
const RETRIES: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// A call of a model that is under way. When it is dropped, for whatever reason, what was used is written down in
/// a task of its own: an agent that hangs up pays for what it got.
pub(super) struct Meter {
    gateway: Arc<Gateway>,
    tenant: TenantId,
    prices: Prices,
    /// The length of the request, in bytes.
    request: usize,
    pub(super) usage: UsageReader,
    runtime: Handle,
    free: bool,
}

impl Meter {
    /// A call with a request of so many bytes. Must be made within a runtime.
    pub(super) fn new(agent: &Agent, prices: Prices, request: usize) -> Self {
        let (gateway, tenant) = (agent.gateway.clone(), agent.tenant_id.clone());
        let usage = UsageReader::new(true);
        Self { gateway, tenant, prices, request, usage, runtime: Handle::current(), free: false }
    }

    /// Ends a call that cost nothing.
    pub(super) fn free(mut self) {
        self.free = true;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.free {
            return;
        }
        let (input_tokens, output_tokens) = self.usage.tokens(self.request);
        let credits = self.prices.credits(input_tokens, output_tokens);
        telemetry::metered(input_tokens, output_tokens);
        let metered = Metered { input_tokens, output_tokens, credits };
        let (store, tenant) = (self.gateway.store.clone(), self.tenant.clone());
        let recorded = async move { record(store.as_ref(), tenant, metered).await };
        self.gateway.tasks.spawn_on(recorded, &self.runtime);
    }
}

async fn record(store: &dyn Store, tenant: TenantId, metered: Metered) {
    let mut waits = RETRIES.iter();
    loop {
        let commit = Commit::new().with(Write::Meter(tenant.clone(), metered));
        let Err(error) = store.commit(commit).await else { return };
        let wait = if matches!(error, StoreError::Missing(_)) { None } else { waits.next() };
        let Some(wait) = wait else {
            let Metered { input_tokens, output_tokens, credits } = metered;
            tracing::error!(
                %tenant, input_tokens, output_tokens, credits, %error,
                "what a tenant used could not be recorded; add it by hand"
            );
            return;
        };
        tokio::time::sleep(*wait).await;
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::{
        adapters::store::SqliteStore,
        testkit::store::{commit, records},
    };

    #[tokio::test]
    async fn what_was_used_is_recorded_after_the_store_was_out_of_reach() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("prism.db");
        let store = Arc::new(SqliteStore::open(&path).unwrap());
        store.with_writer(|connection| connection.busy_timeout(Duration::from_millis(20)).unwrap()).await;
        let tenant = records::tenant(1);
        commit(store.as_ref(), [Write::InsertTenant(tenant.clone())]).await.unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();

        let metered = Metered { input_tokens: 1, output_tokens: 2, credits: 3 };
        let (recording, id) = (store.clone(), tenant.id.clone());
        let recorded = record(recording.as_ref(), id, metered);
        // Commits are taken in order, so when this one was refused, the first try was as well.
        let refused = commit(store.as_ref(), [Write::InsertTenant(records::tenant(2))]);
        let (mut recorded, refused) =
            match futures::future::select(Box::pin(recorded), Box::pin(refused)).await {
                futures::future::Either::Left(_) => panic!("recorded while the file was locked"),
                futures::future::Either::Right((refused, recorded)) => (recorded, refused),
            };
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        other.execute_batch("COMMIT").unwrap();
        recorded.as_mut().await;
        let used = store.tenant(&tenant.id).await.unwrap().unwrap().used;
        assert_eq!((used.input_tokens, used.output_tokens), (1, 2));
    }
}
