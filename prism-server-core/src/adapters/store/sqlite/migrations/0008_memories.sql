-- What agents remember, what they are to forget, and what they do while nobody needs them.

CREATE TABLE memory_sets (
    deployment_id TEXT    NOT NULL PRIMARY KEY,
    home          TEXT,
    in_step       INTEGER NOT NULL,
    revision      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_sets_out_of_step ON memory_sets (deployment_id) WHERE in_step = 0;

CREATE TABLE memories (
    id            TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    content       TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    forgotten     INTEGER NOT NULL,
    synced        TEXT,
    offered       TEXT
) STRICT;
CREATE INDEX memories_of_deployment ON memories (deployment_id, id);

CREATE TABLE forgotten_threads (
    thread_id     TEXT NOT NULL PRIMARY KEY,
    deployment_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX forgotten_threads_of_deployment ON forgotten_threads (deployment_id, thread_id);

-- `before` and `report` are JSON.
CREATE TABLE dreams (
    id            TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    thread_id     TEXT    NOT NULL,
    run_id        TEXT    NOT NULL,
    "trigger"     TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    before        TEXT    NOT NULL,
    report        TEXT,
    error         TEXT,
    created_at    INTEGER NOT NULL,
    ended_at      INTEGER,
    reverted_at   INTEGER,
    revision      INTEGER NOT NULL
) STRICT;
CREATE INDEX dreams_of_deployment ON dreams (deployment_id, id);
CREATE UNIQUE INDEX dreams_running ON dreams (deployment_id) WHERE state = 'running';
CREATE INDEX all_dreams_running ON dreams (id) WHERE state = 'running';

CREATE TABLE quiet (
    deployment_id TEXT    NOT NULL PRIMARY KEY,
    run_id        TEXT    NOT NULL,
    since         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'message';
CREATE INDEX runs_unfinished_of_deployment ON runs (deployment_id) WHERE state IN ('running', 'waiting_on_human');
-- What a thread takes with it when it is deleted.
CREATE INDEX runs_of_thread ON runs (thread_id);
CREATE INDEX approvals_of_run ON approvals (run_id);
