//! The nouns of the platform and their rules: pure data and pure functions.
//!
//! Nothing here waits, reads a clock or touches the outside. Every status is changed by a state machine of
//! this module, a total function from state and command to the next state or a [`Refused`], and by nothing
//! else. The stores keep what this module defines; the dialects translate it to their wire forms.

pub mod approval;
pub mod audit;
pub mod automation;
pub mod checks;
pub(crate) mod decode;
pub mod deployment;
pub mod dream;
pub mod event;
pub mod idempotency;
pub mod instance;
pub mod limits;
pub mod machine;
pub mod memory;
pub mod message;
mod numbered;
pub mod precondition;
pub mod program;
pub mod run;
pub mod schedule;
pub mod scrubber;
pub mod secret;
pub mod skill;
pub mod snapshot;
pub mod tenant;
pub mod thread;
pub mod tool;
pub mod variables;
pub mod webhook;
pub mod workspace;

/// A command that a state machine does not allow in its present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{command} is not possible while {noun} is {state}")]
pub struct Refused {
    /// What was asked, such as `complete`.
    pub command: &'static str,
    /// What it was asked of, such as `run`.
    pub noun: &'static str,
    /// The state that forbids it.
    pub state: &'static str,
}

/// Declares a closed enum that is stored as a word.
macro_rules! words {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(clippy::exhaustive_enums, reason = "a state machine is closed: a new state is a new machine")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word it is stored as.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value of a word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <String as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&word).ok_or_else(|| serde::de::Error::custom("a word that is not known"))
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use serde::{
        Deserialize,
        de::{IntoDeserializer, value},
    };

    use super::program::{Mode, version::VersionCommand};

    #[test]
    fn a_word_is_written_and_read_whoever_owns_the_text() {
        for mode in Mode::ALL {
            let (word, json) = (mode.as_str(), serde_json::to_string(mode).unwrap());
            assert_eq!(json, format!("\"{word}\""));
            assert_eq!(serde_json::from_str::<Mode>(&json).unwrap(), *mode);
            assert_eq!(serde_json::from_slice::<Mode>(json.as_bytes()).unwrap(), *mode);
            assert_eq!(serde_json::from_reader::<_, Mode>(json.as_bytes()).unwrap(), *mode);
            assert_eq!(serde_json::from_value::<Mode>(word.into()).unwrap(), *mode);
            let borrowed = value::BorrowedStrDeserializer::<value::Error>::new(word);
            assert_eq!(Mode::deserialize(borrowed).unwrap(), *mode);
            let passing: value::StrDeserializer<'_, value::Error> = word.into_deserializer();
            assert_eq!(Mode::deserialize(passing).unwrap(), *mode);
            let owned: value::StringDeserializer<value::Error> = word.to_owned().into_deserializer();
            assert_eq!(Mode::deserialize(owned).unwrap(), *mode);
        }
        // Text that has to be copied, because it is not in the document as it is.
        assert_eq!(serde_json::from_str::<Mode>(r#""\u006ao\u0062""#).unwrap(), Mode::Job);
        let spaces: VersionCommand = serde_json::from_str("\"receive its bundle\"").unwrap();
        assert_eq!(spaces, VersionCommand::Fill);
    }

    #[test]
    fn what_is_no_word_is_refused_and_not_told() {
        for json in ["\"hunter2\"", "\"Job\"", "\"\"", "1", "null", "{\"job\": null}"] {
            let error = serde_json::from_str::<Mode>(json).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
