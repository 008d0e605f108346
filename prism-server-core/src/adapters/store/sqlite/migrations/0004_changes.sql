-- What is written beside a change: the answer, under the idempotency key of its request, and who made it.

CREATE TABLE replies (
    tenant_id   TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    sealed      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, key)
) STRICT;
CREATE INDEX replies_by_age ON replies (created_at);

-- A deployment's entries outlive it.
CREATE TABLE audit_entries (
    tenant_id     TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    deployment_id TEXT,
    actor         TEXT    NOT NULL,
    operation     TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    fields        TEXT    NOT NULL,
    request_id    TEXT,
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_entries_of_deployment ON audit_entries (tenant_id, deployment_id, id)
    WHERE deployment_id IS NOT NULL;
CREATE INDEX audit_entries_by_age ON audit_entries (created_at);
