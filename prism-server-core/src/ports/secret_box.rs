//! Sealing of secrets at rest.

use prism_types::Secret;

/// Seals values so that whoever has the store but not the key learns nothing.
pub trait SecretBox: Send + Sync + 'static {
    /// Seals a value. `context` is bound to it: it must be given again to open it, so that a sealed value
    /// cannot be moved to another tenant or name.
    ///
    /// # Errors
    /// When no randomness can be had.
    fn seal(&self, context: &[u8], value: &Secret) -> Result<Vec<u8>, SecretBoxError>;

    /// Opens a sealed value.
    ///
    /// # Errors
    /// When the key, the context or the sealed bytes are not those of the sealing.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Secret, SecretBoxError>;

    /// A key for one purpose: always the same for a purpose, on every node that has the same master key, and telling
    /// nothing of that key or of those for other purposes. With another master key it is another one. A control plane
    /// does not start without: the credentials of the edge are made with such a key.
    ///
    /// # Errors
    /// When this box has no key to derive from.
    fn derive(&self, purpose: &[u8]) -> Result<[u8; 32], SecretBoxError>;
}

/// Why a value could not be sealed or opened. It never says anything of the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretBoxError {
    /// The key, the context or the bytes are not those of the sealing.
    #[error("the sealed value cannot be opened: wrong master key, or damaged data")]
    Unopenable,
    /// The value was sealed with a master key that is not at hand.
    #[error("the value was sealed with another master key")]
    OtherKey,
    /// The system gave no randomness.
    #[error("no randomness can be had")]
    NoRandomness,
    /// Keys cannot be derived.
    #[error("this secret box derives no keys")]
    Underivable,
}
