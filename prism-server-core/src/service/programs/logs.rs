//! Logs of jobs and services: a part of the event log of their deployment.

use prism_types::{DeploymentId, InstanceId};

use crate::{
    core::Core,
    domain::{event::LoggedEvent, limits, program::log::Line},
    error::Result,
    ports::LogPlace,
};

/// A page of a log.
pub(crate) struct LogPage {
    pub(crate) lines: Vec<(LoggedEvent, Line)>,
    pub(crate) has_more: bool,
    /// The sequence number after which the next page begins.
    pub(crate) next: u64,
}

/// A page of the log of a job or a service, which the caller may see.
pub(crate) async fn page(
    core: &Core,
    deployment: &DeploymentId,
    instance: &InstanceId,
    place: LogPlace,
    limit: u32,
) -> Result<LogPage> {
    // Nothing later than this is on the page, so that whoever has read it can go on after it.
    let last = core.store.last_sequence(deployment).await?;
    let (place, asked) = match place {
        LogPlace::Tail(count) => (LogPlace::Tail(count.min(limit)), count.min(limit)),
        _ => (place, limit.saturating_add(1)),
    };
    let wanted = limit;
    let mut events = core.store.instance_events(instance, place, asked).await?;
    // A page of long lines can end early.
    let bytes: usize = events.iter().map(|event| event.event.data.len()).sum();
    let is_cut = events.len() > wanted as usize || bytes >= limits::EVENT_PAGE;
    events.truncate(wanted as usize);
    let next = match (events.last(), place) {
        (Some(event), _) => event.sequence,
        (None, LogPlace::After(after)) => after.max(last),
        (None, _) => last,
    };
    let lines = events.into_iter().filter_map(|event| {
        let line = Line::of(&event.event)?;
        Some((event, line))
    });
    Ok(LogPage { lines: lines.collect(), has_more: is_cut, next })
}
