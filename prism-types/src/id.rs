//! Ids: one type a kind, checked by prefix.
//!
//! On the wire an id is `<prefix><suffix>`, where the suffix is 1 to 100 characters of `A-Z a-z 0-9 _ -`.
//! Nothing more is promised about the suffix: published samples show both random letters (`dep_7xK9s2`)
//! and readable words (`sec_meta_ads_token`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

mod text;

use text::IdText;

/// Longest suffix of an id, in characters.
const MAX_SUFFIX: usize = 100;

/// Why a string is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id:?} is not a valid {kind}: expected `{prefix}` and 1 to 100 letters, digits, `_` or `-`")]
pub struct IdError {
    id: String,
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => { $(
        $(#[$doc])*
        #[doc = concat!("\n\nStarts with `", $prefix, "`.")]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(IdText);

        impl $name {
            #[doc = concat!("What every id of this kind starts with: `", $prefix, "`.")]
            pub const PREFIX: &'static str = $prefix;

            /// The id as it travels.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// What follows the prefix.
            pub fn suffix(&self) -> &str {
                &self.as_str()[Self::PREFIX.len()..]
            }

            /// The id with this suffix.
            ///
            /// # Errors
            /// When the suffix is empty, longer than 100 characters or has a character outside
            /// `A-Z a-z 0-9 _ -`.
            pub fn from_suffix(suffix: &str) -> Result<Self, IdError> {
                format!("{}{suffix}", Self::PREFIX).parse()
            }
        }

        // Where several ids are read, all are checked before any is kept, so that each is written once, where it
        // stays: to move text that was just written is slower than to write it.
        impl $name {
            /// Whether a text has the form of these ids.
            pub(crate) fn fits(text: &str) -> bool {
                IdText::fits(text, Self::PREFIX)
            }

            /// The id of a text that [fits](Self::fits).
            #[inline]
            pub(crate) fn keep(text: &str) -> Self {
                debug_assert!(Self::fits(text));
                Self(IdText::keep(text))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            #[inline]
            fn from_str(text: &str) -> Result<Self, IdError> {
                if Self::fits(text) {
                    Ok(Self::keep(text))
                } else {
                    Err(IdError::new(text, stringify!($name), Self::PREFIX))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;

            fn try_from(text: &str) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0.as_bytes() == other.as_bytes()
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                /// Reads the id out of whatever text the format lends, without a copy in between.
                struct Text;

                impl de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string")
                    }

                    #[inline]
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        if $name::fits(text) {
                            Ok($name::keep(text))
                        } else {
                            Err(E::custom(IdError::new(text, stringify!($name), $prefix)))
                        }
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": concat!("^", $prefix, "[A-Za-z0-9_-]{1,100}$"),
                })
            }
        }
    )* };
}

ids! {
    /// A deployment: one agent for one customer.
    DeploymentId = "dep_";
    /// A thread: one conversation with a deployment.
    ThreadId = "thr_";
    /// A run: one unit of work of the agent.
    RunId = "run_";
    /// An event of a deployment's log.
    EventId = "evt_";
    /// A question of the agent that waits for a human.
    ApprovalId = "apr_";
    /// An automation of a deployment.
    AutomationId = "auto_";
    /// An entry in the history of an automation.
    AutomationRunId = "arun_";
    /// A skill of a deployment.
    SkillId = "skl_";
    /// A memory of a deployment.
    MemoryId = "mem_";
    /// A dream of a deployment.
    DreamId = "drm_";
    /// A workspace that outlives its deployment.
    SnapshotId = "snap_";
    /// An upload in parts to a sandbox.
    UploadId = "upl_";
    /// A reference to a stored secret.
    SecretRef = "sec_";
    /// A tenant: the owner of deployments, keys, secrets and credits.
    TenantId = "ten_";
    /// The public half of an API key.
    ApiKeyId = "key_";
    /// A sandbox of a deployment.
    InstanceId = "ins_";
    /// A version of a program that is deployed.
    VersionId = "ver_";
    /// An entry of the audit log.
    AuditEntryId = "aud_";
    /// An endpoint of a tenant that is told what happens.
    WebhookId = "whe_";
    /// A message to a webhook; the header `webhook-id` of every try.
    WebhookDeliveryId = "whd_";
    /// One request, as named in the `x-request-id` header.
    RequestId = "req_";
}

#[cfg(feature = "nullspace")]
pub(crate) mod nullspace;

impl IdError {
    #[cold]
    fn new(id: &str, kind: &'static str, prefix: &'static str) -> Self {
        Self { id: id.chars().take(40).collect(), kind, prefix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_samples_are_accepted() {
        for id in ["dep_7xK9s2", "dep_a"] {
            assert_eq!(id.parse::<DeploymentId>().unwrap(), id);
        }
        assert_eq!("thr_default_8a1".parse::<ThreadId>().unwrap().suffix(), "default_8a1");
        assert!("sec_meta_ads_token".parse::<SecretRef>().is_ok());
    }

    #[test]
    fn the_limit_is_one_hundred_characters() {
        assert!(DeploymentId::from_suffix(&"a".repeat(100)).is_ok());
        assert!(DeploymentId::from_suffix(&"a".repeat(101)).is_err());
    }

    #[test]
    fn other_strings_are_refused_with_the_rule() {
        for id in ["", "dep_", "thr_1", "dep_a b", "dep_\u{e9}", "dep_a/../b", "DEP_a"] {
            assert!(id.parse::<DeploymentId>().is_err(), "{id:?}");
        }
        let error = "thr_1".parse::<DeploymentId>().unwrap_err().to_string();
        assert!(error.contains("dep_") && error.contains("thr_1"), "{error}");
    }

    #[test]
    fn an_id_is_as_large_as_a_string_and_its_text() {
        assert!(size_of::<DeploymentId>() <= 48);
        assert_eq!(size_of::<Option<DeploymentId>>(), size_of::<DeploymentId>());
    }
}
