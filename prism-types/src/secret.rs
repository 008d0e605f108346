//! Values that must not be printed.

use std::fmt;

/// A secret string: an API key, a token, a password.
///
/// `Debug` prints a fixed text, and there is no `Display` and no `Serialize`: whoever sends a secret says
/// so by calling [`Secret::expose`].
///
/// ```
/// use prism_types::Secret;
///
/// let key = Secret::new("canary");
/// assert_eq!(format!("{key:?}"), "Secret([redacted])");
/// assert_eq!(key.expose(), "canary");
/// ```
///
/// ```compile_fail,E0277
/// let key = prism_types::Secret::new("canary");
/// let _ = serde_json::to_string(&key);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into().into_boxed_str())
    }

    /// The secret itself. Every call is a place to look at in a review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}
