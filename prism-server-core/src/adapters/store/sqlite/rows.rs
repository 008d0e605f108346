//! From columns to records.
//!
//! A value that does not fit, such as a word that no state has, is an error that names the table and the
//! column. It never becomes a default, and the value is not told.

use std::str::FromStr;

use prism_types::{Attachment, Timestamp, Usage, WebhookAttempt};
use rusqlite::{Connection, OptionalExtension as _, Params, Row, types::FromSql};
use serde::de::DeserializeOwned;

use super::{super::EventPage, errors::failed};
use crate::{
    domain::{
        approval::{Approval, ApprovalState, Decision},
        audit::AuditEntry,
        automation::{Automation, AutomationRun, Outcome, OutcomeKind},
        deployment::{AgentSpec, Deployment, DeploymentState},
        dream::{Dream, DreamState, Quiet},
        event::{LoggedEvent, NewEvent},
        idempotency::KeptReply,
        instance::{Instance, InstanceState},
        machine::{Machine, snapshot::MachineSnapshot, upload::Upload},
        memory::{Memory, MemorySet},
        message::Message,
        program::{ProgramDeployment, job::Job, service::Service, version::Version},
        run::{Run, RunState},
        secret::SealedSecret,
        skill::{SkillRecord, SkillState},
        snapshot::{Snapshot, SnapshotState},
        tenant::{ApiKey, Scopes, Tenant},
        thread::{ForgottenThread, Thread},
        webhook::{
            PreviousSecret, Webhook, WebhookState,
            delivery::{Delivery, DeliveryState, EventPlace},
        },
    },
    ports::{StoreError, StoreResult, WebhookQueue},
};

/// The record that a query finds, if any.
pub(super) fn one<T: Record>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> StoreResult<Option<T>> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| failed(&error))?;
    let found = statement.query_row(params, |row| Ok(T::read(&Columns { table: T::TABLE, row })));
    found.optional().map_err(|error| failed(&error))?.transpose()
}

/// The records that a query finds, in its order.
pub(super) fn all<T: Record>(connection: &Connection, sql: &str, params: impl Params) -> StoreResult<Vec<T>> {
    let mut records = Vec::new();
    each(connection, sql, params, |record| {
        records.push(record);
        true
    })?;
    Ok(records)
}

/// The events that a query finds, in its order, until the page is full.
pub(super) fn events(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> StoreResult<Vec<LoggedEvent>> {
    let mut page = EventPage::default();
    each(connection, sql, params, |event| page.push(event))?;
    Ok(page.events)
}

/// Gives every record that a query finds to `take`, until that wants no more.
fn each<T: Record>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut take: impl FnMut(T) -> bool,
) -> StoreResult<()> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| failed(&error))?;
    let mut rows = statement.query(params).map_err(|error| failed(&error))?;
    while let Some(row) = rows.next().map_err(|error| failed(&error))? {
        if !take(T::read(&Columns { table: T::TABLE, row })?) {
            break;
        }
    }
    Ok(())
}

/// What a row of a table is read as; the columns come in the order of [`super::queries`].
pub(super) trait Record: Sized {
    /// The table, for errors.
    const TABLE: &'static str;

    /// Reads a row.
    fn read(columns: &Columns<'_>) -> StoreResult<Self>;
}

/// A row and the table it is of.
pub(super) struct Columns<'a> {
    table: &'static str,
    row: &'a Row<'a>,
}

