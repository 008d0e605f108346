//! Webhooks: endpoints of a tenant that are told what happens.
//!
//! A webhook has a queue of its own: [deliveries](delivery) with the numbers 1, 2, 3 and so on, in commit order. A
//! store adds to it in the commit of the event that is told, for the webhooks that are enabled in that moment.

pub mod delivery;
pub mod signature;

use std::time::Duration;

use prism_types::{DeploymentId, Failure, Patch, TenantId, Timestamp, WebhookEventType, WebhookId};

use super::{Refused, event::NewEvent, limits, words};

/// The type of a message that only tests a webhook.
pub const PING: &str = "ping";
/// The one event that no webhook is told: one delivery a word would drown everybody.
const TOKEN: &str = "token";

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Its owner.
    pub tenant_id: TenantId,
    /// Where requests go.
    pub url: String,
    /// What it is told.
    pub events: Vec<WebhookEventType>,
    /// The only deployment that it is told of; `None`: all.
    pub deployment_id: Option<DeploymentId>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it is told anything.
    pub state: WebhookState,
    /// Why it was disabled, when nobody asked for it.
    pub disabled_reason: Option<Failure>,
    /// Since when every try has failed.
    pub failing_since: Option<Timestamp>,
    /// Until when it asked to be left alone.
    pub paused_until: Option<Timestamp>,
    /// The sealed secret that signs.
    pub secret: Vec<u8>,
    /// The secret before the last rotation.
    pub previous_secret: Option<PreviousSecret>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Raised by one with each change.
    pub revision: u64,
}

/// A secret that was replaced and signs for a while as well.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a part of a record: stores build it from its columns")]
pub struct PreviousSecret {
    /// The sealed secret.
    pub sealed: Vec<u8>,
    /// When it ceases to sign.
    pub expires_at: Timestamp,
}

words! {
    /// Whether a webhook is told anything.
    pub enum WebhookState {
        /// It is told.
        Enabled = "enabled",
        /// It is not told, and what waits for it is not sent.
        Disabled = "disabled",
        /// It is gone for its owner; what is left of it is being removed.
        Deleted = "deleted",
    }
}

/// What can happen to a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a state machine is closed")]
pub enum WebhookCommand {
    /// Its owner enables it.
    Enable,
    /// Its owner disables it.
    Disable,
    /// Its owner deletes it.
    Delete,
    /// It took a message.
    Succeed,
    /// It did not take a message.
    Fail(Fault),
    /// Too many messages wait for it.
    Overflow,
}

/// How a try went wrong, as far as it concerns all messages of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a part of a command: the engine builds it")]
pub struct Fault {
    /// When the try ended.
    pub at: Timestamp,
    /// Whether it said that it is gone for good (410).
    pub gone: bool,
    /// How long it asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// What its owner changes of a webhook; every part was checked by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a parameter: services build it")]
pub struct WebhookChange {
    /// Another URL.
    pub url: Option<String>,
    /// Other events.
    pub events: Option<Vec<WebhookEventType>>,
    /// Another deployment, or all.
    pub deployment_id: Patch<DeploymentId>,
    /// Another description, or none.
    pub description: Patch<String>,
    /// Whether it is told anything.
    pub enabled: Option<bool>,
}

/// Whether there are webhooks that are told such an event at all: not what a program writes, which is as much as it likes.
pub fn can_be_told(event: &NewEvent) -> bool {
    event.name != TOKEN && event.instance_id.is_none()
}

/// Whether a webhook with this choice of events and deployment is told an event.
pub fn wants(events: &[WebhookEventType], deployment: Option<&DeploymentId>, event: &NewEvent) -> bool {
    let named = |kind: &WebhookEventType| *kind == WebhookEventType::All || kind.as_str() == event.name;
    can_be_told(event)
        && deployment.is_none_or(|deployment| *deployment == event.deployment_id)
        && events.iter().any(named)
}

/// An instant so much later.
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.as_millis().saturating_add(millis))
}

impl Webhook {
    /// Carries out a command; tells whether it changed anything.
    ///
    /// | state \ command | enable | disable | delete | succeed | fail | overflow |
    /// |---|---|---|---|---|---|---|
    /// | enabled | enabled | disabled | deleted | enabled | enabled, or disabled | disabled |
    /// | disabled | enabled | disabled | deleted | disabled | disabled | disabled |
    /// | deleted | - | - | - | - | - | - |
    ///
    /// A failure disables it when it is gone, or when every try of [`limits::WEBHOOK_FAILING`] has failed.
    ///
    /// # Errors
    /// When the table has no entry.
    pub fn apply(&mut self, command: WebhookCommand) -> Result<bool, Refused> {
        use {WebhookCommand as C, WebhookState as S};
        if self.state == S::Deleted {
            return Err(Refused { command: command.name(), noun: "webhook", state: self.state.as_str() });
        }
        let before = (self.state, self.disabled_reason.clone(), self.failing_since, self.paused_until);
        match (self.state, command) {
            (_, C::Enable) => {
                self.state = S::Enabled;
                self.disabled_reason = None;
                self.forgive();
            }
            (_, C::Disable) => {
                self.state = S::Disabled;
                self.disabled_reason = None;
            }
            (_, C::Delete) => self.state = S::Deleted,
            (S::Enabled, C::Succeed) => self.forgive(),
            (S::Enabled, C::Fail(fault)) => self.fail(fault),
            (S::Enabled, C::Overflow) => {
                let message = format!("{} messages wait to be sent", limits::WEBHOOK_BACKLOG);
                self.disable("backlog", message);
            }
            // A try that was under way when it was disabled.
            (S::Disabled | S::Deleted, C::Succeed | C::Fail(_) | C::Overflow) => {}
        }
        Ok(before != (self.state, self.disabled_reason.clone(), self.failing_since, self.paused_until))
    }

