//! Automations: work that an agent does on a timetable, and what became of it.

use std::time::Duration;

use prism_types::{
    AutomationId, AutomationRunId, AutomationRunStatus, DeploymentId, Failure, RunId, ThreadId, Timestamp,
};

use super::{
    run::RunState,
    schedule::{InvalidSchedule, Schedule},
    words,
};

/// Instructions that a deployment gets whenever they are due.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Automation {
    /// Its id. Ids are time-ordered: a later automation has a greater id.
    pub id: AutomationId,
    /// The deployment it belongs to.
    pub deployment_id: DeploymentId,
    /// A label for people.
    pub name: String,
    /// The schedule as it was given.
    pub schedule: String,
    /// What it was understood as: five fields.
    pub cron: String,
    /// The name of the time zone by whose clock it is due.
    pub timezone: String,
    /// What the agent is to do each time.
    pub instructions: String,
    /// The thread that it works on.
    pub thread_id: ThreadId,
    /// Whether it is due at all.
    pub enabled: bool,
    /// When it is due next; `None`: not at all, because it is paused or its schedule has come to an end.
    pub next_run_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

/// An entry in the history of an automation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct AutomationRun {
    /// Its id. Ids are time-ordered: a later entry has a greater id.
    pub id: AutomationRunId,
    /// The automation.
    pub automation_id: AutomationId,
    /// The deployment of the automation.
    pub deployment_id: DeploymentId,
    /// The instant at which it was due, of which there is one entry at most; `None`: it was triggered by hand.
    pub scheduled_at: Option<Timestamp>,
    /// When the server acted on it.
    pub created_at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an automation that was due.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a part of a record: stores build it from its columns")]
pub enum Outcome {
    /// A run was started.
    Started(RunId),
    /// No run was started, and none was called for.
    Skipped(Failure),
    /// No run could be started.
    Failed(Failure),
}

words! {
    /// The kind of an [`Outcome`].
    pub enum OutcomeKind {
        /// A run was started.
        Started = "started",
        /// No run was called for.
        Skipped = "skipped",
        /// No run could be started.
        Failed = "failed",
    }
}

/// What is due of an automation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "an answer of a pure function: tests build it")]
pub struct Due {
    /// The instant that it is due at: of several, the latest.
    pub scheduled_at: Timestamp,
    /// Whether that is so long ago that it is passed over.
    pub missed: bool,
    /// When it is due after that.
    pub next: Option<Timestamp>,
}

impl Automation {
    /// Its timetable.
    ///
    /// # Errors
    /// When the zone is one that this version does not know any more.
    pub fn timetable(&self) -> Result<Schedule, InvalidSchedule> {
        Ok(Schedule::new(self.cron.parse()?, self.timezone.parse()?))
    }

    /// What is due now, if anything. However long it was not looked at, one instant is due at most, the latest;
    /// those before it are passed over, and so is the latest when it is older than `grace`.
    ///
    /// # Errors
    /// As [`Automation::timetable`].
    pub fn due(&self, now: Timestamp, grace: Duration) -> Result<Option<Due>, InvalidSchedule> {
        let Some(first) = self.next_run_at.filter(|next| self.enabled && *next <= now) else {
            return Ok(None);
        };
        let timetable = self.timetable()?;
        // After a change of the zone's rules the first may be no instant of the timetable any more.
        let scheduled_at = timetable.latest(first, now).unwrap_or(first);
        let age = now.as_millis().saturating_sub(scheduled_at.as_millis());
        let missed = u128::from(age.unsigned_abs()) > grace.as_millis();
        Ok(Some(Due { scheduled_at, missed, next: timetable.next_after(now) }))
    }
}

