//! The schema and how a file comes to have it.
//!
//! The version is kept in SQLite's own field for it, `user_version`, and is the number of migrations that were
//! run. A migration never changes once it was released.

use rusqlite::{Connection, TransactionBehavior};

use super::errors::failed;
use crate::ports::{StoreError, StoreResult};

const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_metering.sql"),
    include_str!("migrations/0003_decisions.sql"),
    include_str!("migrations/0004_changes.sql"),
    include_str!("migrations/0005_automations.sql"),
    include_str!("migrations/0006_webhooks.sql"),
    include_str!("migrations/0007_tools.sql"),
    include_str!("migrations/0008_memories.sql"),
    include_str!("migrations/0009_snapshots.sql"),
    include_str!("migrations/0010_programs.sql"),
    include_str!("migrations/0011_machines.sql"),
    include_str!("migrations/0012_uploads.sql"),
];

/// Brings the schema up to date. All missing migrations are one transaction, which is taken before the version
/// is looked at: of several processes that open a file at once, one migrates and the others find it done.
pub(super) fn run(connection: &mut Connection) -> StoreResult<()> {
    if missing(connection)?.is_empty() {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Exclusive)
        .map_err(|error| failed(&error))?;
    if version(&transaction)? == 0 && has_tables(&transaction)? {
        return Err(StoreError::Failed("the database is another program's".to_owned()));
    }
    for migration in missing(&transaction)? {
        transaction.execute_batch(migration).map_err(|error| failed(&error))?;
    }
    let version = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    transaction.pragma_update(None, "user_version", version).map_err(|error| failed(&error))?;
    transaction.commit().map_err(|error| failed(&error))
}

/// The version of the schema; 0: a new file.
pub(super) fn version(connection: &Connection) -> StoreResult<i64> {
    let read = connection
        .prepare_cached("PRAGMA user_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)));
    read.map_err(|error| failed(&error))
}

/// Whether there is anything in the file.
fn has_tables(connection: &Connection) -> StoreResult<bool> {
    let tables = connection.prepare("SELECT 1 FROM sqlite_schema").and_then(|mut tables| tables.exists([]));
    tables.map_err(|error| failed(&error))
}

fn missing(connection: &Connection) -> StoreResult<&'static [&'static str]> {
    let version = version(connection)?;
    let done = usize::try_from(version).ok().and_then(|done| MIGRATIONS.get(done..));
    done.ok_or_else(|| {
        StoreError::Failed(format!(
            "the database has version {version} and this program knows versions up to {}: it was written by \
             a newer one",
            MIGRATIONS.len()
        ))
    })
}