    /// Carries out what its owner wants.
    ///
    /// # Errors
    /// When it is deleted.
    pub fn change(&mut self, change: WebhookChange) -> Result<(), Refused> {
        let WebhookChange { url, events, deployment_id, description, enabled } = change;
        if let Some(url) = url {
            self.url = url;
            self.forgive();
        }
        if let Some(events) = events {
            self.events = events;
        }
        self.deployment_id = deployment_id.apply(self.deployment_id.take());
        self.description = description.apply(self.description.take());
        if let Some(enabled) = enabled {
            self.apply(if enabled { WebhookCommand::Enable } else { WebhookCommand::Disable })?;
        }
        Ok(())
    }

    /// Replaces the secret; the one before signs for [`limits::WEBHOOK_ROTATION`] as well, and an older one no more.
    pub fn rotate(&mut self, sealed: Vec<u8>, now: Timestamp) {
        let expires_at = later(now, limits::WEBHOOK_ROTATION);
        let sealed = std::mem::replace(&mut self.secret, sealed);
        self.previous_secret = Some(PreviousSecret { sealed, expires_at });
    }

    /// The sealed secrets that sign at an instant, the newest first.
    pub fn live_secrets(&self, now: Timestamp) -> Vec<&[u8]> {
        let previous = self.previous_secret.as_ref().filter(|previous| previous.expires_at > now);
        [Some(&self.secret), previous.map(|previous| &previous.sealed)]
            .into_iter()
            .flatten()
            .map(Vec::as_slice)
            .collect()
    }

    fn fail(&mut self, fault: Fault) {
        let since = *self.failing_since.get_or_insert(fault.at);
        let pause = fault.retry_after.map(|pause| pause.min(limits::WEBHOOK_PAUSE));
        self.paused_until = pause.map(|pause| later(fault.at, pause)).max(self.paused_until);
        if fault.gone {
            self.disable("gone", "the endpoint answered that it is gone (410)".to_owned());
        } else if fault.at >= later(since, limits::WEBHOOK_FAILING) {
            self.disable("failing", format!("every try since {since} has failed"));
        }
    }

    fn disable(&mut self, code: &str, message: String) {
        self.state = WebhookState::Disabled;
        self.disabled_reason = Some(Failure::new(code, message));
    }

    fn forgive(&mut self) {
        self.failing_since = None;
        self.paused_until = None;
    }
}

