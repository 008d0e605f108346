-- Automations and their history. `next_run_at` is null for what is not due at all; the engine finds what is by one
-- range of its index. An instant of an automation has one entry in the history at most: that it fires once is
-- decided here, by whoever inserts first.
CREATE TABLE automations (
    id            TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    schedule      TEXT    NOT NULL,
    cron          TEXT    NOT NULL,
    timezone      TEXT    NOT NULL,
    instructions  TEXT    NOT NULL,
    thread_id     TEXT    NOT NULL,
    enabled       INTEGER NOT NULL,
    next_run_at   INTEGER,
    created_at    INTEGER NOT NULL,
    revision      INTEGER NOT NULL
) STRICT;
CREATE INDEX automations_of_deployment ON automations (deployment_id, id);
CREATE INDEX automations_due ON automations (next_run_at, id) WHERE next_run_at IS NOT NULL;

CREATE TABLE automation_runs (
    id            TEXT    NOT NULL PRIMARY KEY,
    automation_id TEXT    NOT NULL,
    deployment_id TEXT    NOT NULL,
    scheduled_at  INTEGER,
    created_at    INTEGER NOT NULL,
    outcome       TEXT    NOT NULL,
    run_id        TEXT,
    reason        TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX automation_runs_of_automation ON automation_runs (automation_id, id);
CREATE UNIQUE INDEX automation_runs_once ON automation_runs (automation_id, scheduled_at)
    WHERE scheduled_at IS NOT NULL;
CREATE INDEX automation_runs_of_deployment ON automation_runs (deployment_id);
