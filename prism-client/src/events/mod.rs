//! Following what an agent does.
//!
//! [`Events::stream`] starts a builder, [`OpenEventStream::open`] connects, and [`EventStream`] yields the
//! events and keeps the promise that none is lost and none comes twice, whatever happens to the connection.

mod connect;
mod connection;
mod open;
mod position;
mod signal;
mod stream;
#[cfg(test)]
mod tests;

pub use open::OpenEventStream;
pub use signal::{Signal, Signals};
pub use stream::EventStream;

use crate::resources::deployment_collection;

deployment_collection! {
    /// The events of one deployment; from
    /// [`DeploymentHandle::events`](crate::resources::DeploymentHandle::events).
    Events
}

impl Events {
    /// Follows the events. Nothing is sent before [`OpenEventStream::open`].
    pub fn stream(&self) -> OpenEventStream {
        OpenEventStream::new(&self.client, &self.deployment)
    }
}