impl Outcome {
    /// Its kind.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Started(_) => OutcomeKind::Started,
            Self::Skipped(_) => OutcomeKind::Skipped,
            Self::Failed(_) => OutcomeKind::Failed,
        }
    }

    /// The run that was started.
    pub fn run_id(&self) -> Option<&RunId> {
        match self {
            Self::Started(run) => Some(run),
            Self::Skipped(_) | Self::Failed(_) => None,
        }
    }

    /// Why none was.
    pub fn reason(&self) -> Option<&Failure> {
        match self {
            Self::Started(_) => None,
            Self::Skipped(reason) | Self::Failed(reason) => Some(reason),
        }
    }

    /// The status on the wire, given the state of the run.
    pub fn status(&self, run: Option<RunState>) -> AutomationRunStatus {
        match (self, run) {
            (Self::Skipped(_), _) => AutomationRunStatus::Skipped,
            (Self::Failed(_), _) => AutomationRunStatus::Failed,
            (Self::Started(_), Some(RunState::Running)) => AutomationRunStatus::Running,
            (Self::Started(_), Some(RunState::WaitingOnHuman)) => AutomationRunStatus::WaitingOnHuman,
            (Self::Started(_), Some(RunState::Error)) => AutomationRunStatus::Error,
            (Self::Started(_), Some(RunState::Completed) | None) => AutomationRunStatus::Completed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn automation(cron: &str, next: &str) -> Automation {
        Automation {
            id: "auto_1".parse().unwrap(),
            deployment_id: "dep_1".parse().unwrap(),
            name: "Digest".to_owned(),
            schedule: cron.to_owned(),
            cron: cron.to_owned(),
            timezone: "UTC".to_owned(),
            instructions: "Sum up.".to_owned(),
            thread_id: "thr_1".parse().unwrap(),
            enabled: true,
            next_run_at: Some(at(next)),
            created_at: Timestamp::UNIX_EPOCH,
            revision: 0,
        }
    }

    fn due(automation: &Automation, now: &str) -> Option<(String, bool, String)> {
        let due = automation.due(at(now), HOUR).unwrap()?;
        Some((due.scheduled_at.to_string(), due.missed, due.next.unwrap().to_string()))
    }

    #[test]
    fn it_is_due_from_its_instant_on() {
        let daily = automation("0 9 * * *", "2026-06-01T09:00:00Z");
        assert_eq!(due(&daily, "2026-06-01T08:59:59.999Z"), None);
        let fired = ("2026-06-01T09:00:00.000Z".to_owned(), false, "2026-06-02T09:00:00.000Z".to_owned());
        assert_eq!(due(&daily, "2026-06-01T09:00:00Z"), Some(fired.clone()));
        assert_eq!(due(&daily, "2026-06-01T10:00:00Z"), Some(fired.clone()));
        assert_eq!(due(&daily, "2026-06-01T10:00:00.001Z"), Some((fired.0, true, fired.2)));
    }

    #[test]
    fn after_a_long_time_only_the_latest_instant_is_due() {
        let minutely = automation("* * * * *", "2026-06-01T09:00:00Z");
        let latest = ("2027-06-01T09:00:00.000Z".to_owned(), false, "2027-06-01T09:01:00.000Z".to_owned());
        assert_eq!(due(&minutely, "2027-06-01T09:00:30Z"), Some(latest));
    }

    #[test]
    fn what_is_paused_is_not_due() {
        let paused = Automation { enabled: false, ..automation("* * * * *", "2026-06-01T09:00:00Z") };
        assert_eq!(due(&paused, "2026-06-01T09:00:00Z"), None);
        let ended = Automation { next_run_at: None, ..automation("* * * * *", "2026-06-01T09:00:00Z") };
        assert_eq!(due(&ended, "2026-06-01T09:00:00Z"), None);
    }

    #[test]
    fn a_zone_that_is_gone_is_an_error() {
        let gone = Automation {
            timezone: "Mars/Base".to_owned(),
            ..automation("* * * * *", "2026-06-01T09:00:00Z")
        };
        assert!(gone.due(at("2026-06-01T09:00:00Z"), HOUR).is_err());
    }

    proptest! {
        /// However the clock jumps, an instant that is due is none that was due before while time went on, and the
        /// next one is ahead.
        #[test]
        fn instants_ascend_whatever_the_clock_does(jumps in prop::collection::vec(-7_200_000_i64..90_000_000, 1..40)) {
            let mut automation = automation("*/10 8-18 * * *", "2026-06-01T09:00:00Z");
            let mut now = at("2026-06-01T08:00:00Z");
            let mut last = Timestamp::UNIX_EPOCH;
            for jump in jumps {
                now = Timestamp::from_millis(now.as_millis() + jump);
                if let Some(due) = automation.due(now, HOUR).unwrap() {
                    prop_assert!(due.scheduled_at > last && due.scheduled_at <= now);
                    prop_assert!(due.next.unwrap() > now);
                    last = due.scheduled_at;
                    automation.next_run_at = due.next;
                }
            }
        }
    }
}
