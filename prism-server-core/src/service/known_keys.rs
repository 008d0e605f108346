//! API keys that were checked a moment ago.
//!
//! Every request names its key, and most requests of a moment name the same few: looking each up in the store
//! costs as much as the rest of a small request. What is remembered is only that a key was good, for at most
//! [`LIFETIME`]. A revocation in this process forgets the key at once; one by another process, such as the command
//! line on the same database, is seen when the lifetime is over.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prism_types::ApiKeyId;
use tokio::time::Instant;

use crate::domain::tenant::Principal;

/// How long a key is believed without looking.
pub(crate) const LIFETIME: Duration = Duration::from_secs(1);
/// Most keys that are remembered; one more forgets all of them.
const MOST: usize = 10_000;

/// Keys by their hash.
#[derive(Default)]
pub(crate) struct KnownKeys {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: HashMap<[u8; 32], Known>,
    /// How many keys were revoked here.
    revocations: u64,
}

/// When a key began to be looked up. What was read then may be old when it is remembered.
pub(crate) struct Looked {
    at: Instant,
    revocations: u64,
}

struct Known {
    principal: Principal,
    until: Instant,
}

impl KnownKeys {
    /// Whom a key belongs to, if it was good a moment ago.
    pub(crate) fn find(&self, hash: &[u8; 32]) -> Option<Principal> {
        let state = self.state();
        state.keys.get(hash).filter(|known| Instant::now() < known.until).map(|known| known.principal.clone())
    }

    /// Call this before a key is looked up.
    pub(crate) fn look(&self) -> Looked {
        Looked { at: Instant::now(), revocations: self.state().revocations }
    }

    /// Remembers a good key, unless one was revoked since it began to be looked up: it may be that one.
    pub(crate) fn remember(&self, hash: [u8; 32], principal: Principal, looked: Looked) {
        let mut state = self.state();
        if state.revocations != looked.revocations {
            return;
        }
        if state.keys.len() >= MOST {
            state.keys.clear();
        }
        state.keys.insert(hash, Known { principal, until: looked.at + LIFETIME });
    }

    /// Forgets a key that was revoked.
    pub(crate) fn forget(&self, id: &ApiKeyId) {
        let mut state = self.state();
        state.revocations += 1;
        state.keys.retain(|_, known| known.principal.caller != id.as_str());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tenant::Scopes;

    fn principal(caller: &str) -> Principal {
        let tenant_id = "ten_1".parse().unwrap();
        Principal { tenant_id, scopes: Scopes::all(), caller: caller.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_believed_for_a_second_since_it_was_looked_up() {
        let known = KnownKeys::default();
        known.remember([1; 32], principal("key_1"), known.look());
        tokio::time::advance(LIFETIME - Duration::from_millis(1)).await;
        assert!(known.find(&[1; 32]).is_some() && known.find(&[2; 32]).is_none());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(known.find(&[1; 32]).is_none());
    }

    #[tokio::test]
    async fn a_revoked_key_is_forgotten_at_once_and_the_number_is_bounded() {
        let known = KnownKeys::default();
        known.remember([1; 32], principal("key_1"), known.look());
        known.remember([2; 32], principal("key_2"), known.look());
        known.forget(&"key_1".parse().unwrap());
        assert!(known.find(&[1; 32]).is_none() && known.find(&[2; 32]).is_some());
        for number in 0..2 * MOST {
            let mut hash = [3; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            known.remember(hash, principal("key_3"), known.look());
        }
        assert!(known.state().keys.len() <= MOST);
    }

    #[tokio::test]
    async fn a_key_that_is_revoked_while_it_is_looked_up_is_not_remembered() {
        let known = KnownKeys::default();
        let looked = known.look();
        known.forget(&"key_1".parse().unwrap());
        known.remember([1; 32], principal("key_1"), looked);
        assert!(known.find(&[1; 32]).is_none());
    }
}
