//! The nouns of the platform and their rules: pure data and pure functions.
//!
//! Nothing here waits, reads a clock or touches the outside. Every status is changed by a state machine of
//! this module, a total function from state and command to the next state or a [`Refused`], and by nothing
//! else. The stores keep what this module defines; the dialects translate it to their wire forms.

pub mod approval;
pub mod audit;
pub mod automation;
pub mod checks;
pub mod deployment;
pub mod dream;
pub mod event;
pub mod idempotency;
pub mod instance;
pub mod limits;
pub mod memory;
pub mod message;
mod numbered;
pub mod precondition;
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
    };
}

pub(crate) use words;
