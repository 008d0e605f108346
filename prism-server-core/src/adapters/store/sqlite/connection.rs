//! Opening of the file and the settings of a connection.

use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use super::errors::failed;
use crate::ports::{StoreError, StoreResult};

/// How long a connection waits for a lock of another process before it gives up.
const BUSY: Duration = Duration::from_secs(5);

/// How many prepared statements a connection keeps; there are fewer different ones than this.
const STATEMENTS: usize = 256;

/// Opens the connection that writes, and creates the file when there is none.
pub(super) fn open_writer(path: &Path) -> StoreResult<Connection> {
    create(path).map_err(|error| cannot_open(path, &error.kind().to_string()))?;
    let connection = open(path)?;
    use_write_ahead_log(&connection)?;
    // The log is moved into the file after 16 MiB of pages instead of the usual 4: fewer syncs of scattered
    // pages while events stream in. After a burst the log's file shrinks to 64 MiB again.
    settings(
        &connection,
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -16384;",
    )?;
    Ok(connection)
}

/// Opens a connection that can only read. It opens the file for writing all the same, because whoever comes
/// first after a crash has to recover the log.
pub(super) fn open_reader(path: &Path) -> StoreResult<Connection> {
    let connection = open(path)?;
    settings(&connection, "PRAGMA query_only = ON; PRAGMA cache_size = -4096;")?;
    Ok(connection)
}

fn open(path: &Path) -> StoreResult<Connection> {
    // One thread at a time uses a connection, so SQLite's own lock around it is not needed. The path is taken
    // literally, not as a URI.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| cannot_open(path, &failed(&error).to_string()))?;
    connection.busy_timeout(BUSY).map_err(|error| failed(&error))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    plan_once(&connection)?;
    settings(&connection, "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF;")?;
    Ok(connection)
}

/// Lets SQLite plan a statement once. By itself it plans one anew, at each execution, that has a parameter whose value could
/// matter to the plan, such as every `LIMIT ?`: which is more work than most of them are.
pub(super) fn plan_once(connection: &Connection) -> StoreResult<()> {
    let set = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
    set.map(drop).map_err(|error| failed(&error))
}

/// Creates an empty file that only its owner may read; SQLite gives its companions the same mode.
fn create(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
}

/// Switches to the write-ahead log, which is a property of the file. SQLite does not wait for locks here, so
/// when several processes open a new file at once, all but one are told that it is busy: try again.
fn use_write_ahead_log(connection: &Connection) -> StoreResult<()> {
    let deadline = Instant::now() + BUSY;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(StoreError::Failed(format!(
                    "SQLite cannot keep a write-ahead log here ({mode})"
                )));
            }
            Err(error) => {
                let busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
                if !busy || Instant::now() > deadline {
                    return Err(failed(&error));
                }
                sleep(Duration::from_millis(5));
            }
        }
    }
}

fn settings(connection: &Connection, pragmas: &str) -> StoreResult<()> {
    connection.execute_batch(pragmas).map_err(|error| failed(&error))
}

fn cannot_open(path: &Path, reason: &str) -> StoreError {
    StoreError::Failed(format!("{} cannot be opened: {reason}", path.display()))
}
