//! The statements that read. Each is answered from one index without sorting, which a test checks.

/// The columns of a table in the order in which [`super::rows`] reads them.
macro_rules! columns {
    (tenants) => {
        "id, name, credits, created_at, revision, input_tokens, output_tokens"
    };
    (api_keys) => {
        "id, tenant_id, name, hash, scopes, created_at, revoked_at"
    };
    (secrets) => {
        "tenant_id, reference, sealed, updated_at"
    };
    (deployments) => {
        "id, tenant_id, customer_id, name, runtime, model, spec_version, default_thread, instance_id, \
         persistent, state, error, created_at, revision"
    };
    (heads) => {
        "last_sequence"
    };
    (specs) => {
        "spec"
    };
    (skills) => {
        "id, deployment_id, name, source, location, state, description, content, error, created_at, revision"
    };
    (instances) => {
        "id, deployment_id, state, restarts, restores, revision"
    };
    (snapshots) => {
        "id, tenant_id, deployment_id, customer_id, name, instance_id, sandbox, state, created_at, expires_at, \
         revision"
    };
    (programs) => {
        "record, revision"
    };
    (program_versions) => {
        "record, revision"
    };
    (program_manifests) => {
        "manifest"
    };
    (services) => {
        "record, revision"
    };
    (machines) => {
        "record, revision"
    };
    (machine_snapshots) => {
        "record"
    };
    (uploads) => {
        "record, revision"
    };
    (jobs) => {
        "record, revision"
    };
    (threads) => {
        "id, deployment_id, title, message_count, last_activity_at, created_at"
    };
    (messages) => {
        "thread_id, position, role, content, attachments, run_id, created_at, decision"
    };
    (runs) => {
        "id, deployment_id, thread_id, spec_version, state, attempts, checkpoint, read_position, \
         input_tokens, output_tokens, error, created_at, ended_at, revision, cancelled, kind"
    };
    (approvals) => {
        "id, deployment_id, run_id, summary, answer, created_at, resolved_at, state, expires_at"
    };
    (memory_sets) => {
        "deployment_id, home, in_step, revision"
    };
    (memories) => {
        "id, deployment_id, content, source, created_at, updated_at, forgotten, synced, offered"
    };
    (forgotten_threads) => {
        "thread_id, deployment_id"
    };
    (dreams) => {
        "id, deployment_id, thread_id, run_id, \"trigger\", state, before, report, error, created_at, \
         ended_at, reverted_at, revision"
    };
    (quiet) => {
        "deployment_id, run_id, since"
    };
    (replies) => {
        "tenant_id, key, fingerprint, sealed, created_at"
    };
    (audit_entries) => {
        "id, tenant_id, deployment_id, actor, operation, subject, fields, request_id, created_at"
    };
    (automations) => {
        "id, deployment_id, name, schedule, cron, timezone, instructions, thread_id, enabled, next_run_at, \
         created_at, revision"
    };
    (automation_runs) => {
        "id, automation_id, deployment_id, scheduled_at, created_at, outcome, run_id, reason"
    };
    (events) => {
        "deployment_id, sequence, run_id, thread_id, name, data, created_at, instance_id"
    };
    (webhooks) => {
        "id, tenant_id, url, events, deployment_id, description, state, disabled_reason, failing_since, \
         paused_until, secret, previous_secret, previous_secret_expires_at, created_at, revision"
    };
    (webhook_queues) => {
        "webhook_id, last_sequence, last_at, pending, due_at"
    };
    (webhook_deliveries) => {
        "webhook_id, sequence, kind, deployment_id, event_sequence, state, tries, attempts, next_at, created_at, \
         finished_at, revision"
    };
    (webhook_data) => {
        "data"
    };
}

