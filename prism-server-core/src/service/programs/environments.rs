//! Environments of jobs and services: what their starts were given, until their sandboxes have it.
//!
//! They are secrets that are kept nowhere: not in the store, sealed or not, and not in the log. So they are here, in the
//! memory of this process, from the request to the start of the process that is to have them, and a server that is
//! restarted in between has lost them. What was to have them then fails with that as the reason.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prism_types::InstanceId;
use zeroize::Zeroizing;

/// Names and values. Nothing shows the values.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, Zeroizing<String>>);

impl Environment {
    /// An environment of these variables.
    pub(crate) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect())
    }

    /// Whether it has nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it has a variable.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The variables, for the process that is to have them.
    pub(crate) fn expose(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The environments of starts that are under way.
#[derive(Default)]
pub(crate) struct Environments(Mutex<BTreeMap<(InstanceId, u32), Environment>>);

impl Environments {
    /// Keeps the environment of a start.
    pub(crate) fn keep(&self, instance: &InstanceId, start: u32, environment: Environment) {
        self.all().insert((instance.clone(), start), environment);
    }

    /// The environment of a start; `None` when it is lost.
    pub(crate) fn of(&self, instance: &InstanceId, start: u32) -> Option<Environment> {
        self.all().get(&(instance.clone(), start)).cloned()
    }

    /// Forgets the environment of a start and of earlier ones.
    pub(crate) fn forget(&self, instance: &InstanceId, start: u32) {
        let mut all = self.all();
        let range = (instance.clone(), 0)..=(instance.clone(), start);
        let starts: Vec<_> = all.range(range).map(|(key, _)| key.clone()).collect();
        for start in starts {
            all.remove(&start);
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<(InstanceId, u32), Environment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_of_a_start_is_that_start_s_alone() {
        let (environments, instance) = (Environments::default(), "ins_1".parse().unwrap());
        let canary = Environment::new([("TOKEN".to_owned(), "canary".to_owned())]);
        assert_eq!(format!("{canary:?}"), r#"{"TOKEN"}"#);
        environments.keep(&instance, 2, canary);
        assert!(environments.of(&instance, 1).is_none());
        assert!(environments.of(&instance, 2).unwrap().has("TOKEN"));
        environments.forget(&instance, 1);
        assert!(environments.of(&instance, 2).is_some());
        environments.forget(&instance, 2);
        assert!(environments.of(&instance, 2).is_none());
    }
}
