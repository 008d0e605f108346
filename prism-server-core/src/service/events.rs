//! Events: following a deployment's log.

use std::time::Duration;

use prism_types::DeploymentId;

use super::deployments;
use crate::{
    core::Core,
    domain::{event::sequence_of, tenant::Principal},
    error::{Error, ErrorKind, Result},
    event_log::{EventFilter, Subscription},
};

/// Follows a deployment's log: after the event `last_event_id`, or from now on.
pub(crate) async fn subscribe(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    last_event_id: Option<&str>,
    filter: EventFilter,
) -> Result<Subscription> {
    deployments::get(core, principal, deployment_id).await?;
    if let Some(thread_id) = &filter.thread_id {
        let thread = core.store.thread(thread_id).await?;
        thread.filter(|t| t.deployment_id == *deployment_id).ok_or_else(|| Error::not_found("Thread"))?;
    }
    if let Some(run_id) = &filter.run_id {
        let run = core.store.run(run_id).await?;
        run.filter(|r| r.deployment_id == *deployment_id).ok_or_else(|| Error::not_found("Run"))?;
    }
    let after = match last_event_id {
        Some(id) => Some(position(core, deployment_id, id).await?),
        None => None,
    };
    if core.event_log.followers(deployment_id) >= core.settings.streams_per_deployment {
        let most = core.settings.streams_per_deployment;
        let message = format!("The deployment has {most} open event streams, which is the most. Close one.");
        return Err(Error::new(ErrorKind::RateLimited, message).retry_after(Duration::from_secs(5)));
    }
    let store = core.store.clone();
    let subscription = Subscription::open(&core.event_log, store, deployment_id, after, filter).await?;
    // A delete closes the subscriptions that it finds; one that was opened just after must see it here.
    deployments::get(core, principal, deployment_id).await?;
    Ok(subscription)
}

/// The place in the log that an event id names. An id of another log, or of an event that was never logged,
/// is refused: going on silently from elsewhere would lose events.
async fn position(core: &Core, deployment_id: &DeploymentId, event_id: &str) -> Result<u64> {
    let sequence = sequence_of(deployment_id, event_id);
    let known = match sequence {
        Some(sequence) => sequence <= core.store.last_sequence(deployment_id).await?,
        None => false,
    };
    sequence.filter(|_| known).ok_or_else(|| {
        let message =
            "Last-Event-ID names no event of this deployment. Leave it out to start with new events.";
        Error::new(ErrorKind::Invalid, message)
    })
}
