//! SQLite's errors as the port's. They name codes, tables and columns, never a value: SQLite's own message is
//! left out because nothing promises that it does the same.

use rusqlite::{Error, ErrorCode, ffi};

use crate::ports::StoreError;

/// The error of a statement that cannot conflict with anything.
pub(super) fn failed(error: &Error) -> StoreError {
    match error {
        Error::SqliteFailure(cause, _) => match cause.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                StoreError::Unavailable("another process is writing to the database".to_owned())
            }
            // Nothing is damaged, and the same call works once there is room.
            ErrorCode::DiskFull => StoreError::Unavailable("the disk is full".to_owned()),
            _ => {
                let text = ffi::code_to_str(cause.extended_code);
                StoreError::Failed(format!("SQLite error {}: {text}", cause.extended_code))
            }
        },
        _ => StoreError::Failed("a statement does not fit the database".to_owned()),
    }
}

/// The error of an insert or update that a unique key may refuse.
pub(super) fn refused(noun: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| match &error {
        Error::SqliteFailure(cause, _)
            if matches!(
                cause.extended_code,
                ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            ) =>
        {
            StoreError::Conflict(noun)
        }
        _ => failed(&error),
    }
}

/// The same error once more, for the next caller of a group that failed as a whole.
pub(super) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Conflict(noun) => StoreError::Conflict(noun),
        StoreError::Missing(noun) => StoreError::Missing(noun),
        StoreError::Full(nouns) => StoreError::Full(nouns),
        StoreError::Unavailable(reason) => StoreError::Unavailable(reason.clone()),
        StoreError::Failed(reason) => StoreError::Failed(reason.clone()),
    }
}
