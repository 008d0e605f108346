//! Environment variables that have no flag, because the arguments of a process can be seen by others.

use crate::failure::Failure;

/// The value of a variable; one that is empty counts as not set.
///
/// # Errors
/// When the value is not UTF-8. The message does not show it.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::usage(format!("the environment variable {name} is not UTF-8")))
        }
    }
}
