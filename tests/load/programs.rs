//! Jobs and services of a server that is measured: deployed, started and removed.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use prism_client::{
    Client,
    nullspace::{AgentDeploymentHandle, Bundle},
};
use prism_types::nullspace::{
    AgentConfig, CreateAgentDeployment, CreateService, CreateVersion, Permissions, ReadinessProbe,
    ServiceInstance,
};

use crate::{
    Result,
    process::{KEY, Server, hosted_line},
};

/// How long something may take that is only waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// The programs of a server.
pub(crate) struct Programs {
    client: Client,
    sandboxes: PathBuf,
}

impl Programs {
    /// Those of the server on this data directory.
    pub(crate) fn of(server: &Server, data_directory: &Path) -> Result<Self> {
        let client = Client::builder().base_url(format!("http://{}", server.address)).api_key(KEY).build()?;
        Ok(Self { client, sandboxes: data_directory.join("processes") })
    }

    /// Makes a deployment with one version, of one small file.
    pub(crate) async fn deploy(&self, config: &AgentConfig) -> Result<AgentDeploymentHandle> {
        let nullspace = self.client.nullspace();
        let name = config.name.clone().unwrap_or_default();
        let created =
            nullspace.deployments().create(CreateAgentDeployment::new(name, config.mode.clone())).await?;
        let deployment = nullspace.deployment(&created.id);
        let bundle = Bundle::builder().file("data.txt", "some data").build(config)?;
        let version = deployment.versions().create(CreateVersion::new(bundle.manifest(), config)).await?;
        deployment.versions().upload(&version.id, &bundle).await?;
        Ok(deployment)
    }

    /// Starts a service and waits until it is ready.
    pub(crate) async fn start(&self, deployment: &AgentDeploymentHandle) -> Result<ServiceInstance> {
        let created = deployment.services().create(CreateService::new()).await?;
        Ok(deployment.services().wait_until_ready(&created.id).await?)
    }

    /// Waits until there are at most so many sandboxes: one for each version, and those of what has not ended.
    pub(crate) async fn settled(&self, sandboxes: usize) -> Result<()> {
        let begun = Instant::now();
        while std::fs::read_dir(&self.sandboxes).map_or(0, Iterator::count) > sandboxes {
            if begun.elapsed() > PATIENCE {
                return Err("sandboxes are not removed".into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Deletes a deployment and, if it is the last one, waits until all processes have ended.
    pub(crate) async fn remove(&self, deployment: AgentDeploymentHandle, is_last: bool) -> Result<()> {
        deployment.delete().await?;
        if is_last { self.settled(0).await } else { Ok(()) }
    }
}

/// A service that serves what the baseline does, reached from outside.
pub(crate) fn static_server(port: u16) -> Result<AgentConfig> {
    Ok(AgentConfig::service("web", hosted_line()?, port)
        .readiness(ReadinessProbe::http("/small"))
        .permissions(Permissions::default().public_url(true)))
}

/// A port of this machine that nobody listens at.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
