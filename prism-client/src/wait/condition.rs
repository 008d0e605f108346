//! What can be waited for.

use prism_types::{
    Approval, ApprovalStatus, Deployment, DeploymentStatus, Dream, DreamStatus, Run, RunStatus, Snapshot,
    SnapshotStatus,
};

/// Something that a value meets or does not. Closures from `&T` to `bool` are conditions.
///
/// ```
/// use prism_client::{
///     types::Run,
///     wait::{Asking, Condition, Over, any},
/// };
///
/// let is_long = |run: &Run| run.usage.output_tokens > 10_000;
/// let condition = any(any(Over, Asking), is_long);
/// # fn is_one(_: impl Condition<Run>) {}
/// # is_one(condition);
/// ```
pub trait Condition<T> {
    /// How the value stands to it.
    fn look(&self, value: &T) -> Look;
}

/// Both conditions.
pub fn all<A, B>(one: A, other: B) -> All<A, B> {
    All(one, other)
}

/// One of two conditions, or both.
pub fn any<A, B>(one: A, other: B) -> Any<A, B> {
    Any(one, other)
}

/// The opposite of a condition. What is hopeless for the one meets the other.
pub fn not<A>(condition: A) -> Not<A> {
    Not(condition)
}

/// How a value stands to a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing else: it is met, may be met, or cannot be")]
pub enum Look {
    /// It meets it.
    Met,
    /// It may meet it later.
    NotYet,
    /// It does not, and never will: there is no use in waiting.
    Hopeless,
}

/// Both conditions; from [`all`].
#[derive(Debug, Clone, Copy)]
pub struct All<A, B>(A, B);

/// One of two conditions; from [`any`].
#[derive(Debug, Clone, Copy)]
pub struct Any<A, B>(A, B);

/// The opposite of a condition; from [`not`].
#[derive(Debug, Clone, Copy)]
pub struct Not<A>(A);

impl<T, F: Fn(&T) -> bool> Condition<T> for F {
    fn look(&self, value: &T) -> Look {
        if self(value) { Look::Met } else { Look::NotYet }
    }
}

impl<T, A: Condition<T>, B: Condition<T>> Condition<T> for All<A, B> {
    fn look(&self, value: &T) -> Look {
        match (self.0.look(value), self.1.look(value)) {
            (Look::Hopeless, _) | (_, Look::Hopeless) => Look::Hopeless,
            (Look::Met, Look::Met) => Look::Met,
            _ => Look::NotYet,
        }
    }
}

impl<T, A: Condition<T>, B: Condition<T>> Condition<T> for Any<A, B> {
    fn look(&self, value: &T) -> Look {
        match (self.0.look(value), self.1.look(value)) {
            (Look::Met, _) | (_, Look::Met) => Look::Met,
            (Look::Hopeless, Look::Hopeless) => Look::Hopeless,
            _ => Look::NotYet,
        }
    }
}

impl<T, A: Condition<T>> Condition<T> for Not<A> {
    fn look(&self, value: &T) -> Look {
        match self.0.look(value) {
            Look::Met => Look::NotYet,
            Look::NotYet | Look::Hopeless => Look::Met,
        }
    }
}

/// A deployment takes messages, or a snapshot can be used. A deployment that failed is hopeless. Of an agent deployment
/// (feature `nullspace`): a service is ready, or a version can be run; one that failed, or was stopped or superseded, is
/// hopeless.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "it is a name")]
pub struct Ready;

/// A run or a dream is `completed`, or a run of an agent deployment has `succeeded`. One that failed is hopeless.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "it is a name")]
pub struct Completed;

/// A run or a dream is over, whether it is `completed` or failed; or a service of an agent deployment is.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "it is a name")]
pub struct Over;

/// A run waits for a human. One that is over is hopeless.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "it is a name")]
pub struct Asking;

/// A question was answered: allowed, denied, or by a message. One that was closed without an answer is hopeless.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "it is a name")]
pub struct Answered;

impl Condition<Deployment> for Ready {
    fn look(&self, deployment: &Deployment) -> Look {
        match deployment.status {
            DeploymentStatus::Ready => Look::Met,
            DeploymentStatus::Error => Look::Hopeless,
            _ => Look::NotYet,
        }
    }
}

