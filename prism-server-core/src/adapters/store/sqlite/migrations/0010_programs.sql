-- Deployments of programs, their versions, and the services and jobs that run these. A deployment of a program has its
-- row in `heads`, too.
--
-- What is searched, counted, sorted or guarded has a column; all of a record, with that, is the JSON in `record`. Both
-- are written from one record in one statement, so they tell the same. A field that a record gets later needs a default.

CREATE TABLE programs (
    id        TEXT    NOT NULL PRIMARY KEY,
    tenant_id TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    mode      TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    revision  INTEGER NOT NULL,
    record    TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX programs_named ON programs (tenant_id, name) WHERE state <> 'deleted';
-- One index for each way to list a tenant's, without the deleted ones.
CREATE INDEX programs_of_tenant ON programs (tenant_id, id) WHERE state <> 'deleted';
CREATE INDEX programs_of_mode ON programs (tenant_id, mode, id) WHERE state <> 'deleted';
CREATE INDEX programs_in_state ON programs (tenant_id, state, id) WHERE state <> 'deleted';
CREATE INDEX programs_of_mode_in_state ON programs (tenant_id, mode, state, id) WHERE state <> 'deleted';
CREATE INDEX programs_deleted ON programs (id) WHERE state = 'deleted';

-- `building`: there is a build that is not over.
CREATE TABLE program_versions (
    id            TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    number        INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    building      INTEGER NOT NULL,
    revision      INTEGER NOT NULL,
    record        TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX program_versions_numbered ON program_versions (deployment_id, number);
CREATE INDEX program_versions_of_deployment ON program_versions (deployment_id, id);
CREATE INDEX program_versions_in_state ON program_versions (deployment_id, state, id);
CREATE INDEX program_versions_building ON program_versions (id) WHERE building = 1;

-- Manifests are long, and read only with their own versions.
CREATE TABLE program_manifests (
    version_id    TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    manifest      TEXT    NOT NULL
) STRICT;
CREATE INDEX program_manifests_of_deployment ON program_manifests (deployment_id);

-- `live`: it has not ended. `due_at`: since when there is something to be done for it, the least number when that is so
-- at any time; null: there is nothing. Those to mind are read by id, so that a page can go on after any of them whatever
-- happened to it meanwhile. They pass over those whose sandboxes are kept for later, which are few, because each is a
-- sandbox; and only in the index, which has `due_at` for this.
CREATE TABLE services (
    id            TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    version_id    TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    live          INTEGER NOT NULL,
    due_at        INTEGER,
    revision      INTEGER NOT NULL,
    record        TEXT    NOT NULL
) STRICT;
CREATE INDEX services_of_deployment ON services (deployment_id, id);
CREATE INDEX services_in_state ON services (deployment_id, state, id);
CREATE INDEX services_of_version ON services (deployment_id, version_id, id);
CREATE INDEX services_of_version_in_state ON services (deployment_id, version_id, state, id);
CREATE INDEX services_live ON services (deployment_id) WHERE live = 1;
CREATE INDEX services_to_mind ON services (id, due_at) WHERE due_at IS NOT NULL;

-- As services, with a sandbox that has an id of its own.
CREATE TABLE jobs (
    id            TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    version_id    TEXT    NOT NULL,
    instance_id   TEXT    NOT NULL UNIQUE,
    state         TEXT    NOT NULL,
    live          INTEGER NOT NULL,
    due_at        INTEGER,
    revision      INTEGER NOT NULL,
    record        TEXT    NOT NULL
) STRICT;
CREATE INDEX jobs_of_deployment ON jobs (deployment_id, id);
CREATE INDEX jobs_in_state ON jobs (deployment_id, state, id);
CREATE INDEX jobs_of_version ON jobs (deployment_id, version_id, id);
CREATE INDEX jobs_of_version_in_state ON jobs (deployment_id, version_id, state, id);
CREATE INDEX jobs_live ON jobs (deployment_id) WHERE live = 1;
CREATE INDEX jobs_to_mind ON jobs (id, due_at) WHERE due_at IS NOT NULL;

-- What a program writes is told by events of its instance.
ALTER TABLE events ADD COLUMN instance_id TEXT;
CREATE INDEX events_of_instance ON events (instance_id, sequence) WHERE instance_id IS NOT NULL;
