//! Deliveries: messages to a webhook, each tried until it is taken or given up.

use std::time::Duration;

use prism_types::{
    DeploymentId, Event, EventPayload, RawJson, Timestamp, WebhookAttempt, WebhookContent, WebhookDeliveryId,
    WebhookDeliveryStatus, WebhookId, WebhookMessage,
};

use super::later;
use crate::domain::{Refused, event::event_id, limits, numbered, words};

/// How long is waited after each try but the last, as the Standard Webhooks specification proposes: 10 tries within 75
/// hours.
pub const WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];

/// A message to a webhook and what became of it. What it says is kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Delivery {
    /// The webhook that it is for.
    pub webhook_id: WebhookId,
    /// Its place among the deliveries of the webhook, from 1.
    pub sequence: u64,
    /// The name of the event, or [`super::PING`].
    pub kind: String,
    /// The event, unless it is a test.
    pub event: Option<EventPlace>,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was tried since it was queued or sent again.
    pub tries: u32,
    /// The newest [`limits::WEBHOOK_ATTEMPTS`] tries, oldest first.
    pub attempts: Vec<WebhookAttempt>,
    /// When it is tried next; only while it is pending.
    pub next_at: Option<Timestamp>,
    /// When it was queued, which never goes back from one delivery of a webhook to the next.
    pub created_at: Timestamp,
    /// When it was taken or given up.
    pub finished_at: Option<Timestamp>,
    /// Raised by one with each change.
    pub revision: u64,
}

/// Where an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a part of a record: stores build it from its columns")]
pub struct EventPlace {
    /// The log.
    pub deployment_id: DeploymentId,
    /// Its place in the log.
    pub sequence: u64,
}

words! {
    /// What became of a delivery.
    pub enum DeliveryState {
        /// It is to be tried.
        Pending = "pending",
        /// It was taken.
        Delivered = "delivered",
        /// Every try failed.
        Failed = "failed",
    }
}

/// What can happen to a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a state machine is closed")]
pub enum DeliveryCommand {
    /// It was taken.
    Succeed(WebhookAttempt),
    /// It was not taken. The number is chance, of 1,000, and spreads the next try.
    Fail(WebhookAttempt, u16),
    /// It is to be sent again, from the first try on.
    Redeliver(Timestamp),
}

impl DeliveryState {
    /// The status on the wire.
    pub fn status(self) -> WebhookDeliveryStatus {
        match self {
            Self::Pending => WebhookDeliveryStatus::Pending,
            Self::Delivered => WebhookDeliveryStatus::Delivered,
            Self::Failed => WebhookDeliveryStatus::Failed,
        }
    }
}

impl Delivery {
    /// A delivery that is due at once.
    pub fn new(
        webhook_id: WebhookId,
        sequence: u64,
        kind: String,
        event: Option<EventPlace>,
        at: Timestamp,
    ) -> Self {
        Self {
            webhook_id,
            sequence,
            kind,
            event,
            state: DeliveryState::Pending,
            tries: 0,
            attempts: Vec::new(),
            next_at: Some(at),
            created_at: at,
            finished_at: None,
            revision: 0,
        }
    }

    /// Its id, which is the same for every try.
    pub fn id(&self) -> String {
        numbered::id(WebhookDeliveryId::PREFIX, self.webhook_id.suffix(), self.sequence)
    }

    /// The body of its requests, the same for every try.
    pub fn body(&self, data: &str) -> String {
        let message = self.event.as_ref().and_then(|place| {
            let id = event_id(&place.deployment_id, place.sequence).parse().ok()?;
            let payload = EventPayload::decode(&self.kind, data).ok()?;
            let event = Event::new(id, payload);
            Some(WebhookMessage::event(place.deployment_id.clone(), event, self.created_at))
        });
        let message = message.unwrap_or_else(|| {
            let data = RawJson::parse(data).or_else(|_| RawJson::of(data));
            let mut message = WebhookMessage::ping(self.webhook_id.clone(), self.created_at);
            message.kind.clone_from(&self.kind);
            if let Ok(data) = data {
                message.content = WebhookContent::Unknown(data);
            }
            message
        });
        // It is made of strings and of JSON that was checked when it was made.
        serde_json::to_string(&message).unwrap_or_else(|_| "{}".to_owned())
    }

    /// Carries out a command.
    ///
    /// | state \ command | succeed | fail | redeliver |
    /// |---|---|---|---|
    /// | pending | delivered | pending; failed after the last try | pending |
    /// | delivered, failed | - | - | pending |
    ///
    /// # Errors
    /// When the table has no entry.
    pub fn apply(&mut self, command: DeliveryCommand) -> Result<(), Refused> {
        use {DeliveryCommand as C, DeliveryState as S};
        match (self.state, command) {
            (S::Pending, C::Succeed(attempt)) => {
                self.finish(S::Delivered, ended(&attempt));
                self.note(attempt);
            }
            (S::Pending, C::Fail(attempt, chance)) => {
                let at = ended(&attempt);
                self.note(attempt);
                match WAITS.get((self.tries - 1) as usize) {
                    Some(wait) => self.next_at = Some(later(at, spread(*wait, chance))),
                    None => self.finish(S::Failed, at),
                }
            }
            (_, C::Redeliver(at)) => {
                self.state = S::Pending;
                self.tries = 0;
                self.next_at = Some(at);
                self.finished_at = None;
            }
            (state, command) => {
                return Err(Refused { command: command.name(), noun: "delivery", state: state.as_str() });
            }
        }
        Ok(())
    }