impl Columns<'_> {
    /// A column of one of SQLite's own types.
    fn get<T: FromSql>(&self, at: usize) -> StoreResult<T> {
        self.row.get(at).map_err(|_| self.unreadable(at))
    }

    /// A text that is checked, such as an id.
    fn parsed<T: FromStr>(&self, at: usize) -> StoreResult<T> {
        self.with_text(at, |text| text.parse().ok())
    }

    fn parsed_or_null<T: FromStr>(&self, at: usize) -> StoreResult<Option<T>> {
        if self.is_null(at)? { Ok(None) } else { self.parsed(at).map(Some) }
    }

    /// A text that must be one of some words.
    fn word<T>(&self, at: usize, parse: impl FnOnce(&str) -> Option<T>) -> StoreResult<T> {
        self.with_text(at, parse)
    }

    fn word_or_null<T>(&self, at: usize, parse: impl FnOnce(&str) -> Option<T>) -> StoreResult<Option<T>> {
        if self.is_null(at)? { Ok(None) } else { self.word(at, parse).map(Some) }
    }

    fn json<T: DeserializeOwned>(&self, at: usize) -> StoreResult<T> {
        self.with_text(at, |text| serde_json::from_str(text).ok())
    }

    fn json_or_null<T: DeserializeOwned>(&self, at: usize) -> StoreResult<Option<T>> {
        if self.is_null(at)? { Ok(None) } else { self.json(at).map(Some) }
    }

    /// A number that is not negative and fits.
    fn number<T: TryFrom<i64>>(&self, at: usize) -> StoreResult<T> {
        self.get::<i64>(at)?.try_into().map_err(|_| self.unreadable(at))
    }

    fn number_or_null<T: TryFrom<i64>>(&self, at: usize) -> StoreResult<Option<T>> {
        if self.is_null(at)? { Ok(None) } else { self.number(at).map(Some) }
    }

    fn instant(&self, at: usize) -> StoreResult<Timestamp> {
        self.get(at).map(Timestamp::from_millis)
    }

    fn instant_or_null(&self, at: usize) -> StoreResult<Option<Timestamp>> {
        Ok(self.get::<Option<i64>>(at)?.map(Timestamp::from_millis))
    }

    fn with_text<T>(&self, at: usize, parse: impl FnOnce(&str) -> Option<T>) -> StoreResult<T> {
        let text = self.row.get_ref(at).ok().and_then(|value| value.as_str().ok());
        text.and_then(parse).ok_or_else(|| self.unreadable(at))
    }

    fn is_null(&self, at: usize) -> StoreResult<bool> {
        let value = self.row.get_ref(at).map_err(|_| self.unreadable(at))?;
        Ok(value == rusqlite::types::ValueRef::Null)
    }

    fn unreadable(&self, at: usize) -> StoreError {
        let column = self.row.as_ref().column_name(at).unwrap_or("?");
        StoreError::Failed(format!("{}.{column} holds a value that cannot be read", self.table))
    }
}

impl Record for KeptReply {
    const TABLE: &'static str = "replies";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            tenant_id: columns.parsed(0)?,
            key: columns.parsed(1)?,
            fingerprint: columns.get(2)?,
            sealed: columns.get(3)?,
            created_at: columns.instant(4)?,
        })
    }
}

impl Record for AuditEntry {
    const TABLE: &'static str = "audit_entries";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            tenant_id: columns.parsed(1)?,
            deployment_id: columns.parsed_or_null(2)?,
            actor: columns.get(3)?,
            operation: columns.get(4)?,
            subject: columns.get(5)?,
            fields: columns.json(6)?,
            request_id: columns.get(7)?,
            created_at: columns.instant(8)?,
        })
    }
}

impl Record for Tenant {
    const TABLE: &'static str = "tenants";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            name: columns.get(1)?,
            credits: columns.number_or_null(2)?,
            created_at: columns.instant(3)?,
            revision: columns.number(4)?,
            used: Usage::default()
                .input_tokens(columns.number::<u64>(5)?)
                .output_tokens(columns.number::<u64>(6)?),
        })
    }
}

impl Record for ApiKey {
    const TABLE: &'static str = "api_keys";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            tenant_id: columns.parsed(1)?,
            name: columns.get(2)?,
            hash: columns.get(3)?,
            scopes: columns.word(4, |names| Scopes::parse(names).ok())?,
            created_at: columns.instant(5)?,
            revoked_at: columns.instant_or_null(6)?,
        })
    }
}

impl Record for SealedSecret {
    const TABLE: &'static str = "secrets";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            tenant_id: columns.parsed(0)?,
            reference: columns.parsed(1)?,
            sealed: columns.get(2)?,
            updated_at: columns.instant(3)?,
        })
    }
}

impl Record for Deployment {
    const TABLE: &'static str = "deployments";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            tenant_id: columns.parsed(1)?,
            customer_id: columns.get(2)?,
            name: columns.get(3)?,
            runtime: columns.parsed(4)?,
            model: columns.get(5)?,
            spec_version: columns.number(6)?,
            default_thread: columns.parsed(7)?,
            instance_id: columns.parsed(8)?,
            persistent: columns.get(9)?,
            state: columns.word(10, DeploymentState::parse)?,
            error: columns.json_or_null(11)?,
            created_at: columns.instant(12)?,
            revision: columns.number(13)?,
        })
    }
}

/// The last sequence of a log.
pub(super) struct Head(pub(super) u64);

impl Record for Head {
    const TABLE: &'static str = "heads";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        columns.number(0).map(Self)
    }
}

/// The manifest of a version, as JSON.
pub(super) struct Manifest(pub(super) String);

impl Record for Manifest {
    const TABLE: &'static str = "program_manifests";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        columns.get(0).map(Self)
    }
}

impl Record for AgentSpec {
    const TABLE: &'static str = "specs";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        columns.json(0)
    }
}

impl Record for SkillRecord {
    const TABLE: &'static str = "skills";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            deployment_id: columns.parsed(1)?,
            name: columns.get(2)?,
            source: columns.parsed(3)?,
            location: columns.get(4)?,
            state: columns.word(5, SkillState::parse)?,
            description: columns.get(6)?,
            content: columns.get(7)?,
            error: columns.json_or_null(8)?,
            created_at: columns.instant(9)?,
            revision: columns.number(10)?,
        })
    }
}

