//! How services are reached from outside.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Request, StatusCode, header::HOST};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prism_types::{InstanceId, SandboxType, Secret, TenantId, VersionId};

use super::services::config;
use crate::{
    core::Core,
    domain::{
        machine::MachineState,
        program::{
            ProgramState,
            hosted::Stage,
            service::{Service, ServiceState},
            version::Version,
        },
    },
    edge::{self, Directory, Target},
    error::Result,
    ports::{BoxFuture, Connection},
    service::{api_keys, machines::ports},
};

/// A URL of a service, which is good for a while, for somebody who reached us under this `Host`; `None`: it has none, for it
/// is not ready or is not to be reached from outside. It is a secret, and is made anew each time.
pub(crate) async fn public_url(
    core: &Core,
    service: &Service,
    version: &Version,
    host: Option<&str>,
) -> Result<Option<Secret>> {
    let is_reached = service.state == ServiceState::Ready && service.hosted.stage != Stage::Empty;
    if !is_reached || !config(version)?.permissions.public_url {
        return Ok(None);
    }
    let Some(deployment) = core.store.program(&service.hosted.deployment_id).await? else { return Ok(None) };
    Ok(core.urls.public_url(&named(service, deployment.tenant_id), host))
}

/// What requests for a service without public traffic need besides; `None`: it has public traffic.
pub(super) fn traffic_token(
    core: &Core,
    service: &Service,
    tenant: &TenantId,
    version: &Version,
) -> Result<Option<Secret>> {
    let is_private = !config(version)?.permissions.allow_public_traffic;
    Ok(is_private.then(|| core.urls.traffic_token(&named(service, tenant.clone()))))
}

fn named(service: &Service, tenant: TenantId) -> edge::Service {
    edge::Service {
        tenant,
        deployment: service.hosted.deployment_id.clone(),
        instance: service.id().clone(),
        port: service.port,
        epoch: service.hosted.starts.into(),
    }
}

/// The status of the answer to a `GET` of a path at a port.
pub(crate) async fn status(
    connection: Box<dyn Connection>,
    port: u16,
    path: &str,
) -> Result<StatusCode, String> {
    let told = |error: &dyn std::fmt::Display| format!("GET {path}: {error}");
    let request = Request::get(path).header(HOST, format!("localhost:{port}")).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| told(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(connection)).await.map_err(|error| told(&error))?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        answer = &mut answer => answer.map(|answer| answer.status()).map_err(|error| told(&error)),
        ended = &mut connection => match ended {
            Ok(()) => answer.await.map(|answer| answer.status()).map_err(|error| told(&error)),
            Err(error) => Err(told(&error)),
        },
    }
}

/// Most versions of which it is remembered how they are reached.
const VERSIONS: usize = 1024;

/// The services and machines of the store, for the edge.
pub(crate) struct Services {
    core: Arc<Core>,
    /// What was read of versions, which never changes.
    versions: Mutex<HashMap<VersionId, Reach>>,
}

/// How the services of a version are reached.
#[derive(Clone)]
struct Reach {
    sandbox: SandboxType,
    is_public: bool,
    allows_public_traffic: bool,
}

impl Services {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, versions: Mutex::default() }
    }

    /// How services of a version are reached; `None`: there is no such version.
    async fn reach(&self, id: &VersionId) -> Result<Option<Reach>> {
        // No change is left half done, so a panic elsewhere is no reason to stop.
        let versions = || self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = versions().get(id) {
            return Ok(Some(known.clone()));
        }
        let Some(version) = self.core.store.version(id).await? else { return Ok(None) };
        let permissions = config(&version)?.permissions;
        let reach = Reach {
            sandbox: version.sandbox,
            is_public: permissions.public_url,
            allows_public_traffic: permissions.allow_public_traffic,
        };
        let mut versions = versions();
        if versions.len() >= VERSIONS {
            versions.clear();
        }
        versions.insert(id.clone(), reach.clone());
        Ok(Some(reach))
    }
}

impl Directory for Services {
    fn target<'a>(&'a self, instance: &'a InstanceId, port: u16) -> BoxFuture<'a, Result<Option<Target>>> {
        let core = self.core.as_ref();
        Box::pin(async move {
            let Some(service) = core.store.service(instance).await? else {
                let machine = core.store.machine(instance).await?;
                let machine = machine.filter(|found| found.state != MachineState::Destroyed);
                return machine.map_or(Ok(None), |machine| ports::target(core, &machine, port));
            };
            let deployment = core.store.program(&service.hosted.deployment_id).await?;
            let deployment = deployment.filter(|found| found.state != ProgramState::Deleted);
            let reach = self.reach(&service.hosted.version_id).await?;
            let (Some(deployment), Some(reach)) = (deployment, reach) else { return Ok(None) };
            let Some(sandbox) = core.sandbox(&reach.sandbox) else { return Ok(None) };
            Ok(Some(Target {
                service: named(&service, deployment.tenant_id),
                sandbox: sandbox.clone(),
                is_public: reach.is_public,
                allows_public_traffic: reach.allows_public_traffic,
                // One that did not answer as it should for a moment may answer now.
                is_ready: matches!(service.state, ServiceState::Ready | ServiceState::Unhealthy),
            }))
        })
    }

    fn is_api_key<'a>(&'a self, bearer: &'a str) -> BoxFuture<'a, bool> {
        let core = self.core.as_ref();
        Box::pin(async move {
            // What cannot be found out is taken for one: an app can do without, a key must not be told.
            let found = core.store.api_key_by_hash(&api_keys::hash(bearer)).await;
            found.map_or(true, |key| key.is_some())
        })
    }
}
