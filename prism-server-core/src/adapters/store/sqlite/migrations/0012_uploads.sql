-- Uploads in parts to machines, as records of machines are kept. The bytes are in files of the server.
--
-- `is_open`: whether parts are taken. `due_at`: when it expires, or is forgotten.

CREATE TABLE uploads (
    id         TEXT    NOT NULL PRIMARY KEY,
    tenant_id  TEXT    NOT NULL,
    machine_id TEXT    NOT NULL,
    is_open    INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    record     TEXT    NOT NULL
) STRICT;
CREATE INDEX uploads_of_machine ON uploads (machine_id);
CREATE INDEX uploads_open_of_machine ON uploads (machine_id, id) WHERE is_open = 1;
CREATE INDEX uploads_open_of_tenant ON uploads (tenant_id, machine_id, size) WHERE is_open = 1;
CREATE INDEX uploads_to_mind ON uploads (id, due_at);