impl Record for Instance {
    const TABLE: &'static str = "instances";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            deployment_id: columns.parsed(1)?,
            state: columns.word(2, InstanceState::parse)?,
            restarts: columns.number(3)?,
            restores: columns.parsed_or_null(4)?,
            revision: columns.number(5)?,
        })
    }
}

impl Record for Snapshot {
    const TABLE: &'static str = "snapshots";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            tenant_id: columns.parsed(1)?,
            deployment_id: columns.parsed(2)?,
            customer_id: columns.get(3)?,
            name: columns.get(4)?,
            instance_id: columns.parsed(5)?,
            sandbox: columns.parsed(6)?,
            state: columns.word(7, SnapshotState::parse)?,
            created_at: columns.instant(8)?,
            expires_at: columns.instant(9)?,
            revision: columns.number(10)?,
        })
    }
}

/// Records that are kept whole, as JSON, with a column for their revisions.
macro_rules! json_records {
    ($($record:ident: $table:literal;)*) => { $(
        impl Record for $record {
            const TABLE: &'static str = $table;

            fn read(columns: &Columns<'_>) -> StoreResult<Self> {
                Ok(Self { revision: columns.number(1)?, ..columns.json(0)? })
            }
        }
    )* };
}

json_records! {
    ProgramDeployment: "programs";
    Version: "program_versions";
    Service: "services";
    Job: "jobs";
    Machine: "machines";
    Upload: "uploads";
}

impl Record for MachineSnapshot {
    const TABLE: &'static str = "machine_snapshots";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        columns.json(0)
    }
}

impl Record for Thread {
    const TABLE: &'static str = "threads";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            deployment_id: columns.parsed(1)?,
            title: columns.get(2)?,
            message_count: columns.number(3)?,
            last_activity_at: columns.instant(4)?,
            created_at: columns.instant(5)?,
        })
    }
}

impl Record for Message {
    const TABLE: &'static str = "messages";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            thread_id: columns.parsed(0)?,
            position: columns.number(1)?,
            role: columns.parsed(2)?,
            content: columns.get(3)?,
            attachments: columns.json_or_null::<Vec<Attachment>>(4)?.unwrap_or_default(),
            run_id: columns.parsed_or_null(5)?,
            created_at: columns.instant(6)?,
            decision: columns.word_or_null(7, Decision::parse)?,
        })
    }
}

impl Record for Run {
    const TABLE: &'static str = "runs";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        let (input, output): (u64, u64) = (columns.number(8)?, columns.number(9)?);
        Ok(Self {
            id: columns.parsed(0)?,
            deployment_id: columns.parsed(1)?,
            thread_id: columns.parsed(2)?,
            spec_version: columns.number(3)?,
            state: columns.word(4, RunState::parse)?,
            attempts: columns.number(5)?,
            checkpoint: columns.get(6)?,
            read_position: columns.number(7)?,
            usage: Usage::default().input_tokens(input).output_tokens(output),
            error: columns.json_or_null(10)?,
            created_at: columns.instant(11)?,
            ended_at: columns.instant_or_null(12)?,
            revision: columns.number(13)?,
            cancelled: columns.get(14)?,
            kind: columns.parsed(15)?,
        })
    }
}

impl Record for Approval {
    const TABLE: &'static str = "approvals";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            deployment_id: columns.parsed(1)?,
            run_id: columns.parsed(2)?,
            summary: columns.get(3)?,
            answer: columns.get(4)?,
            created_at: columns.instant(5)?,
            resolved_at: columns.instant_or_null(6)?,
            state: columns.word(7, ApprovalState::parse)?,
            expires_at: columns.instant_or_null(8)?,
        })
    }
}

impl Record for Automation {
    const TABLE: &'static str = "automations";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            deployment_id: columns.parsed(1)?,
            name: columns.get(2)?,
            schedule: columns.get(3)?,
            cron: columns.get(4)?,
            timezone: columns.get(5)?,
            instructions: columns.get(6)?,
            thread_id: columns.parsed(7)?,
            enabled: columns.get(8)?,
            next_run_at: columns.instant_or_null(9)?,
            created_at: columns.instant(10)?,
            revision: columns.number(11)?,
        })
    }
}

impl Record for AutomationRun {
    const TABLE: &'static str = "automation_runs";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            automation_id: columns.parsed(1)?,
            deployment_id: columns.parsed(2)?,
            scheduled_at: columns.instant_or_null(3)?,
            created_at: columns.instant(4)?,
            outcome: match columns.word(5, OutcomeKind::parse)? {
                OutcomeKind::Started => Outcome::Started(columns.parsed(6)?),
                OutcomeKind::Skipped => Outcome::Skipped(columns.json(7)?),
                OutcomeKind::Failed => Outcome::Failed(columns.json(7)?),
            },
        })
    }
}

