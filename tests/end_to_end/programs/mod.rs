//! Deployments of programs, over the API of agent deployments: jobs and services as processes of this machine, whose
//! commands are those of its shell.

mod access;
mod crash;
mod jobs;
mod keys;
mod live;
mod sandboxes;
mod services;
mod settings;
mod uploads;

use std::{future::Future, time::Duration};

use prism_client::nullspace::{AgentDeploymentHandle, Bundle};
use prism_tests::{ServerOptions, TestServer};
use prism_types::nullspace::{
    AgentConfig, AgentDeploymentVersion, CachePolicy, CreateAgentDeployment, CreateVersion,
};
use serde_json::Value;

/// How long a condition may take to hold.
const DEADLINE: Duration = Duration::from_secs(60);

/// A server whose sandboxes are processes.
async fn server() -> TestServer {
    TestServer::with(ServerOptions { on_disk: true, ..ServerOptions::default() }).await
}

/// A deployment of a program that is configured so.
async fn deploy(client: &prism_client::Client, name: &str, config: Value) -> AgentDeploymentHandle {
    let config: AgentConfig = serde_json::from_value(config).unwrap();
    let nullspace = client.nullspace();
    let request = CreateAgentDeployment::new(name, config.mode.clone());
    let created = nullspace.deployments().create(request).await.unwrap();
    let deployment = nullspace.deployment(&created.id);
    add_version(&deployment, &config, CachePolicy::Auto).await;
    deployment
}

/// A job of this line of the shell.
async fn deploy_job(client: &prism_client::Client, name: &str, line: &str) -> AgentDeploymentHandle {
    let config = serde_json::to_value(AgentConfig::job(name, line)).unwrap();
    deploy(client, name, config).await
}

async fn add_version(
    deployment: &AgentDeploymentHandle,
    config: &AgentConfig,
    cache: CachePolicy,
) -> AgentDeploymentVersion {
    let bundle = Bundle::builder().file("data.txt", "some data").build(config).unwrap();
    let request = CreateVersion::new(bundle.manifest(), config).cache_policy(cache);
    let version = deployment.versions().create(request).await.unwrap();
    deployment.versions().upload(&version.id, &bundle).await.unwrap();
    deployment.versions().get(&version.id).await.unwrap().into_inner()
}

/// Deletes a deployment and waits until nothing of it is left: its processes have ended then.
async fn remove(
    client: &prism_client::Client,
    deployment: AgentDeploymentHandle,
    sandboxes: &std::path::Path,
) {
    deployment.delete().await.unwrap();
    let is_empty = async || std::fs::read_dir(sandboxes).map_or(0, Iterator::count) == 0;
    until("the sandboxes are gone", async || is_empty().await.then_some(())).await;
    assert!(client.nullspace().deployment(deployment.id()).get().await.unwrap_err().is_not_found());
}

/// What `look` gives, once it gives anything.
async fn until<T, Fut: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> Fut) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(DEADLINE, found).await.unwrap_or_else(|_| panic!("never: {what}"))
}
