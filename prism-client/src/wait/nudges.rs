//! When to look again: at an event, or after a pause.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use prism_types::{DeploymentId, EventPayload, RunId};
use tokio::time::sleep;

use crate::{Client, EventStream, RetryPolicy};

/// How long a stream of events is trusted to tell of every change.
const TRUST: Duration = Duration::from_secs(30);

/// The events of a run, which carry nothing but that it is time to look.
pub(super) struct Nudges {
    client: Client,
    stream: Option<EventStream>,
    /// There was a stream, or there can be none.
    has_tried: bool,
}

impl Nudges {
    pub(super) fn new(client: &Client) -> Self {
        Self { client: client.clone(), stream: None, has_tried: false }
    }

    /// Listens to the events of a run, and says whether it just began to.
    pub(super) async fn listen_to(&mut self, run: Option<(&DeploymentId, &RunId)>) -> bool {
        let Some((deployment, run)) = run.filter(|_| !self.has_tried) else { return false };
        self.has_tried = true;
        let events = self.client.deployment(deployment).events().stream().run(run.clone());
        // Without it there are the pauses.
        self.stream = events.retries(RetryPolicy::none()).open().await.ok();
        self.stream.is_some()
    }

    /// Ready when it is time to look again.
    pub(super) async fn next(&mut self, pause: Duration) {
        let Some(stream) = &mut self.stream else { return sleep(pause).await };
        let is_over = match select(pin!(changed(stream)), pin!(sleep(TRUST))).await {
            Either::Left((is_over, _)) => is_over,
            Either::Right(_) => false,
        };
        if is_over {
            self.stream = None;
        }
    }
}

/// Ready at the next event that tells of a change; with whether the stream is over.
async fn changed(stream: &mut EventStream) -> bool {
    while let Some(Ok(event)) = stream.next().await {
        if matches!(event.payload, EventPayload::RunStatus(_) | EventPayload::SteeringRequest(_)) {
            return false;
        }
    }
    true
}
