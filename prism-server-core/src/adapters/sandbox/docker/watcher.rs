//! Tells the listener of containers that died, by following the engine's events.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::StreamExt;
use prism_types::InstanceId;
use tokio::time;

use super::{container, engine::Engine};
use crate::ports::{SandboxError, SandboxListener};

/// The first pause before the engine is asked again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// The engine's clock is this machine's, but it counts in whole seconds here.
const OVERLAP: u64 = 1;

/// Follows the deaths of the owner's containers for ever.
pub(super) async fn watch(
    engine: Arc<Engine>,
    owner: String,
    removals: Arc<Removals>,
    listener: Arc<dyn SandboxListener>,
) {
    let mut pause = PAUSES.0;
    loop {
        match follow(&engine, &owner, &removals, listener.as_ref(), &mut pause).await {
            Ok(()) => tracing::debug!("the engine ended the events"),
            Err(error) => tracing::warn!(%error, "the engine's events cannot be followed"),
        }
        time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Tells of those that are dead already, since nobody listened when they died; then of those that die.
async fn follow(
    engine: &Engine,
    owner: &str,
    removals: &Removals,
    listener: &dyn SandboxListener,
    pause: &mut Duration,
) -> Result<(), SandboxError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for labels in engine.containers(owner, true).await? {
        tell(listener, labels.get(container::INSTANCE));
    }
    let mut deaths = pin!(engine.deaths(owner, now.saturating_sub(OVERLAP)));
    while let Some(death) = deaths.next().await {
        let death = death.map_err(|error| SandboxError::Failed(error.to_string()))?;
        *pause = PAUSES.0;
        let Some(actor) = death.actor else { continue };
        if !actor.id.is_some_and(|id| removals.contain(&id)) {
            tell(listener, actor.attributes.as_ref().and_then(|labels| labels.get(container::INSTANCE)));
        }
    }
    Ok(())
}

fn tell(listener: &dyn SandboxListener, instance: Option<&String>) {
    if let Some(id) = instance.and_then(|text| text.parse::<InstanceId>().ok()) {
        listener.died(&id);
    }
}

/// The containers that this gateway removed lately: that they die is no news. The events come after the call,
/// so a container stays in here until 1,024 others were removed.
#[derive(Default)]
pub(super) struct Removals(Mutex<VecDeque<String>>);

impl Removals {
    const MOST: usize = 1024;

    /// Notes a container by the engine's id, before it is removed.
    pub(super) fn note(&self, container: String) {
        let mut noted = self.lock();
        if noted.len() == Self::MOST {
            noted.pop_front();
        }
        noted.push_back(container);
    }

    fn contain(&self, container: &str) -> bool {
        self.lock().iter().any(|noted| noted == container)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_are_bounded_and_the_newest_are_known() {
        let removals = Removals::default();
        for index in 0..=Removals::MOST {
            removals.note(index.to_string());
        }
        assert_eq!(removals.lock().len(), Removals::MOST);
        assert!(!removals.contain("0"));
        assert!(removals.contain("1") && removals.contain("1024"));
    }
}
