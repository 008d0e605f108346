-- Skills that are changed one by one, and questions with a limit of time of their own.
ALTER TABLE skills ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX skills_by_name ON skills (deployment_id, name);

ALTER TABLE approvals ADD COLUMN expires_at INTEGER;
CREATE INDEX approvals_expiring ON approvals (expires_at, id) WHERE resolved_at IS NULL AND expires_at IS NOT NULL;