impl Condition<Snapshot> for Ready {
    fn look(&self, snapshot: &Snapshot) -> Look {
        if snapshot.status == SnapshotStatus::Ready { Look::Met } else { Look::NotYet }
    }
}

impl Condition<Run> for Completed {
    fn look(&self, run: &Run) -> Look {
        match run.status {
            RunStatus::Completed => Look::Met,
            RunStatus::Error => Look::Hopeless,
            _ => Look::NotYet,
        }
    }
}

impl Condition<Dream> for Completed {
    fn look(&self, dream: &Dream) -> Look {
        match dream.status {
            DreamStatus::Completed => Look::Met,
            DreamStatus::Error => Look::Hopeless,
            _ => Look::NotYet,
        }
    }
}

impl Condition<Run> for Over {
    fn look(&self, run: &Run) -> Look {
        if run.status.is_terminal() { Look::Met } else { Look::NotYet }
    }
}

impl Condition<Dream> for Over {
    fn look(&self, dream: &Dream) -> Look {
        if matches!(dream.status, DreamStatus::Completed | DreamStatus::Error) {
            Look::Met
        } else {
            Look::NotYet
        }
    }
}

impl Condition<Run> for Asking {
    fn look(&self, run: &Run) -> Look {
        match run.status {
            RunStatus::WaitingOnHuman => Look::Met,
            RunStatus::Completed | RunStatus::Error => Look::Hopeless,
            _ => Look::NotYet,
        }
    }
}

impl Condition<Approval> for Answered {
    fn look(&self, approval: &Approval) -> Look {
        match approval.status {
            ApprovalStatus::Allowed | ApprovalStatus::Denied | ApprovalStatus::Answered => Look::Met,
            ApprovalStatus::Closed => Look::Hopeless,
            _ => Look::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition, Look, all, any as any_of, not};
    use proptest::prelude::*;

    fn any_look() -> impl Strategy<Value = Look> {
        prop_oneof![Just(Look::Met), Just(Look::NotYet), Just(Look::Hopeless)]
    }

    /// Always the same.
    #[derive(Clone, Copy)]
    struct Fixed(Look);

    impl Condition<()> for Fixed {
        fn look(&self, _: &()) -> Look {
            self.0
        }
    }

    proptest! {
        #[test]
        fn combinations_do_not_depend_on_order(a in any_look(), b in any_look(), c in any_look()) {
            let (a, b, c) = (Fixed(a), Fixed(b), Fixed(c));
            prop_assert_eq!(all(a, b).look(&()), all(b, a).look(&()));
            prop_assert_eq!(any_of(a, b).look(&()), any_of(b, a).look(&()));
            prop_assert_eq!(all(all(a, b), c).look(&()), all(a, all(b, c)).look(&()));
            prop_assert_eq!(any_of(any_of(a, b), c).look(&()), any_of(a, any_of(b, c)).look(&()));
        }

        #[test]
        fn whether_it_is_met_is_plain_logic(a in any_look(), b in any_look()) {
            let met = |look| look == Look::Met;
            let (x, y) = (Fixed(a), Fixed(b));
            prop_assert_eq!(met(all(x, y).look(&())), met(a) && met(b));
            prop_assert_eq!(met(any_of(x, y).look(&())), met(a) || met(b));
            prop_assert_eq!(met(not(x).look(&())), !met(a));
            prop_assert_eq!(met(not(all(x, y)).look(&())), met(any_of(not(x), not(y)).look(&())));
        }

        #[test]
        fn hope_is_given_up_only_when_nothing_can_help(a in any_look(), b in any_look()) {
            let lost = |look| look == Look::Hopeless;
            prop_assert_eq!(lost(all(Fixed(a), Fixed(b)).look(&())), lost(a) || lost(b));
            prop_assert_eq!(lost(any_of(Fixed(a), Fixed(b)).look(&())), lost(a) && lost(b));
            prop_assert!(!lost(not(Fixed(a)).look(&())));
        }
    }
}