impl WebhookCommand {
    fn name(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::Succeed => "succeed",
            Self::Fail(_) => "fail",
            Self::Overflow => "overflow",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn sample() -> Webhook {
        Webhook {
            id: "whe_1".parse().unwrap(),
            tenant_id: "ten_1".parse().unwrap(),
            url: "https://example.com/hook".to_owned(),
            events: vec![WebhookEventType::All],
            deployment_id: None,
            description: None,
            state: WebhookState::Enabled,
            disabled_reason: None,
            failing_since: None,
            paused_until: None,
            secret: vec![1],
            previous_secret: None,
            created_at: Timestamp::UNIX_EPOCH,
            revision: 0,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn fault(seconds: i64) -> Fault {
        Fault { at: at(seconds), gone: false, retry_after: None }
    }

    fn command() -> impl Strategy<Value = WebhookCommand> {
        let fault = (0..2_000_000_i64, prop::bool::weighted(0.1), prop::option::of(0..10_000_u64));
        prop_oneof![
            2 => Just(WebhookCommand::Enable),
            2 => Just(WebhookCommand::Disable),
            1 => Just(WebhookCommand::Delete),
            2 => Just(WebhookCommand::Succeed),
            4 => fault.prop_map(|(seconds, gone, pause)| WebhookCommand::Fail(Fault {
                at: at(seconds),
                gone,
                retry_after: pause.map(Duration::from_secs),
            })),
            1 => Just(WebhookCommand::Overflow),
        ]
    }

    proptest! {
        #[test]
        fn under_any_commands_a_reason_means_disabled_and_deleted_is_final(
            commands in prop::collection::vec(command(), 0..30),
        ) {
            let mut webhook = sample();
            for command in commands {
                let before = webhook.clone();
                let result = webhook.apply(command);
                prop_assert_eq!(result.is_err(), before.state == WebhookState::Deleted);
                prop_assert_eq!(result.unwrap_or(false), webhook != before);
                if webhook.state == WebhookState::Enabled {
                    prop_assert_eq!(&webhook.disabled_reason, &None);
                }
                if before.state == WebhookState::Disabled && webhook.state == WebhookState::Enabled {
                    prop_assert_eq!(command, WebhookCommand::Enable);
                }
                if let (WebhookCommand::Fail(fault), Some(until)) = (command, webhook.paused_until) {
                    let longest = later(fault.at, limits::WEBHOOK_PAUSE);
                    prop_assert!(until <= before.paused_until.unwrap_or(longest).max(longest));
                }
            }
        }
    }

    #[test]
    fn what_fails_for_five_days_is_disabled_and_a_success_counts_from_the_start() {
        let day = 24 * 3600;
        let mut webhook = sample();
        webhook.apply(WebhookCommand::Fail(fault(0))).unwrap();
        webhook.apply(WebhookCommand::Fail(fault(5 * day - 1))).unwrap();
        assert_eq!(webhook.state, WebhookState::Enabled);
        let mut given_up = webhook.clone();
        assert_eq!(given_up.apply(WebhookCommand::Fail(fault(5 * day))), Ok(true));
        assert_eq!(given_up.state, WebhookState::Disabled);
        assert_eq!(given_up.disabled_reason.unwrap().code, "failing");
        assert_eq!(webhook.apply(WebhookCommand::Succeed), Ok(true));
        assert_eq!(webhook.apply(WebhookCommand::Succeed), Ok(false));
        webhook.apply(WebhookCommand::Fail(fault(5 * day))).unwrap();
        assert_eq!((webhook.state, webhook.failing_since), (WebhookState::Enabled, Some(at(5 * day))));
    }

    #[test]
    fn what_is_gone_is_disabled_at_once_and_can_be_enabled_again() {
        let mut webhook = sample();
        webhook.apply(WebhookCommand::Fail(Fault { gone: true, ..fault(1) })).unwrap();
        assert_eq!(webhook.disabled_reason.as_ref().unwrap().code, "gone");
        webhook.change(WebhookChange { enabled: Some(true), ..WebhookChange::default() }).unwrap();
        assert_eq!(webhook, sample());
    }

    #[test]
    fn a_pause_is_an_hour_at_most_and_never_shortened() {
        let mut webhook = sample();
        let pause = |seconds| {
            WebhookCommand::Fail(Fault { retry_after: Some(Duration::from_secs(seconds)), ..fault(0) })
        };
        webhook.apply(pause(3601)).unwrap();
        assert_eq!(webhook.paused_until, Some(at(3600)));
        webhook.apply(pause(5)).unwrap();
        webhook.apply(WebhookCommand::Fail(fault(0))).unwrap();
        assert_eq!(webhook.paused_until, Some(at(3600)));
    }

    #[test]
    fn two_secrets_sign_for_a_day_after_a_rotation() {
        let mut webhook = sample();
        webhook.rotate(vec![2], at(0));
        let day = 24 * 3600;
        assert_eq!(webhook.live_secrets(at(day - 1)), [[2], [1]]);
        assert_eq!(webhook.live_secrets(at(day)), [[2]]);
        webhook.rotate(vec![3], at(1));
        assert_eq!(webhook.live_secrets(at(2)), [[3], [2]]);
    }

    #[test]
    fn an_event_is_told_to_whoever_named_it() {
        let event = |name: &str| NewEvent {
            deployment_id: "dep_1".parse().unwrap(),
            run_id: None,
            thread_id: None,
            instance_id: None,
            name: name.to_owned(),
            data: "{}".to_owned(),
            created_at: at(0),
        };
        let (one, other) = ("dep_1".parse().unwrap(), "dep_2".parse().unwrap());
        for (events, deployment, name, told) in [
            (["*"].as_slice(), None, "run_status", true),
            (&["*"], None, "dream", true),
            (&["*"], None, "token", false),
            (&["token"], None, "token", false),
            (&["filesystem", "run_status"], None, "run_status", true),
            (&["filesystem"], None, "run_status", false),
            (&["*"], Some(&one), "run_status", true),
            (&["*"], Some(&other), "run_status", false),
            (&[], None, "run_status", false),
        ] {
            let events: Vec<WebhookEventType> = events.iter().map(|&kind| kind.into()).collect();
            assert_eq!(wants(&events, deployment, &event(name)), told, "{events:?} {name}");
            // Nobody is told what a program writes, whatever it is called.
            let written = NewEvent { instance_id: Some("ins_1".parse().unwrap()), ..event(name) };
            assert!(!wants(&events, deployment, &written), "{events:?} {name}");
        }
    }
}
