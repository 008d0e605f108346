//! Data directories that are filled beforehand, directly through the store.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use prism_server_core::{
    Admin,
    adapters::{
        secret_box::{MasterKey, SealedBox},
        store::SqliteStore,
    },
    domain::{
        deployment::{AgentSpec, Deployment, DeploymentState},
        instance::{Instance, InstanceState},
        thread::Thread,
    },
    ports::{Commit, ListQuery, Store, Write},
};
use prism_types::{DeploymentId, InstanceId, Runtime, TenantId, ThreadId, Timestamp};

use crate::{Result, process::Prism};

/// The database of a data directory.
pub(crate) const DATABASE: &str = "prism.db";

/// Deployments of one commit.
const COMMIT: u32 = 500;

/// A data directory of which no server runs.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// Where it is.
    pub(crate) directory: PathBuf,
    /// The deployments, oldest first.
    pub(crate) deployments: Vec<String>,
}

impl Ground {
    /// A data directory with a tenant, its key, and so many deployments that are ready.
    pub(crate) async fn fill(prism: &Prism, directory: PathBuf, deployments: u32) -> Result<Self> {
        std::fs::create_dir_all(&directory)?;
        // The first start makes the tenant and the key.
        drop(prism.serve(&directory)?);
        let store = Arc::new(SqliteStore::open(directory.join(DATABASE))?);
        let admin = Admin::new(store.clone(), SealedBox::new(MasterKey::from_bytes([7; 32])));
        let tenants = admin.tenants(ListQuery { before: None, limit: 1 }).await?;
        let tenant = &tenants.first().ok_or("the first start made no tenant")?.id;
        let mut ids = Vec::with_capacity(deployments as usize);
        for first in (0..deployments).step_by(COMMIT as usize) {
            let mut commit = Commit::new();
            for number in first..deployments.min(first + COMMIT) {
                let (id, writes) = ready_deployment(tenant, number)?;
                ids.push(id.to_string());
                commit = commit.with_all(writes);
            }
            store.commit(commit).await?;
        }
        Ok(Self { directory, deployments: ids })
    }

    /// A copy of the database in a directory of its own.
    pub(crate) fn copy_database(&self, directory: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(directory)?;
        let copy = directory.join(DATABASE);
        std::fs::copy(self.directory.join(DATABASE), &copy)?;
        Ok(copy)
    }
}

/// An empty database with the schema.
pub(crate) fn empty_database(directory: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(directory)?;
    let database = directory.join(DATABASE);
    drop(SqliteStore::open(&database)?);
    Ok(database)
}

/// What an agent is that has only a prompt.
pub(crate) fn specification(system_prompt: &str) -> AgentSpec {
    AgentSpec::new(system_prompt)
}

fn ready_deployment(tenant: &TenantId, number: u32) -> Result<(DeploymentId, [Write; 4])> {
    // As long as a generated id, ascending, and older than every one that is generated from now on.
    let suffix = format!("{number:026}");
    let id = DeploymentId::from_suffix(&suffix)?;
    let now = Timestamp::from_millis(1_790_000_000_000 + i64::from(number));
    let deployment = Deployment {
        id: id.clone(),
        tenant_id: tenant.clone(),
        customer_id: format!("customer_{}", number % 1000),
        name: "Load".to_owned(),
        runtime: Runtime::Scripted,
        model: "anthropic/claude-sonnet-4.5".to_owned(),
        spec_version: 1,
        default_thread: ThreadId::from_suffix(&suffix)?,
        instance_id: InstanceId::from_suffix(&suffix)?,
        persistent: true,
        state: DeploymentState::Ready,
        error: None,
        created_at: now,
        revision: 1,
    };
    let thread = Thread {
        id: deployment.default_thread.clone(),
        deployment_id: id.clone(),
        title: Some("Default".to_owned()),
        message_count: 0,
        last_activity_at: now,
        created_at: now,
    };
    let instance = Instance {
        id: deployment.instance_id.clone(),
        deployment_id: id.clone(),
        state: InstanceState::Running,
        restarts: 0,
        restores: None,
        revision: 1,
    };
    let writes = [
        Write::InsertDeployment(deployment),
        Write::InsertSpec(id.clone(), 1, specification("You are an agent.")),
        Write::InsertThread(thread),
        Write::InsertInstance(instance),
    ];
    Ok((id, writes))
}
