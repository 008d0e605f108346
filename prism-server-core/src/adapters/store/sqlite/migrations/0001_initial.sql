-- The first schema. Instants are milliseconds since 1970. Ids are time-ordered text, so that "newest first"
-- is the descending order of a key. A table with small rows is its own primary key (WITHOUT ROWID).
--
-- There are no foreign keys: the only parents that are ever removed are deployments, and every insert that
-- belongs to one looks for it in the same statement.

CREATE TABLE tenants (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    credits    INTEGER,
    created_at INTEGER NOT NULL,
    revision   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    tenant_id  TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    hash       BLOB    NOT NULL UNIQUE,
    scopes     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_of_tenant ON api_keys (tenant_id, id);

CREATE TABLE secrets (
    tenant_id  TEXT    NOT NULL,
    reference  TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, reference)
) STRICT;

CREATE TABLE deployments (
    id             TEXT    NOT NULL PRIMARY KEY,
    tenant_id      TEXT    NOT NULL,
    customer_id    TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    runtime        TEXT    NOT NULL,
    model          TEXT    NOT NULL,
    spec_version   INTEGER NOT NULL,
    default_thread TEXT    NOT NULL,
    instance_id    TEXT    NOT NULL,
    persistent     INTEGER NOT NULL,
    state          TEXT    NOT NULL,
    error          TEXT,
    created_at     INTEGER NOT NULL,
    revision       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- One index for each way to list a tenant's deployments, without the deleted ones.
CREATE INDEX deployments_of_tenant ON deployments (tenant_id, id) WHERE state <> 'deleted';
CREATE INDEX deployments_of_customer ON deployments (tenant_id, customer_id, id) WHERE state <> 'deleted';
CREATE INDEX deployments_of_tenant_in_state ON deployments (tenant_id, state, id) WHERE state <> 'deleted';
CREATE INDEX deployments_of_customer_in_state ON deployments (tenant_id, customer_id, state, id)
    WHERE state <> 'deleted';
CREATE INDEX deployments_in_state ON deployments (state, id);

-- The last sequence number of each deployment's log. It is here and not in `deployments` because it changes
-- with every event and this row is short, and not in `events` because those are trimmed.
CREATE TABLE heads (
    deployment_id TEXT    NOT NULL PRIMARY KEY,
    last_sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE specs (
    deployment_id TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    spec          TEXT    NOT NULL,
    PRIMARY KEY (deployment_id, version)
) STRICT;

CREATE TABLE skills (
    id            TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    position      INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    location      TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    description   TEXT,
    content       TEXT,
    error         TEXT,
    created_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX skills_of_deployment ON skills (deployment_id, position);

CREATE TABLE instances (
    id            TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    restarts      INTEGER NOT NULL,
    revision      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX instances_of_deployment ON instances (deployment_id);

CREATE TABLE threads (
    id               TEXT    NOT NULL PRIMARY KEY,
    deployment_id    TEXT    NOT NULL,
    title            TEXT,
    message_count    INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL,
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX threads_of_deployment ON threads (deployment_id, id);

CREATE TABLE messages (
    thread_id   TEXT    NOT NULL,
    position    INTEGER NOT NULL,
    role        TEXT    NOT NULL,
    content     TEXT    NOT NULL,
    attachments TEXT,
    run_id      TEXT,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (thread_id, position)
) STRICT;

CREATE TABLE runs (
    id            TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    thread_id     TEXT    NOT NULL,
    spec_version  INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    attempts      INTEGER NOT NULL,
    checkpoint    TEXT,
    read_position INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    error         TEXT,
    created_at    INTEGER NOT NULL,
    ended_at      INTEGER,
    revision      INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_of_deployment ON runs (deployment_id, id);
CREATE UNIQUE INDEX runs_unfinished ON runs (thread_id) WHERE state IN ('running', 'waiting_on_human');
CREATE INDEX runs_running ON runs (id) WHERE state = 'running';

CREATE TABLE approvals (
    id            TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    run_id        TEXT    NOT NULL,
    summary       TEXT    NOT NULL,
    answer        TEXT,
    created_at    INTEGER NOT NULL,
    resolved_at   INTEGER
) STRICT;
CREATE INDEX approvals_of_deployment ON approvals (deployment_id);
CREATE INDEX approvals_open ON approvals (run_id, id) WHERE resolved_at IS NULL;

CREATE TABLE events (
    deployment_id TEXT    NOT NULL,
    sequence      INTEGER NOT NULL,
    run_id        TEXT,
    thread_id     TEXT,
    name          TEXT    NOT NULL,
    data          TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (deployment_id, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_of_run ON events (run_id, deployment_id, sequence) WHERE run_id IS NOT NULL;
