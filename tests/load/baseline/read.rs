//! One row by its key, read on the thread that answers, and told as the same JSON as Prism's.

use std::{cell::RefCell, path::PathBuf, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::HOST},
};
use prism_types::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

/// The columns that Prism reads of a deployment.
const DEPLOYMENT: &str = "SELECT id, tenant_id, customer_id, name, runtime, model, spec_version, \
    default_thread, instance_id, persistent, state, error, created_at, revision \
    FROM deployments WHERE id = ?1";

thread_local! {
    /// The connection of this worker.
    static READER: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

/// `GET /v1/deployments/{id}`
pub(super) async fn deployment(
    State(database): State<Arc<PathBuf>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Deployment>, StatusCode> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let found = READER.with_borrow_mut(|reader| {
        let reader = match reader {
            Some(reader) => reader,
            None => reader.insert(open(&database)?),
        };
        let mut statement = reader.prepare_cached(DEPLOYMENT)?;
        statement.query_row([&id], |row| Deployment::read(row, host)).optional()
    });
    let found = found.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    found.map(Json).ok_or(StatusCode::NOT_FOUND)
}

fn open(database: &std::path::Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(database)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096;")?;
    Ok(connection)
}

/// A deployment as Prism tells it.
#[derive(Serialize)]
pub(super) struct Deployment {
    deployment_id: String,
    customer_id: String,
    name: String,
    runtime: String,
    status: String,
    model: String,
    thread_id: String,
    filesystem: Filesystem,
    events: Events,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Filesystem {
    workspace_path: &'static str,
    persistent: bool,
}

#[derive(Serialize)]
struct Events {
    transport: &'static str,
    url: String,
}

impl Deployment {
    fn read(row: &Row<'_>, host: &str) -> rusqlite::Result<Self> {
        let id: String = row.get(0)?;
        // What is not told is read all the same, as Prism does.
        let (_tenant, _version, _instance): (String, i64, String) = (row.get(1)?, row.get(6)?, row.get(8)?);
        let _revision: i64 = row.get(13)?;
        Ok(Self {
            customer_id: row.get(2)?,
            name: row.get(3)?,
            runtime: row.get(4)?,
            model: row.get(5)?,
            thread_id: row.get(7)?,
            filesystem: Filesystem { workspace_path: "/workspace", persistent: row.get(9)? },
            status: row.get(10)?,
            error: row.get(11)?,
            created_at: Timestamp::from_millis(row.get(12)?),
            events: Events { transport: "sse", url: format!("http://{host}/v1/deployments/{id}/events") },
            deployment_id: id,
        })
    }
}
