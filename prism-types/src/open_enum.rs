//! Enums that survive values they do not know.

use std::fmt;

/// A value of an open enum that this version does not know.
///
/// It can only come from the wire, so it never equals a known value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UnknownValue(Box<str>);

impl UnknownValue {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The value as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Declares an enum of strings with a last variant `Unknown` for every other string.
macro_rules! open_enum {
    ($(#[$doc:meta])* pub enum $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A value that this version does not know; it is written back as it came.
            Unknown(crate::UnknownValue),
        }

        impl $name {
            /// Every known value, as it travels.
            pub const KNOWN: &'static [&'static str] = &[$($text),+];

            /// The value as it travels.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown(value) => value.as_str(),
                }
            }

            /// Whether this version knows the value.
            pub fn is_known(&self) -> bool {
                !matches!(self, Self::Unknown(_))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    other => Self::Unknown(crate::UnknownValue::new(other)),
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::convert::Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(text.into())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        crate::macros::string_on_the_wire!($name, schema: schemars::json_schema!({
            "type": "string",
            "enum": [$($text),+],
        }));
    };
}

pub(crate) use open_enum;

#[cfg(test)]
mod tests {
    use crate::{DeploymentStatus, ErrorCode, RunStatus};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_string_survives_a_round_trip(text in ".*") {
            let json = serde_json::to_string(&text).unwrap();
            let status: DeploymentStatus = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(status.as_str(), text.as_str());
            prop_assert_eq!(serde_json::to_string(&status).unwrap(), json);
        }
    }

    #[test]
    fn known_values_are_known() {
        assert_eq!(RunStatus::from("waiting_on_human"), RunStatus::WaitingOnHuman);
        assert!(!RunStatus::from("resting").is_known());
        assert_eq!(ErrorCode::InvalidSecretRef.to_string(), "invalid_secret_ref");
    }
}
