//! Opened secrets, and what is scrubbed because of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prism_types::{Secret, SecretRef};

use super::Agent;
use crate::{domain::scrubber::Scrubber, ports::StoreError, service::secrets};

/// The secrets of a deployment that were opened. A value that was replaced is scrubbed until the next one is.
#[derive(Default)]
pub(super) struct KnownSecrets(Mutex<Known>);

#[derive(Default)]
struct Known {
    secrets: BTreeMap<SecretRef, Opened>,
    scrubber: Arc<Scrubber>,
}

struct Opened {
    /// By which it is known whether the value is still the same.
    sealed: Vec<u8>,
    value: Secret,
    former: Option<Secret>,
}

impl KnownSecrets {
    /// Takes the secrets of the deployment out.
    pub(super) fn scrubber(&self) -> Arc<Scrubber> {
        self.known().scrubber.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a secret, if it is known and still sealed as it was.
    fn current(&self, reference: &SecretRef, sealed: &[u8]) -> Option<Secret> {
        let known = self.known();
        let opened = known.secrets.get(reference).filter(|opened| opened.sealed == sealed)?;
        Some(opened.value.clone())
    }

    fn learn(&self, values: Vec<(SecretRef, Vec<u8>, Secret)>) {
        if values.is_empty() {
            return;
        }
        let mut known = self.known();
        for (reference, sealed, value) in values {
            let former = known.secrets.remove(&reference);
            let former = match former {
                Some(opened) if opened.value == value => opened.former,
                other => other.map(|opened| opened.value),
            };
            known.secrets.insert(reference, Opened { sealed, value, former });
        }
        let values =
            known.secrets.values().flat_map(|opened| std::iter::once(&opened.value).chain(&opened.former));
        known.scrubber = Arc::new(Scrubber::new(values.map(|value| value.expose().to_owned())));
    }
}

impl Agent {
    /// The values of the deployment's secrets as they are now, by the names of their variables. One that was
    /// deleted, or that cannot be opened, is left out.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn secrets(&self) -> Result<BTreeMap<&str, Secret>, StoreError> {
        let mut values = BTreeMap::new();
        let mut learned = Vec::new();
        for (variable, reference) in &self.spec.secrets {
            let Some(secret) = self.gateway.store.secret(&self.tenant_id, reference).await? else { continue };
            let value = match self.shared.secrets.current(reference, &secret.sealed) {
                Some(value) => value,
                None => match secrets::open(self.gateway.secret_box.as_ref(), &secret) {
                    Ok(value) => {
                        learned.push((reference.clone(), secret.sealed, value.clone()));
                        value
                    }
                    Err(error) => {
                        tracing::error!(tenant = %self.tenant_id, secret = %reference, %error, "a secret cannot be opened");
                        continue;
                    }
                },
            };
            values.insert(variable.as_str(), value);
        }
        self.shared.secrets.learn(learned);
        Ok(values)
    }
}
