-- Workspaces that outlive their deployments.
CREATE TABLE snapshots (
    id            TEXT    NOT NULL PRIMARY KEY,
    tenant_id     TEXT    NOT NULL,
    deployment_id TEXT    NOT NULL UNIQUE,
    customer_id   TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    instance_id   TEXT    NOT NULL UNIQUE,
    sandbox       TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    revision      INTEGER NOT NULL
) STRICT;
CREATE INDEX snapshots_of_tenant ON snapshots (tenant_id, id);
CREATE INDEX snapshots_expiring ON snapshots (expires_at, id);

ALTER TABLE instances ADD COLUMN restores TEXT;
