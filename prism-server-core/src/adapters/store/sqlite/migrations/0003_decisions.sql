-- How a question was answered, what a human decided with a message, and that a run is to end.
ALTER TABLE approvals ADD COLUMN state TEXT NOT NULL DEFAULT 'pending';
UPDATE approvals SET state = CASE WHEN answer IS NULL THEN 'closed' ELSE 'answered' END WHERE resolved_at IS NOT NULL;
DROP INDEX approvals_of_deployment;
CREATE INDEX approvals_of_deployment ON approvals (deployment_id, id);
CREATE INDEX approvals_pending ON approvals (deployment_id, id) WHERE resolved_at IS NULL;
CREATE INDEX all_approvals_pending ON approvals (id) WHERE resolved_at IS NULL;

ALTER TABLE messages ADD COLUMN decision TEXT;

ALTER TABLE runs ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0;