impl Record for MemorySet {
    const TABLE: &'static str = "memory_sets";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            deployment_id: columns.parsed(0)?,
            home: columns.get(1)?,
            in_step: columns.get(2)?,
            revision: columns.number(3)?,
        })
    }
}

impl Record for Memory {
    const TABLE: &'static str = "memories";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            deployment_id: columns.parsed(1)?,
            content: columns.get(2)?,
            source: columns.parsed(3)?,
            created_at: columns.instant(4)?,
            updated_at: columns.instant(5)?,
            forgotten: columns.get(6)?,
            synced: columns.get(7)?,
            offered: columns.get(8)?,
        })
    }
}

impl Record for ForgottenThread {
    const TABLE: &'static str = "forgotten_threads";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self { thread_id: columns.parsed(0)?, deployment_id: columns.parsed(1)? })
    }
}

impl Record for Dream {
    const TABLE: &'static str = "dreams";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: columns.parsed(0)?,
            deployment_id: columns.parsed(1)?,
            thread_id: columns.parsed(2)?,
            run_id: columns.parsed(3)?,
            trigger: columns.parsed(4)?,
            state: columns.word(5, DreamState::parse)?,
            before: columns.json(6)?,
            report: columns.json_or_null(7)?,
            error: columns.json_or_null(8)?,
            created_at: columns.instant(9)?,
            ended_at: columns.instant_or_null(10)?,
            reverted_at: columns.instant_or_null(11)?,
            revision: columns.number(12)?,
        })
    }
}

impl Record for Quiet {
    const TABLE: &'static str = "quiet";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self { deployment_id: columns.parsed(0)?, run_id: columns.parsed(1)?, since: columns.instant(2)? })
    }
}

impl Record for LoggedEvent {
    const TABLE: &'static str = "events";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        let event = NewEvent {
            deployment_id: columns.parsed(0)?,
            run_id: columns.parsed_or_null(2)?,
            thread_id: columns.parsed_or_null(3)?,
            name: columns.get(4)?,
            data: columns.get(5)?,
            created_at: columns.instant(6)?,
            instance_id: columns.parsed_or_null(7)?,
        };
        Ok(Self { sequence: columns.number(1)?, event })
    }
}

impl Record for Webhook {
    const TABLE: &'static str = "webhooks";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        let previous_secret = match columns.instant_or_null(12)? {
            Some(expires_at) => Some(PreviousSecret { sealed: columns.get(11)?, expires_at }),
            None => None,
        };
        Ok(Self {
            id: columns.parsed(0)?,
            tenant_id: columns.parsed(1)?,
            url: columns.get(2)?,
            events: columns.json(3)?,
            deployment_id: columns.parsed_or_null(4)?,
            description: columns.get(5)?,
            state: columns.word(6, WebhookState::parse)?,
            disabled_reason: columns.json_or_null(7)?,
            failing_since: columns.instant_or_null(8)?,
            paused_until: columns.instant_or_null(9)?,
            secret: columns.get(10)?,
            previous_secret,
            created_at: columns.instant(13)?,
            revision: columns.number(14)?,
        })
    }
}

impl Record for WebhookQueue {
    const TABLE: &'static str = "webhook_queues";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        Ok(Self {
            webhook_id: columns.parsed(0)?,
            last_sequence: columns.number(1)?,
            last_at: columns.instant_or_null(2)?,
            pending: columns.number(3)?,
            due_at: columns.instant_or_null(4)?,
        })
    }
}

impl Record for Delivery {
    const TABLE: &'static str = "webhook_deliveries";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        let event = match columns.parsed_or_null(3)? {
            Some(deployment_id) => Some(EventPlace { deployment_id, sequence: columns.number(4)? }),
            None => None,
        };
        Ok(Self {
            webhook_id: columns.parsed(0)?,
            sequence: columns.number(1)?,
            kind: columns.get(2)?,
            event,
            state: columns.word(5, DeliveryState::parse)?,
            tries: columns.number(6)?,
            attempts: columns.json_or_null::<Vec<WebhookAttempt>>(7)?.unwrap_or_default(),
            next_at: columns.instant_or_null(8)?,
            created_at: columns.instant(9)?,
            finished_at: columns.instant_or_null(10)?,
            revision: columns.number(11)?,
        })
    }
}

/// What a delivery tells.
pub(super) struct DeliveryData(pub(super) String);

impl Record for DeliveryData {
    const TABLE: &'static str = "webhook_data";

    fn read(columns: &Columns<'_>) -> StoreResult<Self> {
        columns.get(0).map(Self)
    }
}
