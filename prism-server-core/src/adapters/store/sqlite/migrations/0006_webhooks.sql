-- Webhooks of tenants, and what is to be sent to them. None of it belongs to a deployment: what was queued is sent
-- although its deployment is gone.

CREATE TABLE webhooks (
    id                         TEXT    NOT NULL PRIMARY KEY,
    tenant_id                  TEXT    NOT NULL,
    url                        TEXT    NOT NULL,
    events                     TEXT    NOT NULL,
    deployment_id              TEXT,
    description                TEXT,
    state                      TEXT    NOT NULL,
    disabled_reason            TEXT,
    failing_since              INTEGER,
    paused_until               INTEGER,
    secret                     BLOB    NOT NULL,
    previous_secret            BLOB,
    previous_secret_expires_at INTEGER,
    created_at                 INTEGER NOT NULL,
    revision                   INTEGER NOT NULL
) STRICT;
CREATE INDEX webhooks_of_tenant ON webhooks (tenant_id, id) WHERE state <> 'deleted';
-- Asked with every event but tokens. A tenant without webhooks costs one look that finds nothing.
CREATE INDEX webhooks_enabled ON webhooks (tenant_id, id) WHERE state = 'enabled';
CREATE INDEX webhooks_deleted ON webhooks (id) WHERE state = 'deleted';

-- How far the deliveries of each webhook have come and when the next is due. It is here and not in `webhooks` because
-- it changes with every delivery and this row is short.
CREATE TABLE webhook_queues (
    webhook_id    TEXT    NOT NULL PRIMARY KEY,
    last_sequence INTEGER NOT NULL,
    last_at       INTEGER,
    pending       INTEGER NOT NULL,
    due_at        INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_queues_due ON webhook_queues (due_at, webhook_id) WHERE due_at IS NOT NULL;

-- What deliveries tell, once for all webhooks that are told the same event; it goes with the last of them.
CREATE TABLE webhook_data (
    id         INTEGER PRIMARY KEY,
    data       TEXT    NOT NULL,
    deliveries INTEGER NOT NULL
) STRICT;

CREATE TABLE webhook_deliveries (
    webhook_id     TEXT    NOT NULL,
    sequence       INTEGER NOT NULL,
    kind           TEXT    NOT NULL,
    deployment_id  TEXT,
    event_sequence INTEGER,
    data_id        INTEGER NOT NULL,
    state          TEXT    NOT NULL,
    tries          INTEGER NOT NULL,
    attempts       TEXT,
    next_at        INTEGER,
    created_at     INTEGER NOT NULL,
    finished_at    INTEGER,
    revision       INTEGER NOT NULL,
    PRIMARY KEY (webhook_id, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_deliveries_in_state ON webhook_deliveries (webhook_id, state, sequence);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_at, sequence) WHERE next_at IS NOT NULL;
CREATE INDEX webhook_deliveries_finished ON webhook_deliveries (finished_at, webhook_id, sequence)
    WHERE finished_at IS NOT NULL;
