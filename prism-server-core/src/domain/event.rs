//! The event log's lines and their ids.
//!
//! An event's id is `evt_<suffix of the deployment's id>_<sequence number>`. It is bound to its log by its
//! form: an id of another deployment is refused without a look into the store, and the place to resume after
//! is known without one.

use prism_types::{DeploymentId, EventId, EventPayload, InstanceId, RunId, ThreadId, Timestamp};

use super::numbered;

/// An event to be appended; the store gives it its sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: engines and embedders build it")]
pub struct NewEvent {
    /// The log.
    pub deployment_id: DeploymentId,
    /// The run, if any.
    pub run_id: Option<RunId>,
    /// The thread, if any.
    pub thread_id: Option<ThreadId>,
    /// The instance whose program it is about, if any.
    pub instance_id: Option<InstanceId>,
    /// The event's name on the stream.
    pub name: String,
    /// The payload's JSON.
    pub data: String,
    /// When it happened.
    pub created_at: Timestamp,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct LoggedEvent {
    /// Its place in the log, from 1 without gaps.
    pub sequence: u64,
    /// What was appended.
    pub event: NewEvent,
}

impl NewEvent {
    /// An event with this payload.
    pub fn new(deployment_id: DeploymentId, payload: &EventPayload, created_at: Timestamp) -> Self {
        // A payload is made of strings and of JSON that was checked when it was made, so it serialises; if
        // that ever ceased to hold, an empty object would be a lesser evil than a panic.
        let data = payload.to_data().unwrap_or_else(|_| "{}".to_owned());
        Self {
            deployment_id,
            run_id: payload.run_id().cloned(),
            thread_id: payload.thread_id().cloned(),
            instance_id: None,
            name: payload.name().to_owned(),
            data,
            created_at,
        }
    }
}

/// The id of an event.
pub fn event_id(deployment_id: &DeploymentId, sequence: u64) -> String {
    numbered::id(EventId::PREFIX, deployment_id.suffix(), sequence)
}

/// The sequence number in an id; `None` when the id is not one of this deployment's.
pub fn sequence_of(deployment_id: &DeploymentId, event_id: &str) -> Option<u64> {
    numbered::number(EventId::PREFIX, deployment_id.suffix(), event_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_is_read_back_by_its_own_log_only(sequence in any::<u64>(), suffix in "[a-z0-9_]{1,26}") {
            let deployment = DeploymentId::from_suffix(&suffix).unwrap();
            let id = event_id(&deployment, sequence);
            prop_assert!(id.parse::<EventId>().is_ok());
            prop_assert_eq!(sequence_of(&deployment, &id), Some(sequence));
            let other = DeploymentId::from_suffix(&format!("{suffix}x")).unwrap();
            prop_assert_eq!(sequence_of(&other, &id), None);
        }
    }

    #[test]
    fn other_strings_are_no_ids() {
        let deployment: DeploymentId = "dep_a".parse().unwrap();
        for id in ["", "evt_a", "evt_a_", "evt_a_-1", "evt_a_+1", "evt_a_01", "evt_a_99999999999999999999"] {
            assert_eq!(sequence_of(&deployment, id), None, "{id}");
        }
    }
}
