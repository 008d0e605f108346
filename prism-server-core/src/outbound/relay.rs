//! Answers of a model on their way to the agent.

use std::{io, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;

use super::{Agent, metering::Meter, model};
use crate::{
    domain::scrubber::{ScrubbedStream, Scrubber},
    ports::EgressBody,
};

/// An answer that passes as it comes, without secrets, while what it used is counted.
pub(super) struct Relay {
    pub(super) agent: Arc<Agent>,
    pub(super) answer: EgressBody,
    pub(super) scrubbed: Scrubbed,
    pub(super) meter: Meter,
    /// Held for as long as the answer lasts.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// What passes both scrubbers, one after the other.
pub(super) struct Scrubbed {
    keys: ScrubbedStream,
    secrets: ScrubbedStream,
}

impl Scrubbed {
    pub(super) fn new(keys: &Scrubber, secrets: &Scrubber) -> Self {
        Self { keys: keys.stream(), secrets: secrets.stream() }
    }

    fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.secrets.push(&self.keys.push(piece))
    }

    fn finish(&mut self) -> Vec<u8> {
        let mut told = self.secrets.push(&self.keys.finish());
        told.extend(self.secrets.finish());
        told
    }
}

impl Relay {
    /// The body for the agent. Dropped early, it ends the answer.
    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(Some(self), |relay| async {
            let mut relay = relay?;
            let next = relay.next().await?;
            let relay = next.is_ok().then_some(relay);
            Some((next, relay))
        }))
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            match self.answer.next().await {
                Some(Ok(piece)) => {
                    self.meter.usage.read(&piece);
                    let told = self.scrubbed.push(&piece);
                    if !told.is_empty() {
                        return Some(Ok(told.into()));
                    }
                }
                Some(Err(error)) => {
                    tracing::warn!(tenant = %self.agent.tenant_id, %error, "an answer of a model was broken off");
                    self.agent.set_refusal(Some(model::failed(error)));
                    return Some(Err(io::Error::other(error)));
                }
                None => {
                    self.answer = stream::empty().boxed();
                    let told = self.scrubbed.finish();
                    return if told.is_empty() { None } else { Some(Ok(told.into())) };
                }
            }
        }
    }
}
