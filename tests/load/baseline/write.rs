//! The same rows, durably: one thread writes, one transaction and one sync for all who wait ("group commit"),
//! and an answer after the commit.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{Json, extract::State, http::StatusCode};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::{Result, ground::specification};

/// As many as Prism's writer takes at once.
const GROUP: usize = 256;

/// What is written for a request.
enum Rows {
    Deployment(Box<New>),
    Message(String),
}

/// A deployment that was asked for, with its new id.
struct New {
    suffix: String,
    request: Request,
    specification: String,
    now: i64,
}

/// The body of `POST /v1/deployments`, as far as this load sends it.
#[derive(Deserialize)]
pub(super) struct Request {
    customer_id: String,
    name: String,
    runtime: String,
    system_prompt: String,
}

/// The body of `POST /messages`.
#[derive(Deserialize, Serialize)]
pub(super) struct Message {
    content: String,
}

/// Sends rows to the thread that writes.
pub(super) struct Writer {
    requests: mpsc::Sender<(Rows, oneshot::Sender<()>)>,
    numbers: AtomicU64,
}

impl Writer {
    pub(super) fn start(database: &Path) -> Result<Self> {
        let connection = Connection::open(database)?;
        connection.set_prepared_statement_cache_capacity(64);
        // As Prism's writer has it.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
             PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384;",
        )?;
        let (requests, mut queue) = mpsc::channel(1024);
        std::thread::spawn(move || {
            while let Some(first) = queue.blocking_recv() {
                let mut group = vec![first];
                while group.len() < GROUP
                    && let Ok(next) = queue.try_recv()
                {
                    group.push(next);
                }
                write(&connection, group).expect("the baseline's database can be written");
            }
        });
        Ok(Self { requests, numbers: AtomicU64::new(0) })
    }

    /// Makes one row durable.
    pub(super) async fn note(&self, content: &str) -> std::result::Result<(), StatusCode> {
        self.write(Rows::Message(content.to_owned())).await
    }

    async fn write(&self, rows: Rows) -> std::result::Result<(), StatusCode> {
        let (answer, answered) = oneshot::channel();
        self.requests.send((rows, answer)).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        answered.await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// `POST /v1/deployments`
pub(super) async fn create(
    State(writer): State<Arc<Writer>>,
    Json(request): Json<Request>,
) -> std::result::Result<(StatusCode, Json<serde_json::Value>), StatusCode> {
    let now = milliseconds();
    let number = writer.numbers.fetch_add(1, Ordering::Relaxed);
    let suffix = format!("{now:016}{number:010}");
    let specification = serde_json::to_string(&specification(&request.system_prompt))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let url = format!("http://prism.test/v1/deployments/dep_{suffix}/events");
    let answer = json!({
        "deployment_id": format!("dep_{suffix}"),
        "customer_id": request.customer_id,
        "name": request.name,
        "runtime": request.runtime,
        "status": "provisioning",
        "model": "anthropic/claude-sonnet-4.5",
        "thread_id": format!("thr_{suffix}"),
        "filesystem": {"workspace_path": "/workspace", "persistent": true},
        "events": {"transport": "sse", "url": url},
        "created_at": prism_types::Timestamp::from_millis(now).to_string(),
    });
    writer.write(Rows::Deployment(Box::new(New { suffix, request, specification, now }))).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// `POST /messages`: one durable insert.
pub(super) async fn message(
    State(writer): State<Arc<Writer>>,
    Json(message): Json<Message>,
) -> std::result::Result<Json<Message>, StatusCode> {
    writer.note(&message.content).await?;
    Ok(Json(message))
}

fn write(connection: &Connection, group: Vec<(Rows, oneshot::Sender<()>)>) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for (rows, _) in &group {
        match rows {
            Rows::Deployment(new) => insert_deployment(connection, new)?,
            Rows::Message(content) => insert_message(connection, content)?,
        }
    }
    connection.prepare_cached("COMMIT")?.execute([])?;
    for (_, answer) in group {
        let _ = answer.send(());
    }
    Ok(())
}

fn insert_deployment(connection: &Connection, new: &New) -> rusqlite::Result<()> {
    let New { suffix, request, specification, now } = new;
    let deployment = format!("dep_{suffix}");
    let (thread, instance) = (format!("thr_{suffix}"), format!("ins_{suffix}"));
    let mut insert = connection.prepare_cached(
        "INSERT INTO deployments (id, tenant_id, customer_id, name, runtime, model, spec_version,
             default_thread, instance_id, persistent, state, error, created_at, revision)
         VALUES (?1, 'ten_load', ?2, ?3, ?4, 'anthropic/claude-sonnet-4.5', 1, ?5, ?6, 1, 'provisioning',
             NULL, ?7, 0)",
    )?;
    let Request { customer_id, name, runtime, .. } = request;
    insert.execute(params![deployment, customer_id, name, runtime, thread, instance, now])?;
    connection
        .prepare_cached("INSERT INTO heads (deployment_id, last_sequence) VALUES (?1, 0)")?
        .execute(params![deployment])?;
    connection
        .prepare_cached("INSERT INTO specs (deployment_id, version, spec) VALUES (?1, 1, ?2)")?
        .execute(params![deployment, specification])?;
    connection
        .prepare_cached(
            "INSERT INTO threads (id, deployment_id, title, message_count, last_activity_at, created_at)
             VALUES (?1, ?2, 'Default', 0, ?3, ?3)",
        )?
        .execute(params![thread, deployment, now])?;
    connection
        .prepare_cached(
            "INSERT INTO instances (id, deployment_id, state, restarts, revision)
             VALUES (?1, ?2, 'pending', 0, 0)",
        )?
        .execute(params![instance, deployment])?;
    Ok(())
}

fn insert_message(connection: &Connection, content: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO messages (thread_id, position, role, content, attachments, run_id, created_at)
             SELECT 'thr_load', coalesce(max(position), 0) + 1, 'user', ?1, NULL, NULL, ?2
             FROM messages WHERE thread_id = 'thr_load'",
        )?
        .execute(params![content, milliseconds()])?;
    Ok(())
}

fn milliseconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
