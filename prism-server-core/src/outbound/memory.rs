//! How much of the gateway's memory the requests and answers of one deployment may hold together.
//!
//! Each of them has a limit, and so has their number; but as many of the largest as are allowed would still be too
//! much, and both an agent and a user's MCP server may be hostile.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::limits;

/// The unit in which memory is counted, in bytes.
const UNIT: usize = 1024;

/// The memory of one deployment.
#[derive(Clone)]
pub(super) struct Memory(Arc<Semaphore>);

/// A part of the memory that is held. Dropped, it is free again.
pub(super) struct Held {
    memory: Arc<Semaphore>,
    permits: Vec<OwnedSemaphorePermit>,
    units: usize,
}

/// There is not so much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// Why a body was not read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unread {
    TooLarge,
    TooSlow,
    BrokenOff,
    Full,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(limits::OUTBOUND_MEMORY / UNIT)))
    }

    pub(super) fn hold_nothing(&self) -> Held {
        Held { memory: self.0.clone(), permits: Vec::new(), units: 0 }
    }

    /// Reads the body of an agent's request.
    pub(super) async fn read(&self, body: Body, limit: usize) -> Result<(Bytes, Held), Unread> {
        self.read_within(body, limit, limits::OUTBOUND_BODY_TIME).await
    }

    async fn read_within(&self, body: Body, limit: usize, time: Duration) -> Result<(Bytes, Held), Unread> {
        let mut held = self.hold_nothing();
        let read = async {
            let (mut whole, mut pieces) = (Vec::new(), body.into_data_stream());
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|_| Unread::BrokenOff)?;
                if whole.len() + piece.len() > limit {
                    return Err(Unread::TooLarge);
                }
                held.hold(whole.len() + piece.len()).map_err(|Full| Unread::Full)?;
                whole.extend_from_slice(&piece);
            }
            Ok(whole.into())
        };
        let whole = tokio::time::timeout(time, read).await.map_err(|_| Unread::TooSlow)??;
        Ok((whole, held))
    }
}

impl Held {
    /// Holds so many bytes in all, at least; with 0, gives all back.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Full> {
        let units = bytes.div_ceil(UNIT);
        if units == 0 {
            self.permits.clear();
            self.units = 0;
        }
        if units > self.units {
            // More than is asked, so that what grows by small pieces does not ask for each.
            let more = (units - self.units).max(self.units.min(1024));
            let permit = u32::try_from(more)
                .ok()
                .and_then(|more| self.memory.clone().try_acquire_many_owned(more).ok());
            self.permits.push(permit.ok_or(Full)?);
            self.units += more;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let memory = Memory::new();
        let (mut one, mut other) = (memory.hold_nothing(), memory.hold_nothing());
        one.hold(limits::OUTBOUND_MEMORY).unwrap();
        one.hold(1).unwrap();
        assert_eq!(other.hold(1), Err(Full));
        one.hold(0).unwrap();
        other.hold(limits::OUTBOUND_MEMORY).unwrap();
        drop(other);
        assert_eq!(one.hold(limits::OUTBOUND_MEMORY + 1), Err(Full));
        for bytes in (0..5_000_000).step_by(500) {
            one.hold(bytes).unwrap();
        }
        assert!(one.permits.len() < 20, "{}", one.permits.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let memory = Memory::new();
        let read = memory.read(Body::from_stream(stream::pending::<std::io::Result<Bytes>>()), 9).await;
        assert!(matches!(read, Err(Unread::TooSlow)));
        let (body, _held) =
            memory.read(Body::from("123456789"), 9).await.unwrap_or_else(|_| panic!("it fits"));
        assert_eq!(body, "123456789");
        assert!(matches!(memory.read(Body::from("1234567890"), 9).await, Err(Unread::TooLarge)));
        let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("broken"))]);
        assert!(matches!(memory.read(Body::from_stream(broken), 9).await, Err(Unread::BrokenOff)));
    }
}