macro_rules! queries {
    ($($name:ident: $table:ident $rest:literal;)*) => {
        $(pub(super) const $name: &str =
            concat!("SELECT ", columns!($table), " FROM ", stringify!($table), " ", $rest);)*

        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

queries! {
    TENANT: tenants "WHERE id = ?1";
    TENANTS: tenants "WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
    TENANT_BY_NAME: tenants "WHERE name = ?1";
    API_KEY_BY_HASH: api_keys "WHERE hash = ?1";
    API_KEYS: api_keys "WHERE tenant_id = ?1 ORDER BY id DESC LIMIT 1000";
    SECRET: secrets "WHERE tenant_id = ?1 AND reference = ?2";
    SECRETS: secrets "WHERE tenant_id = ?1 ORDER BY reference LIMIT 10000";
    DEPLOYMENT: deployments "WHERE id = ?1";
    // The conditions on `deleted` are the ones of the partial indexes, word by word.
    DEPLOYMENTS: deployments
        "WHERE tenant_id = ?1 AND id < ?2 AND state <> 'deleted' ORDER BY id DESC LIMIT ?3";
    DEPLOYMENTS_OF_CUSTOMER: deployments
        "WHERE tenant_id = ?1 AND customer_id = ?4 AND id < ?2 AND state <> 'deleted'
         ORDER BY id DESC LIMIT ?3";
    DEPLOYMENTS_OF_TENANT_IN_STATE: deployments
        "WHERE tenant_id = ?1 AND state = ?4 AND id < ?2 AND state <> 'deleted' ORDER BY id DESC LIMIT ?3";
    DEPLOYMENTS_OF_CUSTOMER_IN_STATE: deployments
        "WHERE tenant_id = ?1 AND customer_id = ?4 AND state = ?5 AND id < ?2 AND state <> 'deleted'
         ORDER BY id DESC LIMIT ?3";
    DEPLOYMENTS_IN_STATE: deployments "WHERE state = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    SPEC: specs "WHERE deployment_id = ?1 AND version = ?2";
    FIRST_SKILL: skills "WHERE deployment_id = ?1 ORDER BY position LIMIT 1";
    SKILLS: skills "WHERE deployment_id = ?1 ORDER BY position";
    INSTANCE: instances "WHERE id = ?1";
    SNAPSHOT: snapshots "WHERE id = ?1";
    SNAPSHOT_OF: snapshots "WHERE deployment_id = ?1";
    SNAPSHOT_IN: snapshots "WHERE instance_id = ?1";
    SNAPSHOTS: snapshots "WHERE tenant_id = ?1 AND id < ?2 AND expires_at > ?4 ORDER BY id DESC LIMIT ?3";
    EXPIRED_SNAPSHOTS: snapshots "WHERE expires_at <= ?1 ORDER BY expires_at, id LIMIT ?2";
    PROGRAM: programs "WHERE id = ?1";
    PROGRAM_NAMED: programs "WHERE tenant_id = ?1 AND name = ?2 AND state <> 'deleted'";
    PROGRAMS: programs
        "WHERE tenant_id = ?1 AND id < ?2 AND state <> 'deleted' ORDER BY id DESC LIMIT ?3";
    PROGRAMS_OF_MODE: programs
        "WHERE tenant_id = ?1 AND mode = ?4 AND id < ?2 AND state <> 'deleted' ORDER BY id DESC LIMIT ?3";
    PROGRAMS_IN_STATE: programs
        "WHERE tenant_id = ?1 AND state = ?4 AND id < ?2 AND state <> 'deleted' ORDER BY id DESC LIMIT ?3";
    PROGRAMS_OF_MODE_IN_STATE: programs
        "WHERE tenant_id = ?1 AND mode = ?4 AND state = ?5 AND id < ?2 AND state <> 'deleted'
         ORDER BY id DESC LIMIT ?3";
    DELETED_PROGRAMS: programs "WHERE state = 'deleted' AND id > ?1 ORDER BY id LIMIT ?2";
    VERSION: program_versions "WHERE id = ?1";
    MANIFEST: program_manifests "WHERE version_id = ?1";
    VERSIONS: program_versions "WHERE deployment_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    VERSIONS_IN_STATE: program_versions
        "WHERE deployment_id = ?1 AND state = ?4 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    BUILDING_VERSIONS: program_versions "WHERE building = 1 AND id > ?1 ORDER BY id LIMIT ?2";
    SERVICE: services "WHERE id = ?1";
    SERVICES: services "WHERE deployment_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    SERVICES_IN_STATE: services "WHERE deployment_id = ?1 AND state = ?4 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    SERVICES_OF_VERSION: services "WHERE deployment_id = ?1 AND version_id = ?4 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    SERVICES_OF_VERSION_IN_STATE: services
        "WHERE deployment_id = ?1 AND version_id = ?4 AND state = ?5 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    SERVICES_TO_MIND: services "WHERE due_at IS NOT NULL AND due_at <= ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    JOB: jobs "WHERE id = ?1";
    JOBS: jobs "WHERE deployment_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    JOBS_IN_STATE: jobs "WHERE deployment_id = ?1 AND state = ?4 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    JOBS_OF_VERSION: jobs "WHERE deployment_id = ?1 AND version_id = ?4 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    JOBS_OF_VERSION_IN_STATE: jobs
        "WHERE deployment_id = ?1 AND version_id = ?4 AND state = ?5 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    JOBS_TO_MIND: jobs "WHERE due_at IS NOT NULL AND due_at <= ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    JOB_IN: jobs "WHERE instance_id = ?1";
    MACHINE: machines "WHERE id = ?1";
    MACHINES: machines "WHERE tenant_id = ?1 AND state <> 'destroyed' ORDER BY id DESC";
    MACHINES_TO_MIND: machines "INDEXED BY machines_to_mind WHERE due_at <= ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    MACHINE_SNAPSHOT: machine_snapshots "WHERE id = ?1";
    MACHINE_SNAPSHOT_IN: machine_snapshots "WHERE instance_id = ?1";
    MACHINE_SNAPSHOTS: machine_snapshots "WHERE tenant_id = ?1 ORDER BY id DESC";
    UPLOAD: uploads "WHERE id = ?1";
    OPEN_UPLOADS: uploads "WHERE machine_id = ?1 AND is_open = 1 ORDER BY id";
    UPLOADS_TO_MIND: uploads "INDEXED BY uploads_to_mind WHERE due_at <= ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    THREAD: threads "WHERE id = ?1";
    THREADS: threads "WHERE deployment_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    MESSAGES: messages "WHERE thread_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
    RUN: runs "WHERE id = ?1";
    RUNS: runs "WHERE deployment_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    UNFINISHED_RUN: runs "WHERE thread_id = ?1 AND state IN ('running', 'waiting_on_human')";
    RUNNING_RUNS: runs "WHERE state = 'running' AND id > ?1 ORDER BY id LIMIT ?2";
    OPEN_APPROVAL: approvals "WHERE run_id = ?1 AND resolved_at IS NULL ORDER BY id DESC LIMIT 1";
    APPROVAL: approvals "WHERE id = ?1";
    APPROVALS: approvals "WHERE deployment_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    PENDING_APPROVALS: approvals
        "WHERE deployment_id = ?1 AND id < ?2 AND resolved_at IS NULL ORDER BY id DESC LIMIT ?3";
    ALL_PENDING_APPROVALS: approvals "WHERE resolved_at IS NULL AND id > ?1 ORDER BY id LIMIT ?2";
    UNFINISHED_RUN_OF_DEPLOYMENT: runs
        "WHERE deployment_id = ?1 AND state IN ('running', 'waiting_on_human') LIMIT 1";
    FORGOTTEN_THREADS: forgotten_threads "WHERE thread_id > ?1 ORDER BY thread_id LIMIT ?2";
    FORGOTTEN_THREADS_OF: forgotten_threads "WHERE deployment_id = ?1 ORDER BY thread_id LIMIT ?2";
    MEMORY_SET: memory_sets "WHERE deployment_id = ?1";
    MEMORY_SETS_OUT_OF_STEP: memory_sets
        "WHERE in_step = 0 AND deployment_id > ?1 ORDER BY deployment_id LIMIT ?2";
    MEMORIES: memories "WHERE deployment_id = ?1 ORDER BY id";
    MEMORY: memories "WHERE id = ?1";
    DREAM: dreams "WHERE id = ?1";
    DREAMS: dreams "WHERE deployment_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    RUNNING_DREAM: dreams "WHERE deployment_id = ?1 AND state = 'running'";
    RUNNING_DREAMS: dreams "WHERE state = 'running' AND id > ?1 ORDER BY id LIMIT ?2";
    QUIET_DEPLOYMENTS: quiet "WHERE deployment_id > ?2 AND since <= ?1 ORDER BY deployment_id LIMIT ?3";
    KEPT_REPLY: replies "WHERE tenant_id = ?1 AND key = ?2";
    OLD_REPLY: replies "WHERE created_at < ?1 ORDER BY created_at LIMIT 1";
    AUDIT_ENTRIES: audit_entries "WHERE tenant_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    AUDIT_ENTRIES_OF_DEPLOYMENT: audit_entries
        "INDEXED BY audit_entries_of_deployment
         WHERE tenant_id = ?1 AND deployment_id = ?4 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    OLD_AUDIT_ENTRY: audit_entries "WHERE created_at < ?1 ORDER BY created_at LIMIT 1";
    AUTOMATION: automations "WHERE id = ?1";
    AUTOMATIONS: automations "WHERE deployment_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    DUE_AUTOMATIONS: automations
        "WHERE next_run_at <= ?1 AND (next_run_at, id) > (?2, ?3) ORDER BY next_run_at, id LIMIT ?4";
    AUTOMATION_RUNS: automation_runs "WHERE automation_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    LAST_AUTOMATION_RUN: automation_runs "WHERE automation_id = ?1 ORDER BY id DESC LIMIT 1";
    AUTOMATION_RUN_AT: automation_runs "WHERE automation_id = ?1 AND scheduled_at = ?2";
    OVERDUE_APPROVALS: approvals
        "WHERE resolved_at IS NULL AND expires_at <= ?1 ORDER BY expires_at, id LIMIT ?2";
    LAST_SEQUENCE: heads "WHERE deployment_id = ?1";
    EVENTS: events "WHERE deployment_id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
    // Without being told, SQLite would take the log's primary key and pass over the events of all other runs.
    RUN_EVENTS: events
        "INDEXED BY events_of_run
         WHERE run_id = ?4 AND deployment_id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
    INSTANCE_EVENTS: events "WHERE instance_id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
    // Where to begin is found in the index alone: what is passed over is not read.
    INSTANCE_EVENTS_FROM: events
        "WHERE instance_id = ?1 AND sequence >=
             (SELECT sequence FROM events WHERE instance_id = ?1 ORDER BY sequence LIMIT 1 OFFSET ?2)
         ORDER BY sequence LIMIT ?3";
    INSTANCE_EVENTS_TAIL: events
        "WHERE instance_id = ?1 AND sequence >= coalesce(
             (SELECT sequence FROM events WHERE instance_id = ?1 ORDER BY sequence DESC LIMIT 1 OFFSET ?2), 0)
         ORDER BY sequence LIMIT ?3";
    WEBHOOK: webhooks "WHERE id = ?1";
    WEBHOOKS: webhooks "WHERE tenant_id = ?1 AND id < ?2 AND state <> 'deleted' ORDER BY id DESC LIMIT ?3";
    DELETED_WEBHOOKS: webhooks "WHERE state = 'deleted' AND id > '' ORDER BY id LIMIT ?1";
    WEBHOOK_QUEUE: webhook_queues "WHERE webhook_id = ?1";
    DUE_QUEUES: webhook_queues
        "WHERE due_at IS NOT NULL AND (due_at, webhook_id) > (?1, ?2) ORDER BY due_at, webhook_id LIMIT ?3";
    DELIVERY: webhook_deliveries "WHERE webhook_id = ?1 AND sequence = ?2";
    DELIVERY_DATA: webhook_data
        "WHERE id = (SELECT data_id FROM webhook_deliveries WHERE webhook_id = ?1 AND sequence = ?2)";
    DELIVERIES: webhook_deliveries "WHERE webhook_id = ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3";
    // Without being told, SQLite would take the primary key and pass over the deliveries in all other states.
    DELIVERIES_IN_STATE: webhook_deliveries
        "INDEXED BY webhook_deliveries_in_state
         WHERE webhook_id = ?1 AND state = ?4 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3";
    DUE_DELIVERIES: webhook_deliveries
        "WHERE webhook_id = ?1 AND next_at IS NOT NULL AND next_at <= ?2 ORDER BY next_at, sequence LIMIT ?3";
    OLD_DELIVERY: webhook_deliveries "WHERE finished_at IS NOT NULL AND finished_at < ?1 LIMIT 1";
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, StatementStatus};

    use super::{
        super::{connection::plan_once, migrations},
        *,
    };

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        plan_once(&connection).unwrap();
        migrations::run(&mut connection).unwrap();
        connection
    }

    /// What makes reads slow as tables grow: a pass over a table or an index, or a sort.
    #[test]
    fn every_query_is_a_range_of_one_index() {
        let connection = database();
        for (name, sql) in ALL {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            for parameter in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(parameter, "x").unwrap();
            }
            let mut rows = statement.raw_query();
            let mut plan = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                plan.push(row.get::<_, String>("detail").unwrap());
            }
            // One that is found by another is both.
            if let [search, subquery, inner] = plan.as_slice()
                && subquery.starts_with("SCALAR SUBQUERY")
            {
                assert!(search.starts_with("SEARCH ") && inner.starts_with("SEARCH "), "{name}: {plan:?}");
                continue;
            }
            assert!(plan.len() == 1 && plan[0].starts_with("SEARCH "), "{name}: {plan:?}");
        }
    }

    #[test]
    fn a_query_is_planned_once() {
        let connection = database();
        let mut planned_anew = Vec::new();
        for (name, sql) in ALL {
            let mut statement = connection.prepare(sql).unwrap();
            for value in ["x", "y", "z"] {
                for parameter in 1..=statement.parameter_count() {
                    // The limits are numbers, which are the same for each page.
                    if statement.raw_bind_parameter(parameter, value).is_err() {
                        statement.raw_bind_parameter(parameter, 1).unwrap();
                    }
                }
                let _ = statement.raw_query().next();
            }
            if statement.get_status(StatementStatus::RePrepare) > 0 {
                planned_anew.push(name);
            }
        }
        assert_eq!(planned_anew, [&"x"; 0]);
    }

    #[test]
    fn a_query_uses_the_index_made_for_it() {
        let connection = database();
        for (sql, index) in [
            (DEPLOYMENTS, "deployments_of_tenant (tenant_id=? AND id<?)"),
            (DEPLOYMENTS_OF_CUSTOMER, "deployments_of_customer (tenant_id=? AND customer_id=? AND id<?)"),
            (
                DEPLOYMENTS_OF_TENANT_IN_STATE,
                "deployments_of_tenant_in_state (tenant_id=? AND state=? AND id<?)",
            ),
            (
                DEPLOYMENTS_OF_CUSTOMER_IN_STATE,
                "deployments_of_customer_in_state (tenant_id=? AND customer_id=? AND state=? AND id<?)",
            ),
            (DEPLOYMENTS_IN_STATE, "deployments_in_state (state=? AND id>?)"),
            (UNFINISHED_RUN, "runs_unfinished (thread_id=?)"),
            (RUNNING_RUNS, "runs_running (id>?)"),
            (OPEN_APPROVAL, "approvals_open (run_id=?)"),
            (APPROVALS, "approvals_of_deployment (deployment_id=? AND id<?)"),
            (PENDING_APPROVALS, "approvals_pending (deployment_id=? AND id<?)"),
            (ALL_PENDING_APPROVALS, "all_approvals_pending (id>?)"),
            (SNAPSHOTS, "snapshots_of_tenant (tenant_id=? AND id<?)"),
            (EXPIRED_SNAPSHOTS, "snapshots_expiring (expires_at<?)"),
            (PROGRAMS, "programs_of_tenant (tenant_id=? AND id<?)"),
            (PROGRAMS_OF_MODE, "programs_of_mode (tenant_id=? AND mode=? AND id<?)"),
            (PROGRAMS_IN_STATE, "programs_in_state (tenant_id=? AND state=? AND id<?)"),
            (
                PROGRAMS_OF_MODE_IN_STATE,
                "programs_of_mode_in_state (tenant_id=? AND mode=? AND state=? AND id<?)",
            ),
            (DELETED_PROGRAMS, "programs_deleted (id>?)"),
            (VERSIONS, "program_versions_of_deployment (deployment_id=? AND id<?)"),
            (VERSIONS_IN_STATE, "program_versions_in_state (deployment_id=? AND state=? AND id<?)"),
            (BUILDING_VERSIONS, "program_versions_building (id>?)"),
            (SERVICES, "services_of_deployment (deployment_id=? AND id<?)"),
            (SERVICES_IN_STATE, "services_in_state (deployment_id=? AND state=? AND id<?)"),
            (SERVICES_OF_VERSION, "services_of_version (deployment_id=? AND version_id=? AND id<?)"),
            (
                SERVICES_OF_VERSION_IN_STATE,
                "services_of_version_in_state (deployment_id=? AND version_id=? AND state=? AND id<?)",
            ),
            (SERVICES_TO_MIND, "services_to_mind (id>?)"),
            (JOBS, "jobs_of_deployment (deployment_id=? AND id<?)"),
            (JOBS_IN_STATE, "jobs_in_state (deployment_id=? AND state=? AND id<?)"),
            (JOBS_OF_VERSION, "jobs_of_version (deployment_id=? AND version_id=? AND id<?)"),
            (
                JOBS_OF_VERSION_IN_STATE,
                "jobs_of_version_in_state (deployment_id=? AND version_id=? AND state=? AND id<?)",
            ),
            (JOBS_TO_MIND, "jobs_to_mind (id>?)"),
            (JOB_IN, "(instance_id=?)"),
            (MACHINES, "machines_of_tenant (tenant_id=?)"),
            (MACHINES_TO_MIND, "machines_to_mind (id>?)"),
            (UPLOADS_TO_MIND, "uploads_to_mind (id>?)"),
            (MACHINE_SNAPSHOT_IN, "(instance_id=?)"),
            (OPEN_UPLOADS, "uploads_open_of_machine (machine_id=?)"),
            (MACHINE_SNAPSHOTS, "machine_snapshots_of_tenant (tenant_id=?)"),
            (UNFINISHED_RUN_OF_DEPLOYMENT, "runs_unfinished_of_deployment (deployment_id=?)"),
            (FORGOTTEN_THREADS_OF, "forgotten_threads_of_deployment (deployment_id=?)"),
            (MEMORY_SETS_OUT_OF_STEP, "memory_sets_out_of_step (deployment_id>?)"),
            (MEMORIES, "memories_of_deployment (deployment_id=?)"),
            (DREAMS, "dreams_of_deployment (deployment_id=? AND id<?)"),
            (RUNNING_DREAM, "dreams_running (deployment_id=?)"),
            (RUNNING_DREAMS, "all_dreams_running (id>?)"),
            (OLD_REPLY, "replies_by_age (created_at<?)"),
            (
                AUDIT_ENTRIES_OF_DEPLOYMENT,
                "audit_entries_of_deployment (tenant_id=? AND deployment_id=? AND id<?)",
            ),
            (OLD_AUDIT_ENTRY, "audit_entries_by_age (created_at<?)"),
            (AUTOMATIONS, "automations_of_deployment (deployment_id=? AND id<?)"),
            (DUE_AUTOMATIONS, "automations_due ((next_run_at,id)>(?,?) AND next_run_at<?)"),
            (AUTOMATION_RUNS, "automation_runs_of_automation (automation_id=? AND id<?)"),
            (LAST_AUTOMATION_RUN, "automation_runs_of_automation (automation_id=?)"),
            (AUTOMATION_RUN_AT, "automation_runs_once (automation_id=? AND scheduled_at=?)"),
            (OVERDUE_APPROVALS, "approvals_expiring (expires_at<?)"),
            (RUN_EVENTS, "events_of_run (run_id=? AND deployment_id=? AND sequence>?)"),
            (INSTANCE_EVENTS, "events_of_instance (instance_id=? AND sequence>?)"),
            (INSTANCE_EVENTS_FROM, "events_of_instance (instance_id=? AND sequence>?)"),
            (INSTANCE_EVENTS_TAIL, "events_of_instance (instance_id=? AND sequence>?)"),
            (WEBHOOKS, "webhooks_of_tenant (tenant_id=? AND id<?)"),
            (DELETED_WEBHOOKS, "webhooks_deleted (id>?)"),
            (DUE_QUEUES, "webhook_queues_due ((due_at,webhook_id)>(?,?))"),
            (DELIVERIES_IN_STATE, "webhook_deliveries_in_state (webhook_id=? AND state=? AND sequence<?)"),
            (DUE_DELIVERIES, "webhook_deliveries_due (webhook_id=? AND next_at>? AND next_at<?)"),
            (OLD_DELIVERY, "webhook_deliveries_finished (finished_at>? AND finished_at<?)"),
        ] {
            let plan = format!("EXPLAIN QUERY PLAN {sql}");
            let mut statement = connection.prepare(&plan).unwrap();
            let plan: String = statement.raw_query().next().unwrap().unwrap().get("detail").unwrap();
            assert!(plan.ends_with(index), "{plan}");
        }
    }
}
