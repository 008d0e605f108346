-- Machines and their snapshots, as records of programs are kept.
--
-- `due_at`: since when there is something to be done for it, the least number when that is so at any time.

CREATE TABLE machines (
    id        TEXT    NOT NULL PRIMARY KEY,
    tenant_id TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    due_at    INTEGER NOT NULL,
    revision  INTEGER NOT NULL,
    record    TEXT    NOT NULL
) STRICT;
CREATE INDEX machines_of_tenant ON machines (tenant_id, id) WHERE state <> 'destroyed';
CREATE INDEX machines_to_mind ON machines (id, due_at);

CREATE TABLE machine_snapshots (
    id          TEXT NOT NULL PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    instance_id TEXT NOT NULL UNIQUE,
    record      TEXT NOT NULL
) STRICT;
CREATE INDEX machine_snapshots_of_tenant ON machine_snapshots (tenant_id, id);
