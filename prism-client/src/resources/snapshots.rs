//! Snapshots: workspaces that outlive their deployments.

use prism_types::{Cursor, DeletedSnapshot, Page, Snapshot, SnapshotId};
use reqwest::Method;

use crate::{
    Client,
    call::{Call, calls, paged, query_setters, waited},
};

/// The snapshots of the tenant; from [`Client::snapshots`].
///
/// Cheap to clone; it sends nothing by itself.
#[derive(Debug, Clone)]
pub struct Snapshots {
    client: Client,
}

impl Snapshots {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Lists snapshots, newest first, a page at a time.
    pub fn list(&self) -> ListSnapshotsCall {
        ListSnapshotsCall { call: Call::new(&self.client, Method::GET, "/v1/snapshots", &[]) }
    }

    /// Reads what a snapshot is of, and until when it is kept.
    ///
    /// A deployment leaves one when it is deleted, and another one can begin with it once its status is `ready`:
    ///
    /// ```no_run
    /// use prism_client::types::{CreateDeployment, DeploymentId};
    ///
    /// # async fn move_in(client: prism_client::Client, old: DeploymentId) -> Result<(), prism_client::Error> {
    /// let deleted = client.deployments().delete(&old).retain_filesystem(true).await?;
    /// if let Some(snapshot) = deleted.snapshot_id.clone() {
    ///     println!("kept until {}", client.snapshots().get(&snapshot).await?.expires_at);
    ///     let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    ///     client.deployments().create(request.snapshot_id(snapshot)).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self, id: &SnapshotId) -> GetSnapshotCall {
        GetSnapshotCall {
            call: Call::new(&self.client, Method::GET, "/v1/snapshots/{snapshot_id}", &[id.as_str()]),
        }
    }

    /// Deletes a snapshot before its time.
    pub fn delete(&self, id: &SnapshotId) -> DeleteSnapshotCall {
        DeleteSnapshotCall {
            call: Call::new(&self.client, Method::DELETE, "/v1/snapshots/{snapshot_id}", &[id.as_str()]),
        }
    }
}

calls! {
    /// `GET /v1/snapshots`, from [`Snapshots::list`]. Needs the scope `deployments:read`.
    ListSnapshotsCall -> Page<Snapshot>;
    /// `GET /v1/snapshots/{snapshot_id}`, from [`Snapshots::get`]. Needs the scope `deployments:read`.
    GetSnapshotCall -> Snapshot;
    /// `DELETE /v1/snapshots/{snapshot_id}`, from [`Snapshots::delete`]. Needs the scope `deployments:write`.
    DeleteSnapshotCall -> DeletedSnapshot;
}

waited!(GetSnapshotCall -> Snapshot);

paged!(ListSnapshotsCall -> Page of Snapshot);

query_setters!(ListSnapshotsCall {
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});