    fn note(&mut self, attempt: WebhookAttempt) {
        self.tries = self.tries.saturating_add(1);
        if self.attempts.len() >= limits::WEBHOOK_ATTEMPTS {
            self.attempts.remove(0);
        }
        self.attempts.push(attempt);
    }

    fn finish(&mut self, state: DeliveryState, at: Timestamp) {
        self.state = state;
        self.next_at = None;
        self.finished_at = Some(at);
    }
}

impl DeliveryCommand {
    fn name(&self) -> &'static str {
        match self {
            Self::Succeed(_) => "succeed",
            Self::Fail(..) => "fail",
            Self::Redeliver(_) => "redeliver",
        }
    }
}

/// The place of a delivery by its id; `None` when the id is not one of this webhook's.
pub fn sequence_of(webhook_id: &WebhookId, delivery_id: &WebhookDeliveryId) -> Option<u64> {
    numbered::number(WebhookDeliveryId::PREFIX, webhook_id.suffix(), delivery_id.as_str())
}

/// A wait with up to a tenth more, so that what failed together does not come back together.
fn spread(wait: Duration, chance: u16) -> Duration {
    wait + wait / 10 * u32::from(chance.min(1000)) / 1000
}

/// When a try ended.
fn ended(attempt: &WebhookAttempt) -> Timestamp {
    later(attempt.at, Duration::from_millis(attempt.duration_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn sample() -> Delivery {
        Delivery::new("whe_1".parse().unwrap(), 7, "ping".to_owned(), None, at(0))
    }

    fn command() -> impl Strategy<Value = DeliveryCommand> {
        let attempt =
            (0..1_000_000_i64, 0..15_000_u64).prop_map(|(s, took)| WebhookAttempt::new(at(s), took));
        prop_oneof![
            1 => attempt.clone().prop_map(DeliveryCommand::Succeed),
            8 => (attempt, 0..=1000_u16).prop_map(|(attempt, chance)| DeliveryCommand::Fail(attempt, chance)),
            1 => (0..1_000_000_i64).prop_map(|seconds| DeliveryCommand::Redeliver(at(seconds))),
        ]
    }

    proptest! {
        #[test]
        fn under_any_commands_what_is_over_is_dated_and_what_is_pending_is_due(
            commands in prop::collection::vec(command(), 0..60),
        ) {
            let mut delivery = sample();
            for command in commands {
                let before = delivery.clone();
                let redelivers = matches!(command, DeliveryCommand::Redeliver(_));
                if delivery.apply(command).is_err() {
                    prop_assert_eq!(&delivery, &before);
                    prop_assert!(before.state != DeliveryState::Pending && !redelivers);
                }
                let pending = delivery.state == DeliveryState::Pending;
                prop_assert_eq!(delivery.next_at.is_some(), pending);
                prop_assert_eq!(delivery.finished_at.is_some(), !pending);
                prop_assert!(delivery.tries <= 10 && delivery.attempts.len() <= limits::WEBHOOK_ATTEMPTS);
                prop_assert_eq!(delivery.id(), before.id());
            }
        }
    }

    #[test]
    fn ten_tries_are_made_within_the_stated_times() {
        for (chance, hours) in [(0, 75.6), (1000, 83.2)] {
            let (mut delivery, mut waits) = (sample(), Vec::new());
            let mut now = at(0);
            while delivery.state == DeliveryState::Pending {
                now = delivery.next_at.unwrap();
                waits.push(now);
                delivery.apply(DeliveryCommand::Fail(WebhookAttempt::new(now, 0), chance)).unwrap();
            }
            assert_eq!((delivery.state, waits.len()), (DeliveryState::Failed, 10));
            assert_eq!(delivery.finished_at, Some(now));
            let taken = now.as_millis() as f64 / 3_600_000.0;
            assert!((taken - hours).abs() < 0.1, "{taken} hours");
        }
    }

    #[test]
    fn a_delivery_that_is_sent_again_keeps_its_id_and_its_newest_attempts() {
        let mut delivery = sample();
        for number in 0..25 {
            if delivery.state == DeliveryState::Failed {
                delivery.apply(DeliveryCommand::Redeliver(at(number))).unwrap();
            }
            delivery.apply(DeliveryCommand::Fail(WebhookAttempt::new(at(number), 0), 0)).unwrap();
        }
        assert_eq!(delivery.id(), "whd_1_7");
        assert_eq!(
            delivery.attempts.iter().map(|attempt| attempt.at).collect::<Vec<_>>(),
            (5..25).map(at).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_body_has_what_the_stream_has_and_its_ids() {
        let place = EventPlace { deployment_id: "dep_1".parse().unwrap(), sequence: 4 };
        let told = Delivery { kind: "run_status".to_owned(), event: Some(place), ..sample() };
        assert_eq!(
            told.body(r#"{"run_id":"run_1","status":"running"}"#),
            r#"{"type":"run_status","timestamp":"1970-01-01T00:00:00.000Z","data":{"deployment_id":"dep_1","event_id":"evt_1_4","run_id":"run_1","status":"running"}}"#
        );
        assert_eq!(
            sample().body(r#"{"webhook_id":"whe_1"}"#),
            r#"{"type":"ping","timestamp":"1970-01-01T00:00:00.000Z","data":{"webhook_id":"whe_1"}}"#
        );
    }

    #[test]
    fn an_id_is_read_back_by_its_own_webhook_only() {
        let id: WebhookDeliveryId = sample().id().parse().unwrap();
        assert_eq!(sequence_of(&"whe_1".parse().unwrap(), &id), Some(7));
        assert_eq!(sequence_of(&"whe_2".parse().unwrap(), &id), None);
    }
}
