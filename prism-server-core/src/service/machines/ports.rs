//! Ports of machines, as they are reached from outside.

use std::time::Duration;

use prism_types::{InstanceId, Secret};
use tokio::time::{Instant, sleep, timeout};

use super::{hosting, running, sandboxes};
use crate::{
    core::Core,
    domain::{
        machine::{Machine, MachineState},
        tenant::Principal,
    },
    edge::{self, Target},
    error::{Error, Result},
    ports::SandboxError,
    service::programs::reach,
};

/// How long a look at a port may take.
const LOOK: Duration = Duration::from_secs(5);

/// What to look for at a port.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) port: u16,
    /// What a `GET` has to be answered for; `None`: it has to take a connection.
    pub(crate) path: Option<String>,
    pub(crate) time: Duration,
    pub(crate) interval: Duration,
}

/// What was found at a port.
#[derive(Debug)]
pub(crate) struct Found {
    /// Why not; `None`: it was as it should be.
    pub(crate) failure: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) took: Duration,
}

/// A URL of a port of a machine, for so long, for somebody who reached us under this `Host`. It is a secret, and is made
/// anew each time.
pub(crate) async fn url(
    core: &Core,
    principal: &Principal,
    id: &InstanceId,
    (port, life): (u16, Option<Duration>),
    host: Option<&str>,
) -> Result<edge::PublicUrl> {
    let machine = running(core, principal, id).await?;
    let url = core.urls.url_for(&named(&machine, port)?, host, life);
    url.ok_or_else(|| Error::internal("the id of a machine has no place in a name"))
}

/// What requests for the ports of a machine without public traffic need besides; `None`: it has public traffic. A token
/// is for all ports.
pub(crate) fn traffic_token(core: &Core, machine: &Machine) -> Result<Option<Secret>> {
    let is_private = !machine.allows_public_traffic;
    is_private.then(|| Ok(core.urls.traffic_token(&named(machine, 1)?))).transpose()
}

/// Looks at a port until it is as it should be, or the time is over.
pub(crate) async fn probe(
    core: &Core,
    principal: &Principal,
    id: &InstanceId,
    probe: &Probe,
) -> Result<Found> {
    let machine = running(core, principal, id).await?;
    let sandboxes = sandboxes(core, &machine.model)?;
    let hosting = hosting(sandboxes.as_ref())?;
    let begun = Instant::now();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let left = probe.time.saturating_sub(begun.elapsed());
        let look = async {
            let connection = hosting.connect(id, probe.port).await;
            let connection = connection.map_err(|error| match error {
                SandboxError::Refused(_) => "nothing listens at the port".to_owned(),
                error => error.to_string(),
            })?;
            let Some(path) = &probe.path else { return Ok(()) };
            let status = reach::status(connection, probe.port, path).await?;
            let is_ready = status.is_success() || status.is_redirection();
            if is_ready { Ok(()) } else { Err(format!("GET {path} was answered with {status}")) }
        };
        let looked = timeout(LOOK.min(left.max(probe.interval)), look).await;
        let failure = looked.unwrap_or_else(|_| Err("no answer in time".to_owned())).err();
        let is_over = begun.elapsed() + probe.interval > probe.time || core.shutdown.is_cancelled();
        if failure.is_none() || is_over {
            return Ok(Found { failure, attempts, took: begun.elapsed() });
        }
        sleep(probe.interval).await;
    }
}

/// A machine for the edge.
pub(crate) fn target(core: &Core, machine: &Machine, port: u16) -> Result<Option<Target>> {
    let Some(sandbox) = core.sandbox(&machine.model.sandbox) else { return Ok(None) };
    Ok(Some(Target {
        service: named(machine, port)?,
        sandbox: sandbox.clone(),
        is_public: true,
        allows_public_traffic: machine.allows_public_traffic,
        is_ready: machine.state == MachineState::Running,
    }))
}

fn named(machine: &Machine, port: u16) -> Result<edge::Service> {
    let deployment = machine.deployment_id().ok_or_else(|| Error::internal("a machine has no suffix"))?;
    Ok(edge::Service {
        tenant: machine.tenant_id.clone(),
        deployment,
        instance: machine.id.clone(),
        port,
        epoch: 0,
    })
}
